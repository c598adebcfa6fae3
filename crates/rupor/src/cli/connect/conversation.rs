//! An open WebSocket, client role: the loop around `rupor_proto`.

use super::show::Output;
use crate::cli::say;
use crate::cli::url::Stream;
use rupor_proto::{
    Close, CloseCode, Config, Connection, Event, Initiator, Limits, Message, State, Time,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// Longest message that is taken, in bytes: a tool should show what a server sends.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much one read takes in, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// How long the server may be silent after standard input has ended, before it has answered everything.
const LAST_SILENCE: Duration = Duration::from_secs(10);
/// Lines are taken in as long as less than this waits to be written, in bytes.
const OUT_BYTES_MAX: usize = 256 * 1024;
/// How long the last bytes may take.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(2);
/// Payload of the ping whose pong says that everything before it was taken.
const LAST_PING: &[u8] = b"end of input";

/// Ctrl-C, and the signal by which a service is stopped.
#[derive(Debug)]
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system does not let the signals be listened for.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The conversation.
pub(super) struct Conversation {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    /// Whether something was written that may still be in a buffer, TLS's for one.
    unflushed: bool,
    connection: Connection,
    output: Output,
    begin: Instant,
    /// What was received and not looked at yet.
    input: Vec<u8>,
    /// What is to be written.
    out: Vec<u8>,
    /// Whether a line has been sent.
    has_sent: bool,
    /// Closing is due when the last pong comes, or then.
    ending: Option<Instant>,
}

impl Conversation {
    /// Takes over behind the upgrade; `received` came behind its answer.
    pub(super) fn new(stream: Box<dyn Stream>, received: Vec<u8>, output: Output) -> Self {
        let limits = Limits {
            message_bytes_max: MESSAGE_BYTES_MAX,
            frames_per_message_max: u32::MAX,
            message_time_max_ms: 600_000,
            control_frames_per_second: 0,
            ..Limits::default()
        };
        let config = Arc::new(Config {
            limits,
            ..Config::default()
        });
        let mut seed = [0; 8];
        // Only spreads pings.
        let _ = getrandom::fill(&mut seed);
        let connection = Connection::client(
            config,
            Time::from_millis(0),
            u64::from_ne_bytes(seed),
            Box::new(masking_key),
        );
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            unflushed: false,
            connection,
            output,
            begin: Instant::now(),
            input: received,
            out: Vec::new(),
            has_sent: false,
            ending: None,
        }
    }

    /// Talks until it is over, and says how it ended.
    pub(super) async fn run(
        mut self,
        mut lines: Option<mpsc::Receiver<String>>,
        mut interrupts: Interrupts,
    ) -> Close {
        loop {
            if let Some(close) = self.take_input() {
                self.say_goodbye().await;
                return close;
            }
            let wants_line = self.connection.state() == State::Open
                && self.ending.is_none()
                && self.out.len() < OUT_BYTES_MAX;
            let deadline = self.deadline();
            self.input.reserve(READ_BYTES);
            tokio::select! {
                read = self.reader.read_buf(&mut self.input) => match read {
                    Ok(bytes) if bytes > 0 => self.heard_something(),
                    Ok(_) | Err(_) => return self.broken(),
                },
                written = write_some(&mut self.writer, &self.out), if !self.out.is_empty() || self.unflushed => {
                    let Ok(bytes) = written else {
                        return self.broken();
                    };
                    self.out.drain(..bytes);
                    self.unflushed = bytes > 0;
                }
                line = next_line(&mut lines), if wants_line => match line {
                    Some(line) => self.send(&line),
                    None => {
                        lines = None;
                        self.end_of_input();
                    }
                },
                () = interrupts.next() => self.close(),
                () = sleep_until(deadline) => {
                    if let Some(close) = self.time_passed() {
                        return close;
                    }
                }
            }
        }
    }

    fn time_passed(&mut self) -> Option<Close> {
        let now = self.now();
        if let Some(Event::Closed(close)) = self.connection.handle_timeout(now, &mut self.out) {
            return Some(close);
        }
        if self.ending.is_some_and(|ending| ending <= Instant::now()) {
            self.close();
        }
        None
    }

    /// After standard input has ended the server is waited for as long as it says something.
    fn heard_something(&mut self) {
        if self.ending.is_some() {
            self.ending = Some(Instant::now() + LAST_SILENCE);
        }
    }

    /// Writes what is still owed, a Close frame above all; the server may be gone already.
    async fn say_goodbye(&mut self) {
        let goodbye = async {
            self.writer.write_all(&self.out).await?;
            self.writer.shutdown().await
        };
        let _ = timeout(GOODBYE_DEADLINE, goodbye).await;
    }

    /// Prints what came. The end, if it came.
    fn take_input(&mut self) -> Option<Close> {
        let now = self.now();
        let mut bytes = std::mem::take(&mut self.input);
        let mut rest = bytes.as_mut_slice();
        let mut answered = false;
        while let Some(event) = self.connection.receive(&mut rest, now, &mut self.out) {
            match event {
                Event::Message(message) => {
                    if let Err(error) = self.output.message(message.as_message()) {
                        say(&format!("rupor: nobody reads what comes: {error}"));
                        self.close();
                    }
                }
                Event::Pong(payload) => answered |= *payload == *LAST_PING,
                Event::Ping(_) => {}
                Event::Closed(close) => return Some(close),
            }
        }
        if answered && self.ending.is_some() {
            self.close();
        }
        bytes.clear();
        self.input = bytes;
        None
    }

    fn send(&mut self, line: &str) {
        self.has_sent = true;
        // Only open connections are given lines, so it is taken.
        let _ = self.connection.send(Message::Text(line), &mut self.out);
    }

    fn end_of_input(&mut self) {
        if self.has_sent {
            // Its pong comes behind the answers to what was sent.
            let _ = self.connection.send_ping(LAST_PING, &mut self.out);
            self.ending = Some(Instant::now() + LAST_SILENCE);
        }
    }

    fn close(&mut self) {
        self.ending = None;
        let now = self.now();
        // Closing twice is refused, and not needed.
        let _ = self
            .connection
            .close(CloseCode::NORMAL, "", now, &mut self.out);
    }

    fn broken(&mut self) -> Close {
        let now = self.now();
        match self.connection.receive_eof(now) {
            Some(Event::Closed(close)) => close,
            _ => Close {
                code: CloseCode::ABNORMAL,
                reason: String::new(),
                initiator: Initiator::Peer,
                clean: false,
                error: None,
            },
        }
    }

    fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn deadline(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let protocol = self.connection.poll_timeout().and_then(|time| {
            self.begin
                .checked_add(Duration::from_millis(time.as_millis()))
        });
        [protocol, self.ending]
            .into_iter()
            .flatten()
            .fold(far, Instant::min)
    }
}

/// Writes some of `out`, or flushes when there is nothing to write. Losing the future loses nothing: what was written is
/// only known when it is done.
async fn write_some(writer: &mut WriteHalf<Box<dyn Stream>>, out: &[u8]) -> io::Result<usize> {
    if out.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(out).await {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        written => written,
    }
}

/// The next line; never, when standard input is not read any more.
async fn next_line(lines: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// A fresh key for each frame (RFC 6455 §5.3). Without random numbers there is none to give: zeros are still right on the
/// wire, and what they protect against, a page's script that chooses the bytes, is not here.
fn masking_key() -> [u8; 4] {
    let mut key = [0; 4];
    let _ = getrandom::fill(&mut key);
    key
}
