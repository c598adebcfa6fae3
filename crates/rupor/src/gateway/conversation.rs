//! What an application is lent while it is called: the worker's connection and the gateway, as one.

use super::{ConnectionId, Gateway, Publish, PublishError, hub_id};
use crate::dialect::{self, Address};
use crate::outlet::Conversation;
use futures_util::FutureExt as _;
use rupor_hub::Kind;
use rupor_proto::{CloseCode, Message};
use rupor_server::Connection;

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
    /// Publishes from a thread that cannot wait: how many connections it is for, or `None` when the broker will know
    /// that later.
    pub(super) fn publish_now(&self, publish: Publish) -> Result<Option<usize>, PublishError> {
        match self.publish(vec![publish]).now_or_never() {
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
