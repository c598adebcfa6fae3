//! The end: what is owed is written, the stream is shut down, and the peer is given a moment to
//! read it.
//!
//! A system that closes a connection with unread bytes resets it, and a reset may overtake the Close
//! frame that says why. So after a broken rule, what still arrives is read past for a while. A
//! client also waits for the server to end the TCP connection first (RFC 6455 §7.1.1).

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rupor_proto::Close;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::WebSocket;
use super::wakers::Side;

/// Bytes that are read past, at most.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Where it is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// Not at its end.
    Open,
    /// The protocol is done, the stream is not.
    Parting {
        until: Instant,
        /// Bytes that may still be read past; none for a peer that is not waited for.
        past: usize,
        /// Whether everything was written and the stream shut down.
        said: bool,
    },
    /// Nothing happens any more.
    Over,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The protocol is done.
    pub(super) fn part(&mut self, close: Close) {
        let waits = match close.error {
            // Who is not there any more, or does not answer, is not waited for.
            Some(error) => error.close_code().is_sendable(),
            None => close.clean && self.client,
        };
        self.phase = Phase::Parting {
            until: Instant::now() + Duration::from_millis(self.limits.linger_ms.into()),
            past: if waits { LINGER_BYTES_MAX } else { 0 },
            said: false,
        };
        self.end = Some(Box::new(close));
        self.forget();
        self.wake();
    }

    /// Ready when it is over.
    pub(super) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Phase::Parting { until, .. } = self.phase else {
            return Poll::Ready(());
        };
        if self.poll_farewell(cx).is_pending() {
            self.wakers.register(Side::Read, cx.waker());
            ready!(self.poll_until(until, cx));
        }
        self.over();
        Poll::Ready(())
    }

    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_write(cx, Side::Read));
        let Phase::Parting { past, said, .. } = &mut self.phase else {
            return Poll::Ready(());
        };
        if !*said {
            self.wakers.register(Side::Read, cx.waker());
            let waker = Waker::from(Arc::clone(&self.wakers));
            let mut both = Context::from_waker(&waker);
            // A stream that cannot be shut down is at its end already.
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(&mut both));
            *said = true;
        }
        while *past > 0 {
            let mut space = [const { MaybeUninit::uninit() }; 1024];
            let mut read = ReadBuf::uninit(&mut space);
            let result = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
            if result.is_err() || read.filled().is_empty() {
                break;
            }
            *past = past.saturating_sub(read.filled().len());
        }
        Poll::Ready(())
    }

    pub(super) fn over(&mut self) {
        self.phase = Phase::Over;
        self.output.give_up();
        self.forget();
        self.wake();
    }
}
