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

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a OwnedMessage> for Message<'a> {
    fn from(message: &'a OwnedMessage) -> Self {
        message.as_message()
    }
}

impl fmt::Debug for Message<'_> {
    /// Kind and length only: what users say to each other has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind(), self.len())
    }
}

/// A message, owned.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum OwnedMessage {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl OwnedMessage {
    /// The same message, borrowed.
    pub fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        self.as_message().as_bytes()
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        self.as_message().as_text()
    }

    /// Payload bytes.
    pub fn len(&self) -> usize {
        self.as_message().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&str> for OwnedMessage {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for OwnedMessage {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for OwnedMessage {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.into()),
            Message::Binary(bytes) => Self::Binary(bytes.into()),
        }
    }
}

impl fmt::Debug for OwnedMessage {
    /// Kind and length only, as for [`Message`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_message().fmt(f)
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

    /// The message to keep: a copy only where it was borrowed from the input.
    pub fn into_owned(self) -> OwnedMessage {
        match self.0 {
            Payload::Text(text) => text.into(),
            Payload::Binary(bytes) => OwnedMessage::Binary(bytes.into()),
            Payload::OwnedText(text) => OwnedMessage::Text(text),
            Payload::OwnedBinary(bytes) => OwnedMessage::Binary(bytes),
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
