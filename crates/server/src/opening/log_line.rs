//! Lines of the log that others can cause as often as they like: one in [`LOG_EVERY`] of each kind.

use std::time::Duration;

use tokio::time::Instant;

const LOG_EVERY: Duration = Duration::from_secs(10);

/// A kind of line.
#[derive(Debug, Default)]
pub(super) struct LogLine {
    written: Option<Instant>,
    since: u64,
}

impl LogLine {
    /// There is cause for a line: when it is time for one, how many there were since the last.
    pub(super) fn due(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.written.is_some_and(|at| now < at + LOG_EVERY) {
            return None;
        }
        self.written = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_log_in_ten_seconds() {
        let mut line = LogLine::default();
        let start = Instant::now();
        assert_eq!(line.due(start), Some(1));
        for _ in 0..5 {
            assert_eq!(line.due(start + Duration::from_secs(9)), None);
        }
        assert_eq!(line.due(start + Duration::from_secs(10)), Some(6));
    }
}
