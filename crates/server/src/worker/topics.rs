//! Who on this worker listens to what.
//!
//! Invariants: a topic is in the table only while it has a subscriber, and the topics of a slot
//! that is nobody's are none. Both directions are kept, so that a connection that ends takes its subscriptions with it
//! without a search.

use std::collections::{HashMap, HashSet};

use crate::limits::Limits;
use crate::topic::Topic;

/// The table of one worker.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    subscribers: HashMap<Topic, Slots>,
    /// By slot. Slots are given out from the lowest, so nearly all of this is in use, and where
    /// nobody subscribes it is empty.
    subscriptions: Vec<Vec<Topic>>,
}

/// Up to so many topics of a connection there is room for exactly those: a vector would begin with
/// four, and most connections have one or two.
const EXACT_MAX: usize = 4;

/// The subscribers of one topic. A topic of one connection is as frequent as one of many, and there
/// can be very many of those, so it owns nothing on the heap.
#[derive(Debug)]
enum Slots {
    One(u32),
    #[allow(
        clippy::box_collection,
        reason = "the table itself is three times as large as a Slots, in every entry"
    )]
    Many(Box<HashSet<u32>>),
}

impl Slots {
    fn contains(&self, slot: u32) -> bool {
        match self {
            Self::One(one) => *one == slot,
            Self::Many(many) => many.contains(&slot),
        }
    }

    fn insert(&mut self, slot: u32) {
        match self {
            Self::One(one) if *one == slot => {}
            Self::One(one) => *self = Self::Many(Box::new(HashSet::from([*one, slot]))),
            Self::Many(many) => {
                many.insert(slot);
            }
        }
    }

    /// Takes one out; true: it was the last.
    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Self::One(one) => *one == slot,
            Self::Many(many) => {
                many.remove(&slot);
                many.is_empty()
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (one, many) = match self {
            Self::One(one) => (Some(*one), None),
            Self::Many(many) => (None, Some(many.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl Topics {
    /// Subscribes; false at a limit. Who is subscribed already is so still.
    pub(crate) fn subscribe(&mut self, slot: u32, topic: &Topic, limits: &Limits) -> bool {
        let known = self.subscribers.get_key_value(topic);
        if known.is_some_and(|(_, slots)| slots.contains(slot)) {
            return true;
        }
        let index = slot as usize;
        let count = self.subscriptions.get(index).map_or(0, Vec::len);
        if count >= limits.subscriptions_max
            || topic.as_str().len() > limits.topic_bytes_max
            || (known.is_none() && self.subscribers.len() >= limits.topics_max)
        {
            return false;
        }
        // The table's own name is kept, so that all who listen to a topic share one copy of it.
        let topic = known.map_or(topic, |(name, _)| name).clone();
        self.subscribers
            .entry(topic.clone())
            .and_modify(|slots| slots.insert(slot))
            .or_insert(Slots::One(slot));
        if self.subscriptions.len() <= index {
            self.subscriptions.resize_with(index + 1, Vec::new);
        }
        if let Some(topics) = self.subscriptions.get_mut(index) {
            if count < EXACT_MAX {
                topics.reserve_exact(1);
            }
            topics.push(topic);
        }
        true
    }

    /// Ends a subscription, if there is one.
    pub(crate) fn unsubscribe(&mut self, slot: u32, topic: &Topic) {
        self.forget(slot, topic);
        if let Some(topics) = self.subscriptions.get_mut(slot as usize) {
            topics.retain(|other| other != topic);
            if topics.is_empty() {
                *topics = Vec::new();
            }
        }
    }

    /// Ends all subscriptions of a connection.
    pub(crate) fn remove(&mut self, slot: u32) {
        let topics = self.subscriptions.get_mut(slot as usize);
        for topic in topics.map(std::mem::take).unwrap_or_default() {
            self.forget(slot, &topic);
        }
    }

    fn forget(&mut self, slot: u32, topic: &Topic) {
        if self
            .subscribers
            .get_mut(topic)
            .is_some_and(|slots| slots.remove(slot))
        {
            self.subscribers.remove(topic);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.subscriptions.iter().all(Vec::is_empty)
    }

    /// The slots that listen to `topic`.
    pub(crate) fn subscribers(&self, topic: &Topic) -> impl Iterator<Item = u32> + '_ {
        self.subscribers
            .get(topic)
            .into_iter()
            .flat_map(Slots::iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(topics: &Topics, name: &str) -> Vec<u32> {
        let mut slots: Vec<u32> = topics.subscribers(&name.into()).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn a_connection_takes_its_subscriptions_with_it() {
        let (mut topics, limits) = (Topics::default(), Limits::default());
        for slot in [1, 2] {
            assert!(topics.subscribe(slot, &"a".into(), &limits));
            assert!(topics.subscribe(slot, &"b".into(), &limits));
        }
        topics.unsubscribe(2, &"b".into());
        topics.unsubscribe(2, &"never".into());
        assert_eq!(listeners(&topics, "b"), [1]);
        topics.remove(1);
        assert_eq!(listeners(&topics, "a"), [2]);
        assert_eq!(listeners(&topics, "b"), []);
        topics.remove(2);
        assert!(topics.is_empty());
    }

    #[test]
    fn each_limit_holds_at_one_more() {
        let limits = Limits {
            subscriptions_max: 2,
            topics_max: 3,
            topic_bytes_max: 4,
            ..Limits::default()
        };
        let mut topics = Topics::default();
        assert!(!topics.subscribe(1, &"12345".into(), &limits));
        assert!(topics.subscribe(1, &"1234".into(), &limits));
        assert!(topics.subscribe(1, &"b".into(), &limits));
        assert!(
            topics.subscribe(1, &"b".into(), &limits),
            "again is no new one"
        );
        assert!(!topics.subscribe(1, &"c".into(), &limits));
        assert!(topics.subscribe(2, &"c".into(), &limits));
        assert!(
            !topics.subscribe(2, &"d".into(), &limits),
            "the fourth topic"
        );
        assert!(topics.subscribe(2, &"b".into(), &limits), "one that exists");
        topics.unsubscribe(1, &"b".into());
        topics.unsubscribe(1, &"1234".into());
        assert!(topics.subscribe(1, &"d".into(), &limits), "room again");
    }
}
