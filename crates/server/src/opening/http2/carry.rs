//! Carrying a WebSocket's bytes between its stream and its worker's pipe.
//!
//! Flow control goes from end to end: the peer gets credit for what the worker has read, and the
//! worker writes as long as the peer has room and a little waits here.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::time::{Instant, Sleep, sleep_until};

use super::reply::poll_room;
use crate::worker::{Feed, WorkerEnd};

/// A WebSocket's stream, its worker's pipe, and what is between them.
pub(super) struct Carrier {
    receive: RecvStream,
    send: SendStream<Bytes>,
    feed: Feed,
    /// What the worker wrote and HTTP/2 has not taken.
    unsent: Bytes,
    /// END_STREAM came.
    received_all: bool,
    /// END_STREAM was sent.
    sent_all: bool,
    /// How long what is unsent may take once the worker has gone.
    linger: Duration,
    leave: Option<Pin<Box<Sleep>>>,
}

/// Something was done, so there may be more to do; or the stream is over.
enum Step {
    Again,
    Wait,
    Over,
}

impl Carrier {
    pub(super) fn new(
        receive: RecvStream,
        send: SendStream<Bytes>,
        feed: Feed,
        linger: Duration,
    ) -> Self {
        Self {
            receive,
            send,
            feed,
            unsent: Bytes::new(),
            received_all: false,
            sent_all: false,
            linger,
            leave: None,
        }
    }

    /// Runs until the WebSocket is over. When the stream breaks, the worker finds that out when
    /// the feed is dropped.
    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // RST_STREAM, or the end of the connection.
        if !self.sent_all && self.send.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.poll_receive(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            match self.step(cx) {
                Step::Again => {}
                Step::Wait => return Poll::Pending,
                Step::Over => return Poll::Ready(()),
            }
        }
    }

    /// Takes what the peer sent; ready when the stream is broken. No more comes at once than the
    /// window lets.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.received_all {
            match self.receive.poll_data(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.feed.push(&bytes),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(()),
                Poll::Ready(None) => {
                    self.received_all = true;
                    self.feed.finish();
                }
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Step {
        let turn = self.feed.turn(cx, self.unsent.len());
        if turn.credit > 0
            && self
                .receive
                .flow_control()
                .release_capacity(turn.credit)
                .is_err()
        {
            return Step::Over;
        }
        if self.unsent.is_empty() {
            self.unsent = turn.bytes.into();
        }
        if !self.unsent.is_empty() {
            match poll_room(&mut self.send, self.unsent.len(), cx) {
                Poll::Ready(Ok(room)) => {
                    let part = self.unsent.split_to(room.min(self.unsent.len()));
                    return match self.send.send_data(part, false) {
                        Ok(()) => Step::Again,
                        Err(_) => Step::Over,
                    };
                }
                Poll::Ready(Err(_)) => return Step::Over,
                Poll::Pending => {}
            }
        } else if turn.worker_end != WorkerEnd::Sending && !self.sent_all {
            self.sent_all = true;
            if self.send.send_data(Bytes::new(), true).is_err() {
                return Step::Over;
            }
        }
        if turn.worker_end != WorkerEnd::Gone {
            return Step::Wait;
        }
        if self.sent_all {
            return Step::Over;
        }
        self.give_up(cx)
    }

    /// The worker has gone and something is unsent: the peer has a moment to take it.
    fn give_up(&mut self, cx: &mut Context<'_>) -> Step {
        let until = Instant::now() + self.linger;
        let leave = self
            .leave
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if leave.as_mut().poll(cx).is_pending() {
            return Step::Wait;
        }
        self.send.send_reset(Reason::CANCEL);
        Step::Over
    }
}
