//! What is counted of what is heard.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was published.
    Published,
    /// It is no publication: not JSON, no target, no event.
    Wrong,
    /// It is over `limits.publish_bytes_max`.
    TooLong,
    /// The hub or the workers did not take it.
    Refused,
    /// Too many waited.
    Dropped,
}

/// The labels, in the order of [`Outcome`].
const LABELS: [&str; 5] = ["published", "wrong", "too_long", "refused", "dropped"];

/// Counters of one inlet.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    connected: AtomicBool,
    lost: AtomicU64,
    messages: [AtomicU64; LABELS.len()],
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Whether there is a connection with every subscription.
    pub(crate) connected: bool,
    /// Connections that were lost.
    pub(crate) lost: u64,
    /// Messages, by what became of them.
    pub(crate) messages: Vec<(&'static str, u64)>,
}

impl Stats {
    /// What was counted up to now.
    pub(crate) fn counts(&self) -> Counts {
        let messages = self.messages.iter();
        let messages = messages.map(|counter| counter.load(Ordering::Relaxed));
        Counts {
            connected: self.connected.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            messages: LABELS.into_iter().zip(messages).collect(),
        }
    }

    pub(in crate::inlet) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    pub(in crate::inlet) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.messages[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}
