//! The three callbacks (and a timer), and the connection that they are lent.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rupor_proto::{Close, CloseCode, Frame, Message};

use crate::error::{InboxFull, SendError};
use crate::handle::Handle;
use crate::id::ConnectionId;
use crate::topic::Topic;

/// What a server does with its connections. Each worker has one instance, made on its thread and used by nothing else,
/// so a handler needs no locks for what it keeps to itself.
///
/// A callback must not block: it holds up every connection of its worker. One that panics ends its connection with
/// 1011; the worker goes on.
pub trait Handler: 'static {
    /// What [`Admit`](crate::Admit) found out; [`UpgradeRequest`](crate::UpgradeRequest) without an `Admit` of one's
    /// own.
    type Admission: Send + 'static;

    /// What is kept for each connection.
    type State: 'static;

    /// The upgrade was admitted. Runs before the peer hears of it: what is registered or subscribed here misses nothing
    /// that is sent once the peer knows that it is connected. What is sent here leaves right behind the 101.
    fn on_open(
        &mut self,
        connection: &mut Connection<'_>,
        admission: Self::Admission,
    ) -> Self::State;

    /// A whole message arrived. Its payload lies in the worker's receive buffer and is lent for this call.
    fn on_message(
        &mut self,
        connection: &mut Connection<'_>,
        state: &mut Self::State,
        message: Message<'_>,
    );

    /// The connection is over; nothing can be sent on it. Exactly once for each `on_open` that returned.
    fn on_close(&mut self, connection: &mut Connection<'_>, state: Self::State, close: &Close) {
        let _ = (connection, state, close);
    }

    /// The time given to [`Connection::set_timer`] is over.
    fn on_timer(&mut self, connection: &mut Connection<'_>, state: &mut Self::State) {
        let _ = (connection, state);
    }
}

/// A connection, lent to a callback.
pub struct Connection<'a> {
    pub(crate) handle: &'a Handle,
}

impl Connection<'_> {
    /// Its name, for [`Handle`] and for other threads.
    pub fn id(&self) -> ConnectionId {
        unimplemented!()
    }

    /// Queues a message. It leaves with everything else that this callback, and the others of the same read, queued.
    ///
    /// # Errors
    /// [`SendError::Closing`] after the closing handshake began; [`SendError::Slow`] when the backlog is full, and then
    /// the connection is dropped.
    pub fn send(&mut self, message: Message<'_>) -> Result<(), SendError> {
        let _ = message;
        unimplemented!()
    }

    /// Queues a text message; see [`send`](Self::send).
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.send(Message::Text(text))
    }

    /// Queues a message that was encoded before; see [`send`](Self::send).
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_frame(&mut self, frame: &Frame) -> Result<(), SendError> {
        let _ = frame;
        unimplemented!()
    }

    /// Begins the closing handshake (RFC 6455 §7.1.2). A code that may not be sent becomes 1000, a reason over 123
    /// bytes is cut. After the first call, nothing.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        let _ = (code, reason);
        unimplemented!()
    }

    /// Subscribes to a topic. False, and nothing done, at
    /// [`Limits::subscriptions_max`](crate::Limits::subscriptions_max) and the other limits of topics; true if it was
    /// subscribed already.
    pub fn subscribe(&mut self, topic: &Topic) -> bool {
        let _ = topic;
        unimplemented!()
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, topic: &Topic) {
        let _ = topic;
        unimplemented!()
    }

    /// Sends `frame` to everybody who is subscribed to `topic`, on every worker, but not to this connection.
    ///
    /// # Errors
    /// [`InboxFull`]: a worker is behind; nobody gets it.
    pub fn publish(&mut self, topic: &Topic, frame: &Frame) -> Result<(), InboxFull> {
        self.handle.publish(topic, frame, Some(self.id()))
    }

    /// Bytes that were queued and not yet taken by the system.
    pub fn buffered_amount(&self) -> usize {
        unimplemented!()
    }

    /// Asks for [`Handler::on_timer`] after `delay` (up to 20 ms later than that). A connection has one timer: this
    /// replaces it.
    pub fn set_timer(&mut self, delay: Duration) {
        let _ = delay;
        unimplemented!()
    }

    /// The peer's address; behind a proxy that is the proxy.
    pub fn remote(&self) -> SocketAddr {
        unimplemented!()
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        unimplemented!()
    }

    /// The whole server, also for other threads: clone it.
    pub fn handle(&self) -> &Handle {
        self.handle
    }
}

impl fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
