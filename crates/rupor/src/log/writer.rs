//! Lines on their way to standard error, which may be slow, stuck or gone.
//!
//! Whoever logs, a worker above all, must not wait for whoever reads the log: a pager that was stopped would hold up every
//! connection. So a thread writes, at most [`LINES_MAX`] lines wait for it, and what does not fit is counted and lost.
//! That nobody can be written to is no error: there would be nobody to tell.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tracing::warn;

/// Lines that wait to be written.
const LINES_MAX: usize = 1024;
/// How long the last lines may take at the end.
const END_MAX: Duration = Duration::from_millis(500);
/// And how often it is tried to get them under way.
const END_STEP: Duration = Duration::from_millis(5);

enum Work {
    Line(Vec<u8>),
    /// Everything before it is written when its sender is gone.
    Written(SyncSender<()>),
}

/// Where lines are handed in; one `write` is one line.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    lines: SyncSender<Work>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread that writes to `sink`. Without one, nothing is written.
    pub(super) fn to(sink: impl Write + Send + 'static) -> Self {
        let (lines, waiting) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let _ = std::thread::Builder::new()
            .name("rupor-log".to_owned())
            .spawn(move || write_all(&waiting, sink, &counted));
        Self { lines, lost }
    }

    /// Waits until what was handed in is written, but not for ever.
    pub(super) fn finish(&self) {
        let end = Instant::now() + END_MAX;
        let (written, done) = sync_channel(0);
        let mut work = Work::Written(written);
        while let Err(TrySendError::Full(back)) = self.lines.try_send(work) {
            if Instant::now() >= end {
                return;
            }
            work = back;
            std::thread::sleep(END_STEP);
        }
        let _ = done.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Work::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(waiting: &Receiver<Work>, mut sink: impl Write, lost: &AtomicU64) {
    for work in waiting {
        match work {
            Work::Line(line) => drop(sink.write_all(&line)),
            Work::Written(written) => drop(written),
        }
        let lines = lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            warn!(lines, "lines of the log were lost: it was not read");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, Writer};
    use std::io::{self, Write};
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Writes a line for each permit.
    struct Stuck(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.0.recv().is_err() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let _ = self.1.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_up() {
        let (permits, permit) = channel();
        let (written, lines) = channel();
        let mut writer = Writer::to(Stuck(permit, written));
        for line in 0..LINES_MAX + 100 {
            writer
                .write_all(line.to_string().as_bytes())
                .expect("never fails");
        }
        let lost = writer.lost.load(Ordering::Relaxed);
        assert!((99..=100).contains(&lost), "{lost}");
        writer.finish();
        for line in 0..10 {
            permits.send(()).expect("the thread is there");
            assert_eq!(lines.recv().expect("a line"), line.to_string().as_bytes());
        }
        // It is gone for good: no error, and the end does not wait.
        drop(permits);
        writer.finish();
        writer.write_all(b"nobody hears it").expect("never fails");
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let (permits, permit) = channel();
        let (written, lines) = channel();
        let mut writer = Writer::to(Stuck(permit, written));
        for _ in 0..100 {
            permits.send(()).expect("the thread is there");
            writer.write_all(b"line").expect("never fails");
        }
        writer.finish();
        assert_eq!(lines.try_iter().count(), 100);
    }
}
