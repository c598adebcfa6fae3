//! The publications that are on their way: when each was meant to leave, and how many have not received it yet.
//!
//! Written by the worker that publishes, read by all of them. At most `window` are on their way, so a slot serves every
//! `window`-th publication. A slot is written before its line leaves and taken again only when nobody waits for it.

use mio::Waker;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug)]
pub(super) struct Publications {
    slots: Vec<Slot>,
    /// Wakes the worker that publishes.
    waker: OnceLock<Waker>,
}

#[derive(Debug, Default)]
struct Slot {
    intended_ns: AtomicU64,
    missing: AtomicU64,
}

impl Publications {
    /// For `window` at a time, at least one.
    pub(super) fn new(window: usize) -> Self {
        Self {
            slots: (0..window.max(1)).map(|_| Slot::default()).collect(),
            waker: OnceLock::new(),
        }
    }

    /// How many may be on their way.
    pub(super) fn window(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Who is to be woken when another worker has seen the last delivery of a publication.
    pub(super) fn set_waker(&self, waker: Waker) {
        // Only one worker publishes.
        let _ = self.waker.set(waker);
    }

    /// Wakes the worker that publishes.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            // It looks by itself some milliseconds later.
            let _ = waker.wake();
        }
    }

    /// Publication `number` was meant to leave at `intended_ns`, for so many.
    pub(super) fn begin(&self, number: u64, intended_ns: u64, deliveries: u64) {
        let slot = self.slot(number);
        slot.intended_ns.store(intended_ns, Ordering::Relaxed);
        slot.missing.store(deliveries, Ordering::Release);
    }

    /// One more has received publication `number`. Gives when it was meant to leave, and whether that was the last.
    /// `None`: nobody else was to receive it.
    pub(super) fn deliver(&self, number: u64) -> Option<(u64, bool)> {
        let slot = self.slot(number);
        // Before the count: after the last one the slot may be another publication's.
        let intended_ns = slot.intended_ns.load(Ordering::Acquire);
        let before = slot
            .missing
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |missing| {
                missing.checked_sub(1)
            })
            .ok()?;
        Some((intended_ns, before == 1))
    }

    /// Whether everybody has received publication `number`.
    pub(super) fn is_delivered(&self, number: u64) -> bool {
        self.slot(number).missing.load(Ordering::Acquire) == 0
    }

    fn slot(&self, number: u64) -> &Slot {
        let place = usize::try_from(number % self.window()).unwrap_or_default();
        &self.slots[place]
    }
}

#[cfg(test)]
mod tests {
    use super::Publications;

    #[test]
    fn the_last_delivery_of_each_is_told() {
        let publications = Publications::new(2);
        publications.begin(0, 10, 2);
        publications.begin(1, 20, 1);
        assert_eq!(publications.deliver(1), Some((20, true)));
        assert_eq!(publications.deliver(0), Some((10, false)));
        assert!(publications.is_delivered(1) && !publications.is_delivered(0));
        assert_eq!(publications.deliver(0), Some((10, true)));
        assert_eq!(publications.deliver(0), None, "one too many");
        publications.begin(2, 30, 1);
        assert!(!publications.is_delivered(2));
    }
}
