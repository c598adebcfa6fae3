//! A WebSocket server library: three callbacks, topics, TLS, several worker threads.
//!
//! # Where to start
//!
//! A [`Handler`] says what is done when a connection opens, brings a message, closes. [`Server`]
//! runs one on each worker thread. A [`Handle`] sends, publishes and closes from any thread.
//! [`Admit`] decides who gets in.
//!
//! A program that has its HTTP already, on hyper or axum, turns a request into a [`WebSocket`] on a
//! task of its own: [`WebSocketUpgrade`]. A client has such a `WebSocket` too: `connect`, and
//! `Client` for more than a URL. Features: `axum` makes the upgrade an extractor, `client` adds the
//! client.
//!
//! # How it is built
//!
//! The *opening* side (tokio, rustls, hyper) accepts, does TLS, reads the request head, asks
//! [`Admit`]. An admitted socket goes to one *worker* and belongs to it for life: a loop over `mio`
//! with one receive buffer, no task, channel or timer object per connection. Everything else is
//! HTTP and goes to the service given to [`Server::http`].

/// The examples in the README are tests.
#[cfg(all(doctest, feature = "axum", feature = "client"))]
#[doc = include_str!("../README.md")]
mod readme {}

mod admit;
#[cfg(feature = "client")]
mod client;
mod error;
mod handle;
mod handler;
mod id;
mod inbox;
mod limits;
mod memory;
mod opening;
mod server;
mod slow;
mod socket;
mod stats;
mod topic;
mod upgrade;
mod worker;

pub use admit::{Admit, AdmitAll, Admitted, Refusal, UpgradeRequest};
#[cfg(feature = "client")]
pub use client::{
    Client, ClientStream, ClientTimeouts, ClientTlsError, ConnectError, OpenError, ProxyError,
    ReachError, RefusedUpgrade, UrlError, connect,
};
pub use error::{InboxFull, SendError, StartError, TlsError};
pub use handle::Handle;
pub use handler::{Connection, Handler};
pub use id::{ConnectionId, NotAConnectionId, WORKERS_MAX, WorkerId};
pub use inbox::{Command, Mark};
pub use limits::{LimitRow, Limits};
pub use opening::{AddressRange, ClientAddress, NotAnAddressRange, RemoteAddr, RequestBody, Tls};
pub use server::{Running, Server};
pub use slow::SlowPolicy;
pub use socket::{Received, WebSocket, WebSocketLimits};
pub use stats::{DropReason, LeftOut, RefusalReason, Stats};
pub use topic::Topic;
pub use upgrade::{Upgraded, Upgrading, WebSocketUpgrade};
pub use worker::CLOSE_SLOW;

/// The protocol's own types that appear in this API.
pub use rupor_proto as proto;
pub use rupor_proto::{Close, CloseCode, DeflateConfig, Frame, Kind, Message, OwnedMessage};
/// The TLS library, whose types say whom a client believes.
#[cfg(feature = "client")]
pub use rustls;
