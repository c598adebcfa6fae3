//! What a request must have to become a WebSocket (RFC 6455 §4.2.1).

use alloc::{string::String, vec::Vec};

use super::{HandshakeError, HttpVersion};

/// A request that may become a WebSocket: everything that RFC 6455 §4.2.1 asks for was there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgrade {
    /// `Sec-WebSocket-Key`, as it was sent: 24 characters.
    pub key: String,
    /// `Host`, as it was sent.
    pub host: String,
    /// `Origin`, as it was sent.
    pub origin: Option<String>,
    /// The offered subprotocols in the client's order, each a token, no two the same.
    pub subprotocols: Vec<String>,
}

impl Upgrade {
    /// Subprotocols that a client may offer.
    pub const SUBPROTOCOLS_MAX: usize = 64;

    /// Checks all that RFC 6455 §4.2.1 asks of an upgrade, from a request that something else
    /// parsed.
    pub fn from_parts<'h>(
        method: &str,
        target: &str,
        version: HttpVersion,
        headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Self, HandshakeError> {
        let _ = (method, target, version, headers);
        unimplemented!()
    }

    /// The value of `Sec-WebSocket-Accept` (RFC 6455 §4.2.2).
    pub fn accept_key(&self) -> String {
        unimplemented!()
    }
}

/// The first of the `offered` subprotocols, in the client's order, that is among the `configured`
/// ones (RFC 6455 §4.2.2): never one that was not offered. Case matters.
pub fn select_subprotocol<'a>(
    offered: &'a [String],
    configured: &[impl AsRef<str>],
) -> Option<&'a str> {
    offered
        .iter()
        .map(String::as_str)
        .find(|name| configured.iter().any(|known| known.as_ref() == *name))
}
