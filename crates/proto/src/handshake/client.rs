//! The client's side of the handshake (RFC 6455 §4.1).

use alloc::{string::String, vec::Vec};

use super::{HandshakeError, HeadProgress};
use crate::ApiMisuse;

/// A handshake in progress, client role.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    request: Vec<u8>,
    progress: HeadProgress,
}

/// What the server agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The subprotocol that the server chose, one of those offered.
    pub subprotocol: Option<String>,
}

impl ClientHandshake {
    /// A request for `target` (path and query) at `host` (with the port, unless it is the
    /// scheme's own). `nonce` must be random.
    pub fn new(
        host: &str,
        target: &str,
        nonce: [u8; 16],
        subprotocols: &[&str],
        headers: &[(&str, &str)],
    ) -> Result<Self, ApiMisuse> {
        let _ = (host, target, nonce, subprotocols, headers);
        unimplemented!()
    }

    /// The bytes to send.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Checks the server's answer at the front of `bytes`, and says how many of them it takes;
    /// what follows are frames. `None`: more bytes are needed, behind the same ones.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Accepted, usize)>, HandshakeError> {
        let _ = (bytes, self.progress);
        unimplemented!()
    }
}
