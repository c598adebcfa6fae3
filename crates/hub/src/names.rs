//! The channels of one connection.
//!
//! Most connections have one, so that costs no allocation.

use std::sync::Arc;

/// A set of names, frugal when small. At most
/// [`subscriptions_per_connection_max`](crate::Limits::subscriptions_per_connection_max), so a search through it is short.
#[derive(Debug)]
pub(crate) enum Names {
    One(Arc<str>),
    /// Not one. Boxed: the few connections with many must not make all the others larger.
    #[allow(
        clippy::box_collection,
        reason = "a list is twice as large as a name, in every entry"
    )]
    Several(Option<Box<Vec<Arc<str>>>>),
}

impl Default for Names {
    fn default() -> Self {
        Self::Several(None)
    }
}

impl Names {
    pub(crate) fn as_slice(&self) -> &[Arc<str>] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several.as_deref().map(Vec::as_slice).unwrap_or_default(),
        }
    }

    /// Adds one that is not among them.
    pub(crate) fn insert(&mut self, name: Arc<str>) {
        *self = match std::mem::take(self) {
            Self::Several(None) => Self::One(name),
            Self::One(one) => Self::Several(Some(Box::new(vec![one, name]))),
            Self::Several(Some(mut several)) => {
                several.push(name);
                Self::Several(Some(several))
            }
        };
    }

    /// Takes one out, and answers with it as it was kept.
    pub(crate) fn remove(&mut self, name: &Arc<str>) -> Option<Arc<str>> {
        let index = self.as_slice().iter().position(|one| one == name)?;
        match std::mem::take(self) {
            Self::One(one) => Some(one),
            Self::Several(several) => {
                let mut several = several?;
                let name = several.swap_remove(index);
                *self = match several.pop() {
                    Some(one) if several.is_empty() => Self::One(one),
                    Some(last) => {
                        several.push(last);
                        Self::Several(Some(several))
                    }
                    None => Self::default(),
                };
                Some(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;
    use std::sync::Arc;

    #[test]
    fn grows_and_shrinks_through_every_form() {
        let all: Vec<Arc<str>> = (0..5).map(|n| n.to_string().into()).collect();
        let mut names = Names::default();
        for (count, name) in all.iter().enumerate() {
            assert_eq!(names.as_slice().len(), count);
            assert_eq!(names.remove(name), None);
            names.insert(Arc::clone(name));
        }
        for (gone, name) in all.iter().enumerate() {
            let mut left = names.as_slice().to_vec();
            left.sort();
            assert_eq!(left, all[gone..]);
            assert_eq!(names.remove(name).as_ref(), Some(name));
            assert!(!names.as_slice().contains(name));
        }
        assert!(names.as_slice().is_empty());
    }

    #[test]
    fn it_costs_no_more_than_a_name() {
        assert_eq!(size_of::<Names>(), size_of::<Arc<str>>());
    }
}
