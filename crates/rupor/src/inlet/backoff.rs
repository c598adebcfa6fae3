//! How long to wait before a server that is away is tried again, and whether that it is away was told already.

use std::mem::replace;
use std::time::Duration;

/// The first and the longest wait; they double.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Waits that become longer. Each is cut by up to a half at random, so that many who lost the same server do not come back
/// at one moment.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    is_told: bool,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self {
            next: WAITS.0,
            is_told: false,
        }
    }

    /// A connection is lost that lasted so long, which is told. One that ends again and again has to wait, too.
    pub(super) fn lost(&mut self, lasted: Duration) {
        self.is_told = true;
        if lasted > WAITS.1 {
            self.next = WAITS.0;
        }
    }

    /// There is no connection: whether that is to be told. It is once, not every five seconds: what is told stays true until
    /// the line that there is one.
    pub(super) fn is_news(&mut self) -> bool {
        !replace(&mut self.is_told, true)
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
        backoff.lost(WAITS.1);
        assert!(backoff.next() > WAITS.0, "it ended too soon");
        backoff.lost(WAITS.1 + Duration::from_millis(1));
        assert!(backoff.next() <= WAITS.0);
    }

    #[test]
    fn that_it_is_away_is_told_once() {
        let mut backoff = Backoff::new();
        assert!(backoff.is_news());
        assert!(!backoff.is_news());
        let mut backoff = Backoff::new();
        backoff.lost(Duration::ZERO);
        assert!(!backoff.is_news());
    }
}
