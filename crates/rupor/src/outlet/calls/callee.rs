//! Who is called.

use super::lanes::{About, Event};
use super::{fastcgi, webhook};
use crate::gateway::ConnectionId;
use std::fmt;

/// Who is called.
#[derive(Debug)]
pub(super) enum Callee {
    Fpm(fastcgi::Pool),
    Webhook(webhook::Client),
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// Commands, as JSON.
    pub(super) body: Vec<u8>,
    /// Notices and warnings of a script.
    pub(super) errors: Vec<u8>,
}

/// Why there is no answer, and what to do.
#[derive(Debug)]
pub(super) struct NoAnswer(pub(super) String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Callee {
    /// Calls; once, as far as that can be known, but for what may be repeated.
    pub(super) async fn call(
        &self,
        connection: Option<ConnectionId>,
        about: &About,
        event: &Event,
    ) -> Result<Answer, NoAnswer> {
        match self {
            Self::Fpm(pool) => pool.call(connection, about, event).await,
            Self::Webhook(client) => client.call(connection, about, event).await,
        }
    }

    /// Connections that are open, where that is known.
    pub(super) fn connections(&self) -> usize {
        match self {
            Self::Fpm(pool) => pool.connections(),
            Self::Webhook(_) => 0,
        }
    }

    /// Closes connections that were not used for long.
    pub(super) fn close_idle(&self) {
        match self {
            Self::Fpm(pool) => pool.close_idle(),
            // Its library does.
            Self::Webhook(_) => {}
        }
    }
}

/// The begin of what was printed, to be logged.
pub(super) fn excerpt(said: &[u8]) -> String {
    let begin = said.get(..1000).unwrap_or(said);
    crate::log::printed(String::from_utf8_lossy(begin).trim())
}
