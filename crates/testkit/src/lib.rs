//! Test support for rupor: a raw WebSocket client, a plain HTTP client and a runner for the real
//! program. Unpublished, a development dependency only.
//!
//! - [`Opening`] sends an upgrade request, right or deliberately wrong, and gives a [`Client`] or
//!   the [`Response`] that refused it.
//! - [`upgrade_cases()`] is a table of upgrade requests, good and bad, with the verdict on each.
//! - [`Client`] speaks frames over any [`Link`] (a `TcpStream`, a TLS stream the test wrapped). It
//!   encodes and decodes frames by itself, not with `rupor-proto`: a mistake there must not be able
//!   to hide behind the same mistake here. Where the server agreed to permessage-deflate it reads
//!   compressed messages, by the C zlib.
//! - [`http()`] is one request and its [`Response`].
//! - [`Process`] runs a program, waits for lines of its output and ends it when dropped.
//!
//! Everything blocks, and everything that waits has a deadline ([`DEADLINE`] unless told
//! otherwise). A failure panics with what was expected and what came: in a test that is the result.
//! For temporary folders use the `tempfile` crate.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure here is the failure of the test that called"
)]

mod client;
mod deflate;
mod frame;
mod http;
mod link;
mod opening;
mod process;
mod upgrade_cases;

pub use client::{Client, Event};
pub use frame::{Frame, opcode};
pub use http::{Response, http};
pub use link::Link;
pub use opening::{Opening, SAMPLE_ACCEPT, SAMPLE_KEY};
pub use process::{Process, Stream, free_port, wait_until};
pub use upgrade_cases::{UpgradeCase, Verdict, upgrade_cases};

/// How long anything here waits before it fails the test. Generous: it is only ever used up by a
/// failure, and a busy machine with few cores must not be one.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

/// Compiles the Rust code of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
