//! A command about a connection that was not carried out, as handlers are told of it: they would believe otherwise that the
//! connection hears a channel, or is somebody.

use serde::Serialize;

/// What was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refused {
    /// `subscribe`, `unsubscribe` or `user`.
    pub(super) command: &'static str,
    /// The channel or user that it named.
    pub(super) name: String,
    /// Why, for programs: docs/reference/codes.md.
    pub(super) code: &'static str,
    /// Why, for people.
    pub(super) error: String,
}

impl Refused {
    /// As JSON.
    pub(super) fn json(&self) -> String {
        // Four strings can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}
