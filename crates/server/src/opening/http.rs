//! Everything of HTTP/1.1 that is no upgrade: hyper speaks it, the program's service answers.
//!
//! Every head is read by us, the first of a connection and those that follow, so one parser and one
//! set of deadlines judges them all. hyper is given one request at a time, its body cut off where
//! the head says that it ends, and gives the stream back when the answer has left.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tower_service::Service;

use super::Opening;
use super::answer::Answer;
use super::body::RequestBody;
use super::request::Extent;
use super::stream::Stream;
use crate::admit::Admit;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;
type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// The least that hyper takes as a buffer's limit.
const HYPER_BUFFER_BYTES_MIN: usize = 8192;

/// The client's address as [`ClientAddress`](crate::ClientAddress) has it, among the extensions of a request that is given to the HTTP service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

/// The program's service, boxed.
#[derive(Clone)]
pub(crate) struct HttpService(Arc<dyn Fn(Request<RequestBody>) -> Answering + Send + Sync>);

impl HttpService {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                // Neither can fail: the error is `Infallible`.
                if let Err(never) = poll_fn(|cx| service.poll_ready(cx)).await {
                    match never {}
                }
                match service.call(request).await {
                    Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
                    Err(never) => match never {},
                }
            })
        }))
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpService")
    }
}

/// A connection whose request was answered.
pub(crate) struct Answered {
    pub(crate) stream: Stream,
    /// What came behind the request; `None` if no other request may follow.
    pub(crate) behind: Option<Vec<u8>>,
}

impl<A: Admit> Opening<A> {
    /// Has one request answered, of which `received` is what there is. `None`: nothing moved for
    /// too long.
    pub(crate) async fn serve_http(
        &self,
        stream: Stream,
        received: Vec<u8>,
        extent: Extent,
        remote: SocketAddr,
    ) -> Option<Answered> {
        let may_stay = extent.may_stay && !self.is_ending();
        let watch = Arc::new(Watch::default());
        let io = TokioIo::new(HttpIo::new(
            stream,
            received,
            extent.len,
            Arc::clone(&watch),
        ));
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(RemoteAddr(remote));
            let watch = &watch;
            Box::pin(async move {
                let response = self.answer(request.map(RequestBody::http1)).await;
                if asks_to_close(&response) {
                    watch.closes.store(true, Ordering::Relaxed);
                }
                Ok::<_, Infallible>(response)
            })
        });
        let mut builder = http1::Builder::new();
        builder
            // The end of the request is the end of what hyper can read. It still has to answer.
            .half_close(true)
            .keep_alive(may_stay)
            .max_headers(self.limits.head.headers_max)
            .max_buf_size(self.limits.head.head_bytes_max.max(HYPER_BUFFER_BYTES_MIN));
        let mut connection = builder.serve_connection(io, service);
        let mut ending = self.handle.shared().ending.subscribe();
        let mut asked_to_end = false;
        let done = loop {
            tokio::select! {
                result = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break result.is_ok(),
                () = watch.idle(self.http_idle_timeout()) => return None,
                changed = ending.wait_for(Option::is_some), if !asked_to_end => {
                    asked_to_end = true;
                    if changed.is_ok() {
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                }
            }
        };
        let HttpIo {
            stream,
            received,
            left,
            ..
        } = connection.into_parts().io.into_inner();
        let stays =
            done && may_stay && !asked_to_end && left == 0 && !watch.closes.load(Ordering::Relaxed);
        Some(Answered {
            stream,
            behind: stays.then(|| received.into()),
        })
    }

    pub(super) fn http_idle_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.limits.http_idle_timeout_ms))
    }

    pub(super) async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        if let Some(HttpService(service)) = &self.http {
            return service(request).await;
        }
        // By HTTP/2 there is no `Upgrade` to ask for.
        let may_upgrade = request.version() < Version::HTTP_2;
        let answer = if may_upgrade && request.method() == http::Method::GET {
            let mut answer =
                Answer::new(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket server");
            let websocket = HeaderValue::from_static("websocket");
            answer.headers.push((header::UPGRADE, websocket));
            answer
        } else {
            Answer::new(StatusCode::NOT_FOUND, "this is a WebSocket server")
        };
        response(&answer)
    }
}

/// A refusal as hyper sends it: it closes the connection too.
pub(super) fn response(answer: &Answer) -> Response<Body> {
    answer.to_response().map(|text| {
        let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
        body.boxed_unsync()
    })
}

/// Whether it says that it is the connection's last.
fn asks_to_close(response: &Response<Body>) -> bool {
    let values = response.headers().get_all(header::CONNECTION).iter();
    let mut tokens = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tokens.any(|token| token.trim().eq_ignore_ascii_case("close"))
}

/// What is known of a connection's stream while hyper has it.
#[derive(Debug)]
struct Watch {
    /// Whether the answer says that it is the last.
    closes: AtomicBool,
    started: Instant,
    /// When a byte last moved, in milliseconds since `started`.
    moved_ms: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            closes: AtomicBool::new(false),
            started: Instant::now(),
            moved_ms: AtomicU64::new(0),
        }
    }
}

impl Watch {
    fn moved(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
    }

    /// Waits until no byte has moved for `patience`.
    async fn idle(&self, patience: Duration) {
        loop {
            let moved = Duration::from_millis(self.moved_ms.load(Ordering::Relaxed));
            let at = self.started + moved + patience;
            if at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(at).await;
        }
    }
}

/// The stream as hyper sees it: one request, and then the end.
#[derive(Debug)]
struct HttpIo {
    stream: Stream,
    /// What was read already, perhaps beyond the request.
    received: Bytes,
    /// Bytes of the request that hyper has not been given.
    left: u64,
    /// Whether the peer does not take what is written.
    blocked: bool,
    /// Who waits for the end until it does.
    reader: Option<Waker>,
    watch: Arc<Watch>,
}

impl HttpIo {
    fn new(stream: Stream, received: Vec<u8>, len: u64, watch: Arc<Watch>) -> Self {
        Self {
            stream,
            received: received.into(),
            left: len,
            blocked: false,
            reader: None,
            watch,
        }
    }

    /// At the end hyper lets go of the stream, and of what it has not written: so the end does not
    /// come before the peer has taken that.
    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.blocked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for HttpIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let most = usize::try_from(this.left).unwrap_or(usize::MAX);
        if most == 0 {
            return this.poll_end(cx);
        }
        let most = most.min(into.remaining());
        let count = if this.received.is_empty() {
            let mut part = ReadBuf::new(into.initialize_unfilled_to(most));
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
            let count = part.filled().len();
            into.advance(count);
            count
        } else {
            let count = most.min(this.received.len());
            into.put_slice(&this.received.split_to(count));
            count
        };
        if count > 0 {
            this.watch.moved();
        }
        this.left = this.left.saturating_sub(count as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(1..)) = result {
            this.watch.moved();
        }
        this.blocked = result.is_pending();
        if !this.blocked
            && let Some(reader) = this.reader.take()
        {
            reader.wake();
        }
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
