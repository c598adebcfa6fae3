//! The limits: one table, read by the configuration, the reference page and the README.

use super::error::Problem;
use super::options::{Default, Definition, LIMITS, Shape};
use super::parse;
use super::types::Mode;

const GATEWAY: &[Mode] = &[Mode::Demo, Mode::Serve];
/// Largest number that a limit takes.
const NUMBER_MAX: u64 = u32::MAX as u64;

/// Every limit as an option.
pub(crate) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OWN.iter()
}

/// A limit of the gateway itself.
const fn own(key: &'static str, default: &'static str, help: &'static str) -> Definition {
    Definition {
        key,
        shape: Shape::Number,
        form: "N",
        default: Default::Value(default),
        modes: GATEWAY,
        section: LIMITS,
        help,
        example: "",
    }
}

/// Reads a limit: bytes with or without a unit, anything else as a plain number, none of them 0.
pub(crate) fn parse(key: &str, text: &str) -> Result<u64, Problem> {
    if key.contains("bytes") {
        return parse::bytes(text, 1, NUMBER_MAX);
    }
    parse::count(text, 1, NUMBER_MAX)
}

static OWN: &[Definition] = &[
    own(
        "limits.publish_bytes_max",
        "1048576",
        "Longest line on an inlet and longest body of an HTTP API call, in bytes",
    ),
    own(
        "limits.publish_batch_max",
        "1000",
        "Most publications in one HTTP API call",
    ),
    own(
        "limits.inlet_connections_max",
        "1024",
        "Most connections to the line inlets at a time",
    ),
    own(
        "limits.subscriptions_per_connection_max",
        "128",
        "Most channels that one connection is subscribed to",
    ),
    own(
        "limits.channels_max",
        "1000000",
        "Most channels that exist at a time",
    ),
    own(
        "limits.identify_deadline_ms",
        "5000",
        "How long after the 101 a connection may stay without its token, when the first message carries it, in ms",
    ),
];
