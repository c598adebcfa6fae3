//! How long to wait before a server that is away is tried again.

use std::time::Duration;

/// The first and the longest wait; they double.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Waits that become longer. Each is cut by up to a half at random, so that many who lost the same server do not come back
/// at one moment.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// The longest wait.
    pub(super) const LONGEST: Duration = WAITS.1;

    pub(super) fn new() -> Self {
        Self { next: WAITS.0 }
    }

    /// It went well for a while.
    pub(super) fn reset(&mut self) {
        self.next = WAITS.0;
    }

    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(WAITS.1);
        let mut random = [0];
        // Without randomness the waits are as long as they may be.
        let _ = getrandom::fill(&mut random);
        whole - whole / 2 * u32::from(random[0]) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::new();
        for whole in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let whole = Duration::from_millis(whole);
            let wait = backoff.next();
            assert!((whole / 2..=whole).contains(&wait), "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= WAITS.0);
    }
}
