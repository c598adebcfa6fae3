//! The opening handshake (RFC 6455 §4), both roles, strict, without I/O.
//!
//! A server feeds what arrived to [`parse_request`] (or, where heads may come a byte at a time, to
//! one [`HeadProgress`] per connection), asks [`RequestHead::is_upgrade`], then
//! [`RequestHead::upgrade`], and answers with [`write_response`] or with the status and headers of
//! the [`HandshakeError`]. A client sends [`ClientHandshake::request`] and feeds the answer to
//! [`ClientHandshake::receive`].
//!
//! By HTTP/2 a WebSocket is opened by an extended CONNECT (RFC 8441). Something else speaks HTTP/2;
//! what it read goes to [`Upgrade::from_connect`], and [`connect_response`] says what the 200 has.

mod client;
mod connect;
mod error;
pub(crate) mod extensions;
mod head;
mod key;
mod response;
pub(crate) mod syntax;
mod upgrade;

pub use client::{Accepted, ClientHandshake};
pub use connect::ConnectRequest;
pub use error::{HandshakeError, ResponseError};
pub use head::{HeadLimits, HeadProgress, HttpVersion, RequestHead, parse_request};
pub use response::{connect_response, write_response, write_response_with};
pub use upgrade::{Upgrade, select_subprotocol};
