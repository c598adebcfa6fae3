//! What a proxy in front says of the client: `X-Forwarded-For` and `Forwarded` (RFC 7239) in a
//! request's head, or a PROXY protocol header in front of the connection's first byte.
//!
//! Anybody can write either, so they mean something from a proxy that is known only; whether it is,
//! the caller says. [`client_in_x_forwarded_for`] and [`client_in_forwarded`] walk a list from its end, where the
//! nearest proxy wrote, past those that are trusted, to the first address that is not: what stands
//! before it, the client may have written itself, and nobody looks at it. [`parse_proxy_header`] reads a
//! PROXY protocol header.
//!
//! Strict and bounded: what is looked at and is not well-formed is an error, and so is a chain or a
//! header that is longer than any real one.

mod forwarded;
mod header;

pub use self::forwarded::{
    Client, ForwardedError, PROXIES_MAX, client_in_forwarded, client_in_x_forwarded_for,
};
pub use self::header::{
    PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError, begins_proxy_header, parse_proxy_header,
};
