//! The site's ways in: lines, HTTP and Redis.
//!
//! - `address`: `tcp://127.0.0.1:1234` and `unix:///run/rupor.sock` as text;
//! - `request`: the one parser of a publish object, for all ways in; `field`, the names in it; `answer`, what it is answered;
//! - `lines`: lines on TCP and on a Unix socket;
//! - `redis`: messages of a Redis;
//! - `http`: `/api/…`, `/healthz`, `/readyz`.
//!
//! Nothing here knows who is connected: a request becomes a `gateway` call, the result becomes an answer.

pub(crate) mod address;
pub(crate) mod answer;
pub(crate) mod field;
pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod listener;
pub(crate) mod redis;
pub(crate) mod request;

#[cfg(test)]
mod reference;
