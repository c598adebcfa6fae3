//! What compressed messages can make a connection hold (W-Z1, W-Z2), and what it holds when nobody
//! attacks. The allocator counts.
#![cfg(feature = "deflate")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::field_reassign_with_default,
    reason = "a test may panic"
)]

mod heap;
#[path = "../examples/messages/mod.rs"]
mod messages;
mod wire;
mod zlib;

use std::mem;

use heap::measure;
use messages::json;
use proptest::prelude::*;
use rupor_proto::{
    Config, Connection, DeflateConfig, DeflatePool, Event, Frame, Limits, Message, PeerError,
};
use wire::{BINARY, CONTINUATION, FIN, NOW, Role, TEXT, frames, wide};
use zlib::{ByHand, Compressor, Inflater, RSV1, agree, config};

const KIB: usize = 1024;

fn server(deflate: &DeflateConfig, message_bytes_max: usize) -> Connection {
    let limits = Limits {
        message_bytes_max,
        ..wide().limits
    };
    let connection = Role::Server.connect(Config { limits, ..wide() });
    connection.with_deflate(&agree(deflate))
}

/// Feeds it all; how long each message was, and the error.
fn drive(
    connection: &mut Connection,
    pool: &mut DeflatePool,
    mut input: &mut [u8],
) -> (Vec<usize>, Option<PeerError>) {
    let (mut messages, mut error) = (Vec::with_capacity(4), None);
    let mut out = Vec::new();
    while let Some(event) = connection.receive_with(pool, &mut input, NOW, &mut out) {
        match event {
            Event::Message(message) => messages.push(message.as_message().len()),
            Event::Closed(close) => error = close.error,
            Event::Ping(_) | Event::Pong(_) => {}
        }
    }
    (messages, error)
}

/// A pool that has its tables.
fn warm_pool() -> DeflatePool {
    let mut pool = DeflatePool::new();
    let mut hello = Role::Server.frame(
        FIN | RSV1 | TEXT,
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
    );
    let (messages, _) = drive(&mut server(&config(false, 15), KIB), &mut pool, &mut hello);
    assert_eq!(messages, [5]);
    pool
}

/// `len` zero bytes in as few as the fixed code allows: 13 bits for 258.
fn zeros(len: usize) -> Vec<u8> {
    let mut message = ByHand::default();
    message.fixed_block(false).literals(b"\0");
    let (copies, rest) = ((len - 1) / 258, (len - 1) % 258);
    for _ in 0..copies {
        message.symbol(285).bits(0, 5);
    }
    message.literals(&vec![0; rest]);
    message.end_block().finish()
}

/// W-Z1: a bomb costs no more than the limit and 64 KiB while it is inflated, no more than 128 KiB
/// whatever the limit, and nothing afterwards: that it is too big is known before more memory is
/// taken for it.
#[test]
fn w_z1_bombs() {
    for (inflated, limit) in [
        (256 << 20, 16 << 20),
        (16 << 20, 1 << 20),
        (400 * KIB, 64 * KIB),
        (64 * KIB, 0),
    ] {
        let bomb = zeros(inflated);
        for pieces in [1, 700] {
            let mut bytes = Vec::new();
            let size = bomb.len().div_ceil(pieces);
            for (index, part) in bomb.chunks(size).enumerate() {
                let first = if index == 0 {
                    RSV1 | BINARY
                } else {
                    CONTINUATION
                };
                let fin = if (index + 1) * size >= bomb.len() {
                    FIN
                } else {
                    0
                };
                bytes.extend(Role::Server.frame(fin | first, part));
            }
            let (mut connection, mut pool) = (server(&config(true, 15), limit), warm_pool());
            let (heap, (messages, error)) =
                measure(|| drive(&mut connection, &mut pool, &mut bytes));
            assert_eq!(
                (messages.len(), error),
                (0, Some(PeerError::MessageTooBig)),
                "{inflated} {limit}"
            );
            // What came in pieces is held until it is complete, as any message is; while the buffer
            // grows there are two.
            let wire = if pieces == 1 { 0 } else { 3 * bytes.len() };
            assert!(
                heap.peak <= wire + limit.min(64 * KIB) + 64 * KIB,
                "{inflated} {limit} {pieces}: {heap:?}"
            );
            assert!(heap.held <= 200, "the Close frame and its reason: {heap:?}");
        }
    }
}

/// W-Z2: the limit holds for what comes out, to the byte, wherever it is.
#[test]
fn w_z2_limit_and_one_more() {
    for limit in [1, 100, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300 * KIB] {
        for (len, good) in [(limit, true), (limit + 1, false)] {
            let mut pool = warm_pool();
            let mut bytes = Role::Server.frame(FIN | RSV1 | BINARY, &zeros(len));
            let (heap, result) = measure(|| {
                drive(
                    &mut server(&config(false, 15), limit),
                    &mut pool,
                    &mut bytes,
                )
            });
            let expected = if good {
                (vec![len], None)
            } else {
                (vec![], Some(PeerError::MessageTooBig))
            };
            assert_eq!(result, expected, "{limit}");
            assert!(heap.peak <= limit + 65 * KIB, "{limit}: {heap:?}");
        }
    }
}

/// W-Z2: blocks that make nothing are bounded by the bytes on the wire, and are held once.
#[test]
fn w_z2_endless_empty_blocks() {
    let limit = 64 * KIB;
    let wire_max = limit + limit / 8 + 64;
    let empty = [0x00, 0x00, 0x00, 0xff, 0xff];
    for (len, expected) in [
        (wire_max, (vec![0], None)),
        (wire_max + 5, (vec![], Some(PeerError::MessageTooBig))),
    ] {
        // The last block has lost its tail.
        let mut blocks = empty.repeat(len / 5 + 1);
        blocks.truncate(len / 5 * 5 + 1);
        assert!(blocks.len() <= len);
        let mut bytes = Vec::new();
        for (index, part) in blocks.chunks(1000).enumerate() {
            let first = if index == 0 {
                RSV1 | BINARY
            } else {
                CONTINUATION
            };
            bytes.extend(Role::Server.frame(first, part));
        }
        bytes.extend(Role::Server.frame(FIN | CONTINUATION, b""));
        let (mut connection, mut pool) = (server(&config(true, 15), limit), warm_pool());
        let (heap, result) = measure(|| drive(&mut connection, &mut pool, &mut bytes));
        assert_eq!(result, expected);
        assert!(heap.peak <= 3 * wire_max, "{heap:?}");
    }
    // Without an end there is no message, and no more than was received is held.
    let (mut connection, mut pool) = (server(&config(true, 15), limit), warm_pool());
    let mut bytes = Role::Server.frame(RSV1 | BINARY, &empty.repeat(10_000));
    let (heap, result) = measure(|| drive(&mut connection, &mut pool, &mut bytes));
    assert_eq!(result, (vec![], None));
    assert!(heap.held as usize <= 2 * bytes.len(), "{heap:?}");
}

/// What a connection has once it is agreed, and after it was used without takeover.
#[test]
fn without_takeover_nothing_is_kept() {
    assert!(
        mem::size_of::<Connection>() <= 64,
        "{}",
        mem::size_of::<Connection>()
    );
    let (heap, mut connection) = measure(|| server(&config(false, 15), 64 * KIB));
    assert!(heap.held <= 200, "{heap:?}");
    let mut pool = DeflatePool::new();
    let text = "hello ".repeat(100);
    let compressed = Compressor::new(false, 15, 6).message(text.as_bytes());
    let mut out = Vec::new();
    connection
        .send_deflated(Message::Text(&text), &mut pool, &mut out)
        .unwrap();
    let (heap, ()) = measure(|| {
        for _ in 0..20 {
            let mut bytes = Role::Server.frame(FIN | RSV1 | TEXT, &compressed);
            drive(&mut connection, &mut pool, &mut bytes);
            out.clear();
            connection
                .send_deflated(Message::Text(&text), &mut pool, &mut out)
                .unwrap();
        }
    });
    // The inflater's tables, once, in the pool.
    assert!(heap.held <= 8 * KIB as isize, "{heap:?}");
}

/// With takeover both ways and 20 messages each, a connection holds at most 12 KB, and what it
/// sent is at most 3 % larger than what a compressor of its own would have made.
#[test]
fn takeover_in_kilobytes() {
    const CONNECTIONS: usize = 1000;
    let deflate = config(true, 12);
    let mut pool = warm_pool();
    pool_with_compressor(&mut pool, &deflate);
    let (mut pooled, mut dedicated, mut plain) = (0, 0, 0);
    let mut connections = Vec::with_capacity(CONNECTIONS);
    let mut held = 0;
    for index in 0..CONNECTIONS {
        let mut sent = Vec::with_capacity(1 << 14);
        let mut own = zlib_rs::Deflate::new(6, false, 12);
        let mut peer = Compressor::new(true, 12, 6);
        let messages: Vec<_> = (0..20).map(|n| json(index, n)).collect();
        let wire: Vec<_> = messages
            .iter()
            .map(|text| Role::Server.frame(FIN | RSV1 | TEXT, &peer.message(text.as_bytes())))
            .collect();
        let (heap, connection) = measure(|| {
            let mut connection = server(&deflate, 64 * KIB);
            for (text, mut bytes) in messages.iter().zip(wire) {
                let (received, error) = drive(&mut connection, &mut pool, &mut bytes);
                assert_eq!((&received[..], error), (&[text.len()][..], None));
                mem::forget(bytes);
                connection
                    .send_deflated(Message::Text(text), &mut pool, &mut sent)
                    .unwrap();
            }
            connection
        });
        held = held.max(heap.held);
        connections.push(connection);
        for text in &messages {
            let mut out = [0; 1024];
            let before = own.total_out();
            own.compress(text.as_bytes(), &mut out, zlib_rs::DeflateFlush::SyncFlush)
                .unwrap();
            dedicated += (own.total_out() - before) as usize - 4;
            plain += text.len();
        }
        pooled += frames(Role::Server, &sent)
            .iter()
            .map(|(_, payload)| payload.len())
            .sum::<usize>();
    }
    println!("{plain} bytes: pooled {pooled}, dedicated {dedicated}; {held} bytes a connection");
    assert!(held <= 12_000, "{held}");
    assert!(
        pooled * 100 <= dedicated * 103,
        "pooled {pooled}, dedicated {dedicated}"
    );
    assert!(pooled * 3 < plain);
}

fn pool_with_compressor(pool: &mut DeflatePool, deflate: &DeflateConfig) {
    let mut connection = server(deflate, KIB);
    let text = "hello ".repeat(20);
    connection
        .send_deflated(Message::Text(&text), pool, &mut Vec::new())
        .unwrap();
}

/// Receivers that were sent the same share one history, whatever their number, and lose nothing: a
/// connection alone would be sent the same bytes.
#[test]
fn receivers_share_their_history() {
    let deflate = config(true, 12);
    let mut pool = DeflatePool::new();
    pool_with_compressor(&mut pool, &deflate);
    let mut receivers: Vec<_> = (0..1000).map(|_| server(&deflate, KIB)).collect();
    let mut peer = Inflater::new(true, 12);
    let (mut alone, mut expected) = (server(&deflate, KIB), Vec::with_capacity(KIB));
    let (heap, ()) = measure(|| {
        for n in 0..60 {
            let text = json(0, n);
            let frame = Frame::new(Message::Text(&text));
            for (index, receiver) in receivers.iter_mut().enumerate() {
                let sent = receiver.share(&frame, &mut pool).unwrap();
                assert!(sent.is_compressed());
                if index == 999 {
                    expected.clear();
                    alone
                        .send_deflated(Message::Text(&text), &mut pool, &mut expected)
                        .unwrap();
                    assert_eq!(sent.as_bytes(), expected);
                    let (_, payload) = &frames(Role::Server, sent.as_bytes())[0];
                    assert_eq!(peer.message(payload).unwrap(), text.as_bytes());
                }
            }
        }
        peer = Inflater::new(true, 12);
        pool.forget_shared();
    });
    // One window for all of them, and the one that is alone has its own.
    assert!(heap.held <= 12 * KIB as isize, "{heap:?}");
    // And each compression once: one for every message.
    assert!(heap.calls <= 60 * 60, "{heap:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No compressed bytes at all make it panic, hold more than the limit, or disturb the pool for
    /// others.
    #[test]
    fn noise(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
        takeover: bool,
        window_bits in 9..=15_u8,
    ) {
        let limit = 2 * KIB;
        let (mut connection, mut pool) = (server(&config(takeover, window_bits), limit), warm_pool());
        let mut bytes: Vec<u8> =
            messages.iter().flat_map(|message| Role::Server.frame(FIN | RSV1 | BINARY, message)).collect();
        let (heap, (lens, _)) = measure(|| drive(&mut connection, &mut pool, &mut bytes));
        prop_assert!(lens.iter().all(|len| *len <= limit));
        prop_assert!(heap.peak <= limit + 64 * KIB, "{heap:?}");
        let mut other = server(&config(true, 15), KIB);
        let mut hello = Role::Server.frame(FIN | RSV1 | TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        prop_assert_eq!(drive(&mut other, &mut pool, &mut hello), (vec![5], None));
    }
}
