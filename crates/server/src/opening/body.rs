//! The body of a request, whichever version of HTTP brought it.

use std::fmt;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::http::BoxError;

/// The body of a request that is given to the service of [`Server::http`](crate::Server::http).
pub struct RequestBody(Kind);

enum Kind {
    Http1(Incoming),
    Http2(Http2Body),
}

struct Http2Body {
    stream: RecvStream,
    /// What `Content-Length` says is left. That it is right is for HTTP/2 to see (RFC 9113 §8.1.1).
    left: Option<u64>,
    /// How long nothing may come.
    patience: Duration,
    /// Runs while something is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn http1(body: Incoming) -> Self {
        Self(Kind::Http1(body))
    }

    pub(super) fn http2(stream: RecvStream, length: Option<u64>, patience: Duration) -> Self {
        let left = if stream.is_end_stream() {
            Some(0)
        } else {
            length
        };
        Self(Kind::Http2(Http2Body {
            stream,
            left,
            patience,
            deadline: None,
        }))
    }
}

impl Http2Body {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let Poll::Ready(data) = self.stream.poll_data(cx) else {
            let until = Instant::now() + self.patience;
            let deadline = self
                .deadline
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            ready!(deadline.as_mut().poll(cx));
            let error = std::io::Error::from(ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(error.into())));
        };
        self.deadline = None;
        Poll::Ready(match data {
            Some(Ok(bytes)) => {
                // The service has it now, so the peer may send as much again.
                if let Err(error) = self.stream.flow_control().release_capacity(bytes.len()) {
                    return Poll::Ready(Some(Err(error.into())));
                }
                self.left = self
                    .left
                    .map(|left| left.saturating_sub(bytes.len() as u64));
                Some(Ok(bytes))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Kind::Http1(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            // Trailers are left out: nobody here has a use for them.
            Kind::Http2(body) => body
                .poll_data(cx)
                .map(|data| data.map(|data| data.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2(body) => body.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2(body) => body
                .left
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}
