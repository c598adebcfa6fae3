//! What waits in one outbox and may be left out: where, lane by lane.
//!
//! Invariant: a lane is in the table only while something waits in it, so there are never more of
//! them than frames in the queue.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::topic::Topic;

/// Publications that make way for each other: those of one topic, and of one key if they have one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    pub(crate) topic: Topic,
    pub(crate) key: Option<Arc<str>>,
}

/// The numbers of what waits, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lanes(HashMap<Arc<Lane>, VecDeque<u64>>);

impl Lanes {
    /// The last of the lane is at this number.
    pub(super) fn push(&mut self, lane: &Arc<Lane>, number: u64) {
        if let Some(waiting) = self.0.get_mut(lane) {
            waiting.push_back(number);
        } else {
            self.0.insert(Arc::clone(lane), VecDeque::from([number]));
        }
    }

    /// Takes the first of a lane out.
    pub(super) fn take_oldest(&mut self, lane: &Lane) -> Option<u64> {
        let waiting = self.0.get_mut(lane)?;
        let oldest = waiting.pop_front();
        if waiting.is_empty() {
            self.0.remove(lane);
        }
        oldest
    }

    /// Takes all of a lane out.
    pub(super) fn take_all(&mut self, lane: &Lane) -> VecDeque<u64> {
        self.0.remove(lane).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
