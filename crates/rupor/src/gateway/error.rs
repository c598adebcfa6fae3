//! Why the gateway did not publish or disconnect.

use rupor_hub::Refused;
use std::fmt;

/// Why a publication (or a disconnect) was not carried out. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishError {
    /// A worker's inbox is full: try again in a moment.
    Overloaded,
    /// What was asked is not possible.
    Refused(Refused),
    /// Not a close code that an application may send.
    BadCloseCode,
    /// The close reason is over 123 bytes.
    CloseReasonTooLong,
    /// The server is not running, or the broker cannot be reached.
    Unavailable,
}

impl PublishError {
    /// A word for programs; part of the inlets' contract.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Refused(refused) => refused.code(),
            Self::BadCloseCode | Self::CloseReasonTooLong => "bad_value",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded => {
                formatter.write_str("a worker has too much to do: try again in a moment")
            }
            Self::Refused(refused) => refused.fmt(formatter),
            Self::BadCloseCode => formatter.write_str("a close code is 1000 or 3000 to 4999"),
            Self::CloseReasonTooLong => formatter.write_str("a close reason is at most 123 bytes"),
            Self::Unavailable => formatter.write_str("the server is not running"),
        }
    }
}

impl std::error::Error for PublishError {}
