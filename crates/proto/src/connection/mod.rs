//! One WebSocket, from the first byte behind its handshake to its end.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::fmt;

use crate::{ApiMisuse, CloseCode, Config, Event, Kind, Message, Time};

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages may be sent.
    Open,
    /// Our Close frame is out; the peer's is awaited.
    Closing,
    /// [`Event::Closed`] was handed out. Flush what was written, then close the transport.
    Closed,
}

/// One WebSocket connection.
pub struct Connection {
    config: Arc<Config>,
}

impl Connection {
    /// The server's end. `seed` only spreads the Pings of many connections.
    pub fn server(config: Arc<Config>, now: Time, seed: u64) -> Self {
        let _ = (now, seed);
        Self { config }
    }

    /// The client's end. `masking_keys` gives one fresh key a frame; it must be unpredictable
    /// (RFC 6455 §10.3).
    pub fn client(
        config: Arc<Config>,
        now: Time,
        seed: u64,
        masking_keys: Box<dyn FnMut() -> [u8; 4] + Send>,
    ) -> Self {
        let _ = (now, seed, masking_keys);
        Self { config }
    }

    /// Takes the next event out of `input` and cuts what it used off its front; `None`: all of it
    /// was used. Replies that the protocol owes (Pong, Close) are appended to `out`.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        now: Time,
        out: &mut Vec<u8>,
    ) -> Option<Event<'a>> {
        let _ = (input, now, out);
        unimplemented!()
    }

    /// The transport will bring no more bytes. [`Event::Closed`], unless it was handed out before.
    pub fn receive_eof(&mut self, now: Time) -> Option<Event<'static>> {
        let _ = now;
        unimplemented!()
    }

    /// Appends `message` to `out` as one frame.
    pub fn send(&mut self, message: Message<'_>, out: &mut Vec<u8>) -> Result<(), ApiMisuse> {
        let _ = (message, out);
        unimplemented!()
    }

    /// Appends one fragment of a message to `out`.
    pub fn send_fragment(
        &mut self,
        kind: Kind,
        payload: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiMisuse> {
        let _ = (kind, payload, last, out);
        unimplemented!()
    }

    /// Appends a Ping to `out`.
    pub fn send_ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ApiMisuse> {
        let _ = (payload, out);
        unimplemented!()
    }

    /// Appends a Pong that nobody asked for to `out`.
    pub fn send_pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ApiMisuse> {
        let _ = (payload, out);
        unimplemented!()
    }

    /// Begins the closing handshake.
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        now: Time,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiMisuse> {
        let _ = (code, reason, now, out);
        unimplemented!()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Time> {
        unimplemented!()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time, out: &mut Vec<u8>) -> Option<Event<'static>> {
        let _ = (now, out);
        unimplemented!()
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        unimplemented!()
    }

    /// Whether the bytes of a [`Frame`](crate::Frame) may be written now.
    pub fn is_sendable(&self) -> bool {
        unimplemented!()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
