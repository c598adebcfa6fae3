//! Log lines that a peer can cause as often as he likes.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Logs so many lines a second at `info`, and what is over that at `debug`. With the first line of the next second it says how
/// many those were.
#[derive(Debug)]
pub(crate) struct Sparing {
    per_second: u32,
    second: Mutex<Second>,
}

#[derive(Debug)]
struct Second {
    began: Option<Instant>,
    lines: u32,
    over: u64,
}

/// How a line is logged.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// At `info`, and before it so many were not.
    Info { over: u64 },
    /// At `debug`.
    Debug,
}

impl Sparing {
    pub(crate) const fn new(per_second: u32) -> Self {
        Self {
            per_second,
            second: Mutex::new(Second {
                began: None,
                lines: 0,
                over: 0,
            }),
        }
    }

    /// Logs a line.
    pub(crate) fn log(&self, line: impl FnOnce() -> String) {
        match self.verdict(Instant::now()) {
            Verdict::Info { over: 0 } => tracing::info!("{}", line()),
            Verdict::Info { over } => {
                tracing::info!(over, "{}; so many others like it are at `debug`", line());
            }
            Verdict::Debug if tracing::enabled!(tracing::Level::DEBUG) => {
                tracing::debug!("{}", line());
            }
            Verdict::Debug => {}
        }
    }

    fn verdict(&self, now: Instant) -> Verdict {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |began: Instant| now.duration_since(began) >= Duration::from_secs(1);
        if second.began.is_none_or(is_over) {
            second.began = Some(now);
            second.lines = 0;
        }
        if second.lines < self.per_second {
            second.lines += 1;
            let over = std::mem::take(&mut second.over);
            return Verdict::Info { over };
        }
        second.over = second.over.saturating_add(1);
        Verdict::Debug
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_lines_and_the_next_says_what_was_left_out() {
        let sparing = Sparing::new(2);
        let began = Instant::now();
        let verdicts: Vec<_> = (0..4).map(|_| sparing.verdict(began)).collect();
        let info = || Verdict::Info { over: 0 };
        assert_eq!(verdicts, [info(), info(), Verdict::Debug, Verdict::Debug]);
        let next = began + Duration::from_secs(1);
        assert_eq!(sparing.verdict(next), Verdict::Info { over: 2 });
        assert_eq!(sparing.verdict(next), info());
        assert_eq!(sparing.verdict(next), Verdict::Debug);
    }
}
