//! Every rule that a peer can break, to both roles, whole and byte by byte: the connection ends at
//! once with the code of the rule, and nothing out of the broken frame is delivered.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod wire;

use rupor_proto::{CloseCode, Config, Initiator, Limits, PeerError, State};
use wire::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, ROLES, Role, Seen, TEXT, Width, feed,
    feed_pieces, frames, raw,
};

const CANARY: &[u8] = b"canary";

fn small() -> Config {
    let limits = Limits {
        message_bytes_max: 1000,
        frames_per_message_max: 4,
        ..Limits::default()
    };
    Config {
        limits,
        ..Config::default()
    }
}

/// Feeds a good message, `bad`, and another good message; expects the first and the error.
fn assert_refused(role: Role, name: &str, bad: &[u8], error: PeerError) {
    for size in [usize::MAX, 1, 3] {
        let case = format!("{name}, to {role:?}, in pieces of {size}");
        let mut bytes = role.frame(FIN | TEXT, b"before");
        bytes.extend_from_slice(bad);
        bytes.extend(role.frame(FIN | BINARY, CANARY));
        let (mut connection, mut out) = (role.connect(small()), Vec::new());
        let seen = feed_pieces(&mut connection, &bytes, &[size], &mut out);

        let [before, Seen::Closed(close)] = &seen[..] else {
            panic!("{case}: {seen:?}")
        };
        assert_eq!(*before, Seen::text("before"), "{case}");
        assert_eq!(close.error, Some(error), "{case}");
        assert_eq!(close.code, error.close_code(), "{case}");
        assert_eq!(
            (close.initiator, close.clean),
            (Initiator::Local, false),
            "{case}"
        );
        assert_eq!(connection.state(), State::Closed, "{case}");

        let sent = frames(role, &out);
        let [(first, payload)] = &sent[..] else {
            panic!("{case}: {sent:?}")
        };
        assert_eq!(*first, FIN | CLOSE, "{case}");
        assert_eq!(payload[..2], close.code.as_u16().to_be_bytes(), "{case}");
        assert!(payload.len() <= 125, "{case}");

        // Closed comes once, and nothing is read or sent behind it.
        out.clear();
        assert_eq!(
            feed(&mut connection, &role.frame(FIN | PING, b""), &mut out),
            [],
            "{case}"
        );
        assert_eq!(connection.receive_eof(wire::NOW), None, "{case}");
        assert_eq!(connection.poll_timeout(), None, "{case}");
        assert!(out.is_empty(), "{case}");
    }
}

/// W-Z4, W-P1. RFC 6455 §5.2: no extension was negotiated, so no reserved bit may be set.
#[test]
fn reserved_bits() {
    for role in ROLES {
        for bits in 1..=7_u8 {
            for first in [TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG] {
                let bad = role.frame(FIN | bits << 4 | first, CANARY);
                assert_refused(role, "reserved bits", &bad, PeerError::ReservedBits);
            }
        }
    }
}

/// W-P1. RFC 6455 §5.2.
#[test]
fn reserved_opcodes() {
    for role in ROLES {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            for fin in [0, FIN] {
                let bad = role.frame(fin | opcode, CANARY);
                assert_refused(role, "opcode", &bad, PeerError::ReservedOpcode(opcode));
            }
        }
    }
}

/// W-P1. RFC 6455 §5.1: a client masks, a server does not.
#[test]
fn masking() {
    for role in ROLES {
        let error = match role {
            Role::Server => PeerError::Unmasked,
            Role::Client => PeerError::Masked,
        };
        for first in [FIN | TEXT, BINARY, FIN | CLOSE, FIN | PING, FIN | PONG] {
            let bad = role.peer().frame(first, CANARY);
            assert_refused(role, "mask", &bad, error);
        }
    }
}

/// W-L2. RFC 6455 §5.2: "the minimal number of bytes MUST be used".
#[test]
fn lengths_not_minimal() {
    for role in ROLES {
        let masked = role == Role::Server;
        for (width, lens) in [
            (Width::Two, &[0, 1, 125][..]),
            (Width::Eight, &[0, 125, 126, 65_535][..]),
        ] {
            for len in lens {
                let bad = raw(FIN | BINARY, *len, width, masked, &[0; 200]);
                assert_refused(role, "not minimal", &bad, PeerError::LengthNotMinimal);
            }
        }
    }
}

/// RFC 6455 §5.5: control frames are not fragmented and have at most 125 bytes.
#[test]
fn control_frames() {
    for role in ROLES {
        let masked = role == Role::Server;
        for opcode in [CLOSE, PING, PONG] {
            let bad = role.frame(opcode, b"");
            assert_refused(role, "fragmented", &bad, PeerError::ControlFragmented);
            for (len, width) in [(126, Width::Two), (0, Width::Two), (70_000, Width::Eight)] {
                let bad = raw(FIN | opcode, len, width, masked, CANARY);
                assert_refused(role, "long", &bad, PeerError::ControlTooLong);
            }
        }
    }
}

/// RFC 6455 §5.4.
#[test]
fn fragments_out_of_order() {
    for role in ROLES {
        for fin in [0, FIN] {
            let bad = role.frame(fin | CONTINUATION, CANARY);
            assert_refused(role, "no start", &bad, PeerError::ContinuationWithoutStart);
            for (begun, other) in [
                (TEXT, TEXT),
                (TEXT, BINARY),
                (BINARY, TEXT),
                (BINARY, BINARY),
            ] {
                let mut bad = role.frame(begun, CANARY);
                bad.extend(role.frame(fin | other, CANARY));
                assert_refused(role, "inside", &bad, PeerError::MessageInsideMessage);
            }
        }
        // A message that has ended cannot be continued.
        let mut ended = role.frame(TEXT, b"a");
        ended.extend(role.frame(FIN | CONTINUATION, b"b"));
        ended.extend(role.frame(FIN | CONTINUATION, b"c"));
        let (mut connection, mut out) = (role.connect(small()), Vec::new());
        let seen = feed(&mut connection, &ended, &mut out);
        assert_eq!(seen[0], Seen::text("ab"));
        assert!(matches!(&seen[1], Seen::Closed(close)
            if close.error == Some(PeerError::ContinuationWithoutStart)));
    }
}

/// RFC 6455 §5.5.1, §7.4.
#[test]
fn close_payloads() {
    for role in ROLES {
        let bad = role.frame(FIN | CLOSE, &[3]);
        assert_refused(role, "one byte", &bad, PeerError::CloseOneByte);
        for code in [
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535_u16,
        ] {
            let bad = role.frame(FIN | CLOSE, &code.to_be_bytes());
            let error = PeerError::CloseCodeNotAllowed(CloseCode::new(code));
            assert_refused(role, "code", &bad, error);
        }
        for reason in [&b"\xff"[..], b"ok \xed\xa0\x80", b"cut \xe2\x82"] {
            let bad = role.frame(FIN | CLOSE, &[&[3, 232], reason].concat());
            assert_refused(role, "reason", &bad, PeerError::CloseReasonNotUtf8);
        }
    }
}

/// W-U1. RFC 6455 §8.1: also where the bad byte lies across fragments.
#[test]
fn text_not_utf8() {
    for role in ROLES {
        for bad in [
            &b"\xff"[..],
            b"abc\xc0\xaf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xe2\x82",
        ] {
            let whole = role.frame(FIN | TEXT, bad);
            assert_refused(role, "whole", &whole, PeerError::TextNotUtf8);
            for cut in 0..=bad.len() {
                let mut bytes = role.frame(TEXT, &bad[..cut]);
                bytes.extend(role.frame(FIN | CONTINUATION, &bad[cut..]));
                assert_refused(role, "fragments", &bytes, PeerError::TextNotUtf8);
            }
        }
    }
}

/// W-U1: as early as possible, that is with the first byte that no text can have there, even if
/// neither the frame nor the message has ended.
#[test]
fn text_fails_at_the_first_bad_byte() {
    for role in ROLES {
        let text = "κόσμε".as_bytes();
        let mut bytes = role.frame(TEXT, text);
        let payload = [b"\xf4\x90".as_slice(), &[b'x'; 50]].concat();
        let header = raw(
            CONTINUATION,
            52,
            Width::Shortest,
            role == Role::Server,
            &payload,
        );
        bytes.extend_from_slice(&header);
        // All but the bytes behind the bad one.
        let until_bad = bytes.len() - 50;
        let (mut connection, mut out) = (role.connect(small()), Vec::new());
        assert_eq!(feed(&mut connection, &bytes[..until_bad - 1], &mut out), []);
        let seen = feed(&mut connection, &bytes[until_bad - 1..until_bad], &mut out);
        assert!(matches!(&seen[..], [Seen::Closed(close)] if close.code.as_u16() == 1007));
    }
}

/// The message limit, at it and one over it, whole and in fragments. Over it the header decides:
/// no payload is needed.
#[test]
fn message_too_big() {
    for role in ROLES {
        let masked = role == Role::Server;
        for first in [TEXT, BINARY] {
            let header = raw(FIN | first, 1001, Width::Two, masked, b"");
            assert_refused(role, "whole", &header, PeerError::MessageTooBig);
            let mut bytes = role.frame(first, &[b'x'; 600]);
            bytes.extend(raw(CONTINUATION, 401, Width::Two, masked, b""));
            assert_refused(role, "fragments", &bytes, PeerError::MessageTooBig);
        }

        // The first byte of a character that has not ended counts, too.
        let mut bytes = role.frame(TEXT, &[&[b'x'; 998][..], b"\xd1"].concat());
        bytes.extend(role.frame(FIN | CONTINUATION, b"\x8bx"));
        assert_refused(role, "cut character", &bytes, PeerError::MessageTooBig);

        let mut fits = role.frame(FIN | TEXT, &[b'x'; 1000]);
        fits.extend(role.frame(TEXT, &[b'x'; 600]));
        fits.extend(role.frame(FIN | CONTINUATION, &[b'x'; 400]));
        let (mut connection, mut out) = (role.connect(small()), Vec::new());
        let text = Seen::text(&"x".repeat(1000));
        assert_eq!(feed(&mut connection, &fits, &mut out), [text.clone(), text]);
    }
}

/// W-F3. The frame limit, at it and one over it; empty frames that do not end a message count
/// twice.
#[test]
fn too_many_frames() {
    for role in ROLES {
        let message = |payloads: &[&[u8]]| {
            let mut bytes = Vec::new();
            for (index, payload) in payloads.iter().enumerate() {
                let first = if index == 0 { BINARY } else { CONTINUATION };
                let fin = if index + 1 == payloads.len() { FIN } else { 0 };
                bytes.extend(role.frame(fin | first, payload));
            }
            bytes
        };
        for good in [
            &[&b"a"[..], b"b", b"c", b"d"][..],
            &[b"", b"a", b""],
            &[b"a", b"", b"b"],
        ] {
            let (mut connection, mut out) = (role.connect(small()), Vec::new());
            let seen = feed(&mut connection, &message(good), &mut out);
            assert!(
                matches!(&seen[..], [Seen::Message(..)]),
                "{good:?}: {seen:?}"
            );
        }
        for bad in [
            &[&b"a"[..], b"b", b"c", b"d", b"e"][..],
            &[b"", b"", b"a"],
            &[b"a", b"b", b"", b"c"],
        ] {
            assert_refused(role, "frames", &message(bad), PeerError::TooManyFrames);
        }
    }
}
