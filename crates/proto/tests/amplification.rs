//! Memory amplification: for every attack on the protocol, how many bytes a peer makes a connection
//! hold for each byte that it sends, beyond a fixed base. At most two, at every moment; the table
//! stands in `docs/reference/memory-amplification.md`, and the allocator counts.
//!
//! What is held between two calls is held by every connection that is attacked. What is taken
//! inside a call and given back before it returns is there once for each thread: its most has a
//! column of its own, and a bound of its own.
//!
//! `cargo test -p rupor-proto --test amplification -- --nocapture` prints it.
#![cfg(feature = "deflate")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::field_reassign_with_default,
    reason = "a test may panic"
)]

mod heap;
mod table;
mod wire;
mod zlib;

use heap::measure;
use rupor_proto::{
    Config, Connection, DeflatePool, Event, Limits, State,
    handshake::{HeadLimits, HeadProgress},
};
use table::Row;
use wire::{
    BINARY, CLOSE, CONTINUATION, FIN, NOW, PING, PONG, ROLES, Role, TEXT, Width, raw, wide,
};
use zlib::{ByHand, RSV1, agree, config as deflate_config};

const KIB: usize = 1024;

/// What a connection may hold whatever it received: what is unfinished, a Close frame and its
/// reason, a first small buffer.
const BASE: usize = 512;

/// With context takeover, a window beside it: a server limits it to 4 KiB here, a client took what
/// the server has.
fn base(setup: Setup, role: Role) -> usize {
    match (setup, role) {
        (Setup::Takeover, Role::Server) => BASE + 4 * KIB,
        (Setup::Takeover, Role::Client) => BASE + 32 * KIB,
        _ => BASE,
    }
}

/// What is taken inside a call: while a buffer grows there are two, of a message at most.
const INSIDE: usize = 128 * KIB;

/// While a message is inflated: a window and a piece of what comes out, or all of it, beside it.
const INSIDE_INFLATING: usize = INSIDE + 128 * KIB;

/// How an attacked connection is set up.
#[derive(Clone, Copy)]
enum Setup {
    Default,
    /// Limits that let everything through.
    Wide,
    /// permessage-deflate without context takeover.
    Deflate,
    Takeover,
    /// It pings and does not read.
    BackedUp,
}

/// One attack: what is sent on each of some connections, and in pieces of what size.
struct Attack {
    id: &'static str,
    what: &'static str,
    setup: Setup,
    piece: usize,
    /// The bytes for one connection each.
    sent: fn(Role) -> Vec<Vec<u8>>,
}

fn connect(role: Role, setup: Setup) -> Connection {
    match setup {
        Setup::Default => role.connect(Config::default()),
        Setup::Wide => role.connect(wide()),
        Setup::Deflate => role
            .connect(Config::default())
            .with_deflate(&agree(&deflate_config(false, 12))),
        Setup::Takeover => role
            .connect(Config::default())
            .with_deflate(&agree(&deflate_config(true, 12))),
        Setup::BackedUp => {
            let mut config = Config::default();
            config.limits = Limits {
                control_frames_per_second: 0,
                ..Limits::default()
            };
            let mut connection = role.connect(config);
            connection.hold_pongs();
            connection
        }
    }
}

/// What holds the most of what these bytes make of a connection each.
fn attack(attack: &Attack, role: Role) -> Row {
    let base = base(attack.setup, role);
    let mut worst = Row::new(attack.id, attack.what, base);
    // A thread has one, and its tables are made once.
    let mut pool = DeflatePool::new();
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut hello = Role::Server.frame(FIN | RSV1 | TEXT, &hello);
    let mut first = connect(Role::Server, Setup::Deflate);
    drive(&mut first, &mut pool, &mut hello, &mut Vec::new());
    for mut bytes in (attack.sent)(role) {
        let mut row = Row::new(attack.id, attack.what, base);
        let (mut connection, mut out) = (connect(role, attack.setup), Vec::new());
        for piece in bytes.chunks_mut(attack.piece) {
            let received = piece.len();
            let (heap, ()) = measure(|| drive(&mut connection, &mut pool, piece, &mut out));
            row.add(received, heap.held, heap.peak);
            if connection.state() == State::Closed {
                break;
            }
        }
        worst = worst.worse(row);
    }
    worst
}

/// Feeds it all. What is handed out is the handler's, and gone when it returns.
fn drive(
    connection: &mut Connection,
    pool: &mut DeflatePool,
    mut input: &mut [u8],
    out: &mut Vec<u8>,
) {
    while let Some(event) = connection.receive_with(pool, &mut input, NOW, out) {
        drop::<Event<'_>>(event);
    }
}

/// A message of this kind that begins and goes on with these frames and never ends.
fn endless(role: Role, first: u8, payload: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut bytes = role.frame(first, payload);
    bytes.extend(role.frame(CONTINUATION, payload).repeat(count));
    vec![bytes]
}

/// Bare headers with every length near a boundary.
fn headers(role: Role, widths: &[Width]) -> Vec<Vec<u8>> {
    let lengths = [
        0,
        125,
        126,
        127,
        65_535,
        65_536,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        1 << 53,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX,
    ];
    let mut all = Vec::new();
    for len in lengths {
        for width in widths {
            for opcode in [TEXT, BINARY, CLOSE, PING] {
                for masked in [false, true] {
                    if *width != Width::Two || len < 65_536 {
                        all.push(raw(FIN | opcode, len, *width, masked, b""));
                    }
                }
            }
        }
    }
    let longest = Config::default().limits.message_bytes_max as u64;
    let masked = role == Role::Server;
    all.push(raw(FIN | BINARY, longest, Width::Eight, masked, b""));
    all
}

/// Zero bytes in as few as the fixed code allows.
fn zeros(len: usize) -> Vec<u8> {
    let mut message = ByHand::default();
    message.fixed_block(false).literals(b"\0");
    for _ in 0..(len - 1) / 258 {
        message.symbol(285).bits(0, 5);
    }
    message.end_block().finish()
}

#[rustfmt::skip]
const ATTACKS: &[Attack] = &[
    Attack { id: "W-L1", what: "headers alone, with every length near a boundary", setup: Setup::Default, piece: 1,
        sent: |role| headers(role, &[Width::Shortest]) },
    Attack { id: "W-L2", what: "lengths that are longer than they need be", setup: Setup::Default, piece: 1,
        sent: |role| headers(role, &[Width::Two, Width::Eight]) },
    Attack { id: "W-L3", what: "the longest message announced, and nothing of it", setup: Setup::Wide, piece: 1,
        sent: |role| vec![raw(FIN | BINARY, 1 << 24, Width::Eight, role == Role::Server, b"")] },
    Attack { id: "W-F1", what: "a text of 1 KiB fragments without end", setup: Setup::Default, piece: 1000,
        sent: |role| endless(role, TEXT, &[b'x'; KIB], 100) },
    Attack { id: "W-F2", what: "fragments of one byte without end", setup: Setup::Default, piece: 1000,
        sent: |role| endless(role, TEXT, b"x", 2000) },
    Attack { id: "W-F3", what: "empty fragments without end", setup: Setup::Default, piece: 1000,
        sent: |role| endless(role, BINARY, b"", 2000) },
    Attack { id: "W-F4", what: "64,000 fragments of one byte, the limits switched off", setup: Setup::Wide, piece: 1000,
        sent: |role| endless(role, BINARY, b"x", 64_000) },
    Attack { id: "W-F5", what: "a frame of 64 KiB, a byte at a time", setup: Setup::Default, piece: 1,
        sent: |role| vec![role.frame(FIN | TEXT, &[b'x'; 64 * KIB])] },
    Attack { id: "W-F5", what: "a text of fragments cut inside a character, a byte at a time", setup: Setup::Default, piece: 1,
        sent: |role| endless(role, TEXT, b"\xf0\x9f\x98\x80\xd1", 1).into_iter().map(|mut it| { it.pop(); it }).collect() },
    Attack { id: "W-C1", what: "pings of 125 bytes that are not read back", setup: Setup::BackedUp, piece: 1000,
        sent: |role| vec![role.frame(FIN | PING, &[b'p'; 125]).repeat(10_000)] },
    Attack { id: "W-C1", what: "empty pings that are not read back", setup: Setup::BackedUp, piece: 1000,
        sent: |role| vec![role.frame(FIN | PING, b"").repeat(10_000)] },
    Attack { id: "W-B1", what: "pongs that nobody asked for", setup: Setup::BackedUp, piece: 997,
        sent: |role| vec![role.frame(FIN | PONG, &[b'p'; 125]).repeat(10_000)] },
    Attack { id: "W-Z1", what: "400 KiB of zeros in one compressed frame", setup: Setup::Deflate, piece: 256 * KIB,
        sent: |role| vec![role.frame(FIN | RSV1 | BINARY, &zeros(400 * KIB))] },
    Attack { id: "W-Z1", what: "the same in small pieces", setup: Setup::Deflate, piece: 100,
        sent: |role| vec![role.frame(FIN | RSV1 | BINARY, &zeros(400 * KIB))] },
    Attack { id: "W-Z1", what: "messages that inflate to 64 KiB, with context takeover", setup: Setup::Takeover, piece: 256 * KIB,
        sent: |role| vec![role.frame(FIN | RSV1 | BINARY, &zeros(64 * KIB)).repeat(20)] },
    Attack { id: "W-Z2", what: "empty stored blocks without end, in fragments", setup: Setup::Deflate, piece: 1000,
        sent: |role| endless(role, RSV1 | BINARY, &[0, 0, 0, 0xff, 0xff].repeat(20), 1000) },
    Attack { id: "W-Z4", what: "RSV1 where nothing was agreed, on a fragment, on a ping", setup: Setup::Default, piece: 1,
        sent: |role| [BINARY, CONTINUATION, PING].iter().map(|opcode| role.frame(FIN | RSV1 | opcode, b"x")).collect() },
];

/// Heads as the opening side takes them: the bytes so far in one buffer of the caller's.
fn head(id: &'static str, what: &'static str, head: &[u8]) -> Row {
    let mut row = Row::new(id, what, BASE);
    let (mut bytes, mut progress) = (Vec::new(), HeadProgress::default());
    let limits = HeadLimits::default();
    for byte in head {
        let mut refused = false;
        let (heap, ()) = measure(|| {
            bytes.push(*byte);
            refused = match progress.parse_request(&bytes, &limits) {
                Ok(None) => false,
                Ok(Some((head, _))) => {
                    drop(head.upgrade());
                    true
                }
                Err(_) => true,
            };
        });
        row.add(1, heap.held, heap.peak);
        if refused {
            break;
        }
    }
    row
}

fn heads() -> Vec<Row> {
    let with = |lines: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
        )
        .into_bytes()
    };
    let odd = "constructor, __proto__;a=1, x;\"\\c\\c\\c, permessage-deflate;a;b;c, ".repeat(40);
    let window = "permessage-deflate; client_max_window_bits=999, ".repeat(80);
    vec![
        head(
            "W-H1",
            "a head that never ends, a byte at a time",
            &[b"GET /?".as_slice(), &[b'a'; 9000]].concat(),
        ),
        head(
            "W-H2",
            "headers without end",
            &with(&"a:b\r\n".repeat(2000)),
        ),
        head(
            "W-H3",
            "5 KiB of spaces where tokens belong",
            &with(&format!(
                "Sec-WebSocket-Protocol: a{}\r\n",
                ", ".repeat(2500)
            )),
        ),
        head(
            "W-H4",
            "extensions with odd names and quotes",
            &with(&format!("Sec-WebSocket-Extensions: {odd}\r\n")),
        ),
        head(
            "W-Z3",
            "many offers with a bad window",
            &with(&format!("Sec-WebSocket-Extensions: {window}\r\n")),
        ),
    ]
}

#[test]
fn no_attack_makes_it_hold_over_two_bytes_for_one() {
    let mut rows = Vec::new();
    for role in ROLES {
        for it in ATTACKS {
            let row = attack(it, role);
            let inside = match it.setup {
                Setup::Deflate | Setup::Takeover => INSIDE_INFLATING,
                _ => INSIDE,
            };
            // Without a limit a message is as long as what was received.
            row.check(inside.max(2 * row.received()));
            if role == Role::Server {
                rows.push(row);
            }
        }
    }
    for row in heads() {
        row.check(INSIDE);
        rows.push(row);
    }
    table::compare("protocol", &rows);
}
