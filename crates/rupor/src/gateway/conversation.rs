//! What an application is lent while it is called: the worker's connection and the gateway, as one.

use super::close::{Closing, check_close};
use super::{ConnectionId, Gateway, Publish, PublishError, Target, hub_id, server_id};
use crate::dialect::{self, Address};
use crate::outlet::Conversation;
use futures_util::FutureExt as _;
use rupor_hub::{Command, Kind, Publication};
use rupor_proto::{CloseCode, Frame, Message};
use rupor_server::Connection;
use std::sync::Arc;

/// A call of an application.
pub(super) struct Talk<'t, 'c> {
    pub(super) gateway: &'t Gateway,
    pub(super) connection: &'t mut Connection<'c>,
    pub(super) kind: Kind,
    pub(super) user: Option<&'t str>,
    pub(super) path: &'t str,
}

impl Conversation for Talk<'_, '_> {
    fn connection(&self) -> ConnectionId {
        hub_id(self.connection.id())
    }

    fn user(&self) -> Option<&str> {
        self.user
    }

    fn path(&self) -> &str {
        self.path
    }

    fn send(&mut self, message: Message<'_>) {
        // What a closing or slow connection does not take is not wanted by it; the server counts it.
        let _ = match message {
            // Plain text goes as it is; another dialect wraps it.
            Message::Text(text) if self.kind != dialect::PLAIN => {
                let frame = dialect::of_kind(self.kind).publication(Address::default(), text);
                self.connection.send_frame(&frame)
            }
            message => self.connection.send(message),
        };
    }

    fn subscribe(&mut self, channel: &str) -> Result<(), PublishError> {
        self.gateway
            .subscribe(self.connection(), channel)
            .map(|_| ())
    }

    fn unsubscribe(&mut self, channel: &str) -> Result<(), PublishError> {
        self.gateway
            .unsubscribe(self.connection(), channel)
            .map(|_| ())
    }

    fn publish(&mut self, publish: Publish) -> Result<(), PublishError> {
        self.gateway.publish_now(publish).map(|_| ())
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        self.connection.close(code, reason);
    }
}

impl Gateway {
    /// Sends to one connection, in its dialect; one that is gone makes it void.
    ///
    /// # Errors
    /// A full inbox; nothing was sent.
    pub(crate) fn send(&self, to: ConnectionId, message: Message<'_>) -> Result<(), PublishError> {
        match message {
            Message::Text(text) => self.apply(Command::Publish {
                target: Target::Connection(to),
                exclude: None,
                publication: Publication {
                    text: text.into(),
                    compress: true,
                    key: None,
                    id: None,
                },
            }),
            // No dialect has a form of its own for it.
            Message::Binary(_) => self
                .carry_out(Vec::new(), Some((to, Frame::new(message))))
                .map(|()| 1),
        }
        .map(drop)
    }

    /// Begins the closing handshake of one connection.
    ///
    /// # Errors
    /// The code is none that an application may use (1000, 1011, 3000 to 4999; RFC 6455 §7.4), the reason is over 123
    /// bytes (§5.5), or a worker's inbox is full.
    pub(crate) fn close_connection(
        &self,
        connection: ConnectionId,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), PublishError> {
        // Handlers that failed say so.
        let is_of_theirs = code == CloseCode::INTERNAL_ERROR;
        check_close(if is_of_theirs { 1000 } else { code.as_u16() }, reason)?;
        self.begin_close(connection, code, reason)
    }

    /// The same, for a reason of the gateway's own.
    ///
    /// # Errors
    /// A worker's inbox is full.
    pub(crate) fn close_for(
        &self,
        connection: ConnectionId,
        closing: &Closing,
    ) -> Result<(), PublishError> {
        self.begin_close(connection, closing.code, &closing.reason())
    }

    fn begin_close(
        &self,
        connection: ConnectionId,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), PublishError> {
        let server = self.server.get().ok_or(PublishError::Unavailable)?;
        server
            .close(server_id(connection), code, reason)
            .map_err(|_| PublishError::Overloaded)
    }

    /// Says who a connection is that was nobody yet.
    ///
    /// # Errors
    /// It is somebody else already, has too many connections, or the name is none.
    pub(crate) fn identify(
        &self,
        connection: ConnectionId,
        user: Arc<str>,
    ) -> Result<(), PublishError> {
        let identify = Command::Identify { connection, user };
        self.hub().apply(identify, &mut Vec::new())?;
        Ok(())
    }

    /// Who a connection is now.
    pub(super) fn user_of(&self, connection: ConnectionId) -> Option<Arc<str>> {
        self.hub().user_of(connection).cloned()
    }

    /// Publishes from a thread that cannot wait: how many connections it is for, or `None` when the broker will know
    /// that later.
    pub(super) fn publish_now(&self, publish: Publish) -> Result<Option<usize>, PublishError> {
        match self.publish(&[publish]).now_or_never() {
            None => Ok(None),
            Some(receipts) => {
                let receipt = receipts
                    .into_iter()
                    .next()
                    .unwrap_or(Err(PublishError::Unavailable));
                receipt.map(|receipt| Some(receipt.connections))
            }
        }
    }
}
