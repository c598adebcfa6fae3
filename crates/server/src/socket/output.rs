//! The side that writes: messages become bytes, and bytes leave when the stream takes them.
//!
//! Invariants: what is unsent is at most
//! [`unsent_bytes_max`](super::WebSocketLimits::unsent_bytes_max), one message, and the Pongs of one
//! read (while the stream takes nothing only the newest Ping is answered); it is freed when it is
//! written.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rupor_proto::{ApiMisuse, Close, CloseCode, Initiator, Message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use super::WebSocket;
use super::parting::Phase;
use super::shared::with_pool;
use super::wakers::Side;
use crate::error::SendError;
use crate::worker::CLOSE_SLOW;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// How much of it is written.
    at: usize,
    /// Whether something was written that the stream may still hold back, TLS for one.
    unflushed: bool,
    /// Nothing can be written any more.
    broken: bool,
    /// Since when the peer has taken nothing.
    stalled_since: Option<Instant>,
    /// Of the side that writes: for the end of its patience.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Output {
    /// Where the protocol appends to.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if self.at > 0 && self.at >= self.unsent() {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        &mut self.bytes
    }

    pub(super) fn unsent(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes everything, and frees it.
    fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(stream);
        while let Some(rest @ [_, ..]) = self.bytes.get(self.at..) {
            let Poll::Ready(written) = stream.as_mut().poll_write(cx, rest) else {
                return self.stall();
            };
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.at += count,
            }
            self.unflushed = true;
            self.stalled_since = None;
        }
        self.bytes = Vec::new();
        self.at = 0;
        let Poll::Ready(flushed) = stream.poll_flush(cx) else {
            return self.stall();
        };
        flushed?;
        self.unflushed = false;
        self.stalled_since = None;
        Poll::Ready(Ok(()))
    }

    fn stall<T>(&mut self) -> Poll<T> {
        self.stalled_since.get_or_insert_with(Instant::now);
        Poll::Pending
    }

    /// Throws away what is unsent: nobody will read it.
    pub(super) fn give_up(&mut self) {
        *self = Self {
            broken: true,
            ..Self::default()
        };
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Sends a message and waits until it is written: [`feed`](Self::feed) and
    /// [`flush`](Self::flush). It is compressed if permessage-deflate was agreed to and it is worth
    /// while.
    ///
    /// While it waits nothing is read. Where both ends may send much at once, read on in another
    /// task (`StreamExt::split`), or queue with [`try_feed`](Self::try_feed).
    ///
    /// Dropping the future leaves the message unsent as a whole, or queued as a whole: then it
    /// leaves with the next call.
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] when the connection is ending, [`SendError::Slow`] when the peer took
    /// nothing for too long.
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        self.feed(message).await?;
        self.flush().await
    }

    /// [`send`](Self::send), never compressed: for messages that have a secret beside text that
    /// others choose, about which their compressed size would tell.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub async fn send_uncompressed<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
    ) -> Result<(), SendError> {
        self.ready().await?;
        self.queue(message.into(), false)?;
        self.flush().await
    }

    /// Waits for room and queues a message, so that several leave together with the next
    /// [`flush`](Self::flush) or [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub async fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        self.ready().await?;
        self.queue(message.into(), true)
    }

    /// Queues a message without waiting.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] when there is no room ([`can_feed`](Self::can_feed)), and
    /// [`SendError::Closing`].
    pub fn try_feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        if !self.can_feed() {
            return Err(SendError::Full);
        }
        self.queue(message.into(), true)
    }

    /// Waits until there is room for a message.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub async fn ready(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.poll_ready(cx)).await
    }

    /// Waits until all that was queued is written.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a Ping with at most 125 bytes of payload, which the peer repeats in its Pong: see
    /// [`recv_event`](Self::recv_event). The Pings that keep the connection alive are sent without
    /// this.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::ControlTooLong`]; [`ApiMisuse::NotOpen`] when the connection is ending or the
    /// peer took nothing for too long.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), ApiMisuse> {
        self.ready().await.map_err(|_| ApiMisuse::NotOpen)?;
        self.try_ping(payload)?;
        self.flush().await.map_err(|_| ApiMisuse::NotOpen)
    }

    /// Queues a Ping without waiting, as [`try_feed`](Self::try_feed) does a message; but there is
    /// always room for it.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::ControlTooLong`] and [`ApiMisuse::NotOpen`].
    pub fn try_ping(&mut self, payload: &[u8]) -> Result<(), ApiMisuse> {
        self.connection.send_ping(payload, self.output.bytes())
    }

    /// Whether fewer bytes are unsent than
    /// [`unsent_bytes_max`](super::WebSocketLimits::unsent_bytes_max).
    pub fn can_feed(&self) -> bool {
        self.output.unsent() < self.limits.unsent_bytes_max.max(1)
    }

    /// [`ready`](Self::ready) as a poll function.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if !self.is_open() {
            return Poll::Ready(Err(SendError::Closing));
        }
        if self.can_feed() {
            return Poll::Ready(Ok(()));
        }
        match self.poll_flush(cx) {
            Poll::Pending if self.can_feed() => Poll::Ready(Ok(())),
            result => result,
        }
    }

    /// [`flush`](Self::flush) as a poll function.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.poll_write(cx, Side::Write).is_ready() {
            self.output.timer = None;
            return Poll::Ready(match self.output.broken {
                true => Err(SendError::Closing),
                false => Ok(()),
            });
        }
        let Some(due) = self.stall_due() else {
            return Poll::Pending;
        };
        let timer = self
            .output
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        self.end_slow();
        Poll::Ready(Err(SendError::Slow))
    }

    /// Makes bytes of a message.
    pub(super) fn queue(&mut self, message: Message<'_>, compress: bool) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closing);
        }
        let (connection, out) = (&mut self.connection, self.output.bytes());
        let queued = if compress && connection.has_deflate() {
            with_pool(|pool| connection.send_deflated(message, pool, out))
        } else {
            connection.send(message, out)
        };
        queued.map_err(|_| SendError::Closing)
    }

    /// Writes what there is. Ready: all of it, or nothing can be written any more.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, side: Side) -> Poll<()> {
        if self.output.broken {
            self.output.give_up();
        }
        if self.output.unsent() == 0 && !self.output.unflushed {
            return Poll::Ready(());
        }
        self.wakers.register(side, cx.waker());
        let waker = Waker::from(Arc::clone(&self.wakers));
        let mut both = Context::from_waker(&waker);
        loop {
            let Poll::Ready(written) = self.output.poll_write(&mut self.stream, &mut both) else {
                // What a peer that does not read is owed for its Pings is one Pong.
                self.connection.hold_pongs();
                return Poll::Pending;
            };
            if written.is_err() {
                self.output.give_up();
                return Poll::Ready(());
            }
            self.connection.release_pong(&mut self.output.bytes);
            if self.output.bytes.is_empty() {
                return Poll::Ready(());
            }
        }
    }

    /// When the peer's time to take something is over.
    pub(super) fn stall_due(&self) -> Option<Instant> {
        let patience = self.limits.stall_timeout_ms;
        let since = self.output.stalled_since.filter(|_| patience > 0)?;
        Some(since + Duration::from_millis(patience.into()))
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stall_due().is_some_and(|due| due <= Instant::now())
    }

    /// Gives up a peer that takes nothing.
    pub(super) fn end_slow(&mut self) {
        let now = self.now();
        // The protocol is told that it is over, and has nothing to say about why.
        let _ = self.connection.receive_eof(now);
        self.output.give_up();
        self.end = Some(Box::new(Close {
            code: CLOSE_SLOW,
            reason: "reads too slowly".to_owned(),
            initiator: Initiator::Local,
            clean: false,
            error: None,
        }));
        self.over();
    }

    /// For `Sink`, whose end carries no code: closes with 1000 and writes the Close frame.
    pub(super) fn poll_say_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if matches!(self.phase, Phase::Open) {
            // Closing a second time is refused, and only goes on writing.
            let _ = self.start_close(CloseCode::NORMAL, "");
        }
        match ready!(self.poll_flush(cx)) {
            // That the peer is gone is no failure of closing.
            Ok(()) | Err(SendError::Closing) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}
