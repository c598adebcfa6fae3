//! Faults that were published of other implementations and have no place elsewhere in these tests:
//! work on a head that grows faster than the head, drafts of the protocol.
//! docs/reference/known-faults.md has the list.
//!
//! No clock is asked. The inputs are so large that work in proportion to their square would not end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use rupor_proto::handshake::{
    HandshakeError, HeadLimits, HeadProgress, HttpVersion, Upgrade, parse_request,
};

const MIB: usize = 1024 * 1024;

fn upgrade(name: &str, value: &[u8]) -> Result<Upgrade, HandshakeError> {
    let headers: [(&str, &[u8]); 6] = [
        ("Host", b"example.org"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (name, value),
    ];
    Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers)
}

/// A head that comes a byte at a time (CVE-2023-43669).
#[test]
fn w_h1_head_byte_by_byte_costs_linear_work() {
    let limits = HeadLimits {
        head_bytes_max: 2 * MIB,
        headers_max: 100_000,
        target_bytes_max: 2 * MIB,
    };
    for head in [
        format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(90_000)),
        format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(MIB)),
        format!("GET /{}", "y".repeat(MIB)),
    ] {
        let mut progress = HeadProgress::default();
        for len in 1..=head.len() {
            let parsed = progress.parse_request(&head.as_bytes()[..len], &limits);
            assert!(matches!(parsed, Ok(None)));
        }
    }
}

/// What was looked at once is not looked at again, until the head is complete.
#[test]
fn w_h1_bytes_are_looked_at_once() {
    let mut bytes = b"GET / HTTP/1.1\r\nHost: x\r\nX: ".to_vec();
    let mut progress = HeadProgress::default();
    let limits = HeadLimits::default();
    let parsed = progress.parse_request(&bytes, &limits);
    assert!(matches!(parsed, Ok(None)));
    bytes.fill(0);
    bytes.extend(b"more\r\n");
    let parsed = progress.parse_request(&bytes, &limits);
    assert!(matches!(parsed, Ok(None)), "the NULs are not seen");
    let parsed = parse_request(&bytes, &limits);
    assert_eq!(
        parsed.err(),
        Some(HandshakeError::Malformed),
        "here they are"
    );
}

/// Spaces, quotes, backslashes and separators without end where lists belong (CVE-2021-32640,
/// CVE-2020-7663): the verdict comes after one look at each byte.
#[test]
fn w_h3_lists_cost_linear_work() {
    for part in [
        " ", "\t ", ",", " ,", ";", "\"", "\\", "\"\\c", "a;", "a=\"", ";a=b",
    ] {
        let noise = part.repeat(4 * MIB / part.len());
        for value in [
            noise.clone(),
            format!("a{noise}b"),
            format!("permessage-deflate;{noise}"),
            format!("permessage-deflate; server_max_window_bits=\"{noise}"),
        ] {
            for name in [
                "Sec-WebSocket-Protocol",
                "Upgrade",
                "Connection",
                "Origin",
                "Host",
            ] {
                let _ = upgrade(name, value.as_bytes());
            }
            match upgrade("Sec-WebSocket-Extensions", value.as_bytes()) {
                Ok(upgrade) => assert!(upgrade.deflate_offers.len() <= 16),
                Err(error) => assert_eq!(error, HandshakeError::BadExtensions),
            }
        }
    }
}

/// Names that mean something to the language of another server mean nothing here.
#[test]
fn w_h4_names_of_object_members_are_names() {
    for name in [
        "constructor",
        "__proto__",
        "hasOwnProperty",
        "toString",
        "valueOf",
    ] {
        let value = format!("{name}; {name}={name}, {name}");
        let accepted = upgrade("Sec-WebSocket-Extensions", value.as_bytes()).unwrap();
        assert!(accepted.deflate_offers.is_empty());
        let accepted = upgrade("Sec-WebSocket-Protocol", name.as_bytes()).unwrap();
        assert_eq!(accepted.subprotocols, [name]);
        upgrade(name, b"x").unwrap();
    }
}

/// A Host of any bytes is a host or it is refused (CVE-2026-61666).
#[test]
fn w_h5_no_host_is_fatal() {
    for byte in 0..=u8::MAX {
        for host in [
            vec![byte],
            vec![byte; 300],
            vec![b'[', byte],
            vec![b'a', b':', byte],
        ] {
            let headers: [(&str, &[u8]); 5] = [
                ("Host", &host),
                ("Upgrade", b"websocket"),
                ("Connection", b"Upgrade"),
                ("Sec-WebSocket-Version", b"13"),
                ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            ];
            match Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers) {
                Ok(upgrade) => assert_eq!(upgrade.host.as_bytes(), host),
                Err(error) => assert_eq!(error, HandshakeError::BadHost),
            }
        }
    }
}

/// The drafts before RFC 6455, whose framing has lengths of any size, are not spoken
/// (CVE-2026-54463, CVE-2026-54466).
#[test]
fn w_l2_drafts_are_refused() {
    let hixie_75 = "GET /demo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
        Host: example.com\r\nOrigin: http://example.com\r\nWebSocket-Protocol: sample\r\n\r\n";
    let hixie_76 = "GET /demo HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\nSec-WebSocket-Protocol: sample\r\n\
        Upgrade: WebSocket\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n\
        Origin: http://example.com\r\n\r\n^n:ds[4U";
    for head in [hixie_75, hixie_76] {
        let (head, _) = parse_request(head.as_bytes(), &HeadLimits::default())
            .unwrap()
            .unwrap();
        assert_eq!(head.upgrade(), Err(HandshakeError::BadVersion));
    }
    for version in (0..=255_u8).filter(|version| *version != 13) {
        let version = version.to_string();
        let headers: [(&str, &[u8]); 5] = [
            ("Host", b"example.org"),
            ("Upgrade", b"websocket"),
            ("Connection", b"Upgrade"),
            ("Sec-WebSocket-Version", version.as_bytes()),
            ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let refused = Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers);
        assert_eq!(refused, Err(HandshakeError::VersionUnsupported));
    }
}
