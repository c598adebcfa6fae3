//! A WebSocket on a task of the user's own: what programs on tokio, axum and hyper hold, and what
//! the client gives.
//!
//! The server of this crate carries its connections on worker threads and calls a
//! [`Handler`](crate::Handler). Here the same protocol, with the same limits and the same
//! compression, is a value that is awaited. There is no task and no channel behind it: whoever
//! polls drives it. Start with `web_socket.rs`; `output.rs` writes, `parting.rs` ends.

mod halves;
mod limits;
mod output;
mod parting;
mod shared;
mod wakers;
mod web_socket;

pub use self::limits::WebSocketLimits;
pub use self::web_socket::{Received, WebSocket};
