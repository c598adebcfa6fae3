//! An open WebSocket: what comes is printed, what is typed is sent.

use super::show::Output;
use crate::cli::say;
use crate::system::EndSignals;
use rupor_proto::{ApiMisuse, Close, CloseCode, Config, Limits};
use rupor_server::{ClientStream, Received, WebSocket, WebSocketLimits};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Longest message that is taken, in bytes: a tool should show what a server sends.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the server may send nothing after standard input has ended, before it has answered everything.
const LAST_SILENCE: Duration = Duration::from_secs(10);
/// Lines are taken in as long as less than this waits to be written, in bytes.
const UNSENT_BYTES_MAX: usize = 256 * 1024;
/// Payload of the ping whose pong says that everything before it was taken.
const LAST_PING: &[u8] = b"end of input";

/// Wide ones: whoever runs this wants to see what comes, and a server that does not read yet is worth waiting for.
pub(super) fn limits() -> WebSocketLimits {
    let limits = Limits {
        message_bytes_max: MESSAGE_BYTES_MAX,
        frames_per_message_max: u32::MAX,
        message_time_max_ms: 600_000,
        control_frames_per_second: 0,
        ..Limits::default()
    };
    let protocol = Config {
        limits,
        ..Config::default()
    };
    WebSocketLimits {
        unsent_bytes_max: UNSENT_BYTES_MAX,
        stall_timeout_ms: 0,
        ..WebSocketLimits::with_protocol(protocol)
    }
}

/// The conversation.
pub(super) struct Conversation {
    socket: WebSocket<ClientStream>,
    output: Output,
    /// Whether a line has been sent.
    has_sent: bool,
    /// Closing is due when the last pong comes, or then.
    ending: Option<Instant>,
}

/// What happens next.
enum Step {
    /// Something came, or the end.
    Came(Option<Received>),
    /// A line was typed, or standard input ended.
    Line(Option<String>),
}

impl Conversation {
    pub(super) fn new(socket: WebSocket<ClientStream>, output: Output) -> Self {
        Self {
            socket,
            output,
            has_sent: false,
            ending: None,
        }
    }

    /// Talks until it is over, and says how it ended.
    pub(super) async fn run(
        mut self,
        mut lines: Option<mpsc::Receiver<String>>,
        mut interrupts: EndSignals,
    ) -> Result<Close, ApiMisuse> {
        loop {
            let ending = self.ending;
            let step = tokio::select! {
                step = poll_fn(|cx| self.poll_step(&mut lines, cx)) => step,
                () = interrupts.next() => {
                    self.close();
                    continue;
                }
                () = sleep_until(ending.unwrap_or_else(Instant::now)), if ending.is_some() => {
                    self.close();
                    continue;
                }
            };
            match step {
                Step::Came(Some(received)) => self.came(&received),
                // It is closed already: this only tells how.
                Step::Came(None) => return self.socket.close(CloseCode::NORMAL, "").await,
                Step::Line(Some(line)) => self.send(&line),
                Step::Line(None) => {
                    lines = None;
                    self.end_of_input();
                }
            }
        }
    }

    /// Reads in any case; takes a line only when there is room for it.
    fn poll_step(
        &mut self,
        lines: &mut Option<mpsc::Receiver<String>>,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        if let Poll::Ready(event) = self.socket.poll_event(cx) {
            return Poll::Ready(Step::Came(event));
        }
        match lines {
            Some(lines) if matches!(self.socket.poll_ready(cx), Poll::Ready(Ok(()))) => {
                lines.poll_recv(cx).map(Step::Line)
            }
            _ => Poll::Pending,
        }
    }

    fn came(&mut self, received: &Received) {
        if self.ending.is_some() {
            // The server is waited for as long as it says something.
            self.ending = Some(Instant::now() + LAST_SILENCE);
        }
        match received {
            Received::Message(message) => {
                if let Err(error) = self.output.message(message.as_message()) {
                    say(&format!("rupor: nobody reads what comes: {error}"));
                    self.close();
                }
            }
            Received::Pong(payload) if **payload == *LAST_PING && self.ending.is_some() => {
                self.close();
            }
            _ => {}
        }
    }

    fn send(&mut self, line: &str) {
        self.has_sent = true;
        // There is room, and if it is closing what comes next says so.
        let _ = self.socket.try_feed(line);
    }

    fn end_of_input(&mut self) {
        if self.has_sent {
            // Its pong comes behind the answers to what was sent.
            let _ = self.socket.try_ping(LAST_PING);
            self.ending = Some(Instant::now() + LAST_SILENCE);
        }
    }

    fn close(&mut self) {
        self.ending = None;
        // Closing twice is refused, and not needed.
        let _ = self.socket.start_close(CloseCode::NORMAL, "");
    }
}
