//! The three callbacks (and a timer), and the connection that they are lent.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rupor_proto::{Close, CloseCode, Frame, Message};

use crate::error::{InboxFull, SendError};
use crate::handle::Handle;
use crate::id::ConnectionId;
use crate::slow::SlowPolicy;
use crate::topic::Topic;
use crate::worker::{Context, Link, Transport};

/// What a server does with its connections. Each worker has one instance, made on its thread and
/// used by nothing else, so a handler needs no locks for what it keeps to itself.
///
/// A callback must not block: it holds up every connection of its worker. One that panics ends its
/// connection with 1011; the worker goes on.
pub trait Handler: 'static {
    /// What [`Admit`](crate::Admit) found out; [`UpgradeRequest`](crate::UpgradeRequest) without an
    /// `Admit` of one's own.
    type Admission: Send + 'static;

    /// What is kept for each connection.
    type State: 'static;

    /// The upgrade was admitted. Runs before the peer hears of it: what is registered or subscribed
    /// here misses nothing that is sent once the peer knows that it is connected. What is sent here
    /// leaves right behind the 101.
    fn on_open(
        &mut self,
        connection: &mut Connection<'_>,
        admission: Self::Admission,
    ) -> Self::State;

    /// A whole message arrived. Its payload lies in the worker's receive buffer and is lent for
    /// this call.
    fn on_message(
        &mut self,
        connection: &mut Connection<'_>,
        state: &mut Self::State,
        message: Message<'_>,
    );

    /// The connection is over; nothing can be sent on it. Exactly once for each `on_open` that
    /// returned.
    fn on_close(&mut self, connection: &mut Connection<'_>, state: Self::State, close: &Close) {
        let _ = (connection, state, close);
    }

    /// So many publications to this topic were left out since the last call, because the peer reads
    /// too slowly ([`SlowPolicy`]). It comes once half of the soft limit is free
    /// again, for each topic; of very many topics not for all.
    fn on_left_out(
        &mut self,
        connection: &mut Connection<'_>,
        state: &mut Self::State,
        topic: &Topic,
        count: u64,
    ) {
        let _ = (connection, state, topic, count);
    }

    /// The time given to [`Connection::set_timer`] is over.
    fn on_timer(&mut self, connection: &mut Connection<'_>, state: &mut Self::State) {
        let _ = (connection, state);
    }
}

/// A connection, lent to a callback.
pub struct Connection<'a> {
    link: &'a mut Link,
    context: &'a mut Context,
    /// `None` where nothing may leave: before the 101 and after the end.
    transport: Option<&'a mut dyn Transport>,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(
        link: &'a mut Link,
        context: &'a mut Context,
        transport: Option<&'a mut dyn Transport>,
    ) -> Self {
        Self {
            link,
            context,
            transport,
        }
    }

    /// Its name, for [`Handle`] and for other threads.
    pub fn id(&self) -> ConnectionId {
        self.link.id
    }

    /// Queues a message, compressed if that was agreed to and pays. It leaves with everything else that this callback, and the others of the
    /// same read, queued; one of 64 KiB or more is written at once where it can be.
    ///
    /// # Errors
    /// [`SendError::Closing`] after the closing handshake began; [`SendError::Slow`] when the
    /// backlog is full, and then the connection is dropped.
    pub fn send(&mut self, message: Message<'_>) -> Result<(), SendError> {
        let transport = self.transport.as_deref_mut();
        self.link.send(message, true, self.context, transport)
    }

    /// Queues a message that is never compressed: for one that has a secret beside text that others
    /// choose; see [`DeflateConfig`](crate::DeflateConfig).
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_uncompressed(&mut self, message: Message<'_>) -> Result<(), SendError> {
        let transport = self.transport.as_deref_mut();
        self.link.send(message, false, self.context, transport)
    }

    /// Queues a text message; see [`send`](Self::send).
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.send(Message::Text(text))
    }

    /// Queues a message that was encoded before, compressed as [`send`](Self::send) does, but once
    /// for all who were sent the same; see [`send`](Self::send).
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_frame(&mut self, frame: &Frame) -> Result<(), SendError> {
        let transport = self.transport.as_deref_mut();
        self.link.send_frame(frame, self.context, transport)
    }

    /// Begins the closing handshake (RFC 6455 §7.1.2). A code that may not be sent becomes 1000, a
    /// reason over 123 bytes is cut. After the first call, nothing.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.link.close(code, reason, self.context);
    }

    /// Subscribes to a topic; true also if it was subscribed already. False, and nothing done, at
    /// [`Limits::subscriptions_max`](crate::Limits::subscriptions_max) and the other limits of
    /// topics.
    pub fn subscribe(&mut self, topic: &Topic) -> bool {
        let Context { topics, limits, .. } = &mut *self.context;
        topics.subscribe(self.link.slot(), topic, limits)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, topic: &Topic) {
        self.context.topics.unsubscribe(self.link.slot(), topic);
    }

    /// Sends `frame` to everybody who is subscribed to `topic`, on every worker, but not to this
    /// connection.
    ///
    /// # Errors
    /// [`InboxFull`]: a worker is behind; nobody gets it.
    pub fn publish(&mut self, topic: &Topic, frame: &Frame) -> Result<(), InboxFull> {
        self.context
            .handle
            .publish(topic, frame, Some(self.link.id))
    }

    /// [`publish`](Self::publish) with a word on what becomes of it at readers that are too slow.
    ///
    /// # Errors
    /// [`InboxFull`]: a worker is behind; nobody gets it.
    pub fn publish_with(
        &mut self,
        topic: &Topic,
        frame: &Frame,
        slow: &SlowPolicy,
    ) -> Result<(), InboxFull> {
        let exclude = Some(self.link.id);
        self.context
            .handle
            .publish_with(topic, frame, exclude, slow)
    }

    /// Bytes that were queued and not yet taken by the system.
    pub fn buffered_amount(&self) -> usize {
        self.link.backlog() + self.context.out.len()
    }

    /// Asks for [`Handler::on_timer`] after `delay` (up to a tick of 16 ms, and the rest of the
    /// loop's turn, later than that). A connection has one timer: this replaces it.
    pub fn set_timer(&mut self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.link
            .set_timer(self.context.now.saturating_add_ms(delay_ms));
    }

    /// The client's address: the peer's, or what a trusted proxy says
    /// ([`ClientAddress`](crate::ClientAddress)).
    pub fn remote(&self) -> SocketAddr {
        self.link.remote()
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.link.subprotocol(self.context)
    }

    /// The whole server, also for other threads: clone it.
    pub fn handle(&self) -> &Handle {
        &self.context.handle
    }
}

impl fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
