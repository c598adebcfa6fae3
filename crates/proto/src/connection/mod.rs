//! One WebSocket, from the first byte behind its handshake to its end.
//!
//! This file has the state and all that is sent; `receive.rs` takes input apart, `deflated.rs` has
//! what a connection with permessage-deflate can do besides, `timers.rs` keeps the deadlines and the
//! allowance of control frames, `rare.rs` what few connections have.
//!
//! Invariants: nothing is written behind our Close frame; `unfinished` is there only while a frame
//! or message has begun and not ended, and only while the connection is open or closing; `rare` is
//! there only while something is in it.

mod deflated;
mod rare;
mod receive;
mod timers;

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::fmt;

use self::{
    rare::{MaskingKeys, Rare, Sending},
    receive::Unfinished,
    timers::{ControlAllowance, Jitter},
};
use crate::{
    ApiMisuse, Close, CloseCode, Config, Control, Event, Initiator, Kind, Message, PeerError, Time,
    deflate,
    frame::{Opcode, encode},
    message::utf8::Utf8,
};

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages may be sent.
    Open,
    /// Our Close frame is out; the peer's is awaited.
    Closing,
    /// [`Event::Closed`] was handed out. Write what is still in `out`, then close the transport.
    Closed,
}

/// One WebSocket connection: a state machine that takes bytes and time, and gives events and bytes.
///
/// It owns no buffers: input is lent for one call, output is appended to a `Vec` of the caller's.
/// Between two messages it has nothing on the heap of its own, save a client's source of masking
/// keys.
///
/// # Keeping alive
///
/// Every [`ping_interval_ms`](Config::ping_interval_ms), 10 % more or less, a Ping is sent, whether
/// or not anything else is: it keeps the path open and finds out whether the peer is there. Any
/// byte that arrives is a sign of life. Only if none at all comes for
/// [`pong_timeout_ms`](Config::pong_timeout_ms) after a Ping is the connection given up, with
/// 1006 and [`PeerError::PongTimeout`].
pub struct Connection {
    config: Arc<Config>,
    unfinished: Option<Box<Unfinished>>,
    /// There if permessage-deflate was agreed to.
    deflate: Option<Box<deflate::Context>>,
    rare: Option<Box<Rare>>,
    /// Open: when to ping next. Closing: when to wait no longer for the peer's Close frame.
    due: Time,
    /// When the silence after a Ping of ours has lasted too long.
    pong_due: Time,
    allowance: ControlAllowance,
    jitter: Jitter,
    /// Pings of ours whose Pongs are not counted as the peer's own doing.
    pings_unanswered: u16,
    holds_pongs: bool,
    is_client: bool,
    state: State,
}

impl Connection {
    /// Payload bytes that a close reason can have: a control frame's, less the code
    /// (RFC 6455 §5.5.1).
    pub const CLOSE_REASON_BYTES_MAX: usize = Control::BYTES_MAX - 2;

    /// The server's end, right behind its `101`. `seed` only spreads the Pings of many
    /// connections; it need not be secret.
    pub fn server(config: Arc<Config>, now: Time, seed: u64) -> Self {
        Self::new(config, now, seed, None)
    }

    /// The client's end, right behind the server's `101`. `masking_keys` gives one fresh key a
    /// frame, which must be unpredictable (RFC 6455 §10.3); `seed` as for [`server`](Self::server).
    pub fn client(
        config: Arc<Config>,
        now: Time,
        seed: u64,
        masking_keys: Box<dyn FnMut() -> [u8; 4] + Send>,
    ) -> Self {
        Self::new(config, now, seed, Some(masking_keys))
    }

    fn new(config: Arc<Config>, now: Time, seed: u64, masking_keys: Option<MaskingKeys>) -> Self {
        let is_client = masking_keys.is_some();
        let mut connection = Self {
            config,
            unfinished: None,
            deflate: None,
            rare: masking_keys.map(Rare::of_client),
            due: Time::NEVER,
            pong_due: Time::NEVER,
            allowance: ControlAllowance::default(),
            jitter: Jitter::new(seed),
            pings_unanswered: 0,
            holds_pongs: false,
            is_client,
            state: State::Open,
        };
        connection.schedule_ping(now);
        connection
    }

    /// Appends `message` to `out` as one frame. It is never compressed.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::NotOpen`], [`ApiMisuse::FragmentUnfinished`].
    pub fn send(&mut self, message: Message<'_>, out: &mut Vec<u8>) -> Result<(), ApiMisuse> {
        self.check_message()?;
        self.write_frame(true, Opcode::from(message.kind()), message.as_bytes(), out);
        Ok(())
    }

    /// Appends the header of `message` alone to `out`, for a long payload that is not to be copied: the
    /// caller writes it right behind, before anything else of this connection. It is never compressed.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::NotOpen`], [`ApiMisuse::FragmentUnfinished`], [`ApiMisuse::FrameUnmasked`] for
    /// a client's connection, whose payloads are masked.
    pub fn send_header(&self, message: Message<'_>, out: &mut Vec<u8>) -> Result<(), ApiMisuse> {
        self.check_message()?;
        if self.is_client {
            return Err(ApiMisuse::FrameUnmasked);
        }
        encode::frame_header(out, Opcode::from(message.kind()), message.len());
        Ok(())
    }

    /// Appends one fragment of a message of this kind to `out`; `last` ends the message. Text may
    /// be cut anywhere, also inside a character. Pings, Pongs and Close may go in between. It is
    /// never compressed.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::NotOpen`], [`ApiMisuse::KindChanged`], [`ApiMisuse::TextNotUtf8`].
    pub fn send_fragment(
        &mut self,
        kind: Kind,
        payload: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiMisuse> {
        self.check_open()?;
        let begun = self.rare.as_ref().and_then(|rare| rare.sending);
        let (opcode, mut utf8) = match begun {
            None => (Opcode::from(kind), Utf8::default()),
            Some(begun) if begun.kind == kind => (Opcode::Continuation, begun.utf8),
            Some(_) => return Err(ApiMisuse::KindChanged),
        };
        if kind == Kind::Text {
            utf8.push(payload, |_| ())
                .map_err(|_| ApiMisuse::TextNotUtf8)?;
            if last && !utf8.is_complete() {
                return Err(ApiMisuse::TextNotUtf8);
            }
        }
        if !last {
            self.rare.get_or_insert_default().sending = Some(Sending { kind, utf8 });
        } else if let Some(rare) = &mut self.rare {
            rare.sending = None;
            self.free_rare();
        }
        self.write_frame(last, opcode, payload, out);
        Ok(())
    }

    /// Appends a Ping with at most 125 bytes of payload to `out` (RFC 6455 §5.5.2). The Pings that
    /// keep the connection alive are sent without this.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::NotOpen`], [`ApiMisuse::ControlTooLong`].
    pub fn send_ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ApiMisuse> {
        self.send_control(Opcode::Ping, payload, out)?;
        self.pings_unanswered = self.pings_unanswered.saturating_add(1);
        Ok(())
    }

    /// Appends a Pong that nobody asked for, with at most 125 bytes of payload, to `out`
    /// (RFC 6455 §5.5.3). Pings are answered without this.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::NotOpen`], [`ApiMisuse::ControlTooLong`].
    pub fn send_pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ApiMisuse> {
        self.send_control(Opcode::Pong, payload, out)
    }

    /// Begins the closing handshake (RFC 6455 §7.1.2): appends a Close frame to `out`, behind a
    /// Pong that was kept. From here on nothing can be sent, messages that still arrive are dropped, and Pings are not answered
    /// (RFC 6455 §1.4). [`Event::Closed`] follows with the peer's Close frame, or after
    /// [`close_timeout_ms`](Config::close_timeout_ms).
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::NotOpen`], [`ApiMisuse::CloseCodeNotAllowed`],
    /// [`ApiMisuse::CloseReasonTooLong`] over 123 bytes.
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        now: Time,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiMisuse> {
        self.check_open()?;
        if !code.is_sendable() {
            return Err(ApiMisuse::CloseCodeNotAllowed(code));
        }
        if reason.len() > Self::CLOSE_REASON_BYTES_MAX {
            return Err(ApiMisuse::CloseReasonTooLong);
        }
        self.release_pong(out);
        self.write_close(code, reason, out);
        self.state = State::Closing;
        self.due = now.saturating_add_ms(self.config.close_timeout_ms.into());
        self.pong_due = Time::NEVER;
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.discard_message();
        }
        Ok(())
    }

    /// The transport will bring no more bytes. [`Event::Closed`] with 1006, unless one was handed
    /// out before (RFC 6455 §7.1.5).
    pub fn receive_eof(&mut self, _now: Time) -> Option<Event<'static>> {
        let initiator = match self.state {
            State::Open => Initiator::Peer,
            State::Closing => Initiator::Local,
            State::Closed => return None,
        };
        Some(self.end(Close {
            code: CloseCode::ABNORMAL,
            reason: String::new(),
            initiator,
            clean: false,
            error: None,
        }))
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the bytes of a [`Frame`](crate::Frame) may be written now: the connection is open,
    /// no fragmented message of ours is unfinished, and it is a server's, whose frames are not
    /// masked.
    pub fn is_sendable(&self) -> bool {
        self.state == State::Open && !self.is_sending() && !self.is_client
    }

    fn check_open(&self) -> Result<(), ApiMisuse> {
        if self.state == State::Open {
            Ok(())
        } else {
            Err(ApiMisuse::NotOpen)
        }
    }

    /// Whether a message may begin now.
    fn check_message(&self) -> Result<(), ApiMisuse> {
        self.check_open()?;
        if self.is_sending() {
            return Err(ApiMisuse::FragmentUnfinished);
        }
        Ok(())
    }

    fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ApiMisuse> {
        self.check_open()?;
        if payload.len() > Control::BYTES_MAX {
            return Err(ApiMisuse::ControlTooLong);
        }
        self.write_frame(true, opcode, payload, out);
        Ok(())
    }

    fn write_frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let masking_key = self.masking_key();
        encode::frame(out, fin, opcode, payload, masking_key);
    }

    fn write_close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        let mut payload = Vec::with_capacity(reason.len().saturating_add(2));
        payload.extend_from_slice(&code.as_u16().to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
        self.write_frame(true, Opcode::Close, &payload, out);
    }

    /// Fails the connection (RFC 6455 §7.1.7). Our Close frame says why, if it is not out already.
    #[cold]
    fn fail(&mut self, error: PeerError, out: &mut Vec<u8>) -> Event<'static> {
        let code = error.close_code();
        if self.state == State::Open && code.is_sendable() {
            self.write_close(code, error.as_str(), out);
        }
        self.end(Close {
            code,
            reason: error.as_str().into(),
            initiator: Initiator::Local,
            clean: false,
            error: Some(error),
        })
    }

    /// The end: frees everything, and nothing happens any more.
    fn end(&mut self, close: Close) -> Event<'static> {
        self.state = State::Closed;
        self.unfinished = None;
        self.deflate = None;
        self.rare = None;
        self.due = Time::NEVER;
        self.pong_due = Time::NEVER;
        Event::Closed(close)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", if self.is_client { &"client" } else { &"server" })
            .field("state", &self.state)
            .field("unfinished", &self.unfinished.is_some())
            .finish_non_exhaustive()
    }
}
