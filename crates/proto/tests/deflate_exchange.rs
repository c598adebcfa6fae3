//! permessage-deflate (RFC 7692) against an independent zlib: what either side compresses the other
//! reads, however it is cut, and many receivers of one message stay in step.
#![cfg(feature = "deflate")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::field_reassign_with_default,
    reason = "a test may panic"
)]

mod wire;
mod zlib;

use std::sync::Arc;

use proptest::{prelude::*, sample};
use rupor_proto::{
    ApiMisuse, CloseCode, Config, Connection, DeflateConfig, DeflatePool, Frame, Kind, Limits,
    Message, Outgoing, PeerError,
    handshake::{ClientHandshake, HeadLimits, parse_request, write_response_with},
};
use wire::{BINARY, CONTINUATION, FIN, NOW, PING, ROLES, Role, Seen, TEXT, frames, wide};
use zlib::{ByHand, Compressor, Inflater, RSV1, agree, config};

fn connect(role: Role, deflate: &DeflateConfig, config: Config) -> Connection {
    role.connect(config).with_deflate(&agree(deflate))
}

/// Feeds in pieces, with or without a pool.
fn feed(
    connection: &mut Connection,
    mut pool: Option<&mut DeflatePool>,
    bytes: &[u8],
    sizes: &[usize],
) -> Vec<Seen> {
    let (mut seen, mut out) = (Vec::new(), Vec::new());
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(usize::MAX);
        let (mut input, after) = rest.split_at_mut(size.clamp(1, rest.len()));
        loop {
            let event = match &mut pool {
                Some(pool) => connection.receive_with(pool, &mut input, NOW, &mut out),
                None => connection.receive(&mut input, NOW, &mut out),
            };
            let Some(event) = event else { break };
            seen.push(event.into());
        }
        rest = after;
    }
    seen
}

fn error(seen: &[Seen]) -> Option<PeerError> {
    seen.iter().find_map(|event| match event {
        Seen::Closed(close) => close.error,
        _ => None,
    })
}

/// Messages that have something in common, and some that have not.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..50_u32, "[a-e]{0,12}").prop_map(|(id, text)| {
            format!(r#"{{"type":"message","channel":"news","id":{id},"text":"{text}"}}"#).into()
        }),
        2 => "[ab]{0,300}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..600),
        1 => (any::<u8>(), 0..3000_usize).prop_map(|(byte, len)| vec![byte; len]),
        1 => Just(Vec::new()),
    ]
}

/// A message as the peer sends it: compressed or not, in one frame or several.
fn encode(role: Role, payload: &[u8], compressed: Option<&[u8]>, pieces: usize) -> Vec<u8> {
    let bytes = compressed.unwrap_or(payload);
    let rsv = if compressed.is_some() { RSV1 } else { 0 };
    let size = bytes.len().div_ceil(pieces).max(1);
    let parts: Vec<_> = bytes.chunks(size).collect();
    let parts = if parts.is_empty() {
        vec![&b""[..]]
    } else {
        parts
    };
    let mut wire = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let opcode = if index == 0 {
            BINARY | rsv
        } else {
            CONTINUATION
        };
        let fin = if index + 1 == parts.len() { FIN } else { 0 };
        wire.extend(role.frame(fin | opcode, part));
        if index == 0 && pieces > 1 {
            wire.extend(role.frame(FIN | PING, b""));
        }
    }
    wire
}

fn any_config() -> impl Strategy<Value = DeflateConfig> {
    let windows = (9..=15_u8, 9..=15_u8);
    let takeover = (any::<bool>(), any::<bool>());
    (windows, takeover, 1..=9_u8, any::<bool>()).prop_map(
        |(windows, takeover, level, even_if_longer)| DeflateConfig {
            server_no_context_takeover: !takeover.0,
            client_no_context_takeover: !takeover.1,
            server_window_bits_max: windows.0,
            client_window_bits_max: windows.1,
            level,
            even_if_longer,
            ..config(false, 15)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Both roles, every window, with and without takeover, plain messages in between, any
    /// fragments and any cuts, with a pool, with one that others use too, and without any.
    #[test]
    fn receives_what_zlib_compresses(
        role in sample::select(&ROLES[..]),
        takeover: bool,
        window_bits in 9..=15_u8,
        level in 0..=9_u32,
        messages in prop::collection::vec((payload(), any::<bool>(), 1..5_usize), 1..12),
        sizes in prop::collection::vec(1..200_usize, 1..20),
    ) {
        let mut peer = Compressor::new(takeover, window_bits, level);
        let deflate = config(takeover, window_bits);
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (payload, plain, pieces) in &messages {
            let compressed = (!plain).then(|| peer.message(payload));
            bytes.extend(encode(role, payload, compressed.as_deref(), *pieces));
            expected.push(Seen::Message(Kind::Binary, payload.clone()));
        }
        let mut pool = DeflatePool::new();
        for (mut pool, sizes) in [
            (Some(&mut pool), &[usize::MAX][..]),
            (None, &[1][..]),
        ] {
            let mut connection = connect(role, &deflate, wide());
            let mut seen = feed(&mut connection, pool.take(), &bytes, sizes);
            seen.retain(|event| !matches!(event, Seen::Ping(_)));
            prop_assert_eq!(&seen, &expected);
        }
        let mut connection = connect(role, &deflate, wide());
        let mut seen = feed(&mut connection, Some(&mut pool), &bytes, &sizes);
        seen.retain(|event| !matches!(event, Seen::Ping(_)));
        prop_assert_eq!(&seen, &expected);
    }

    /// The other direction: a zlib with its own state for the connection reads what we send.
    #[test]
    fn zlib_reads_what_is_sent(
        role in sample::select(&ROLES[..]),
        takeover: bool,
        even_if_longer: bool,
        window_bits in 9..=15_u8,
        messages in prop::collection::vec((payload(), any::<bool>()), 1..20),
    ) {
        let deflate = DeflateConfig { even_if_longer, ..config(takeover, window_bits) };
        let mut connection = connect(role, &deflate, wide());
        let mut other = connect(role, &deflate, wide());
        let (mut pool, mut out) = (DeflatePool::new(), Vec::new());
        for (payload, plain) in &messages {
            if *plain {
                connection.send(Message::Binary(payload), &mut out).unwrap();
            } else {
                connection.send_deflated(Message::Binary(payload), &mut pool, &mut out).unwrap();
            }
            // Another connection's message between two of this one.
            other.send_deflated(Message::Binary(b"something else"), &mut pool, &mut Vec::new()).unwrap();
        }
        let mut peer = Inflater::new(takeover, window_bits);
        let received: Vec<_> = frames(role, &out)
            .into_iter()
            .map(|(first, payload)| match first {
                first if first == FIN | BINARY => Some((false, payload)),
                first if first == FIN | RSV1 | BINARY => Some((true, peer.message(&payload)?)),
                _ => None,
            })
            .collect();
        for (received, (payload, plain)) in received.iter().zip(&messages) {
            let (compressed, received) = received.as_ref().expect("in step");
            prop_assert_eq!(received, payload);
            prop_assert!(!(*compressed && *plain) && (*compressed || *plain || !even_if_longer));
        }
        prop_assert_eq!(received.len(), messages.len());
    }

    /// Whatever the two ends are set to, after the handshake each reads what the other compresses.
    #[test]
    fn both_ends_agree(
        client in any_config(),
        server in any_config(),
        messages in prop::collection::vec((any::<bool>(), payload()), 1..12),
    ) {
        let mut request =
            ClientHandshake::new("example.org", "/", [7; 16], &[], &[]).unwrap().offer_deflate(&client);
        let (head, _) = parse_request(request.request(), &HeadLimits::default()).unwrap().unwrap();
        let upgrade = head.upgrade().unwrap();
        let agreed = server.accept(&upgrade.deflate_offers, None).expect("no window of 8 is offered");
        let mut response = Vec::new();
        write_response_with(&upgrade, None, Some(&agreed), &[], &mut response).unwrap();
        let (accepted, _) = request.receive(&response).unwrap().unwrap();
        let seen_by_client = accepted.deflate.unwrap();
        prop_assert_eq!(seen_by_client.to_string(), agreed.to_string());

        let mut ends = [
            Role::Client.connect(wide()).with_deflate(&seen_by_client),
            Role::Server.connect(wide()).with_deflate(&agreed),
        ];
        let mut pool = DeflatePool::new();
        for (from_server, payload) in messages {
            let (from, to) = (usize::from(from_server), usize::from(!from_server));
            let mut wire = Vec::new();
            ends[from].send_deflated(Message::Binary(&payload), &mut pool, &mut wire).unwrap();
            let seen = feed(&mut ends[to], Some(&mut pool), &wire, &[usize::MAX]);
            prop_assert_eq!(seen, [Seen::Message(Kind::Binary, payload)]);
        }
    }

    /// Any mixture of messages for all, for some, for one, compressed and plain, on connections of
    /// every kind: each receiver's own zlib reads what was meant for it, and equal receivers share.
    #[test]
    fn any_mixture_of_shared_and_private_messages(
        kinds in prop::collection::vec((any::<bool>(), 9..=12_u8), 2..8),
        acts in prop::collection::vec((0..10_u8, any::<u8>(), payload()), 1..40),
    ) {
        let mut pool = DeflatePool::new();
        let mut receivers: Vec<_> = kinds.iter().map(|&(takeover, window_bits)| {
            // Few windows, so that many receivers are alike, at least for a while.
            let window_bits = [9, 12, 12, 15][usize::from(window_bits - 9)];
            let connection = connect(Role::Server, &config(takeover, window_bits), wide());
            (connection, Inflater::new(takeover, window_bits), Vec::new(), Vec::new())
        }).collect();
        for (act, mask, payload) in acts {
            let message = Message::Binary(&payload);
            let frame = Frame::new(message);
            for (index, (connection, _, wire, expected)) in receivers.iter_mut().enumerate() {
                let chosen = mask >> (index % 8) & 1 == 1;
                match act {
                    0..=4 => wire.extend_from_slice(connection.share(&frame, &mut pool).unwrap().as_bytes()),
                    5 if chosen => wire.extend_from_slice(connection.share(&frame, &mut pool).unwrap().as_bytes()),
                    6 if chosen => connection.send_deflated(message, &mut pool, wire).unwrap(),
                    7 if chosen => connection.send(message, wire).unwrap(),
                    8 if chosen => wire.extend_from_slice(frame.as_bytes()),
                    9 => {
                        pool.forget_shared();
                        continue;
                    }
                    _ => continue,
                }
                expected.push(payload.clone());
            }
        }
        for (_, mut peer, wire, expected) in receivers {
            let received: Vec<_> = frames(Role::Server, &wire)
                .into_iter()
                .map(|(first, payload)| {
                    if first & RSV1 == 0 { payload } else { peer.message(&payload).expect("in step") }
                })
                .collect();
            prop_assert_eq!(received, expected);
        }
    }

    /// Whatever comes, right or wrong, compressed or not, also after our Close frame: the events do
    /// not depend on the cuts.
    #[test]
    fn same_events_for_any_split(
        role in sample::select(&ROLES[..]),
        takeover: bool,
        acts in prop::collection::vec((
            sample::select(vec![
                FIN | RSV1 | TEXT, FIN | RSV1 | BINARY, FIN | RSV1 | BINARY, FIN | TEXT, RSV1 | TEXT,
                RSV1 | BINARY, CONTINUATION, CONTINUATION, FIN | CONTINUATION, FIN | CONTINUATION,
                FIN | PING, FIN | RSV1 | PING, FIN | RSV1 | CONTINUATION,
            ]),
            payload(),
            0..12_u8,
        ), 1..12),
        close_at in prop::option::weighted(0.2, any::<sample::Index>()),
        sizes in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let mut peer = Compressor::new(takeover, 10, 6);
        let mut bytes = Vec::new();
        for (first, payload, form) in &acts {
            let compressed = peer.message(payload);
            let mut content = if first & RSV1 == 0 && *form < 6 { payload } else { &compressed }.clone();
            if *form == 0 {
                content.truncate(content.len() / 2);
            }
            content.truncate(if first & 0x08 == 0 { 1000 } else { 125 });
            bytes.extend(role.frame(*first, &content));
        }
        let cut = close_at.map_or(0, |index| index.index(bytes.len() + 1));
        let limits = Limits { message_bytes_max: 700, ..wide().limits };
        let run = |sizes: &[usize]| {
            let mut connection = connect(role, &config(takeover, 10), Config { limits, ..wide() });
            let mut seen = feed(&mut connection, None, &bytes[..cut], sizes);
            if close_at.is_some() {
                let _ = connection.close(CloseCode::NORMAL, "enough", NOW, &mut Vec::new());
            }
            seen.extend(feed(&mut connection, None, &bytes[cut..], sizes));
            seen
        };
        let whole = run(&[usize::MAX]);
        prop_assert_eq!(&run(&[1]), &whole);
        prop_assert_eq!(&run(&sizes), &whole);
    }

    /// Noise that zlib can read is read to the same bytes; nothing that it refuses is read.
    #[test]
    fn same_verdict_as_zlib(
        (noise, from) in prop_oneof![
            prop::collection::vec(any::<u8>(), 1..80).prop_map(|noise| (noise, 0)),
            (payload(), any::<sample::Index>(), any::<u8>(), 0..=9_u32).prop_map(|(payload, at, byte, level)| {
                let mut bytes = Compressor::new(false, 15, level).message(&payload);
                let at = at.index(bytes.len());
                bytes[at] = byte;
                (bytes, 1)
            }),
        ],
        sizes in prop::collection::vec(1..20_usize, 1..10),
    ) {
        let deflate = config(false, 15);
        let frame = Role::Server.frame(FIN | RSV1 | BINARY, &noise);
        let mut pool = DeflatePool::new();
        let mut connection = connect(Role::Server, &deflate, wide());
        let seen = feed(&mut connection, Some(&mut pool), &frame, &[usize::MAX]);
        let mut connection = connect(Role::Server, &deflate, wide());
        prop_assert_eq!(&feed(&mut connection, Some(&mut pool), &frame, &sizes), &seen);
        match (Inflater::new(false, 15).message(&noise), &seen[..]) {
            (Some(payload), [Seen::Message(Kind::Binary, ours)]) => prop_assert_eq!(ours, &payload),
            // A final block ends zlib's stream, and zlib waits for more where we see the end.
            (None, [Seen::Message(..)]) => prop_assert!(has_final_block(&noise), "from {from}"),
            (None, [Seen::Closed(_)]) => {}
            (expected, seen) => {
                // zlib has taken it all, but its last block has not ended.
                prop_assert!(expected.is_some() && error(seen) == Some(PeerError::DeflateInvalid));
                prop_assert!(ends_inside_a_block(&noise), "{expected:?} {seen:?}");
            }
        }
    }
}

/// Whether zlib comes to the end of a stream in it.
fn has_final_block(message: &[u8]) -> bool {
    let mut stream = flate2::Decompress::new(false);
    let input = [message, &zlib::TAIL].concat();
    let mut out = vec![0; 1 << 20];
    let status = stream.decompress(&input, &mut out, flate2::FlushDecompress::Sync);
    matches!(status, Ok(flate2::Status::StreamEnd))
}

/// Whether an empty final block right behind it is not read as one.
fn ends_inside_a_block(message: &[u8]) -> bool {
    let input = [message, &zlib::TAIL, &[1, 0, 0, 0xff, 0xff]].concat();
    let mut stream = flate2::Decompress::new(false);
    let mut out = vec![0; 1 << 20];
    let status = stream.decompress(&input, &mut out, flate2::FlushDecompress::Sync);
    !matches!(status, Ok(flate2::Status::StreamEnd)) || stream.total_in() != input.len() as u64
}

/// RFC 7692 §7.2.3, and what else is legal.
#[test]
fn every_legal_form() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let stored = [
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two_blocks = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    let bare_last = ByHand::default().stored(true, b"Hello").bytes();
    for role in ROLES {
        let mut connection = connect(role, &config(true, 15), wide());
        let mut pool = DeflatePool::new();
        let mut bytes = Vec::new();
        for message in [
            &hello[..],
            &shared,
            &stored,
            &last,
            &shared,
            &two_blocks,
            &shared,
            &bare_last,
            &shared,
        ] {
            bytes.extend(role.frame(FIN | RSV1 | TEXT, message));
        }
        // §7.2.3.6, the usual empty message, an empty fixed block before it, and none at all.
        for message in [&[0x00][..], &[0x02, 0x00], &[]] {
            bytes.extend(role.frame(FIN | RSV1 | TEXT, message));
        }
        bytes.extend(role.frame(FIN | TEXT, b"Hello"));
        bytes.extend(role.frame(FIN | RSV1 | TEXT, &shared));
        // §7.2.3.1: two fragments, then with an empty first and last one.
        bytes.extend(role.frame(RSV1 | TEXT, &hello[..3]));
        bytes.extend(role.frame(FIN | CONTINUATION, &hello[3..]));
        bytes.extend(role.frame(RSV1 | TEXT, b""));
        bytes.extend(role.frame(CONTINUATION, &hello));
        bytes.extend(role.frame(FIN | CONTINUATION, b""));
        let seen = feed(&mut connection, Some(&mut pool), &bytes, &[usize::MAX]);
        let mut expected = vec![Seen::text("Hello"); 9];
        expected.extend(vec![Seen::text(""); 3]);
        expected.extend(vec![Seen::text("Hello"); 4]);
        assert_eq!(seen, expected, "{role:?}");
    }
}

/// RSV1 means something on the first frame of a message only, and only where it was agreed to
/// (RFC 7692 §6.1, W-Z4).
#[test]
fn w_z4_rsv1_elsewhere() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let cases: [(&[u8], bool, Option<PeerError>); 8] = [
        (&[FIN | RSV1 | BINARY], true, None),
        (&[FIN | RSV1 | BINARY], false, Some(PeerError::ReservedBits)),
        (&[RSV1 | BINARY, FIN | CONTINUATION], true, None),
        (
            &[RSV1 | BINARY, FIN | RSV1 | CONTINUATION],
            true,
            Some(PeerError::ReservedBits),
        ),
        (
            &[BINARY, FIN | RSV1 | CONTINUATION],
            true,
            Some(PeerError::ReservedBits),
        ),
        (&[FIN | RSV1 | PING], true, Some(PeerError::ReservedBits)),
        (&[FIN | 0x20 | BINARY], true, Some(PeerError::ReservedBits)),
        (
            &[FIN | RSV1 | 0x10 | BINARY],
            true,
            Some(PeerError::ReservedBits),
        ),
    ];
    for role in ROLES {
        for (firsts, negotiated, expected) in &cases {
            let mut connection = role.connect(wide());
            if *negotiated {
                connection = connection.with_deflate(&agree(&config(true, 15)));
            }
            let half = hello.len() / firsts.len();
            let parts = [&hello[..half], &hello[half..]];
            let bytes: Vec<u8> = firsts
                .iter()
                .zip(parts)
                .flat_map(|(first, part)| role.frame(*first, part))
                .collect();
            let seen = feed(&mut connection, None, &bytes, &[usize::MAX]);
            assert_eq!(error(&seen), *expected, "{firsts:02x?}");
            assert_eq!(connection.has_deflate(), *negotiated && expected.is_none());
        }
    }
}

/// A distance is refused exactly where the window ends, within a message and across two, and
/// nothing before a message is there without takeover.
#[test]
fn distances_end_with_the_window() {
    let cases: [(u8, bool, usize, usize, u32, Option<PeerError>); 9] = [
        // Window, takeover, bytes before, bytes of this message so far, distance.
        (9, true, 0, 600, 512, None),
        (9, true, 0, 600, 513, Some(PeerError::DeflateDistance)),
        (9, true, 600, 0, 512, None),
        (9, true, 600, 0, 513, Some(PeerError::DeflateDistance)),
        (12, true, 3000, 1200, 4096, None),
        (12, true, 3000, 1200, 4097, Some(PeerError::DeflateDistance)),
        (15, true, 20, 10, 31, Some(PeerError::DeflateDistance)),
        (15, false, 20, 10, 10, None),
        (15, false, 20, 10, 11, Some(PeerError::DeflateDistance)),
    ];
    for (window_bits, takeover, before, so_far, distance, expected) in cases {
        let bytes: Vec<u8> = (0..before + so_far).map(|n| (n * 7 % 251) as u8).collect();
        let first = ByHand::default()
            .fixed_block(false)
            .literals(&bytes[..before])
            .end_block()
            .finish();
        let second = ByHand::default()
            .fixed_block(false)
            .literals(&bytes[before..])
            .copy3(distance)
            .end_block()
            .finish();
        let wire = [first, second]
            .map(|message| Role::Server.frame(FIN | RSV1 | BINARY, &message))
            .concat();
        let mut connection = connect(Role::Server, &config(takeover, window_bits), wide());
        let seen = feed(&mut connection, None, &wire, &[usize::MAX]);
        let what = format!("{window_bits} {takeover} {before} {so_far} {distance}");
        assert_eq!(error(&seen), expected, "{what}");
        match (expected, seen.last()) {
            (None, Some(Seen::Message(_, payload))) => {
                let all = [&bytes[..before], payload].concat();
                assert_eq!(all[..bytes.len()], bytes, "{what}");
                let from = bytes.len() - distance as usize;
                assert_eq!(all[bytes.len()..], all[from..from + 3], "{what}");
            }
            (Some(error), Some(Seen::Closed(close))) => {
                assert_eq!(close.error, Some(error));
                assert_eq!(close.code, CloseCode::PROTOCOL_ERROR);
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// What is not DEFLATE ends the connection with 1007, and so does inflated text that is not UTF-8.
#[test]
fn broken_messages() {
    let mut short = Compressor::new(false, 15, 6).message(&[b'x'; 500]);
    short.truncate(3);
    let bad_text = Compressor::new(false, 15, 6).message(b"caf\xe9!");
    let cases = [
        (vec![0x06], PeerError::DeflateInvalid),
        (vec![0xff; 20], PeerError::DeflateInvalid),
        (short, PeerError::DeflateInvalid),
        (
            vec![0x00, 0x05, 0x00, 0x05, 0x00, 1, 2, 3, 4, 5, 0x00],
            PeerError::DeflateInvalid,
        ),
        (bad_text, PeerError::TextNotUtf8),
    ];
    for (message, expected) in cases {
        let mut connection = connect(Role::Server, &config(true, 15), wide());
        let bytes = Role::Server.frame(FIN | RSV1 | TEXT, &message);
        let seen = feed(&mut connection, None, &bytes, &[usize::MAX]);
        assert_eq!(error(&seen), Some(expected), "{message:02x?}");
        assert_eq!(expected.close_code(), CloseCode::INVALID_PAYLOAD);
    }
}

/// Short messages go plain, as do those that do not become shorter, and all that is sent without
/// asking for compression; a plain message does not become history.
#[test]
fn what_goes_plain() {
    let long = [b'x'; 300];
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(1025)
    .collect();
    let cases: [(bool, &[u8], bool); 8] = [
        (false, &long[..255], false),
        (false, &long[..256], true),
        (true, &long[..31], false),
        (true, &long[..32], true),
        (false, &noise, false),
        (false, &noise[..1024], false),
        // With takeover what is short enough becomes history, whatever it becomes itself.
        (true, &noise[..1024], true),
        (true, &noise, false),
    ];
    for (takeover, payload, compressed) in cases {
        let mut deflate = DeflateConfig::default();
        deflate.server_no_context_takeover = !takeover;
        let mut connection = connect(Role::Server, &deflate, wide());
        let (mut pool, mut out) = (DeflatePool::new(), Vec::new());
        let message = Message::Binary(payload);
        connection.send(message, &mut out).unwrap();
        connection
            .send_fragment(Kind::Binary, payload, true, &mut out)
            .unwrap();
        connection
            .send_deflated(message, &mut pool, &mut out)
            .unwrap();
        let shared = connection.share(&Frame::new(message), &mut pool).unwrap();
        assert_eq!(
            shared.is_compressed(),
            compressed,
            "{takeover} {}",
            payload.len()
        );
        let longest = Frame::new(message).as_bytes().len() + 7;
        assert!(shared.as_bytes().len() <= longest);
        let first = if compressed {
            FIN | RSV1 | BINARY
        } else {
            FIN | BINARY
        };
        let firsts: Vec<_> = frames(Role::Server, &out)
            .iter()
            .map(|frame| frame.0)
            .collect();
        assert_eq!(
            firsts,
            [FIN | BINARY, FIN | BINARY, first],
            "{takeover} {}",
            payload.len()
        );
    }
}

/// Receivers with the same history get the very same bytes, and one that was sent something else
/// in between does not, until what it was sent has left its window.
#[test]
fn receivers_with_the_same_history_share() {
    let mut pool = DeflatePool::new();
    let deflate = config(true, 9);
    let mut receivers: Vec<_> = (0..4)
        .map(|_| connect(Role::Server, &deflate, wide()))
        .collect();
    let share = |receivers: &mut Vec<Connection>, pool: &mut DeflatePool, n: usize| {
        let text = format!(
            r#"{{"channel":"news","number":{n},"text":"{}"}}"#,
            "news ".repeat(20)
        );
        let frame = Frame::new(Message::Text(&text));
        let sent = receivers
            .iter_mut()
            .map(|receiver| receiver.share(&frame, pool).unwrap());
        sent.collect::<Vec<Outgoing>>()
    };
    let same = |a: &Outgoing, b: &Outgoing| std::ptr::eq(a.as_bytes(), b.as_bytes());
    let sent = share(&mut receivers, &mut pool, 0);
    assert!(
        sent.iter()
            .all(|it| it.is_compressed() && same(it, &sent[0]))
    );
    let private = Message::Text("for you, for you, for you, for you, for you, and for you only");
    receivers[3]
        .send_deflated(private, &mut pool, &mut Vec::new())
        .unwrap();
    let sent = share(&mut receivers, &mut pool, 1);
    assert!(sent[..3].iter().all(|it| same(it, &sent[0])));
    assert!(!same(&sent[3], &sent[0]));
    for n in 2..8 {
        share(&mut receivers, &mut pool, n);
    }
    let sent = share(&mut receivers, &mut pool, 8);
    assert!(
        sent.iter()
            .all(|it| it.is_compressed() && same(it, &sent[0]))
    );
}

/// A pool may wait in a task that moves from thread to thread.
#[test]
fn may_move_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<DeflatePool>();
    check::<Outgoing>();
    check::<DeflateConfig>();
}

/// Nothing is counted as sent where nothing may be sent.
#[test]
fn misuse() {
    let frame = Frame::new(Message::Text("hello hello hello hello hello hello"));
    let mut pool = DeflatePool::new();
    let mut client = connect(Role::Client, &config(true, 12), wide());
    assert_eq!(
        client.share(&frame, &mut pool).unwrap_err(),
        ApiMisuse::FrameUnmasked
    );
    let mut server = connect(Role::Server, &config(true, 12), wide());
    let mut out = Vec::new();
    server
        .send_fragment(Kind::Text, b"a", false, &mut out)
        .unwrap();
    assert_eq!(
        server.share(&frame, &mut pool).unwrap_err(),
        ApiMisuse::FragmentUnfinished
    );
    let refused = server.send_deflated(Message::Text("b"), &mut pool, &mut out);
    assert_eq!(refused, Err(ApiMisuse::FragmentUnfinished));
    server.close(CloseCode::NORMAL, "", NOW, &mut out).unwrap();
    assert_eq!(
        server.share(&frame, &mut pool).unwrap_err(),
        ApiMisuse::NotOpen
    );
    // A connection without compression sends the frame as it is.
    let mut plain = Connection::server(Arc::new(Config::default()), NOW, 1);
    let sent = plain.share(&frame, &mut pool).unwrap();
    assert_eq!(sent.as_bytes(), frame.as_bytes());
    assert!(!sent.is_compressed());
}

/// Messages too short to become shorter on their own do behind each other, as with a compressor of
/// their own: the first one is history too.
#[test]
fn takeover_begins_with_messages_that_are_no_shorter_alone() {
    let config = config(true, 12);
    for digits in [10, 30, 60, 90] {
        let mut connection = connect(Role::Server, &config, wide());
        let (mut own, mut pool, mut out) =
            (Compressor::new(true, 12, 6), DeflatePool::new(), Vec::new());
        let (mut dedicated, mut wire) = (0, 0);
        for n in 0..40 {
            let text = format!(
                "{{\"n\":{n:02},\"is\":\"{:0digits$}\"}}",
                0x9e37_79b9_7f4a_7c15_u64
            );
            dedicated += own.message(text.as_bytes()).len();
            out.clear();
            connection
                .send_deflated(Message::Text(&text), &mut pool, &mut out)
                .unwrap();
            wire += frames(Role::Server, &out)[0].1.len();
        }
        assert!(
            wire * 100 <= dedicated * 103,
            "{digits}: {wire}, dedicated {dedicated}"
        );
    }
}
