//! One connection of lines: see the module above for the order in which it reads, publishes and answers.

use super::answers::Answers;
use super::exchange::Batch;
use super::framing::Framer;
use super::stream::Stream;
use super::{Publisher, Shared};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

/// How much one read takes in, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// How long one that has ended writing may read nothing of its last answers. No line waits for it any more, so it may be
/// slow; one that has closed is noticed at once.
const LAST_STALL: Duration = Duration::from_secs(10);
/// How long somebody who was cut off may go on sending before the connection is torn down, so that the error line is
/// not lost in a reset.
const LINGER: Duration = Duration::from_secs(1);
/// And how much, in bytes.
const LINGER_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Connection<S, P> {
    stream: S,
    shared: Arc<Shared<P>>,
    stop: watch::Receiver<bool>,
    framer: Framer,
    /// What was read; up to `used` it has become lines.
    input: Vec<u8>,
    used: usize,
    answers: Answers,
    /// Since when lines wait for the peer to read answers.
    stalled: Option<Instant>,
    /// Nothing more comes.
    ended: bool,
    /// What has arrived is still taken in, and then it is over.
    stopping: bool,
    /// These were no lines.
    cut: bool,
}

/// What a read brought.
enum Read {
    Something,
    Nothing,
    Ended,
}

impl<S: Stream, P: Publisher> Connection<S, P> {
    pub(super) fn new(stream: S, shared: Arc<Shared<P>>, stop: watch::Receiver<bool>) -> Self {
        let limits = &shared.limits;
        Self {
            framer: Framer::new(limits.line_bytes_max),
            answers: Answers::new(limits.answers.bytes_max),
            stream,
            shared,
            stop,
            input: Vec::new(),
            used: 0,
            stalled: None,
            ended: false,
            stopping: false,
            cut: false,
        }
    }

    /// Serves it to its end.
    pub(super) async fn run(mut self) {
        loop {
            // One busy writer must not keep the thread from the others.
            tokio::task::consume_budget().await;
            if self.answers.have_room() {
                if self.used < self.input.len() || self.ended {
                    if self.step().await {
                        continue;
                    }
                    break;
                }
                match self.read() {
                    Read::Something => continue,
                    Read::Ended => {
                        self.ended = true;
                        continue;
                    }
                    Read::Nothing if self.stopping => break,
                    Read::Nothing => {}
                }
            }
            // Something may have come that the runtime has not heard of. Acknowledged together with an answer it would not
            // bring the rest out of a writer that closes just then: its system resets the connection first.
            if self.answers.waiting() > 0 {
                self.stream.acknowledge();
            }
            if self.answers.flush(|bytes| self.stream.try_write(bytes)) {
                self.stalled = None;
                // The system took the answer for a conversation and would acknowledge late again.
                self.stream.acknowledge();
                continue;
            }
            self.wait().await;
        }
        self.end().await;
    }

    /// Publishes a batch of what was read. False: that was the last.
    async fn step(&mut self) -> bool {
        let line_bytes_max = self.shared.limits.line_bytes_max;
        let mut batch = Batch::default();
        let mut rest = &self.input[self.used..];
        batch.take(&mut self.framer, line_bytes_max, &mut rest);
        let last = self.ended && rest.is_empty();
        self.used = self.input.len() - rest.len();
        if last {
            batch.take_last(&mut self.framer, line_bytes_max);
        }
        self.cut = batch.cut;
        if !batch.is_empty() {
            let receipts = match &*batch.publications {
                [] => Vec::new(),
                publications => self.shared.publish(publications).await,
            };
            batch.answer(receipts, &mut self.answers, &self.shared.stats);
        }
        !(last || self.cut)
    }

    fn read(&mut self) -> Read {
        self.used = 0;
        self.input.clear();
        let read = if self.stopping {
            // The last look: of a socket that is new the runtime has heard nothing yet.
            self.input.resize(READ_BYTES, 0);
            let read = self.stream.read_now(&mut self.input);
            self.input.truncate(*read.as_ref().unwrap_or(&0));
            read
        } else {
            self.input.reserve(READ_BYTES);
            self.stream.try_read_buf(&mut self.input)
        };
        match read {
            Ok(0) => Read::Ended,
            Ok(_) => {
                self.stream.acknowledge();
                Read::Something
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
            // Not worth a wait: the next round reads again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Read::Something,
            Err(error) => {
                debug!(%error, "a line inlet connection broke off");
                Read::Ended
            }
        }
    }

    /// Waits until there is something to read, room for answers, or the stop.
    async fn wait(&mut self) {
        let room = self.answers.have_room();
        let interest = match (room, self.answers.waiting() > 0) {
            (true, false) => Interest::READABLE,
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (false, _) => Interest::WRITABLE,
        };
        if room {
            // Idle connections hold no buffer.
            self.input = Vec::new();
            self.used = 0;
        }
        let stall = self.shared.limits.answers.stall;
        let since = *self.stalled.get_or_insert_with(Instant::now);
        let stopping = self.stopping;
        tokio::select! {
            ready = self.stream.ready(interest) => if ready.is_err() {
                self.ended = true;
                self.answers.close();
            },
            () = sleep_until(since + stall), if !room => {
                debug!("a writer of lines does not read its answers: they are dropped from now on");
                self.answers.mute();
            }
            _ = self.stop.wait_for(|stopped| *stopped), if !stopping => {
                self.stopping = true;
                // What has arrived is taken in, read answers or not.
                if !room {
                    self.answers.mute();
                }
            }
        }
        if self.answers.have_room() {
            self.stalled = None;
        }
    }

    /// Writes the answers that wait, as long as they are read, and closes.
    async fn end(mut self) {
        self.input = Vec::new();
        loop {
            self.answers.flush(|bytes| self.stream.try_write(bytes));
            if self.answers.waiting() == 0 {
                break;
            }
            let ready = timeout(LAST_STALL, self.stream.ready(Interest::WRITABLE)).await;
            if !matches!(ready, Ok(Ok(()))) {
                debug!("a writer of lines did not read its last answers");
                break;
            }
        }
        if self.cut {
            self.shared.stats.cut();
            let _ = self.stream.end_writing();
            // Closing with something unread would reset the connection, and the error line might be lost.
            let _ = timeout(LINGER, self.discard()).await;
        }
    }

    async fn discard(&self) {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            buffer.clear();
            match self.stream.try_read_buf(&mut buffer) {
                Ok(0) => return,
                Ok(bytes) => left = left.saturating_sub(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stream.ready(Interest::READABLE).await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}
