//! What a connection tells its caller.

use alloc::string::String;
use core::{fmt, ops::Deref};

use crate::{CloseCode, Incoming, PeerError};

/// Something that happened on a connection, in the order in which it happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A complete message.
    Message(Incoming<'a>),
    /// A Ping. Its Pong has been appended to `out` already, or is kept
    /// ([`hold_pongs`](crate::Connection::hold_pongs)).
    Ping(Control),
    /// A Pong, asked for or not.
    Pong(Control),
    /// The connection is over. It comes once and is the last event.
    Closed(Close),
}

/// The payload of a Ping or Pong: at most 125 bytes, kept inline.
#[derive(Clone, Copy)]
pub struct Control {
    len: u8,
    bytes: [u8; Self::BYTES_MAX],
}

impl Control {
    /// Payload bytes that a control frame can carry (RFC 6455 §5.5).
    pub const BYTES_MAX: usize = 125;

    /// Copies `payload`, cut at [`BYTES_MAX`](Self::BYTES_MAX).
    pub(crate) fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; Self::BYTES_MAX];
        for (to, from) in bytes.iter_mut().zip(payload) {
            *to = *from;
        }
        Self {
            len: u8::try_from(payload.len().min(Self::BYTES_MAX)).unwrap_or(0),
            bytes,
        }
    }
}

impl Deref for Control {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl PartialEq for Control {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Control {}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Control({} bytes)", self.len)
    }
}

/// How a connection ended (RFC 6455 §7.1.5-7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code of the peer's Close frame (1005 if it had none), of the rule that the peer broke,
    /// or 1006 if the connection ended without a Close frame.
    pub code: CloseCode,
    /// The reason that came with the code; empty if none did.
    pub reason: String,
    /// Who began: the side whose Close frame was first, whose rule was broken by the other, or, at
    /// an end without any, the side that did not go away.
    pub initiator: Initiator,
    /// Whether both Close frames were exchanged.
    pub clean: bool,
    /// The rule that the peer broke, if that is why.
    pub error: Option<PeerError>,
}

/// The side that began to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// This side.
    Local,
    /// The other side.
    Peer,
}
