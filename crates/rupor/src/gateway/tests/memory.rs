//! What a connection holds on the heap of the whole gateway, counted by the allocator.

use super::*;
use crate::heap::held_by_all;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

/// The bar (docs/explanation/performance.md, "Memory and set-up"): bytes for a user's connection in one channel.
const BYTES_MAX: usize = 1024;
/// Just before the tables grow, which have room for a power of two.
const CONNECTIONS: usize = 120;
const LARGE_BYTES: usize = 1024 * 1024;
/// How many large messages are on their way at a time.
const LARGE_AT_ONCE: usize = 5;
/// What is there once and grows with what happened, not with connections.
const SLACK_BYTES: usize = 16 * 1024;

#[test]
fn connection_of_a_user_in_a_channel_is_small() {
    // All threads of a process are counted, so it is measured in one of its own.
    let name = "gateway::tests::memory::is_alone_in_its_process";
    let measured = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&measured.stdout);
    let failed = String::from_utf8_lossy(&measured.stderr);
    assert!(measured.status.success(), "{said}{failed}");
    assert!(said.contains("1 passed"), "{said}");
    println!("{said}");
}

#[test]
#[ignore = "counts all of its process: the test above runs it"]
fn is_alone_in_its_process() {
    let mut limits = Limits::default();
    limits.protocol.limits.message_bytes_max = LARGE_BYTES;
    let site = Site::with(settings(), &config::Auth::none(), limits);
    let frame = large_frame();
    let mut echo = vec![0; LARGE_BYTES + 10];
    let mut sockets = Vec::with_capacity(CONNECTIONS);
    // What is taken once, and kept: buffers of the workers, queues, the first room of tables.
    let warm: Vec<TcpStream> = (0..LARGE_AT_ONCE).map(|n| open(&site, n)).collect();
    echo_large(&warm, &frame, &mut echo);
    drop(warm);
    site.expect_empty();
    let before = held_by_all();

    sockets.extend((0..CONNECTIONS).map(|n| open(&site, n)));
    let silent = held_at_most(before, BYTES_MAX * CONNECTIONS);
    println!("silent: {} bytes each", silent / CONNECTIONS);
    assert_eq!(site.gateway.counts().subscriptions, CONNECTIONS);

    for some in sockets.chunks(LARGE_AT_ONCE) {
        echo_large(some, &frame, &mut echo);
    }
    let most = (silent + SLACK_BYTES).min(BYTES_MAX * CONNECTIONS);
    let after = held_at_most(before, most);
    println!("after a large message: {} bytes each", after / CONNECTIONS);

    drop(sockets);
    site.expect_empty();
}

/// A connection, as little of it on the heap as can be: user and channel are its own.
fn open(site: &Site, number: usize) -> TcpStream {
    let mut socket = TcpStream::connect(site.address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!(
        "GET /echo?user=user-{number}&channel=bench HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 512];
    let mut length = 0;
    while !head[..length].ends_with(b"\r\n\r\n") {
        let count = socket.read(&mut head[length..]).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&head[..length]));
        length += count;
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    socket
}

/// A text message of [`LARGE_BYTES`] in one frame. Its masking key is 0.
fn large_frame() -> Vec<u8> {
    let mut frame = vec![0x81, 0xff];
    frame.extend((LARGE_BYTES as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.resize(frame.len() + LARGE_BYTES, b'x');
    frame
}

/// All of these say something large before one of them hears the answer.
fn echo_large(sockets: &[TcpStream], frame: &[u8], echo: &mut [u8]) {
    for mut socket in sockets {
        socket.write_all(frame).unwrap();
    }
    for mut socket in sockets {
        socket.read_exact(echo).unwrap();
        assert!(echo[10..].iter().all(|byte| *byte == b'x'));
    }
}

/// Bytes that are held on the heap since `before`, once they are at most so many.
#[track_caller]
fn held_at_most(before: usize, most: usize) -> usize {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let held = held_by_all().saturating_sub(before);
        if held <= most {
            return held;
        }
        assert!(Instant::now() < deadline, "{held} bytes, not {most}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
