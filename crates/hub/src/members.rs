//! The connections under one name.
//!
//! Most names have one member (a user with one tab, a channel of one conversation), so that costs no allocation.

use crate::ConnectionId;
use std::collections::HashSet;

/// Up to how many members stand in a list; from then on they are hashed.
const LIST_MAX: usize = 16;

/// A set of connections, frugal when small.
#[derive(Debug)]
pub(crate) enum Members {
    One(ConnectionId),
    /// Boxed, as the next: the names with several must not make all the others larger.
    #[allow(
        clippy::box_collection,
        reason = "a list is three times as large as an id, in every entry"
    )]
    List(Box<Vec<ConnectionId>>),
    #[allow(clippy::box_collection, reason = "a table is larger still")]
    Set(Box<HashSet<ConnectionId>>),
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
        }
    }

    pub(crate) fn contains(&self, connection: ConnectionId) -> bool {
        match self {
            Self::One(one) => *one == connection,
            Self::List(list) => list.contains(&connection),
            Self::Set(set) => set.contains(&connection),
        }
    }

    /// Adds one that is not a member.
    pub(crate) fn insert(&mut self, connection: ConnectionId) {
        match self {
            Self::One(one) => *self = Self::List(Box::new(vec![*one, connection])),
            Self::List(list) if list.len() < LIST_MAX => list.push(connection),
            Self::List(list) => {
                let mut set: HashSet<_> = list.drain(..).collect();
                set.insert(connection);
                *self = Self::Set(Box::new(set));
            }
            Self::Set(set) => {
                set.insert(connection);
            }
        }
    }

    /// Takes one out; true: that was the last one, and the name has to go.
    #[must_use]
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> bool {
        match self {
            Self::One(one) => *one == connection,
            Self::List(list) => {
                if let Some(index) = list.iter().position(|member| *member == connection) {
                    list.swap_remove(index);
                }
                if let [one] = list[..] {
                    *self = Self::One(one);
                }
                false
            }
            Self::Set(set) => {
                set.remove(&connection);
                // Half of the threshold, so that one who comes and goes does not rebuild it each time.
                if set.len() <= LIST_MAX / 2 {
                    *self = Self::List(Box::new(set.drain().collect()));
                }
                false
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        let (slice, set) = match self {
            Self::One(one) => (std::slice::from_ref(one), None),
            Self::List(list) => (&list[..], None),
            Self::Set(set) => (&[][..], Some(&**set)),
        };
        slice
            .iter()
            .copied()
            .chain(set.into_iter().flatten().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::{LIST_MAX, Members};
    use crate::ConnectionId;

    #[test]
    fn grows_and_shrinks_through_every_form() {
        let all: Vec<_> = (0..4 * LIST_MAX as u64).map(ConnectionId).collect();
        let mut members = Members::One(all[0]);
        for (count, connection) in all.iter().enumerate().skip(1) {
            assert!(!members.contains(*connection));
            members.insert(*connection);
            assert_eq!(members.len(), count + 1);
        }
        assert!(matches!(members, Members::Set(_)));
        for (gone, connection) in all.iter().enumerate() {
            let mut left: Vec<_> = members.iter().collect();
            left.sort();
            assert_eq!(left, all[gone..]);
            assert!(members.contains(*connection));
            assert_eq!(members.remove(*connection), gone + 1 == all.len());
        }
    }

    #[test]
    fn a_name_costs_two_words() {
        assert_eq!(size_of::<Members>(), 16);
    }

    #[test]
    fn removing_a_stranger_changes_nothing() {
        for count in [1, 2, LIST_MAX, LIST_MAX + 1] {
            let mut members = Members::One(ConnectionId(0));
            for connection in 1..count as u64 {
                members.insert(ConnectionId(connection));
            }
            assert!(!members.remove(ConnectionId(u64::MAX)));
            assert_eq!(members.len(), count);
        }
    }
}
