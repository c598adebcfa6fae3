//! [`WebSocket`] as a `Stream` of messages and a `Sink` for them, for programs that use
//! `futures-util`: `StreamExt::split` gives one half to another task.
//!
//! Both halves wake each other: what one of them finds out (the end, above all) the other learns.
//! The half that reads must be polled on: it keeps the deadlines, answers pings, and finishes what
//! `Sink::close` began.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_sink::Sink;
use rupor_proto::OwnedMessage;
use tokio::io::{AsyncRead, AsyncWrite};

use super::WebSocket;
use crate::error::SendError;

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = OwnedMessage;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<OwnedMessage>> {
        self.get_mut().poll_recv(cx)
    }
}

/// Closing the sink sends a Close frame with 1000; the closing handshake ends in the half that
/// reads.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<OwnedMessage> for WebSocket<S> {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: OwnedMessage) -> Result<(), SendError> {
        self.get_mut().queue(message.as_message(), true)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_say_close(cx)
    }
}
