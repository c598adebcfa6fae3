//! A message that is encoded once and written to many connections.

use alloc::{sync::Arc, vec::Vec};
use core::fmt;

use super::{Opcode, encode};
use crate::{Kind, Message};

/// One whole, unfragmented, unmasked message frame, encoded once and cheap to clone.
///
/// A server may write its bytes to any connection whose
/// [`is_sendable`](crate::Connection::is_sendable) says so, without telling the connection. With
/// permessage-deflate [`share`](crate::Connection::share) makes of it what goes on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Arc<[u8]>,
    kind: Kind,
    payload_len: usize,
    compressible: bool,
}

impl Frame {
    /// Encodes `message`.
    pub fn new(message: Message<'_>) -> Self {
        let mut bytes = Vec::new();
        encode::frame(
            &mut bytes,
            true,
            Opcode::from(message.kind()),
            message.as_bytes(),
            None,
        );
        Self {
            bytes: bytes.into(),
            kind: message.kind(),
            payload_len: message.len(),
            compressible: true,
        }
    }

    /// The same frame, plain for everybody: for a message that has a secret beside text that others
    /// choose; see [`DeflateConfig`](crate::DeflateConfig).
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compressible = false;
        self
    }

    /// Whether it may be compressed for those who agreed to that.
    pub fn is_compressible(&self) -> bool {
        self.compressible
    }

    /// The frame as it goes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn payload(&self) -> &[u8] {
        let header = self.bytes.len().saturating_sub(self.payload_len);
        self.bytes.get(header..).unwrap_or_default()
    }

    /// Whether it is a clone of the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    /// Bytes of its payload.
    pub fn payload_len(&self) -> usize {
        self.payload_len
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.payload_len)
    }
}
