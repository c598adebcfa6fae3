//! Upgrades for programs that speak HTTP with hyper or axum already: a request becomes a
//! [`WebSocket`](crate::WebSocket) on a task.
//!
//! The rules are those of the server ([`Upgrade::from_parts`](rupor_proto::handshake::Upgrade)),
//! whoever parsed the request. `request.rs` has all of it; `axum.rs` makes an extractor of it.

#[cfg(feature = "axum")]
mod axum;
mod request;

pub use self::request::{Upgraded, Upgrading, WebSocketUpgrade};
