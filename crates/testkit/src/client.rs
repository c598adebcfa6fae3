//! A blocking WebSocket client that says exactly what it is told to, and checks what it hears.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::deflate::Deflate;
use crate::frame::{Frame, opcode};
use crate::http::{Response, fill_within};
use crate::link::Link;
use crate::opening::Opening;

/// What a server sent, messages put together from their fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping. The client answers it only if told to.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame: code and reason; 1005 when it carried no code (RFC 6455 §7.1.5).
    Close(u16, String),
    /// The end of the TCP connection, orderly or a reset.
    End,
}

/// An open connection. Dropping it closes the TCP connection without a closing handshake.
pub struct Client {
    link: Box<dyn Link>,
    buffer: Vec<u8>,
    message: Option<Unfinished>,
    response: Response,
    deflate: Option<Deflate>,
    compressed: bool,
}

/// A message whose last frame has not come.
struct Unfinished {
    opcode: u8,
    compressed: bool,
    payload: Vec<u8>,
}

/// RSV1, which says that a message is compressed (RFC 7692 §6).
const COMPRESSED: u8 = 4;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Opens `target` over TCP without `Origin` and subprotocols; see [`Opening`] for the rest.
    ///
    /// # Panics
    /// When the server does not answer 101.
    pub fn connect(address: SocketAddr, target: &str) -> Self {
        Opening::new(address, target).open()
    }

    /// A connection that something else opened, by `response`, over a stream of its own: HTTP/2.
    pub fn over(link: impl Link + 'static, response: Response) -> Self {
        Self::new(Box::new(link), Vec::new(), response)
    }

    pub(crate) fn new(link: Box<dyn Link>, buffer: Vec<u8>, response: Response) -> Self {
        let deflate = response.header("sec-websocket-extensions");
        Self {
            link,
            buffer,
            message: None,
            deflate: deflate.map(Deflate::agreed),
            compressed: false,
            response,
        }
    }

    /// The response that opened this connection.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.response.header("sec-websocket-protocol")
    }

    /// Sends a text message in one frame.
    pub fn send_text(&mut self, text: &str) {
        self.send_frame(&Frame::new(opcode::TEXT, text));
    }

    /// Sends a binary message in one frame.
    pub fn send_binary(&mut self, payload: &[u8]) {
        self.send_frame(&Frame::new(opcode::BINARY, payload));
    }

    /// Sends a text message, compressed.
    ///
    /// # Panics
    /// When the server did not agree to that.
    pub fn send_text_compressed(&mut self, text: &str) {
        let deflate = self.deflate.as_mut().expect("compression was agreed to");
        let payload = deflate.compress(text.as_bytes());
        self.send_frame(&Frame {
            rsv: COMPRESSED,
            ..Frame::new(opcode::TEXT, payload)
        });
    }

    /// Whether the message that was received last was compressed.
    pub fn was_compressed(&self) -> bool {
        self.compressed
    }

    /// What the server agreed to of the offered extensions.
    pub fn extensions(&self) -> Option<&str> {
        self.response.header("sec-websocket-extensions")
    }

    /// Sends a ping.
    pub fn send_ping(&mut self, payload: &[u8]) {
        self.send_frame(&Frame::new(opcode::PING, payload));
    }

    /// Sends a close frame and nothing else.
    pub fn send_close(&mut self, code: u16, reason: &str) {
        self.send_frame(&Frame::close(code, reason));
    }

    /// Sends one frame, right or wrong.
    pub fn send_frame(&mut self, frame: &Frame) {
        self.send_bytes(&frame.encode());
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When they cannot be written within the deadline.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes)
            .expect("the bytes can be written");
    }

    /// Sends bytes as they are; the server may have closed the connection meanwhile.
    ///
    /// # Errors
    /// What writing gave.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.link.write_all(bytes)?;
        self.link.flush()
    }

    /// Ends the sending side of the TCP connection without a closing handshake.
    pub fn finish(&mut self) {
        self.link.finish();
    }

    /// The next event.
    ///
    /// # Panics
    /// When none comes within the deadline, or the server breaks a rule of RFC 6455 §5.
    pub fn receive(&mut self) -> Event {
        match self.receive_within(crate::DEADLINE) {
            Some(event) => event,
            None => panic!("nothing came in time; unfinished: {}", shown(&self.buffer)),
        }
    }

    /// The next event, or `None` when there was none for so long. For waiting on something that
    /// should come; that something does *not* come is better shown by
    /// [`expect_only`](Self::expect_only).
    ///
    /// # Panics
    /// When the server breaks a rule of RFC 6455 §5.
    pub fn receive_within(&mut self, wait: Duration) -> Option<Event> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(frame) = self.take_frame() {
                if let Some(event) = self.assemble(frame) {
                    return Some(event);
                }
            } else if fill_within(&mut *self.link, &mut self.buffer, deadline)? == 0 {
                let rest = shown(&self.buffer);
                assert!(
                    self.buffer.is_empty(),
                    "the connection ended inside a frame: {rest}"
                );
                return Some(Event::End);
            }
        }
    }

    /// The next text message. Pings before it are answered, everything else is a failure.
    ///
    /// # Panics
    /// When something else or nothing comes.
    pub fn receive_text(&mut self) -> String {
        match self.receive_past_pings() {
            Event::Text(text) => text,
            other => panic!("expected a text message, got {other:?}"),
        }
    }

    /// Expects this very text message next.
    ///
    /// # Panics
    /// When something else or nothing comes.
    #[track_caller]
    pub fn expect_text(&mut self, text: &str) {
        assert_eq!(self.receive_text(), text);
    }

    /// Sends a ping and waits for its pong, which must come before anything else: so the server
    /// had sent nothing to this connection when it read the ping. What another thread of the
    /// server is about to send may still be on its way; after a publication use a message to this
    /// connection as the mark instead.
    ///
    /// # Panics
    /// When anything but the pong comes.
    #[track_caller]
    pub fn expect_only(&mut self, mark: &str) {
        self.send_ping(mark.as_bytes());
        assert_eq!(
            self.receive_past_pings(),
            Event::Pong(mark.as_bytes().to_vec())
        );
    }

    /// Expects a close frame, answers it and expects the end of the connection.
    ///
    /// # Panics
    /// When something else or nothing comes.
    #[track_caller]
    pub fn expect_close(&mut self) -> (u16, String) {
        let Event::Close(code, reason) = self.receive_past_pings() else {
            panic!("expected a close frame");
        };
        // The server may not wait for the answer (RFC 6455 §7.1.7).
        let answer = if code == 1005 {
            Frame::new(opcode::CLOSE, [])
        } else {
            Frame::close(code, "")
        };
        let _ = self.try_send_bytes(&answer.encode());
        assert_eq!(self.receive(), Event::End);
        (code, reason)
    }

    /// Closes from this side: sends a close frame, skips messages that were on their way, expects
    /// the answer and the end, which the server must bring about (RFC 6455 §7.1.1).
    ///
    /// # Panics
    /// When the server does not answer in time.
    pub fn close(&mut self, code: u16, reason: &str) -> (u16, String) {
        self.send_close(code, reason);
        loop {
            match self.receive() {
                Event::Close(code, reason) => {
                    assert_eq!(self.receive(), Event::End);
                    return (code, reason);
                }
                Event::End => panic!("the connection ended without a close frame"),
                _ => {}
            }
        }
    }

    /// The next frame as it came, fragments apart; `None` at the end of the connection.
    ///
    /// # Panics
    /// When none comes within the deadline.
    pub fn receive_frame(&mut self) -> Option<Frame> {
        let deadline = Instant::now() + crate::DEADLINE;
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            if crate::http::fill(&mut *self.link, &mut self.buffer, deadline, "a frame") == 0 {
                return None;
            }
        }
    }

    fn receive_past_pings(&mut self) -> Event {
        loop {
            match self.receive() {
                Event::Ping(payload) => self.send_frame(&Frame::new(opcode::PONG, payload)),
                event => return event,
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let (frame, used) = Frame::decode(&self.buffer)?;
        self.buffer.drain(..used);
        Some(frame)
    }

    /// Checks a frame as a client must and puts messages together.
    fn assemble(&mut self, frame: Frame) -> Option<Event> {
        assert_eq!(
            frame.masking_key, None,
            "a server must not mask (RFC 6455 §5.1)"
        );
        let Frame {
            fin,
            rsv,
            opcode,
            payload,
            ..
        } = frame;
        let compressed = rsv == COMPRESSED;
        let first = opcode == opcode::TEXT || opcode == opcode::BINARY;
        assert!(
            rsv == 0 || (compressed && first && self.deflate.is_some()),
            "RSV bits without an extension (RFC 6455 §5.2)"
        );
        if opcode >= opcode::CLOSE {
            assert!(
                fin && payload.len() <= 125,
                "a bad control frame (RFC 6455 §5.5)"
            );
        }
        match (opcode, self.message.take()) {
            (opcode::TEXT | opcode::BINARY, None) => {
                self.message = Some(Unfinished {
                    opcode,
                    compressed,
                    payload,
                });
            }
            (opcode::CONTINUATION, Some(mut message)) => {
                message.payload.extend_from_slice(&payload);
                self.message = Some(message);
            }
            (opcode::CLOSE, _) => return Some(close_event(&payload)),
            (opcode::PING, unfinished) => {
                self.message = unfinished;
                return Some(Event::Ping(payload));
            }
            (opcode::PONG, unfinished) => {
                self.message = unfinished;
                return Some(Event::Pong(payload));
            }
            (opcode, _) => panic!("opcode {opcode} out of order (RFC 6455 §5.4)"),
        }
        if !fin {
            return None;
        }
        let message = self.message.take()?;
        self.compressed = message.compressed;
        let payload = match &mut self.deflate {
            Some(deflate) if message.compressed => deflate.inflate(&message.payload),
            _ => message.payload,
        };
        Some(match message.opcode {
            opcode::TEXT => Event::Text(String::from_utf8(payload).expect("text is UTF-8 (§5.6)")),
            _ => Event::Binary(payload),
        })
    }
}

fn close_event(payload: &[u8]) -> Event {
    match payload {
        [] => Event::Close(1005, String::new()),
        [high, low, reason @ ..] => {
            let reason = String::from_utf8(reason.to_vec()).expect("a reason is UTF-8 (§5.5.1)");
            Event::Close(u16::from_be_bytes([*high, *low]), reason)
        }
        [_] => panic!("a close frame of one byte (RFC 6455 §5.5.1)"),
    }
}

/// Bytes as a test's message shows them, cut when they are many.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(200)];
    format!("{} bytes {:?}", bytes.len(), String::from_utf8_lossy(cut))
}
