//! What clients ask and what they are answered, in no dialect.

use rupor_proto::Message;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Longest text that may be a request's id, in bytes.
pub(crate) const ID_BYTES_MAX: usize = 64;

/// What a client calls a request, to know the answer by.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(
    untagged,
    expecting = "id is a whole number or a text of at most 64 bytes"
)]
pub(crate) enum Id {
    /// A whole number.
    Number(i64),
    /// A text of at most [`ID_BYTES_MAX`] bytes.
    Text(String),
}

impl Id {
    /// Whether it keeps to its limit.
    pub(crate) fn is_short(&self) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Text(text) => text.len() <= ID_BYTES_MAX,
        }
    }
}

/// What a client asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// What it calls it.
    pub(crate) id: Option<Id>,
    /// What it is.
    pub(crate) asked: Asked<'a>,
}

/// What a client asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// To listen to a channel.
    Subscribe {
        channel: Cow<'a, str>,
        /// What lets it.
        token: Option<Cow<'a, str>>,
    },
    /// To listen no longer.
    Unsubscribe(Cow<'a, str>),
    /// To publish in a channel.
    Publish {
        channel: Cow<'a, str>,
        text: Cow<'a, str>,
        /// What lets it.
        token: Option<Cow<'a, str>>,
    },
    /// Whether the gateway is there.
    Ping,
    /// To be believed by this token.
    Auth(Cow<'a, str>),
    /// Something of the application.
    Application(Message<'a>),
    /// Something of the application, in text of its own.
    ApplicationText(Cow<'a, str>),
}

/// A message that is no request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRequest {
    /// Its id, as far as it could be read.
    pub(crate) id: Option<Id>,
    /// A word for programs.
    pub(crate) code: &'static str,
    /// What is wrong and what to do.
    pub(crate) text: String,
}

/// What a client is told about itself and its requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    /// The connection is open.
    Welcome {
        connection: String,
        user: Option<&'a str>,
    },
    /// It listens to the channel now.
    Subscribed { channel: &'a str },
    /// It does not any more.
    Unsubscribed { channel: &'a str },
    /// It was published; `connections` when the broker knows how many it is for.
    Published { connections: Option<usize> },
    /// The application has it.
    Sent,
    /// The gateway is there.
    Pong,
    /// The token was believed.
    Authenticated { user: Option<&'a str> },
    /// So many publications in the channel were left out, because the client reads too slowly.
    LeftOut { channel: &'a str, count: u64 },
    /// It was not done.
    Error { code: &'a str, text: &'a str },
}
