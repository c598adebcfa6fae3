//! What a WebSocket on a task holds, counted by the allocator.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure is the test's failure"
)]

#[path = "../../proto/tests/heap/mod.rs"]
mod heap;

use std::io::Result;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use rupor_server::proto::handshake::{HttpVersion, Upgrade};
use rupor_server::proto::{DeflateConfig, Message};
use rupor_server::{WebSocket, WebSocketLimits};
use rupor_testkit::{Frame, opcode};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
};
use tokio::net::TcpStream;

use heap::measure;

/// A silent connection: its timer and its wakers, nothing else, also after messages of any size.
#[test]
fn silent_connection_owns_its_timer_and_wakers_only() {
    let runtime = runtime();
    let _in_runtime = runtime.enter();
    let limits = WebSocketLimits::default();
    let (near, mut far) = duplex(256 * 1024);
    warm_up();
    let (heap, mut socket) = measure(|| {
        let mut socket = WebSocket::server(near, Vec::new(), &limits);
        assert!(poll_recv(&mut socket).is_pending());
        socket
    });
    let silent = heap.held;
    println!(
        "a silent connection over TCP: {} bytes in its task, {silent} on the heap in {} pieces",
        size_of::<WebSocket<TcpStream>>(),
        heap.calls
    );
    assert!(silent <= 400, "{silent} bytes");
    assert!(size_of::<WebSocket<TcpStream>>() <= 400);

    let mut exchange = || {
        for len in [5, 200, 60_000] {
            let frame = Frame::new(opcode::BINARY, vec![0; len]);
            block_on(far.write_all(&frame.encode())).unwrap();
            let message = poll_recv(&mut socket);
            let Poll::Ready(Some(message)) = message else {
                panic!("{message:?}")
            };
            block_on(socket.send(&message)).unwrap();
            let mut echo = vec![0; len + 4];
            assert!(block_on(far.read(&mut echo)).unwrap() > len);
        }
        assert!(poll_recv(&mut socket).is_pending());
    };
    // The stream in memory takes its own buffers once.
    exchange();
    let (heap, ()) = measure(exchange);
    assert_eq!(heap.held, 0, "something was kept");
}

/// Compression's memory belongs to the thread: connections that compress own what was agreed to,
/// and with context takeover their windows.
#[test]
fn compressing_connections_share_their_memory() {
    const CONNECTIONS: usize = 100;
    let runtime = runtime();
    let _in_runtime = runtime.enter();
    let limits = WebSocketLimits::default();
    let json = r#"{"channel":"news","offset":17,"text":"somebody said something"}"#.repeat(6);
    for (takeover, bytes_max) in [(false, 4_000), (true, 12_000)] {
        let config = DeflateConfig {
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            ..DeflateConfig::default()
        };
        let headers: [(&str, &[u8]); 6] = [
            ("host", b"a"),
            ("upgrade", b"websocket"),
            ("connection", b"upgrade"),
            ("sec-websocket-version", b"13"),
            ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (
                "sec-websocket-extensions",
                b"permessage-deflate; client_max_window_bits",
            ),
        ];
        let upgrade = Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers).unwrap();
        let agreed = config.accept(&upgrade.deflate_offers, None).unwrap();
        let (heap, _sockets) = measure(|| {
            let mut sockets = Vec::new();
            for _ in 0..CONNECTIONS {
                let socket = WebSocket::server(Silent, Vec::new(), &limits);
                let mut socket = socket.with_deflate(&agreed);
                for _ in 0..20 {
                    block_on(socket.send(Message::Text(&json))).unwrap();
                }
                assert!(pin!(socket.recv()).poll(&mut no_waker()).is_pending());
                sockets.push(socket);
            }
            sockets
        });
        let each = heap.held / CONNECTIONS.cast_signed();
        println!(
            "takeover {takeover}: {each} bytes a connection, the thread's compressor included"
        );
        // A compressor for each would be 140,000 bytes at least.
        assert!(each <= bytes_max, "{each}");
    }
}

/// A peer that takes everything and says nothing.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Silent {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// What is made once for a thread.
fn warm_up() {
    let (near, _far) = duplex(64);
    let mut socket = WebSocket::server(near, Vec::new(), &WebSocketLimits::default());
    assert!(poll_recv(&mut socket).is_pending());
}

fn no_waker() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll_recv(socket: &mut WebSocket<DuplexStream>) -> Poll<Option<rupor_server::OwnedMessage>> {
    pin!(socket.recv()).poll(&mut no_waker())
}

/// For streams in memory, which are always ready here.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut no_waker()) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the stream in memory is full or empty"),
    }
}
