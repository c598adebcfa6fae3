//! Everything that is no upgrade: hyper speaks HTTP/1.1, the program's service answers.
//!
//! An upgrade may also come as a later request of such a connection. It passes the same checks;
//! then hyper gives the stream back, and with it the 101, which was held and has not left: the
//! worker sends it when the handler knows of the connection.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use rupor_proto::handshake::{HttpVersion, Upgrade};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tower_service::Service;

use super::Opening;
use super::answer::Answer;
use super::gate::Permit;
use super::head::origin_form;
use super::stream::Stream;
use super::upgrade::Decided;
use crate::admit::{Admit, UpgradeRequest};
use crate::stats::RefusalReason;

type BoxError = Box<dyn StdError + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;
type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// The least that hyper takes as a buffer's limit.
const HYPER_BUFFER_BYTES_MIN: usize = 8192;

/// Unsent bytes of earlier answers that may stand before a held 101.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// The peer's address, among the extensions of a request that is given to the HTTP service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

/// The program's service, boxed.
#[derive(Clone)]
pub(crate) struct HttpService(Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>);

impl HttpService {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
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

/// An admitted upgrade, until hyper gives the stream back.
type Pending<A> = Mutex<Option<(OnUpgrade, Decided<A>)>>;

impl<A: Admit> Opening<A> {
    /// Serves a connection whose first request, in `received`, is no upgrade.
    pub(crate) async fn serve_http(
        self: &Arc<Self>,
        stream: Stream,
        received: Vec<u8>,
        remote: SocketAddr,
        permit: Permit,
    ) {
        let secure = matches!(stream, Stream::Tls(_));
        let watch = Arc::new(Watch::default());
        let io = TokioIo::new(HttpIo::new(stream, received, Arc::clone(&watch)));
        let pending: Pending<A::Admission> = Mutex::new(None);
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(RemoteAddr(remote));
            let (pending, permit, watch) = (&pending, &permit, &watch);
            async move {
                Ok::<_, Infallible>(if asks_for_websocket(&request) {
                    self.upgrade_later(request, remote, secure, permit, pending, watch)
                        .await
                } else {
                    self.answer(request).await
                })
            }
        });
        let head_timeout = Duration::from_millis(u64::from(self.limits.opening_timeout_ms));
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_headers(self.limits.head.headers_max)
            .max_buf_size(self.limits.head.head_bytes_max.max(HYPER_BUFFER_BYTES_MIN));
        let done = {
            let connection = builder.serve_connection(io, service).with_upgrades();
            let mut connection = pin!(connection);
            let mut ending = self.handle.shared().ending.subscribe();
            let mut asked_to_end = false;
            loop {
                tokio::select! {
                    result = connection.as_mut() => break result.is_ok(),
                    () = watch.idle(self.http_idle_timeout()) => break false,
                    changed = ending.wait_for(Option::is_some), if !asked_to_end => {
                        asked_to_end = true;
                        if changed.is_ok() {
                            connection.as_mut().graceful_shutdown();
                        }
                    }
                }
            }
        };
        let upgraded = pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        if done
            && let Some((on_upgrade, decided)) = upgraded
            && let Ok(upgraded) = on_upgrade.await
            && let Ok(parts) = upgraded.downcast::<TokioIo<HttpIo>>()
        {
            let (stream, held) = parts.io.into_inner().into_parts();
            let decided = Decided {
                response: held,
                ..decided
            };
            self.adopt(stream, decided, parts.read_buf.to_vec(), permit)
                .await;
        }
    }

    fn http_idle_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.limits.http_idle_timeout_ms))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if let Some(HttpService(service)) = &self.http {
            return service(request).await;
        }
        let answer = if request.method() == http::Method::GET {
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

    async fn upgrade_later(
        &self,
        mut request: Request<Incoming>,
        remote: SocketAddr,
        secure: bool,
        permit: &Permit,
        pending: &Pending<A::Admission>,
        watch: &Watch,
    ) -> Response<Body> {
        let upgrade = match parts_to_upgrade(&request) {
            Ok(upgrade) => upgrade,
            Err(error) => {
                self.counters.refused(RefusalReason::Malformed);
                return response(&Answer::from(&error));
            }
        };
        let on_upgrade = hyper::upgrade::on(&mut request);
        let target = request.uri().to_string();
        let asked = UpgradeRequest {
            target: origin_form(&target).to_owned(),
            headers: std::mem::take(request.headers_mut()),
            subprotocols: upgrade.subprotocols.clone(),
            remote,
            secure,
        };
        match self.decide(&upgrade, asked, permit).await {
            Err(answer) => response(&answer),
            Ok(decided) => {
                let switching = switching_protocols(&decided.response);
                *pending.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((on_upgrade, decided));
                watch.hold.store(true, Ordering::Release);
                switching
            }
        }
    }
}

/// A refusal as hyper sends it: it closes the connection too.
fn response(answer: &Answer) -> Response<Body> {
    let mut body = answer.reason.clone();
    body.push('\n');
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    for (name, value) in &answer.headers {
        headers.append(name, value.clone());
    }
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, plain);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The 101 that was written for the wire, as hyper wants it.
fn switching_protocols(bytes: &[u8]) -> Response<Body> {
    let body = Full::new(Bytes::new()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for line in bytes.split(|byte| *byte == b'\n').skip(1) {
        let line = line.trim_ascii_end();
        if let Some(colon) = line.iter().position(|byte| *byte == b':')
            && let Some((name, value)) = line.split_at_checked(colon)
            && let Ok(name) = HeaderName::from_bytes(name)
            && let Some(value) = value.strip_prefix(b":")
            && let Ok(value) = HeaderValue::from_bytes(value.trim_ascii())
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn asks_for_websocket(request: &Request<Incoming>) -> bool {
    request
        .headers()
        .get_all(header::UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("websocket"))
}

fn parts_to_upgrade(
    request: &Request<Incoming>,
) -> Result<Upgrade, rupor_proto::handshake::HandshakeError> {
    let version = if request.version() == Version::HTTP_10 {
        HttpVersion::Http10
    } else {
        HttpVersion::Http11
    };
    let headers = request.headers().iter();
    Upgrade::from_parts(
        request.method().as_str(),
        &request.uri().to_string(),
        version,
        headers.map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

/// What is known of a connection's stream while hyper has it.
#[derive(Debug)]
struct Watch {
    /// What is written from now on is kept, not sent.
    hold: AtomicBool,
    started: Instant,
    /// When a byte last moved, in milliseconds since `started`.
    moved_ms: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            hold: AtomicBool::new(false),
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

/// The stream as hyper sees it: what was read already comes first, and what is written may be held.
#[derive(Debug)]
struct HttpIo {
    stream: Stream,
    received: Bytes,
    held: Vec<u8>,
    watch: Arc<Watch>,
}

impl HttpIo {
    fn new(stream: Stream, received: Vec<u8>, watch: Arc<Watch>) -> Self {
        Self {
            stream,
            received: received.into(),
            held: Vec::new(),
            watch,
        }
    }

    fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.held)
    }
}

impl AsyncRead for HttpIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.received.is_empty() {
            let count = this.received.len().min(into.remaining());
            into.put_slice(&this.received.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, into);
        if into.filled().len() > before {
            this.watch.moved();
        }
        result
    }
}

impl AsyncWrite for HttpIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.watch.hold.load(Ordering::Acquire) {
            if this.held.len() + bytes.len() > HELD_BYTES_MAX {
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            this.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(1..)) = result {
            this.watch.moved();
        }
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.hold.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
