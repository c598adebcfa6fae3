//! What is counted of what is heard.

use crate::by_label::{self, ByLabel, labels};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

labels! {
    /// What became of a message.
    pub(super) enum Outcome {
        /// It was published.
        Published = "published",
        /// It is no publication: not JSON, no target, no event.
        Wrong = "wrong",
        /// It is over `limits.publish_bytes_max`.
        TooLong = "too_long",
        /// The hub or the workers did not take it.
        Refused = "refused",
        /// Too many waited.
        Dropped = "dropped",
    }
}

/// Counters of one inlet.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    connected: AtomicBool,
    lost: AtomicU64,
    messages: ByLabel<Outcome>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Whether there is a connection with every subscription.
    pub(crate) connected: bool,
    /// Connections that were lost.
    pub(crate) lost: u64,
    /// Messages, by what became of them.
    pub(crate) messages: by_label::Counts,
}

impl Stats {
    /// What was counted up to now.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            connected: self.connected.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            messages: self.messages.counts(),
        }
    }

    pub(in crate::inlet) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    pub(in crate::inlet) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.messages.count(outcome);
    }
}
