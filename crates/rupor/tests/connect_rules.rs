//! What RFC 6455 asks of a client that a library alone cannot keep: `rupor connect` against servers that watch what it
//! sends.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is the failure of the test that called"
)]

mod program;

use program::start;
use rupor_proto::handshake::{HeadLimits, parse_request, write_response};
use rupor_testkit::{Process, Stream};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// `rupor connect` to a listener of the test's, with these lines for it to send.
fn connect(scheme: &str, host: &str, lines: &str) -> (Process, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = start(&["connect", &format!("{scheme}://{host}:{port}/")]);
    client.write(lines);
    client.close_input();
    let (stream, _) = listener.accept().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    (client, stream)
}

/// Reads up to the end of the request's head, and no further.
fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    head
}

/// RFC 6455 §4.1: what the user has typed already waits until the server has agreed.
#[test]
fn nothing_is_sent_before_the_answer() {
    let (mut client, mut stream) = connect("ws", "127.0.0.1", "secret\n");
    read_head(&mut stream);
    stream
        .write_all(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 4\r\n\r\nno.\n")
        .unwrap();
    let mut behind = Vec::new();
    stream.read_to_end(&mut behind).unwrap();
    assert_eq!(behind, b"");
    assert_eq!(client.wait().code(), Some(1));
    let err = client.output_of(Stream::Err);
    assert!(err.contains("403") && err.contains("no."), "{err}");
}

/// RFC 6455 §4.1: TLS comes first, and its hello names the server.
#[test]
fn tls_names_the_server() {
    let (mut client, mut stream) = connect("wss", "localhost", "secret\n");
    let mut acceptor = rustls::server::Acceptor::default();
    let hello = loop {
        acceptor.read_tls(&mut stream).unwrap();
        if let Some(accepted) = acceptor.accept().unwrap() {
            break accepted;
        }
    };
    assert_eq!(hello.client_hello().server_name(), Some("localhost"));
    drop(stream);
    assert_eq!(
        client.wait().code(),
        Some(1),
        "without TLS there is nothing"
    );
}

/// RFC 6455 §4.1: 16 random bytes, for each connection anew.
#[test]
fn every_connection_has_a_key_of_its_own() {
    let key = || {
        let (_client, mut stream) = connect("ws", "127.0.0.1", "");
        let head = read_head(&mut stream);
        let (request, _) = parse_request(&head, &HeadLimits::default())
            .unwrap()
            .unwrap();
        request.upgrade().unwrap().key
    };
    assert_ne!(key(), key());
}

/// RFC 6455 §5.1, §5.3: frames of equal lines look different on the wire, each with a key of its own.
#[test]
fn every_frame_has_a_masking_key_of_its_own() {
    let (mut client, mut stream) = connect("ws", "127.0.0.1", &"same\n".repeat(20));
    let head = read_head(&mut stream);
    let (request, _) = parse_request(&head, &HeadLimits::default())
        .unwrap()
        .unwrap();
    let mut answer = Vec::new();
    write_response(&request.upgrade().unwrap(), None, &[], &mut answer).unwrap();
    stream.write_all(&answer).unwrap();
    let mut keys = BTreeSet::new();
    for _ in 0..20 {
        let mut frame = [0; 10];
        stream.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..2], [0x81, 0x84], "text, masked");
        let key = [frame[2], frame[3], frame[4], frame[5]];
        let payload: Vec<u8> = frame[6..].iter().zip(key).map(|(a, b)| a ^ b).collect();
        assert_eq!(payload, b"same");
        keys.insert(key);
    }
    // Two equal ones among 20 of four bytes are possible once in 20 million runs.
    assert_eq!(keys.len(), 20);
    stream.write_all(&[0x88, 2, 3, 0xe8]).unwrap();
    assert_eq!(client.wait().code(), Some(0));
}
