//! What the protocol costs without any system call: `cargo bench -p rupor-proto`, or with a name, as in
//! `cargo bench -p rupor-proto -- receive`.
//!
//! `receive_binary` is parsing and unmasking; `receive_text` checks UTF-8 too; `receive_small` is sixteen messages
//! in one read, nearly all parsing; `send_masked` is a client's frame; `frame` is a broadcast's, `compress` and
//! `share` the same with permessage-deflate, for the first connection and for each further one.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has no figure"
)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use rupor_proto::handshake::{HttpVersion, Upgrade};
use rupor_proto::{Config, Connection, DeflateConfig, DeflatePool, Event, Frame, Message, Time};
use std::sync::Arc;

const LENGTHS: [usize; 5] = [16, 64, 1024, 16 * 1024, 256 * 1024];
const NOW: Time = Time::from_millis(1);
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// As many messages as come in one read when sixteen are in flight.
const SMALL: usize = 16;

fn main() {
    divan::main();
}

fn server() -> Connection {
    let mut config = Config::default();
    config.limits.message_bytes_max = 16 << 20;
    Connection::server(Arc::new(config), NOW, 1)
}

fn client() -> Connection {
    Connection::client(Arc::new(Config::default()), NOW, 1, Box::new(|| KEY))
}

/// Text with two-byte letters in between, cut to whole ones.
fn text(len: usize) -> String {
    let mut text: String = "Größe und Wörter, über alle Maße. ".repeat(len / 32 + 1);
    while text.len() > len {
        text.pop();
    }
    text
}

/// A list of alike objects with numbers: it compresses as a site's messages do.
fn json(len: usize) -> String {
    let mut text = String::from("[");
    let mut number = 7_u32;
    while text.len() < len {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text += &format!(
            "{{\"id\":{},\"state\":\"ready\",\"note\":\"table {}\"}},",
            number >> 12,
            number >> 26
        );
    }
    text.truncate(len);
    text
}

fn masked(message: Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    client().send(message, &mut out).unwrap();
    out
}

/// Takes all messages out of `input`.
fn receive(connection: &mut Connection, input: &mut [u8], out: &mut Vec<u8>) {
    let mut input = input;
    while let Some(event) = connection.receive(&mut input, NOW, out) {
        assert!(matches!(black_box(event), Event::Message(_)));
    }
}

fn bench_receive(bencher: Bencher<'_, '_>, wire: &[u8], payload_bytes: usize) {
    let (mut connection, mut out) = (server(), Vec::new());
    bencher
        .counter(BytesCount::new(payload_bytes))
        .with_inputs(|| wire.to_vec())
        .bench_local_refs(|input| receive(&mut connection, input, &mut out));
}

#[divan::bench(args = LENGTHS)]
fn receive_binary(bencher: Bencher<'_, '_>, len: usize) {
    let wire = masked(Message::Binary(&vec![7; len]));
    bench_receive(bencher, &wire, len);
}

#[divan::bench(args = LENGTHS)]
fn receive_text_ascii(bencher: Bencher<'_, '_>, len: usize) {
    let wire = masked(Message::Text(&"a".repeat(len)));
    bench_receive(bencher, &wire, len);
}

#[divan::bench(args = LENGTHS)]
fn receive_text(bencher: Bencher<'_, '_>, len: usize) {
    let wire = masked(Message::Text(&text(len)));
    bench_receive(bencher, &wire, len);
}

#[divan::bench]
fn receive_small(bencher: Bencher<'_, '_>) {
    let wire = masked(Message::Text(&"a".repeat(64))).repeat(SMALL);
    let (mut connection, mut out) = (server(), Vec::new());
    bencher
        .counter(ItemsCount::new(SMALL))
        .with_inputs(|| wire.clone())
        .bench_local_refs(|input| receive(&mut connection, input, &mut out));
}

/// The same with a reply to each: what an echo costs beside the kernel.
#[divan::bench]
fn echo_small(bencher: Bencher<'_, '_>) {
    let wire = masked(Message::Text(&"a".repeat(64))).repeat(SMALL);
    let (mut receiving, mut out, mut replies) = (server(), Vec::new(), Vec::new());
    let mut sending = server();
    bencher
        .counter(ItemsCount::new(SMALL))
        .with_inputs(|| wire.clone())
        .bench_local_refs(|input| {
            replies.clear();
            let mut input = input.as_mut_slice();
            while let Some(event) = receiving.receive(&mut input, NOW, &mut out) {
                if let Event::Message(message) = event {
                    sending.send(message.as_message(), &mut replies).unwrap();
                }
            }
            black_box(replies.len())
        });
}

#[divan::bench(args = LENGTHS)]
fn send_masked(bencher: Bencher<'_, '_>, len: usize) {
    let (payload, mut connection, mut out) = (vec![7; len], client(), Vec::new());
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        out.clear();
        connection
            .send(Message::Binary(black_box(&payload)), &mut out)
            .unwrap();
    });
}

#[divan::bench(args = LENGTHS)]
fn frame(bencher: Bencher<'_, '_>, len: usize) {
    let payload = text(len);
    bencher
        .counter(BytesCount::new(len))
        .bench_local(|| Frame::new(Message::Text(black_box(&payload))));
}

/// A server's connection that agreed to compression, each message on its own or behind the ones before.
fn deflating(takeover: bool) -> Connection {
    let config = DeflateConfig {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        message_bytes_min: 0,
        takeover_message_bytes_min: 0,
        ..DeflateConfig::default()
    };
    let offer = "permessage-deflate; client_max_window_bits";
    let headers = [
        ("Host", "example.org"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", offer),
    ];
    let headers = headers.map(|(name, value)| (name, value.as_bytes()));
    let upgrade = Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers).unwrap();
    let agreement = config.accept(&upgrade.deflate_offers, None).unwrap();
    server().with_deflate(&agreement)
}

#[divan::bench(args = [64, 1024, 16 * 1024], consts = [false, true])]
fn compress<const TAKEOVER: bool>(bencher: Bencher<'_, '_>, len: usize) {
    let (payload, mut pool, mut out) = (json(len), DeflatePool::new(), Vec::new());
    let mut connection = deflating(TAKEOVER);
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        out.clear();
        let message = Message::Text(black_box(&payload));
        connection
            .send_deflated(message, &mut pool, &mut out)
            .unwrap();
    });
}

/// One publication that was compressed already, for one more connection.
#[divan::bench(args = [64, 1024, 16 * 1024])]
fn share(bencher: Bencher<'_, '_>, len: usize) {
    let frame = Frame::new(Message::Text(&json(len)));
    let (mut connection, mut pool) = (deflating(false), DeflatePool::new());
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| connection.share(black_box(&frame), &mut pool).unwrap());
}

#[divan::bench(args = [64, 1024, 16 * 1024])]
fn inflate(bencher: Bencher<'_, '_>, len: usize) {
    let mut pool = DeflatePool::new();
    let mut wire = Vec::new();
    let text = json(len);
    // What a server sends, a server can read once it is masked.
    deflating(false)
        .send_deflated(Message::Text(&text), &mut pool, &mut wire)
        .unwrap();
    let wire = with_zero_mask(&wire);
    let (mut connection, mut out) = (deflating(false), Vec::new());
    bencher
        .counter(BytesCount::new(len))
        .with_inputs(|| wire.clone())
        .bench_local_refs(|input| {
            let mut input = input.as_mut_slice();
            while let Some(event) = connection.receive_with(&mut pool, &mut input, NOW, &mut out) {
                assert!(matches!(black_box(event), Event::Message(_)));
            }
        });
}

/// The frame as a client would send it whose key is zeros.
fn with_zero_mask(wire: &[u8]) -> Vec<u8> {
    let length_bytes = match wire[1] {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let (head, payload) = wire.split_at(2 + length_bytes);
    let mut masked = head.to_vec();
    masked[1] |= 0x80;
    masked.extend([0; 4]);
    masked.extend(payload);
    masked
}
