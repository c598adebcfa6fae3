//! A client of HTTP/2 that blocks: the `h2` crate's, on a thread of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Method, Request};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use rupor_testkit::{Client, DEADLINE, Link, Response};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::Up;
use super::super::tls::{Pair, client_config};

/// An HTTP/2 connection.
pub(crate) struct Http2 {
    runtime: Arc<Runtime>,
    requests: SendRequest<Bytes>,
    over: Option<oneshot::Receiver<Option<Reason>>>,
}

/// A stream whose response came.
pub(crate) struct Answered {
    pub(crate) response: ::http::response::Parts,
    pub(crate) stream: StreamLink,
}

/// A stream as the test client takes it.
pub(crate) struct StreamLink {
    runtime: Arc<Runtime>,
    pub(crate) send: SendStream<Bytes>,
    receive: RecvStream,
    rest: Bytes,
    wait: Duration,
    /// Whether what was read may be sent again.
    pub(crate) gives_credit: bool,
}

impl Http2 {
    pub(crate) fn connect(up: &Up, pair: &Pair) -> Self {
        Self::with(up, pair, &Builder::new())
    }

    pub(crate) fn with(up: &Up, pair: &Pair, builder: &Builder) -> Self {
        Self::over(up.tcp(), pair, builder)
    }

    pub(crate) fn over(tcp: std::net::TcpStream, pair: &Pair, builder: &Builder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let connector = TlsConnector::from(client_config(&pair.certificate, &[b"h2", b"http/1.1"]));
        let (tell, over) = oneshot::channel();
        let requests = runtime.block_on(async {
            tcp.set_nonblocking(true).unwrap();
            tcp.set_nodelay(true).unwrap();
            let tcp = TcpStream::from_std(tcp).unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let tls = connector.connect(name, tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (requests, connection) = builder.handshake(tls).await.unwrap();
            tokio::spawn(async move {
                let reason = connection.await.err().and_then(|error| error.reason());
                let _ = tell.send(reason);
            });
            requests
        });
        Self {
            runtime: Arc::new(runtime),
            requests,
            over: Some(over),
        }
    }

    /// An extended CONNECT as RFC 8441 has it.
    pub(crate) fn connect_request(target: &str) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = format!("https://localhost{target}").parse().unwrap();
        request
            .extensions_mut()
            .insert(Protocol::from_static("websocket"));
        let version = "13".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-version", version);
        request
    }

    /// Waits until the server said that it knows extended CONNECT, which a client has to
    /// (RFC 8441 §3).
    pub(crate) fn wait_for_settings(&self) {
        rupor_testkit::wait_until("SETTINGS_ENABLE_CONNECT_PROTOCOL", || {
            self.requests.is_extended_connect_protocol_enabled()
        });
    }

    /// Sends a request whose stream stays open.
    pub(crate) fn ask(&self, request: Request<()>) -> Result<Answered, h2::Error> {
        let (response, send) = self.begin(request);
        let response = self.in_time(response)?;
        let (response, receive) = response.into_parts();
        Ok(Answered {
            response,
            stream: self.stream(send, receive),
        })
    }

    /// Sends the head of a request and waits for nothing.
    pub(crate) fn begin(
        &self,
        request: Request<()>,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        self.begin_with(request, false)
    }

    /// The same; `ends`: whether nothing follows.
    fn begin_with(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        self.wait_for_settings();
        let requests = self.requests.clone();
        let mut requests = self.in_time(requests.ready()).unwrap();
        requests.send_request(request, ends).unwrap()
    }

    pub(crate) fn in_time<T>(&self, future: impl Future<Output = T>) -> T {
        let in_time = async { timeout(DEADLINE, future).await };
        self.runtime.block_on(in_time).unwrap()
    }

    fn stream(&self, send: SendStream<Bytes>, receive: RecvStream) -> StreamLink {
        StreamLink {
            runtime: Arc::clone(&self.runtime),
            send,
            receive,
            rest: Bytes::new(),
            wait: DEADLINE,
            gives_credit: true,
        }
    }

    /// Opens a WebSocket.
    pub(crate) fn open(&self, target: &str) -> Client {
        self.ask(Self::connect_request(target)).unwrap().open()
    }

    /// The status of a refused CONNECT, and its headers.
    pub(crate) fn refused(&self, request: Request<()>) -> (u16, HeaderMap) {
        let response = self.ask(request).unwrap().response;
        assert!(!response.status.is_success(), "{response:?}");
        (response.status.as_u16(), response.headers)
    }

    /// A whole request and its answer.
    pub(crate) fn http(&self, method: &str, target: &str, body: &[u8]) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://localhost{target}"))
            .body(())
            .unwrap();
        let mut body = Bytes::copy_from_slice(body);
        // Whoever answers before the end of a request resets its stream, on which an end cannot be sent any more.
        let (response, mut send) = self.begin_with(request, body.is_empty());
        while !body.is_empty() {
            send.reserve_capacity(body.len());
            let room = self.in_time(std::future::poll_fn(|cx| send.poll_capacity(cx)));
            let part = body.split_to(room.unwrap().unwrap().min(body.len()));
            send.send_data(part, body.is_empty()).unwrap();
        }
        let (response, receive) = self.in_time(response).unwrap().into_parts();
        let mut text = String::new();
        self.stream(send, receive)
            .read_to_string(&mut text)
            .unwrap();
        (response.status.as_u16(), text)
    }

    /// Waits for the connection's end, and says how GOAWAY explained it.
    pub(crate) fn end(&mut self) -> Option<Reason> {
        let over = self.over.take().unwrap();
        self.in_time(over).unwrap()
    }
}

impl Answered {
    /// The WebSocket that a 200 opened.
    pub(crate) fn open(self) -> Client {
        assert_eq!(self.response.status, 200);
        let headers = self.response.headers.iter();
        let text = |value: &::http::HeaderValue| value.to_str().unwrap().to_owned();
        let response = Response {
            status: 200,
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: Vec::new(),
        };
        Client::over(self.stream, response)
    }
}

impl StreamLink {
    /// Why the stream was reset.
    pub(crate) fn reset(&mut self) -> Reason {
        let reset = std::future::poll_fn(|cx| self.send.poll_reset(cx));
        let reset = async { timeout(DEADLINE, reset).await };
        self.runtime.block_on(reset).unwrap().unwrap()
    }
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(ErrorKind::ConnectionReset, error)
}

impl Read for StreamLink {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let receive = &mut self.receive;
            let data = async { timeout(self.wait, receive.data()).await };
            match self.runtime.block_on(data) {
                Err(_) => return Err(ErrorKind::WouldBlock.into()),
                Ok(None) => return Ok(0),
                Ok(Some(data)) => self.rest = data.map_err(broken)?,
            }
            if self.gives_credit {
                let credit = self.rest.len();
                let flow = self.receive.flow_control();
                flow.release_capacity(credit).map_err(broken)?;
            }
        }
        let count = into.len().min(self.rest.len());
        into[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

impl Write for StreamLink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { runtime, send, .. } = self;
        send.reserve_capacity(bytes.len());
        let room = async {
            timeout(DEADLINE, async {
                while send.capacity() == 0 {
                    match std::future::poll_fn(|cx| send.poll_capacity(cx)).await {
                        Some(room) => room.map_err(broken)?,
                        None => return Err(io::Error::from(ErrorKind::BrokenPipe)),
                    };
                }
                Ok(send.capacity())
            })
            .await
        };
        let room = runtime
            .block_on(room)
            .map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        let part = &bytes[..room.min(bytes.len())];
        self.send
            .send_data(Bytes::copy_from_slice(part), false)
            .map_err(broken)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Link for StreamLink {
    fn limit_read(&mut self, wait: Duration) {
        self.wait = wait;
    }

    fn finish(&mut self) {
        // The server may have reset it, which is as finished as it gets.
        let _ = self.send.send_data(Bytes::new(), true);
    }
}
