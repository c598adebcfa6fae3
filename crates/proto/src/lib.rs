//! The WebSocket protocol (RFC 6455) with permessage-deflate (RFC 7692), client and server, as a
//! state machine without I/O.
//!
//! Nothing here opens a socket, reads a clock or starts a thread: bytes, time and randomness come
//! in as arguments, events and bytes to send go out. `no_std` + `alloc` proves it.
//!
//! # Where to start
//!
//! * [`handshake`] turns an HTTP/1.1 upgrade request into a `101` (server) or makes one and checks
//!   the answer (client).
//! * [`Connection`] takes over from the first byte behind the handshake: lend it what arrived with
//!   [`Connection::receive`], write what it appended to `out`, and wake it at
//!   [`Connection::poll_timeout`].
//! * [`Frame`] is a message that was encoded once, to be written to many connections.
//! * [`DeflateConfig`] agrees to compression, which is off unless asked for; a [`DeflatePool`] has
//!   what connections compress and inflate with.
//!
//! # What it promises
//!
//! * The events do not depend on how the bytes were cut.
//! * A connection between two messages owns nothing on the heap but its share of [`Config`] (and,
//!   for a client, its source of masking keys; with permessage-deflate, what was agreed to and, with
//!   context takeover, at most a window each way). What it buffers grows with what has arrived,
//!   never with what was announced.
//! * A message that lies whole in one frame of the input is handed out where it lies.
//! * The first broken rule ends the connection (RFC 6455 §7.1.7): a Close frame with the code of
//!   the broken rule is written, [`Event::Closed`] says which it was, and nothing after it is read.
//! * No panic on anything that a peer can send.

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::indexing_slicing, reason = "a test may panic"))]

extern crate alloc;
#[cfg(test)]
extern crate std;

/// The example in the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod close;
mod connection;
mod deflate;
mod error;
mod event;
mod frame;
pub mod handshake;
mod limits;
mod message;
pub mod proxied;
mod time;

pub use close::CloseCode;
pub use connection::{Connection, State};
pub use deflate::{
    DeflateAgreement, DeflateConfig, DeflateCounts, DeflateOffer, DeflatePool, DeflateTraffic,
    Outgoing,
};
pub use error::{ApiMisuse, PeerError};
pub use event::{Close, Control, Event, Initiator};
pub use frame::Frame;
pub use limits::{Config, Limits};
pub use message::{Incoming, Kind, Message, OwnedMessage};
pub use time::Time;
