//! HTTP/2 over TLS: requests go to the program's service, extended CONNECTs become WebSockets
//! (RFC 8441).
//!
//! The `h2` crate speaks HTTP/2. One task drives a connection ([`connection`]) and one each of its
//! streams ([`stream`]): a request until it is answered ([`reply`]), a WebSocket until its end
//! ([`websocket`], [`carry`]). A WebSocket belongs to a worker like any other; its task only moves
//! bytes between the stream and the worker's pipe.
//!
//! Invariants: what is wrong with one stream ends that stream, never the connection, unless HTTP/2
//! itself asks for it; the 200 leaves only when `on_open` has run; every wait has a deadline.

mod carry;
mod connection;
mod reply;
mod stream;
mod websocket;
