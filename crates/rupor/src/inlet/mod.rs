//! The site's ways in: lines, HTTP, Redis and PostgreSQL.
//!
//! - `address`: `tcp://127.0.0.1:1234` and `unix:///run/rupor.sock` as text;
//! - `request`: the one parser of a publish object, for all ways in; `field`, the names in it; `answer`, what it is answered;
//! - `lines`: lines on TCP and on a Unix socket;
//! - `redis`: messages of a Redis; `postgres`: notifications of a PostgreSQL; `heard`, what both do with what they hear;
//! - `outbox`: rows of a table in the site's database;
//! - `backoff`, `quiet`: how often a server that is away is tried, and the log is written;
//! - `http`: `/api/…`, `/healthz`, `/readyz`.
//!
//! Nothing here knows who is connected: a request becomes a `gateway` call, the result becomes an answer.

pub(crate) mod address;
pub(crate) mod answer;
mod backoff;
pub(crate) mod field;
pub(crate) mod heard;
pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod listener;
pub(crate) mod outbox;
pub(crate) mod postgres;
mod quiet;
pub(crate) mod redis;
pub(crate) mod request;

#[cfg(test)]
mod reference;
