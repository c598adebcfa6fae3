//! Messages: the complete units of text or bytes that applications exchange (RFC 6455 §5.6).
//!
//! [`assembly`] puts them together from frames, [`utf8`] checks text that comes in pieces.

pub(crate) mod assembly;
pub(crate) mod utf8;

use alloc::{string::String, vec::Vec};
use core::fmt;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// A message, borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Text or binary.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// The payload.
    pub const fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is one.
    pub const fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Payload bytes.
    pub const fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Message<'_> {
    /// Kind and length only: what users say to each other has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind(), self.len())
    }
}

/// A received message: borrowed from the input if it lay there in one frame, owned if it came in
/// pieces.
pub struct Incoming<'a>(Payload<'a>);

enum Payload<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    OwnedText(String),
    OwnedBinary(Vec<u8>),
}

impl Incoming<'_> {
    /// The message.
    pub fn as_message(&self) -> Message<'_> {
        match &self.0 {
            Payload::Text(text) => Message::Text(text),
            Payload::Binary(bytes) => Message::Binary(bytes),
            Payload::OwnedText(text) => Message::Text(text),
            Payload::OwnedBinary(bytes) => Message::Binary(bytes),
        }
    }

    /// Whether it was borrowed from the input, without a copy.
    pub fn is_borrowed(&self) -> bool {
        matches!(self.0, Payload::Text(_) | Payload::Binary(_))
    }
}

impl PartialEq for Incoming<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_message() == other.as_message()
    }
}

impl Eq for Incoming<'_> {}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_message().fmt(f)
    }
}
