//! What attackers do with lengths and fragments, and what it makes a connection hold and do. The
//! allocator counts, so that no test needs a clock or a look at the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod heap;
mod wire;

use std::mem;

use heap::measure;
use rupor_proto::{Config, Connection, Event, Limits, Message, PeerError};
use wire::{
    BINARY, CLOSE, CONTINUATION, FIN, NOW, PING, PONG, ROLES, Role, Seen, TEXT, Width, feed,
    feed_pieces, raw, wide,
};

/// Feeds without the copies of `feed`; how many events, and the last error.
fn drive(
    connection: &mut Connection,
    mut input: &mut [u8],
    out: &mut Vec<u8>,
) -> (usize, Option<PeerError>) {
    let (mut events, mut error) = (0, None);
    while let Some(event) = connection.receive(&mut input, NOW, out) {
        events += 1;
        if let Event::Closed(close) = event {
            error = close.error;
        }
    }
    (events, error)
}

/// What a bare header with this length must lead to (W-L1).
fn verdict(opcode: u8, len: u64, width: Width, wrong_mask: bool, role: Role) -> Option<PeerError> {
    let minimal = match width {
        Width::Shortest => true,
        Width::Two => len > 125,
        Width::Eight => len > 65_535,
    };
    match (role, wrong_mask) {
        (Role::Server, true) => Some(PeerError::Unmasked),
        (Role::Client, true) => Some(PeerError::Masked),
        _ if opcode >= 8 && (len > 125 || width != Width::Shortest) => {
            Some(PeerError::ControlTooLong)
        }
        _ if !minimal => Some(PeerError::LengthNotMinimal),
        _ if len >= 1 << 63 => Some(PeerError::LengthTopBit),
        _ if opcode < 8 && len > 1 << 24 => Some(PeerError::MessageTooBig),
        _ => None,
    }
}

/// W-L1: every length near a boundary, in every width, masked and not, control and data, whole
/// and in pieces: the right verdict from the header alone, and nothing is allocated for it.
#[test]
fn w_l1_lengths() {
    let lengths = [
        0,
        125,
        126,
        127,
        65_535,
        65_536,
        (1 << 24) - 1,
        1 << 24,
        (1 << 24) + 1,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        1 << 53,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX,
    ];
    for role in ROLES {
        for len in lengths {
            for width in [Width::Shortest, Width::Two, Width::Eight] {
                if width == Width::Two && len > 65_535 {
                    continue;
                }
                for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
                    for wrong_mask in [false, true] {
                        let masked = (role == Role::Server) != wrong_mask;
                        let header = raw(FIN | opcode, len, width, masked, b"");
                        let expected = verdict(opcode, len, width, wrong_mask, role);
                        for size in [usize::MAX, 1] {
                            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
                            let (heap, seen) = measure(|| {
                                feed_pieces(&mut connection, &header, &[size], &mut out)
                            });
                            let error = seen.iter().find_map(|event| match event {
                                Seen::Closed(close) => close.error,
                                _ => None,
                            });
                            let case = format!("{role:?} {opcode} {len} {width:?} {masked}");
                            assert_eq!(error, expected, "{case}");
                            assert!(heap.taken < 2048, "{case}: {heap:?}");
                        }
                    }
                }
            }
        }
    }
}

/// W-L1: at one byte under the limit, a Pong in between, then what fits and what does not.
#[test]
fn w_l1_pong_at_one_under_the_limit() {
    for role in ROLES {
        for (last, fits) in [(&b"x"[..], true), (b"xx", false)] {
            let limits = Limits {
                message_bytes_max: 1000,
                ..wide().limits
            };
            let mut connection = role.connect(Config { limits, ..wide() });
            let mut bytes = role.frame(TEXT, &[b'x'; 999]);
            bytes.extend(role.frame(FIN | PONG, b""));
            bytes.extend(role.frame(FIN | CONTINUATION, last));
            let seen = feed(&mut connection, &bytes, &mut Vec::new());
            assert_eq!(seen[0], Seen::Pong(vec![]));
            match &seen[1] {
                Seen::Message(_, payload) => assert!(fits && payload.len() == 1000),
                Seen::Closed(close) => {
                    assert!(!fits && close.error == Some(PeerError::MessageTooBig));
                }
                seen => panic!("{seen:?}"),
            }
        }
    }
}

/// W-L1, W-L3 with limits switched off (CVE-2026-0716): no arithmetic overflows.
#[test]
fn w_l1_without_limits() {
    let limits = Limits {
        message_bytes_max: usize::MAX,
        frames_per_message_max: u32::MAX,
        message_time_max_ms: u32::MAX,
        control_frames_per_second: u32::MAX,
        control_frames_burst: u32::MAX,
    };
    let config = Config {
        limits,
        ping_interval_ms: u32::MAX,
        pong_timeout_ms: u32::MAX,
        close_timeout_ms: u32::MAX,
    };
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(config), Vec::new());
        let masked = role == Role::Server;
        let mut bytes = role.frame(BINARY, b"one");
        bytes.extend(role.frame(FIN | PING, b""));
        bytes.extend(raw(
            CONTINUATION,
            (1 << 63) - 1,
            Width::Eight,
            masked,
            b"two",
        ));
        let (heap, seen) = measure(|| feed(&mut connection, &bytes, &mut out));
        assert_eq!(seen, [Seen::Ping(vec![])]);
        assert!(heap.taken < 2048, "{heap:?}");
    }
}

/// W-L3: a thousand connections that announce the longest message allowed and send nothing of it.
/// What they hold does not depend on what was announced.
#[test]
fn w_l3_announced_length_is_not_allocated() {
    for role in ROLES {
        for cut in [1, 0] {
            let header = raw(
                FIN | BINARY,
                1 << 24,
                Width::Eight,
                role == Role::Server,
                b"",
            );
            let mut connections: Vec<_> = (0..1000).map(|_| role.connect(wide())).collect();
            let mut out = Vec::new();
            let (heap, ()) = measure(|| {
                for connection in &mut connections {
                    let mut bytes = header.clone();
                    let len = bytes.len() - cut;
                    assert_eq!(drive(connection, &mut bytes[..len], &mut out), (0, None));
                }
            });
            assert!(heap.held <= 1000 * 192, "{heap:?}");
        }
    }
}

/// The buffer grows with what came: never over twice of it, nor over the end of the message.
#[test]
fn w_l3_buffer_grows_with_what_came() {
    let len = 1 << 20;
    for role in ROLES {
        for first in [FIN | TEXT, FIN | BINARY] {
            let mut bytes = role.frame(first, &vec![b'x'; len]);
            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
            let (mut received, mut held) = (0, 0);
            for piece in bytes.chunks_mut(1000) {
                received += piece.len();
                let (heap, _) = measure(|| drive(&mut connection, piece, &mut out));
                held += heap.held;
                let room = (2 * received).min(len).cast_signed() + 256;
                assert!(held <= room, "{held} for {received} of {len}");
            }
        }
    }
}

/// A message that lies whole in the input costs no allocation, and nothing is held between
/// messages, whole or in pieces, nor after the end.
#[test]
fn nothing_is_held_between_messages() {
    for role in ROLES {
        let mut connection = role.connect(wide());
        let mut out = Vec::with_capacity(1 << 16);
        for first in [FIN | TEXT, FIN | BINARY, FIN | PING, FIN | PONG] {
            let mut frames = role.frame(first, &[b'x'; 100]).repeat(10);
            let (heap, (events, _)) = measure(|| drive(&mut connection, &mut frames, &mut out));
            assert_eq!((heap.calls, events), (0, 10));

            for size in [1, 2, 3, 50, 99] {
                let mut frames = role.frame(first, &[b'x'; 100]).repeat(10);
                let (heap, ()) = measure(|| {
                    for piece in frames.chunks_mut(size) {
                        drive(&mut connection, piece, &mut out);
                    }
                });
                assert_eq!(heap.held, 0, "pieces of {size}");
            }
        }
        let (heap, _) = measure(|| {
            feed(
                &mut connection,
                &role.frame(TEXT, &[b'x'; 1000]),
                &mut Vec::new(),
            )
        });
        assert!(heap.held > 0);
        let (heap, _) = measure(|| connection.receive_eof(NOW).map(drop));
        assert!(heap.held < 0, "an unfinished message is freed at the end");
    }
}

/// W-F1: a text that never ends is cut off at the limit.
#[test]
fn w_f1_endless_continuations() {
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(Config::default()), Vec::new());
        let first = role.frame(TEXT, &[b'x'; 1024]);
        assert_eq!(feed(&mut connection, &first, &mut out), []);
        for fragments in 2..=65 {
            let mut bytes = role.frame(CONTINUATION, &[b'x'; 1024]);
            let (events, error) = drive(&mut connection, &mut bytes, &mut out);
            let expected = (fragments == 65).then_some(PeerError::MessageTooBig);
            assert_eq!((events, error), (usize::from(fragments == 65), expected));
        }
    }
}

/// W-F2: fragments of one byte that never end, by a thousand connections: less than twice of what
/// they sent is held. With the frame limit on, they end there.
#[test]
fn w_f2_tiny_fragments() {
    for role in ROLES {
        let mut connections: Vec<_> = (0..1000).map(|_| role.connect(wide())).collect();
        let (mut sent, mut out) = (0_usize, Vec::new());
        let (heap, ()) = measure(|| {
            for connection in &mut connections {
                drive(connection, &mut role.frame(TEXT, b"x"), &mut out);
                let mut bytes = role.frame(CONTINUATION, b"x").repeat(999);
                sent += bytes.len();
                assert_eq!(drive(connection, &mut bytes, &mut out), (0, None));
            }
        });
        assert!(heap.held <= 2 * sent.cast_signed(), "{heap:?} of {sent}");

        let mut connection = role.connect(Config::default());
        let mut bytes = role.frame(TEXT, b"x");
        bytes.extend(role.frame(CONTINUATION, b"x").repeat(1023));
        assert_eq!(drive(&mut connection, &mut bytes, &mut out), (0, None));
        let mut bytes = role.frame(CONTINUATION, b"x");
        let ended = drive(&mut connection, &mut bytes, &mut out);
        assert_eq!(ended, (1, Some(PeerError::TooManyFrames)));
    }
}

/// W-F3: empty fragments for ever: half as many are enough.
#[test]
fn w_f3_empty_fragments() {
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(Config::default()), Vec::new());
        let mut bytes = role.frame(TEXT, b"");
        bytes.extend(role.frame(CONTINUATION, b"").repeat(511));
        assert_eq!(drive(&mut connection, &mut bytes, &mut out), (0, None));
        let mut bytes = role.frame(CONTINUATION, b"");
        let ended = drive(&mut connection, &mut bytes, &mut out);
        assert_eq!(ended, (1, Some(PeerError::TooManyFrames)));
    }
}

/// W-F4: the work for n fragments grows with n: allocations with its logarithm, their bytes with
/// itself.
#[test]
fn w_f4_fragments_cost_linear_work() {
    for role in ROLES {
        for first in [TEXT, BINARY] {
            for fragments in [1_000, 4_000, 16_000, 64_000] {
                let (mut connection, mut out) = (role.connect(wide()), Vec::new());
                let mut bytes = role.frame(first, b"x");
                bytes.extend(role.frame(CONTINUATION, b"x").repeat(fragments));
                let (heap, ended) = measure(|| drive(&mut connection, &mut bytes, &mut out));
                assert_eq!(ended, (0, None));
                assert!(
                    heap.taken <= 4 * fragments + 512,
                    "{heap:?} for {fragments}"
                );
                assert!(heap.calls <= 20, "{heap:?} for {fragments}");
            }
        }
    }
}

/// W-B1: what an endless row of Pongs leaves behind.
#[test]
fn w_b1_unsolicited_pongs() {
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(wide()), Vec::new());
        let pongs = role.frame(FIN | PONG, &[0; 125]).repeat(100);
        let mut bytes = pongs.clone();
        let (heap, ()) = measure(|| {
            for _ in 0..100 {
                bytes.copy_from_slice(&pongs);
                for piece in bytes.chunks_mut(97) {
                    drive(&mut connection, piece, &mut out);
                }
            }
        });
        assert_eq!((heap.held, out.len()), (0, 0));
    }
}

/// A connection fits in 64 bytes, and owns nothing on the heap when it is new.
#[test]
fn a_silent_connection() {
    assert!(
        mem::size_of::<Connection>() <= 64,
        "{}",
        mem::size_of::<Connection>()
    );
    let config = std::sync::Arc::new(Config::default());
    let (heap, connection) = measure(|| Connection::server(config.clone(), NOW, 1));
    assert_eq!(heap.calls, 0);
    drop(connection);
}

/// A worker thread takes a connection over from the thread that opened it.
#[test]
fn a_connection_can_change_threads() {
    for role in ROLES {
        let (mut connection, bytes) = (role.connect(wide()), role.frame(FIN | TEXT, b"x"));
        let seen = std::thread::spawn(move || feed(&mut connection, &bytes, &mut Vec::new()));
        assert_eq!(seen.join().unwrap(), [Seen::text("x")]);
    }
}

/// An echo of a whole message allocates nothing but room in `out`.
#[test]
fn echo_without_allocation() {
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(wide()), Vec::with_capacity(4096));
        let mut bytes = role.frame(FIN | TEXT, "привет".as_bytes());
        let mut input = &mut bytes[..];
        let (heap, ()) = measure(|| {
            let event = connection.receive(&mut input, NOW, &mut out);
            let Some(Event::Message(incoming)) = event else {
                panic!("{event:?}")
            };
            assert_eq!(incoming.as_message(), Message::Text("привет"));
            connection.send(incoming.as_message(), &mut out).unwrap();
        });
        assert_eq!(heap.calls, 0);
    }
}
