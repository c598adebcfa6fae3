//! The client: from a URL to an open [`WebSocket`](crate::WebSocket).
//!
//! The stages, each a file with a deadline and errors of its own: `url.rs` takes the URL apart,
//! `proxy.rs` finds out whether there is a proxy in between, `reach.rs` connects, `tunnel.rs` lets
//! the proxy connect, `tls.rs` encrypts, `opening.rs` asks for the WebSocket. `connector.rs` goes
//! through them.

mod connector;
mod error;
mod opening;
mod proxy;
mod reach;
mod refusal;
mod stream;
mod tls;
mod tunnel;
mod url;

pub use self::connector::{Client, ClientTimeouts, connect};
pub use self::error::{ClientTlsError, ConnectError, OpenError, ProxyError, ReachError, UrlError};
pub use self::refusal::RefusedUpgrade;
pub use self::stream::ClientStream;
