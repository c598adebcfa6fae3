//! Log lines about what was not published: not one for each.

use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// At most so often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Says when a line is due, and how many were not written before it.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    last: Option<Instant>,
    unsaid: u64,
}

impl Quiet {
    /// Writes the line, unless the last one was a moment ago. `write` is told how many were not written.
    pub(super) fn log(&mut self, write: impl FnOnce(u64)) {
        if self.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            self.unsaid += 1;
            return;
        }
        self.last = Some(Instant::now());
        write(std::mem::take(&mut self.unsaid));
    }

    /// A message that `source` sent is not published.
    pub(super) fn not_published(&mut self, source: &str, error: &dyn fmt::Display) {
        self.log(|unsaid| {
            tracing::warn!(%error, unsaid, "a message from {source} was not published");
        });
    }
}
