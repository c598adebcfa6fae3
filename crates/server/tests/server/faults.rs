//! Faults that were published of other servers, tried on the whole of this one.
//! docs/reference/known-faults.md has the list.

use std::io::{Read, Write};

use rupor_server::DeflateConfig;
use rupor_testkit::{Event, Frame as RawFrame, opcode, wait_until};

use super::*;

/// Every length near a boundary, in every width that a header has for it.
fn headers() -> Vec<(u8, bool, Vec<u8>, u64, bool)> {
    let lengths = [
        0,
        125,
        126,
        127,
        65_535,
        65_536,
        65_537,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        1 << 53,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX,
    ];
    let mut headers = Vec::new();
    for first in [0x81, 0x82, 0x01, 0x88, 0x89, 0x8a] {
        for masked in [true, false] {
            let bit = if masked { 0x80 } else { 0 };
            for len in lengths {
                let short = u8::try_from(len).ok().filter(|len| *len < 126);
                if let Some(short) = short {
                    headers.push((first, masked, vec![first, bit | short], len, true));
                }
                if let Ok(medium) = u16::try_from(len) {
                    let mut bytes = vec![first, bit | 126];
                    bytes.extend(medium.to_be_bytes());
                    headers.push((first, masked, bytes, len, len > 125));
                }
                let mut bytes = vec![first, bit | 127];
                bytes.extend(len.to_be_bytes());
                headers.push((first, masked, bytes, len, len > 65_535));
            }
        }
    }
    headers
}

/// Lengths near every boundary, before anybody has said who he is (CVE-2020-27813, CVE-2020-13935,
/// CVE-2026-27889, CVE-2026-43678): the right close code at once, or patience; never a message.
#[test]
fn w_l1_lengths_over_a_real_connection() {
    let up = up(Limits::default());
    let mut bystander = up.connect("/");
    for (first, masked, mut bytes, len, is_shortest) in headers() {
        if masked {
            bytes.extend([1, 2, 3, 4]);
        }
        let control = first & 8 != 0;
        let broken = !masked || !is_shortest || len >> 63 != 0 || (control && len > 125);
        let expected = match len {
            _ if broken => Some(1002),
            65_537.. => Some(1009),
            _ => None,
        };
        let mut client = up.connect("/");
        client.send_bytes(&bytes);
        if let Some(code) = expected {
            let (came, _) = client.expect_close();
            assert_eq!(came, code, "{bytes:02x?}");
        } else if len > 0 {
            // Nothing of the payload has come: it is waited for, and what ends it is the end.
            client.finish();
            assert_eq!(client.receive(), Event::End, "{bytes:02x?}");
        }
    }
    bystander.send_text("still here");
    bystander.expect_text("still here");
    wait_until("only the bystander is left", || {
        up.handle().stats().connections == 1
    });
}

/// No frame that breaks a rule, and nothing behind it, reaches the handler, which would echo it.
#[test]
fn w_p1_invalid_frames_never_reach_the_handler() {
    let up = up(Limits::default());
    let text = |payload: &[u8]| RawFrame::new(opcode::TEXT, payload);
    let unmasked = RawFrame {
        masking_key: None,
        ..text(b"x")
    };
    let reserved = |rsv| RawFrame { rsv, ..text(b"x") };
    let table: Vec<(&str, Vec<RawFrame>, u16)> = vec![
        ("unmasked", vec![unmasked], 1002),
        ("RSV1", vec![reserved(4)], 1002),
        ("RSV2", vec![reserved(2)], 1002),
        ("RSV3", vec![reserved(1)], 1002),
        ("opcode 3", vec![RawFrame::new(3, "x")], 1002),
        ("opcode 15", vec![RawFrame::new(15, "x")], 1002),
        ("continuation of nothing", vec![RawFrame::new(0, "x")], 1002),
        (
            "message in a message",
            vec![RawFrame::fragment(opcode::TEXT, "x", false), text(b"y")],
            1002,
        ),
        (
            "fragmented ping",
            vec![RawFrame::fragment(opcode::PING, "x", false)],
            1002,
        ),
        (
            "long ping",
            vec![RawFrame::new(opcode::PING, [0; 126])],
            1002,
        ),
        ("bad text", vec![text(b"\xff")], 1007),
        (
            "bad text in the second frame",
            vec![
                RawFrame::fragment(opcode::TEXT, b"\xe2\x82", false),
                RawFrame::fragment(opcode::CONTINUATION, b"x", true),
            ],
            1007,
        ),
        ("surrogate", vec![text(b"\xed\xa0\x80")], 1007),
        ("text that is cut", vec![text(b"\xf0\x9f")], 1007),
        (
            "too big",
            vec![RawFrame::new(opcode::BINARY, vec![0; 65_537])],
            1009,
        ),
        (
            "close of one byte",
            vec![RawFrame::new(opcode::CLOSE, [3])],
            1002,
        ),
        ("close code 1005", vec![RawFrame::close(1005, "")], 1002),
        ("close code 999", vec![RawFrame::close(999, "")], 1002),
        (
            "bad close reason",
            vec![RawFrame::new(opcode::CLOSE, b"\x03\xe8\xff")],
            1007,
        ),
    ];
    for (name, frames, code) in table {
        let mut client = up.connect("/");
        let mut bytes: Vec<u8> = frames.iter().flat_map(RawFrame::encode).collect();
        bytes.extend(text(b"behind").encode());
        let _ = client.try_send_bytes(&bytes);
        match client.receive() {
            Event::Close(came, _) => assert_eq!(came, code, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(client.receive(), Event::End, "{name}");
    }
}

/// Connections that come and go in every way leave nothing behind (CVE-2021-42340).
#[test]
fn w_b2_cycles_leave_nothing() {
    let up = up(Limits::default());
    for cycle in 0..300 {
        match cycle % 6 {
            0 => _ = up.connect("/?a&b").close(1000, "bye"),
            1 => drop(up.connect("/?a")),
            2 => up.connect("/").finish(),
            3 => {
                let _ = up.tcp().write_all(b"GET / HT");
            }
            4 => {
                let _ = up
                    .opening("/")
                    .header("Sec-WebSocket-Version", "8")
                    .refused();
            }
            _ => {
                let mut client = up.connect("/?a");
                client.send_bytes(&[0x81, 0xfe, 0xff, 0xff]);
            }
        }
    }
    wait_until("nothing is left", || {
        let stats = up.handle().stats();
        (stats.connections, stats.openings) == (0, 0)
    });
    let opened = up.handle().stats().opened;
    up.connect("/").close(1000, "");
    assert_eq!(up.handle().stats().opened, opened + 1);
}

/// Fragments without end, before anybody has said who he is: large ones, tiny ones, empty ones
/// (CVE-2014-0193, CVE-2026-33219, CVE-2026-48779, CVE-2026-12151).
#[test]
fn w_f1_f2_f3_fragments_over_a_real_connection() {
    let up = up(Limits::default());
    for (size, code) in [(1024, 1009), (1, 1008), (0, 1008)] {
        let mut client = up.connect("/");
        let first = RawFrame::fragment(opcode::TEXT, vec![b'x'; size], false);
        let more = RawFrame::fragment(opcode::CONTINUATION, vec![b'x'; size], false);
        let mut bytes = first.encode();
        for _ in 0..1025 {
            bytes.extend(more.encode());
        }
        // It may be over before all of it was sent.
        let _ = client.try_send_bytes(&bytes);
        assert_eq!(client.expect_close().0, code, "fragments of {size} bytes");
    }
}

/// A small frame that inflates to far more than a message may have (CVE-2018-1000518,
/// CVE-2021-21419, CVE-2026-27571, CVE-2026-1526).
#[test]
fn w_z1_bomb_over_a_real_connection() {
    let server = server(Limits::default()).deflate(DeflateConfig::default());
    let up = Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap());
    let connect = || up.opening("/").extensions("permessage-deflate").open();
    let mut bomb = connect();
    bomb.send_text_compressed(&"x".repeat(10_000_000));
    assert_eq!(bomb.expect_close().0, 1009);
    // What inflates to the limit exactly is a message.
    let largest = "x".repeat(65_536);
    let mut client = connect();
    client.send_text_compressed(&largest);
    client.expect_text(&largest);
}

/// TLS that ends, or breaks off, in the middle of its handshake ends that connection and nothing
/// else (RUSTSEC-2024-0336, RUSTSEC-2024-0399).
#[test]
fn w_t1_broken_handshakes_end() {
    let pair = tls::Pair::new();
    let limits = Limits {
        opening_timeout_ms: 300,
        ..Limits::default()
    };
    let server = server(limits).tls(pair.tls().unwrap());
    let up = Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap());
    let close_notify = [0x15, 3, 3, 0, 2, 1, 0];
    let fatal_alert = [0x15, 3, 3, 0, 2, 2, 40];
    let empty_handshake = [0x16, 3, 1, 0, 0];
    let early_payload = [0x17, 3, 3, 0, 1, 0];
    let begun_hello = [0x16, 3, 1, 0, 4, 1, 0, 1, 0];
    for begin in [&begun_hello[..], &[]] {
        for end in [
            &close_notify[..],
            &fatal_alert,
            &empty_handshake,
            &early_payload,
            b"GET / HTTP/1.1\r\n\r\n",
            &[],
        ] {
            let mut stream = up.tcp();
            let _ = stream.write_all(&[begin, end].concat());
            // An alert and the end, or a reset.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    wait_until("nothing is left", || up.handle().stats().openings == 0);
    let mut client = up.opening("/").open_over(tls::link(&up, &pair.certificate));
    client.send_text("still here");
    client.expect_text("still here");
}
