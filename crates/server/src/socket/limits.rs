//! What one WebSocket on a task may hold and how long it may take.

use std::sync::{Arc, LazyLock};

use rupor_proto::Config;

/// Limits of a [`WebSocket`](crate::WebSocket). Cheap to clone: keep one and give clones of it to
/// all connections that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// The protocol's: messages, control frames, pings, the closing handshake.
    pub protocol: Arc<Config>,
    /// Encoded bytes that may be unsent before [`send`](crate::WebSocket::send) and
    /// [`feed`](crate::WebSocket::feed) wait; one message of any length is taken while there are
    /// fewer. Default: 64 KiB.
    pub unsent_bytes_max: usize,
    /// Milliseconds in which a peer that has unsent bytes must take at least one of them. Over it
    /// the connection ends with [`CLOSE_SLOW`](crate::CLOSE_SLOW). Default: 10 s; 0: off.
    pub stall_timeout_ms: u32,
    /// Milliseconds that the peer has, when all is said, to read it and to end its side of the
    /// connection. Default: 1 s.
    pub linger_ms: u32,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        static PROTOCOL: LazyLock<Arc<Config>> = LazyLock::new(Arc::default);
        Self {
            protocol: Arc::clone(&PROTOCOL),
            unsent_bytes_max: 64 * 1024,
            stall_timeout_ms: 10_000,
            linger_ms: 1_000,
        }
    }
}

impl WebSocketLimits {
    /// The defaults with another protocol configuration.
    pub fn with_protocol(protocol: impl Into<Arc<Config>>) -> Self {
        Self {
            protocol: protocol.into(),
            ..Self::default()
        }
    }
}
