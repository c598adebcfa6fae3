//! A WebSocket on a task, over streams in memory and with tokio's clock stopped: no test here waits
//! for time to pass, however long its deadlines are.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure is the test's failure"
)]

mod cancel;
mod deadlines;
mod ending;
mod exchange;
mod pressure;

use std::future::Future;
use std::time::Duration;

use rupor_server::proto::handshake::{ClientHandshake, parse_request, write_response_with};
use rupor_server::proto::{Config, DeflateAgreement, DeflateConfig, Limits};
use rupor_server::{WebSocket, WebSocketLimits};
use rupor_testkit::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

/// Bytes that the streams in memory hold each way.
const PIPE_BYTES: usize = 4096;

type Socket = WebSocket<DuplexStream>;

/// A server and a client that talk to each other.
fn pair(limits: &WebSocketLimits) -> (Socket, Socket) {
    let (near, far) = duplex(PIPE_BYTES);
    (
        WebSocket::server(near, Vec::new(), limits),
        WebSocket::client(far, Vec::new(), limits),
    )
}

/// The same with compression.
fn deflated_pair(limits: &WebSocketLimits, config: &DeflateConfig) -> (Socket, Socket) {
    let (server, client) = agreements(config);
    let (near, far) = pair(limits);
    (near.with_deflate(&server), far.with_deflate(&client))
}

/// What both ends of a handshake agree to.
fn agreements(config: &DeflateConfig) -> (DeflateAgreement, DeflateAgreement) {
    let mut handshake = ClientHandshake::new("a", "/", [7; 16], &[], &[])
        .unwrap()
        .offer_deflate(config);
    let (head, _) = parse_request(handshake.request(), &Default::default())
        .unwrap()
        .unwrap();
    let upgrade = head.upgrade().unwrap();
    let server = config.accept(&upgrade.deflate_offers, None).unwrap();
    let mut response = Vec::new();
    write_response_with(&upgrade, None, Some(&server), &[], &mut response).unwrap();
    let (accepted, _) = handshake.receive(&response).unwrap().unwrap();
    (server, accepted.deflate.unwrap())
}

/// A server whose peer is played by the test.
fn server(limits: &WebSocketLimits) -> (Socket, Peer) {
    let (near, far) = duplex(PIPE_BYTES);
    (WebSocket::server(near, Vec::new(), limits), Peer::new(far))
}

/// A client whose server is played by the test.
fn client(limits: &WebSocketLimits) -> (Socket, Peer) {
    let (near, far) = duplex(PIPE_BYTES);
    (WebSocket::client(near, Vec::new(), limits), Peer::new(far))
}

/// The other end, frame by frame, with the testkit's own framing.
struct Peer {
    stream: DuplexStream,
    received: Vec<u8>,
}

impl Peer {
    fn new(stream: DuplexStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    async fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&frame.encode()).await.unwrap();
    }

    /// The next frame; `None` at the end.
    async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, used)) = Frame::decode(&self.received) {
                self.received.drain(..used);
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.received).await.unwrap() == 0 {
                return None;
            }
        }
    }
}

/// Limits with this protocol configuration.
fn configured(change: impl FnOnce(&mut Config)) -> WebSocketLimits {
    let mut config = Config::default();
    change(&mut config);
    WebSocketLimits::with_protocol(config)
}

/// Limits on messages.
fn limited(limits: Limits) -> WebSocketLimits {
    configured(|config| config.limits = limits)
}

/// Without pings, for tests in which nothing must happen by itself.
fn quiet() -> WebSocketLimits {
    configured(|config| config.ping_interval_ms = 0)
}

/// Fails what never comes. The clock is stopped, so only a test in which nothing else can happen
/// gets here.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(100_000), future)
        .await
        .unwrap_or_else(|_| panic!("it never comes"))
}
