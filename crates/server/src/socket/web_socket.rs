//! [`WebSocket`]: the state, and the side that reads.
//!
//! Invariants: `input` holds what was received and not looked at yet, at most one read of it, and
//! nothing is read while it is not empty; a deadline is judged only when all that has arrived was
//! looked at, so that a program that was busy elsewhere does not blame its peer; everything that a
//! future has to remember is in the struct, so any of them may be dropped.

use std::fmt;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rupor_proto::{
    ApiMisuse, Close, CloseCode, Connection, Control, DeflateAgreement, Event, OwnedMessage, State,
    Time,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};

use super::WebSocketLimits;
use super::output::Output;
use super::parting::Phase;
use super::shared::{masking_key, with_pool};
use super::wakers::{Side, Wakers};

/// Bytes of one read. They lie on the stack of the thread that polls.
const READ_BYTES: usize = 16 * 1024;

/// What came, for those who want more than messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A whole message.
    Message(OwnedMessage),
    /// A Ping. Its Pong is owed and leaves by itself.
    Ping(Control),
    /// A Pong, asked for or not.
    Pong(Control),
}

/// An open WebSocket over any stream of tokio's, client or server.
///
/// It comes out of an upgrade, a client's connect, or any stream whose handshake was done elsewhere
/// ([`server`](Self::server), [`client`](Self::client)).
///
/// ```
/// # use tokio::io::{AsyncRead, AsyncWrite};
/// # async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut socket: rupor_server::WebSocket<S>) {
/// while let Some(message) = socket.recv().await {
///     if socket.send(&message).await.is_err() {
///         break;
///     }
/// }
/// println!("{:?}", socket.ended());
/// # }
/// ```
///
/// * **Whoever polls drives it.** Pings, pongs, deadlines and the closing handshake happen inside
///   [`recv`](Self::recv), so a program should nearly always be in it.
/// * **Any future may be dropped.** A message is handed out whole or stays, and is queued whole or
///   not at all: `recv` and `send` are at home in `tokio::select!`.
/// * **Everything has a limit** ([`WebSocketLimits`]): what the peer sends by the protocol's, what
///   is unsent by bytes and by time.
/// * **A silent connection owns no buffers.** What is read lies on the thread's stack, and what was
///   written is freed.
/// * **Two tasks can share it**: it is a `Stream` of messages and a `Sink` for them, and
///   `StreamExt::split` of futures-util gives each task a half. The half that reads must be polled
///   on: it keeps the deadlines and finishes what `Sink::close` began.
///
/// Dropping it ends the stream without a closing handshake; the peer sees 1006.
/// [`close`](Self::close) ends in order.
pub struct WebSocket<S> {
    pub(super) stream: S,
    pub(super) connection: Connection,
    pub(super) limits: WebSocketLimits,
    /// The moment that the protocol's time counts from.
    begin: Instant,
    pub(super) client: bool,
    subprotocol: Option<Box<str>>,
    input: Vec<u8>,
    input_at: usize,
    pub(super) output: Output,
    /// Of the side that reads: for the protocol's deadlines.
    timer: Option<Pin<Box<Sleep>>>,
    pub(super) wakers: Arc<Wakers>,
    pub(super) phase: Phase,
    pub(super) end: Option<Box<Close>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The server's end of a handshake that was done elsewhere: the `101` is written. `received`
    /// came behind the request.
    pub fn server(stream: S, received: Vec<u8>, limits: &WebSocketLimits) -> Self {
        let config = Arc::clone(&limits.protocol);
        let connection = Connection::server(config, Time::from_millis(0), seed());
        Self::new(stream, received, limits, connection, false)
    }

    /// The client's end of a handshake that was done elsewhere. `received` came behind the `101`.
    pub fn client(stream: S, received: Vec<u8>, limits: &WebSocketLimits) -> Self {
        let config = Arc::clone(&limits.protocol);
        let keys = Box::new(masking_key);
        let connection = Connection::client(config, Time::from_millis(0), seed(), keys);
        Self::new(stream, received, limits, connection, true)
    }

    fn new(
        stream: S,
        received: Vec<u8>,
        limits: &WebSocketLimits,
        connection: Connection,
        client: bool,
    ) -> Self {
        Self {
            stream,
            connection,
            limits: limits.clone(),
            begin: Instant::now(),
            client,
            subprotocol: None,
            input: received,
            input_at: 0,
            output: Output::default(),
            timer: None,
            wakers: Arc::default(),
            phase: Phase::Open,
            end: None,
        }
    }

    /// The same with permessage-deflate as the handshake agreed to it. To be called before
    /// anything is sent or received.
    #[must_use]
    pub fn with_deflate(mut self, agreement: &DeflateAgreement) -> Self {
        self.connection = self.connection.with_deflate(agreement);
        self
    }

    /// The same with the subprotocol that the handshake chose.
    #[must_use]
    pub fn with_subprotocol(mut self, subprotocol: Option<&str>) -> Self {
        self.subprotocol = subprotocol.map(Into::into);
        self
    }

    /// The next message, or `None` at the end, about which [`ended`](Self::ended) tells. Pings are
    /// answered, deadlines kept, and what is unsent goes out meanwhile.
    ///
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<OwnedMessage> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv), with Pings and Pongs.
    pub async fn recv_event(&mut self) -> Option<Received> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// [`recv`](Self::recv) as a poll function, for those who wait for several things.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<OwnedMessage>> {
        loop {
            match ready!(self.poll_event(cx)) {
                Some(Received::Message(message)) => return Poll::Ready(Some(message)),
                Some(Received::Ping(_) | Received::Pong(_)) => {}
                None => return Poll::Ready(None),
            }
        }
    }

    /// [`recv_event`](Self::recv_event) as a poll function.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        // Messages that were read together are handed out without waiting; a task that takes them
        // must let others have their turn all the same.
        let turn = ready!(coop::poll_proceed(cx));
        let event = self.poll_next_event(cx);
        if event.is_ready() {
            turn.made_progress();
        }
        event
    }

    fn poll_next_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        loop {
            if !matches!(self.phase, Phase::Open) {
                return self.poll_part(cx).map(|()| None);
            }
            if !self.input.is_empty() {
                match self.take_kept() {
                    Some(event) => return Poll::Ready(Some(event)),
                    None => continue,
                }
            }
            // Whether all was written decides nothing here.
            let _ = self.poll_write(cx, Side::Read);
            match self.poll_read(cx) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                Poll::Ready(None) => continue,
                Poll::Pending => {}
            }
            self.wakers.register(Side::Read, cx.waker());
            ready!(self.poll_due(cx));
        }
    }

    /// The next event of what was received before.
    fn take_kept(&mut self) -> Option<Received> {
        let mut kept = std::mem::take(&mut self.input);
        let mut input = kept.get_mut(self.input_at..).unwrap_or_default();
        let event = self.receive(&mut input);
        let rest = input.len();
        if rest > 0 && matches!(self.phase, Phase::Open) {
            self.input_at = kept.len() - rest;
            self.input = kept;
        } else {
            self.input_at = 0;
        }
        event
    }

    /// Reads once and takes the first event out of it. `None`: none was complete, or the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
        let mut input = read.filled_mut();
        if result.is_err() || input.is_empty() {
            let now = self.now();
            if let Some(Event::Closed(close)) = self.connection.receive_eof(now) {
                self.part(close);
            }
            return Poll::Ready(None);
        }
        let event = self.receive(&mut input);
        if matches!(self.phase, Phase::Open) {
            self.input = input.to_vec();
        }
        Poll::Ready(event)
    }

    fn receive(&mut self, input: &mut &mut [u8]) -> Option<Received> {
        let now = self.now();
        let (connection, out) = (&mut self.connection, self.output.bytes());
        let event = if connection.has_deflate() {
            with_pool(|pool| connection.receive_with(pool, input, now, out))
        } else {
            connection.receive(input, now, out)
        };
        let event = match event {
            Some(Event::Message(message)) => Some(Received::Message(message.into_owned())),
            Some(Event::Ping(payload)) => Some(Received::Ping(payload)),
            Some(Event::Pong(payload)) => Some(Received::Pong(payload)),
            Some(Event::Closed(close)) => {
                self.part(close);
                None
            }
            None => None,
        };
        if input.is_empty() && matches!(self.phase, Phase::Open) {
            // A peer that always has something must not keep deadlines from being looked at.
            self.handle_due();
        }
        event
    }

    /// Waits for the next deadline and does what is due.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let protocol = self.connection.poll_timeout();
        let protocol =
            protocol.map(|time| self.begin + std::time::Duration::from_millis(time.as_millis()));
        let Some(due) = [protocol, self.stall_due()].into_iter().flatten().min() else {
            return Poll::Pending;
        };
        ready!(self.poll_until(due, cx));
        self.handle_due();
        Poll::Ready(())
    }

    /// Waits for a moment, with the one timer of the side that reads.
    pub(super) fn poll_until(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        // Most deadlines only move away: then the timer is left to fire for nothing now and then.
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn handle_due(&mut self) {
        if self.is_stalled() {
            return self.end_slow();
        }
        let now = self.now();
        if self.connection.poll_timeout().is_some_and(|due| due <= now)
            && let Some(Event::Closed(close)) =
                self.connection.handle_timeout(now, self.output.bytes())
        {
            self.part(close);
        }
    }

    /// Begins the closing handshake: the Close frame leaves with the next [`recv`](Self::recv) or
    /// [`flush`](Self::flush). From here on nothing can be sent, messages that still arrive are
    /// dropped, and `recv` gives the end when the peer has answered or its time is over.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::CloseCodeNotAllowed`], [`ApiMisuse::CloseReasonTooLong`] over 123 bytes, and
    /// [`ApiMisuse::NotOpen`] if it is closing or closed already.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), ApiMisuse> {
        let now = self.now();
        self.connection
            .close(code, reason, now, self.output.bytes())?;
        // Whoever reads has a nearer deadline now, and whoever waits for room waits in vain.
        self.wake();
        Ok(())
    }

    /// Closes in order: begins the closing handshake, if nobody did, and waits for its end, which
    /// comes by [`close_timeout_ms`](rupor_proto::Config::close_timeout_ms) at the latest.
    /// Messages that are still on their way are dropped.
    ///
    /// Dropping the future does not take the Close frame back.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::CloseCodeNotAllowed`] and [`ApiMisuse::CloseReasonTooLong`]; then nothing was
    /// done.
    pub async fn close(
        &mut self,
        code: impl Into<CloseCode>,
        reason: &str,
    ) -> Result<Close, ApiMisuse> {
        match self.start_close(code.into(), reason) {
            Ok(()) | Err(ApiMisuse::NotOpen) => {}
            Err(error) => return Err(error),
        }
        while self.recv().await.is_some() {}
        self.end.as_deref().cloned().ok_or(ApiMisuse::NotOpen)
    }

    pub(super) fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Forgets what was received and not looked at, and the timer.
    pub(super) fn forget(&mut self) {
        self.input = Vec::new();
        self.timer = None;
    }
}

impl<S> WebSocket<S> {
    /// How it ended, once [`recv`](Self::recv) has said that it did: code, reason, who began, and
    /// whether the closing handshake was done.
    pub fn ended(&self) -> Option<&Close> {
        self.end.as_deref()
    }

    /// Whether messages can be sent: no Close frame went either way, and the stream is not broken.
    pub fn is_open(&self) -> bool {
        self.connection.state() == State::Open && !self.output.is_broken()
    }

    /// The subprotocol that the handshake chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Whether permessage-deflate was agreed to, and the connection is not over.
    pub fn has_deflate(&self) -> bool {
        self.connection.has_deflate()
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Wakes both sides.
    pub(super) fn wake(&self) {
        std::task::Wake::wake_by_ref(&self.wakers);
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("connection", &self.connection)
            .field("unsent_bytes", &self.output.unsent())
            .field("ended", &self.end)
            .finish_non_exhaustive()
    }
}

/// Spreads pings; need not be secret.
fn seed() -> u64 {
    let [low, high] = [masking_key(), masking_key()].map(u32::from_ne_bytes);
    u64::from(low) | u64::from(high) << 32
}
