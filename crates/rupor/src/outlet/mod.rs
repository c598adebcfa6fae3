//! The application on a path: where messages from browsers go.
//!
//! An [`Outlet`] is called on the worker thread that owns the connection and must not block. It answers through the
//! [`Conversation`] that it is lent for the call, or later, from any thread, through the
//! [`Gateway`] with the connection's number: `send` to it, `subscribe`, `unsubscribe`,
//! `close_connection`. So do the handlers in PHP ([`Php`], [`Calls`]): such an outlet puts the message into a bounded queue of its own,
//! returns, and answers when the answer is there.
//!
//! Where no outlet answers on a path, browsers only listen: what they send is dropped, counted
//! ([`Counts::dropped_no_application`](crate::gateway::Counts)) and logged at level `debug`.
//!
//! An outlet may hold a lock of its own while it uses a conversation (order of locks: outlet, hub, inboxes); it must not
//! call the gateway from under a lock that `on_open`, `on_message` or `on_close` of another outlet can wait for.

mod calls;
mod chat;
mod echo;
mod limits;
mod php;
mod refused;
pub(crate) mod request;
mod routes;

pub(crate) use calls::{Calls, Counts as CallCounts, Running as CallsRunning};
pub(crate) use chat::Chat;
pub(crate) use echo::Echo;
pub(crate) use php::launcher;
pub(crate) use php::{Counts as PhpCounts, Php, Running as PhpRunning};
pub(crate) use routes::Routes;

use crate::gateway::{ConnectionId, Gateway, Publish, PublishError};
use futures_util::future::{BoxFuture, ready};
use rupor_proto::{Close, CloseCode, Message};
use rupor_server::UpgradeRequest;
use std::fmt;

/// What an application says about an upgrade.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may pass.
    Accept {
        /// Who it is, whatever was known before.
        user: Option<String>,
        /// It is subscribed to these.
        channels: Vec<String>,
    },
    /// It may not.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// What is said about it.
        reason: String,
    },
}

impl Verdict {
    /// It may pass as it is.
    pub(crate) fn pass() -> Self {
        Self::Accept {
            user: None,
            channels: Vec::new(),
        }
    }

    /// The application does not say whether it may.
    pub(crate) fn unavailable() -> Self {
        Self::Refuse {
            status: 503,
            reason: "the handlers do not answer; try again later".to_owned(),
        }
    }
}

/// An application. One instance serves all connections on its paths, on all workers.
pub(crate) trait Outlet: fmt::Debug + Send + Sync {
    /// Whether an upgrade may pass, as far as this application is concerned. Not called on a worker thread: it may wait.
    fn admit<'a>(
        &'a self,
        request: &'a UpgradeRequest,
        user: Option<&'a str>,
    ) -> BoxFuture<'a, Verdict> {
        let _ = (request, user);
        Box::pin(ready(Verdict::pass()))
    }

    /// Whether `on_open` wants the request; it is kept until then only for those that do.
    fn wants_request(&self) -> bool {
        false
    }

    /// A connection opened and is known as far as it has to be.
    fn on_open(&self, conversation: &mut dyn Conversation, request: Option<Box<UpgradeRequest>>) {
        let _ = (conversation, request);
    }

    /// A message came from it.
    fn on_message(&self, conversation: &mut dyn Conversation, message: Message<'_>);

    /// It is gone: sending to it does nothing any more. Comes once for every `on_open`.
    fn on_close(&self, conversation: &mut dyn Conversation, close: &Close) {
        let _ = (conversation, close);
    }
}

/// What an application can do about a connection while it is called.
pub(crate) trait Conversation {
    /// The connection.
    fn connection(&self) -> ConnectionId;
    /// Who it is.
    fn user(&self) -> Option<&str>;
    /// The path that it opened, as it was sent.
    fn path(&self) -> &str;
    /// Sends to this connection, in its dialect. A connection that is closing or too slow takes nothing; it is closed for
    /// that by others.
    fn send(&mut self, message: Message<'_>);
    /// Subscribes this connection to a channel, whatever the rules for browsers say; everything that is published in it
    /// after this call arrives, nothing that was published before.
    fn subscribe(&mut self, channel: &str) -> Result<(), PublishError>;
    /// Ends a subscription; what was published before may still arrive.
    #[allow(
        dead_code,
        reason = "the applications built in need it not; those on PHP workers will"
    )]
    fn unsubscribe(&mut self, channel: &str) -> Result<(), PublishError>;
    /// Publishes. `Err` is what is known now; a broker that answers later refuses in the log.
    fn publish(&mut self, publish: Publish) -> Result<(), PublishError>;
    /// Begins the closing handshake.
    fn close(&mut self, code: CloseCode, reason: &str);
}

/// What a pool of handlers logs is under this, so that it can be told from others.
fn handlers_span(pool: &str) -> tracing::Span {
    tracing::error_span!("handlers", pool)
}

/// Closes a connection because of handlers that failed.
fn close_failed(gateway: &Gateway, connection: ConnectionId, reason: &str) {
    if let Err(error) = gateway.close_connection(connection, CloseCode::INTERNAL_ERROR, reason) {
        tracing::warn!(%connection, %error, "a connection whose event failed is not closed");
    }
}
