//! What is right: messages, control frames and the closing handshake, received and sent, in both
//! roles; and what a caller may not do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod wire;

use rupor_proto::{
    ApiMisuse, Close, CloseCode, Connection, Event, Frame, Initiator, Kind, Message, State,
};
use wire::{
    BINARY, CLOSE, CONTINUATION, FIN, KEY, NOW, PING, PONG, ROLES, Role, Seen, TEXT, feed,
    feed_pieces, frames, wide,
};

fn closed(code: u16, reason: &str, initiator: Initiator) -> Seen {
    let code = CloseCode::new(code);
    Seen::Closed(Close {
        code,
        reason: reason.into(),
        initiator,
        clean: true,
        error: None,
    })
}

/// RFC 6455 §5.2: every way to write a length, both ways. Whole frames are borrowed, cut ones
/// owned.
#[test]
fn messages_of_every_length() {
    for role in ROLES {
        for len in [0, 1, 7, 8, 9, 125, 126, 127, 128, 65_535, 65_536, 65_537] {
            for kind in [Kind::Text, Kind::Binary] {
                let payload: Vec<u8> = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
                let message = match kind {
                    Kind::Text => Message::Text(std::str::from_utf8(&payload).unwrap()),
                    Kind::Binary => Message::Binary(&payload),
                };
                let (mut sender, mut bytes) = (role.peer().connect(wide()), Vec::new());
                sender.send(message, &mut bytes).unwrap();
                let first = FIN | if kind == Kind::Text { TEXT } else { BINARY };
                assert_eq!(bytes, role.frame(first, &payload));
                if role == Role::Client {
                    let frame = Frame::new(message);
                    assert_eq!(frame.as_bytes(), bytes);
                    assert_eq!(frame.payload_len(), len);
                }

                let (mut receiver, mut out) = (role.connect(wide()), Vec::new());
                let mut whole = bytes.clone();
                let mut input = &mut whole[..];
                let Some(Event::Message(seen)) = receiver.receive(&mut input, NOW, &mut out) else {
                    panic!("no message")
                };
                assert_eq!(seen.as_message(), message);
                assert!(seen.is_borrowed());
                assert_eq!(seen.into_owned().as_message(), message);
                assert!(input.is_empty() && out.is_empty());
                for cut in [1, 2, 5, bytes.len() - 1] {
                    let seen = feed_pieces(&mut receiver, &bytes, &[cut], &mut out);
                    assert_eq!(seen, [Seen::Message(kind, payload.clone())]);
                }
            }
        }
    }
}

/// RFC 6455 §5.4, §5.5: control frames between fragments; characters cut between them.
#[test]
fn fragments_with_control_frames_between() {
    for role in ROLES {
        let text = "чат 🎈".as_bytes();
        let mut bytes = Vec::new();
        for (index, byte) in text.iter().enumerate() {
            let first = if index == 0 { TEXT } else { CONTINUATION };
            bytes.extend(role.frame(first, &[*byte]));
            bytes.extend(role.frame(FIN | PING, &[*byte]));
        }
        bytes.extend(role.frame(FIN | CONTINUATION, b""));
        for size in [usize::MAX, 1, 4] {
            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
            let seen = feed_pieces(&mut connection, &bytes, &[size], &mut out);
            let mut expected: Vec<_> = text.iter().map(|byte| Seen::Ping(vec![*byte])).collect();
            expected.push(Seen::text("чат 🎈"));
            assert_eq!(seen, expected);
            let pongs: Vec<_> = text.iter().map(|byte| (FIN | PONG, vec![*byte])).collect();
            assert_eq!(frames(role, &out), pongs);
        }
    }
}

/// RFC 6455 §5.5.2-5.5.3: the Pong carries the Ping's payload; a Pong owes nothing.
#[test]
fn pings_and_pongs() {
    for role in ROLES {
        for payload in [&b""[..], b"hello", &[0xff; 125]] {
            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
            let ping = role.frame(FIN | PING, payload);
            assert_eq!(
                feed(&mut connection, &ping, &mut out),
                [Seen::Ping(payload.into())]
            );
            assert_eq!(frames(role, &out), [(FIN | PONG, payload.to_vec())]);
            out.clear();
            let pong = role.frame(FIN | PONG, payload);
            assert_eq!(
                feed(&mut connection, &pong, &mut out),
                [Seen::Pong(payload.into())]
            );
            assert!(out.is_empty());
        }
    }
}

/// RFC 6455 §7.1.5-7.1.6, §7.4: the peer closes; its code is echoed.
#[test]
fn peer_closes() {
    let codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    ];
    for role in ROLES {
        for code in codes.into_iter().chain([3000, 3999, 4000, 4999_u16]) {
            for reason in ["", "bye", &"ы".repeat(61)] {
                let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
                let (mut connection, mut out) = (role.connect(wide()), Vec::new());
                let mut bytes = role.frame(FIN | CLOSE, &payload);
                bytes.extend(role.frame(FIN | TEXT, b"too late"));
                bytes.extend(role.frame(FIN | PING, b"too late"));
                let seen = feed(&mut connection, &bytes, &mut out);
                assert_eq!(seen, [closed(code, reason, Initiator::Peer)]);
                assert_eq!(
                    frames(role, &out),
                    [(FIN | CLOSE, code.to_be_bytes().to_vec())]
                );
                assert_eq!(connection.state(), State::Closed);
                assert!(!connection.is_sendable());
            }
        }
        let (mut connection, mut out) = (role.connect(wide()), Vec::new());
        let seen = feed(&mut connection, &role.frame(FIN | CLOSE, b""), &mut out);
        assert_eq!(seen, [closed(1005, "", Initiator::Peer)]);
        assert_eq!(frames(role, &out), [(FIN | CLOSE, vec![])]);
    }
}

/// RFC 6455 §1.4, §7.1.2: we close. What still comes is dropped, also when the message was begun
/// before, and the peer's Close frame ends it.
#[test]
fn we_close() {
    for role in ROLES {
        for size in [usize::MAX, 1, 5] {
            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
            let begun = role.frame(TEXT, b"begun");
            assert_eq!(feed_pieces(&mut connection, &begun, &[size], &mut out), []);
            connection
                .close(CloseCode::GOING_AWAY, "restart", NOW, &mut out)
                .unwrap();
            assert_eq!(connection.state(), State::Closing);
            assert!(!connection.is_sendable());
            assert_eq!(
                frames(role, &out),
                [(FIN | CLOSE, b"\x03\xe9restart".to_vec())]
            );
            out.clear();

            let mut bytes = role.frame(FIN | PING, b"ping");
            bytes.extend(role.frame(FIN | CONTINUATION, b"ended \xff"));
            bytes.extend(role.frame(FIN | TEXT, b"whole"));
            bytes.extend(role.frame(BINARY, b"in two"));
            bytes.extend(role.frame(FIN | CONTINUATION, b"fragments"));
            assert_eq!(feed_pieces(&mut connection, &bytes, &[size], &mut out), []);
            let close = role.frame(FIN | CLOSE, b"\x03\xe8ok");
            let seen = feed_pieces(&mut connection, &close, &[size], &mut out);
            assert_eq!(seen, [closed(1000, "ok", Initiator::Local)]);
            assert!(out.is_empty(), "nothing is sent behind our Close frame");
        }
    }
}

/// RFC 6455 §7.1.5: an end without a Close frame is 1006, once, whoever had begun.
#[test]
fn end_of_input() {
    for role in ROLES {
        for begun in [vec![], role.frame(TEXT, b"begun"), vec![0x81]] {
            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
            feed(&mut connection, &begun, &mut out);
            let Some(Event::Closed(close)) = connection.receive_eof(NOW) else {
                panic!()
            };
            assert_eq!((close.code, close.clean), (CloseCode::ABNORMAL, false));
            assert_eq!((close.initiator, close.error), (Initiator::Peer, None));
            assert_eq!(connection.receive_eof(NOW), None);
        }
        let (mut connection, mut out) = (role.connect(wide()), Vec::new());
        connection
            .close(CloseCode::NORMAL, "", NOW, &mut out)
            .unwrap();
        let Some(Event::Closed(close)) = connection.receive_eof(NOW) else {
            panic!()
        };
        assert_eq!(
            (close.code, close.initiator),
            (CloseCode::ABNORMAL, Initiator::Local)
        );
    }
}

/// The bytes of everything that can be sent.
#[test]
fn sent_bytes() {
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(wide()), Vec::new());
        connection.send(Message::Text("hi"), &mut out).unwrap();
        connection.send(Message::Binary(&[1, 2]), &mut out).unwrap();
        connection
            .send_fragment(Kind::Text, b"\xd1", false, &mut out)
            .unwrap();
        connection.send_ping(b"p", &mut out).unwrap();
        connection.send_pong(b"q", &mut out).unwrap();
        connection
            .send_fragment(Kind::Text, b"\x8b", true, &mut out)
            .unwrap();
        connection
            .send_fragment(Kind::Binary, b"", false, &mut out)
            .unwrap();
        connection
            .send_fragment(Kind::Binary, b"b", true, &mut out)
            .unwrap();
        connection
            .close(CloseCode::new(4000), "c", NOW, &mut out)
            .unwrap();
        let expected: [(u8, &[u8]); 9] = [
            (FIN | TEXT, b"hi"),
            (FIN | BINARY, &[1, 2]),
            (TEXT, b"\xd1"),
            (FIN | PING, b"p"),
            (FIN | PONG, b"q"),
            (FIN | CONTINUATION, b"\x8b"),
            (BINARY, b""),
            (FIN | CONTINUATION, b"b"),
            (FIN | CLOSE, b"\x0f\xa0c"),
        ];
        assert_eq!(
            frames(role, &out),
            expected.map(|(first, it)| (first, it.to_vec()))
        );
    }
    // Masked with the key that the caller gave (the example of RFC 6455 §5.7).
    let (mut client, mut out) = (Role::Client.connect(wide()), Vec::new());
    client.send(Message::Text("Hello"), &mut out).unwrap();
    assert_eq!(
        out,
        [
            0x81, 0x85, KEY[0], KEY[1], KEY[2], KEY[3], 0x7f, 0x9f, 0x4d, 0x51, 0x58
        ]
    );
}

/// A call that is not allowed says why, writes nothing and changes nothing.
#[test]
fn misuse() {
    type Call = fn(&mut Connection, &mut Vec<u8>) -> Result<(), ApiMisuse>;
    let long_reason: Call = |it, out| it.close(CloseCode::NORMAL, &"x".repeat(124), NOW, out);
    let calls: [(Call, ApiMisuse); 5] = [
        (
            |it, out| it.send_ping(&[0; 126], out),
            ApiMisuse::ControlTooLong,
        ),
        (
            |it, out| it.send_pong(&[0; 126], out),
            ApiMisuse::ControlTooLong,
        ),
        (
            |it, out| it.send_fragment(Kind::Text, b"\xff", false, out),
            ApiMisuse::TextNotUtf8,
        ),
        (
            |it, out| it.send_fragment(Kind::Text, b"\xd1", true, out),
            ApiMisuse::TextNotUtf8,
        ),
        (long_reason, ApiMisuse::CloseReasonTooLong),
    ];
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(wide()), Vec::new());
        for (call, error) in calls {
            assert_eq!(call(&mut connection, &mut out), Err(error));
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000].map(CloseCode::new) {
            let refused = connection.close(code, "", NOW, &mut out);
            assert_eq!(refused, Err(ApiMisuse::CloseCodeNotAllowed(code)));
        }
        assert!(out.is_empty());
        assert_eq!(connection.is_sendable(), role == Role::Server);

        connection
            .send_fragment(Kind::Text, b"\xd1", false, &mut out)
            .unwrap();
        assert!(!connection.is_sendable());
        out.clear();
        let refused = connection.send(Message::Text("x"), &mut out);
        assert_eq!(refused, Err(ApiMisuse::FragmentUnfinished));
        let refused = connection.send_fragment(Kind::Binary, b"", true, &mut out);
        assert_eq!(refused, Err(ApiMisuse::KindChanged));
        let refused = connection.send_fragment(Kind::Text, b"", true, &mut out);
        assert_eq!(refused, Err(ApiMisuse::TextNotUtf8));
        assert!(out.is_empty());
        connection
            .send_fragment(Kind::Text, b"\x8b", true, &mut out)
            .unwrap();

        connection
            .close(CloseCode::NORMAL, &"x".repeat(123), NOW, &mut out)
            .unwrap();
        out.clear();
        let refused = [
            connection.send(Message::Text(""), &mut out),
            connection.send_fragment(Kind::Text, b"", true, &mut out),
            connection.send_ping(b"", &mut out),
            connection.send_pong(b"", &mut out),
            connection.close(CloseCode::NORMAL, "", NOW, &mut out),
        ];
        assert_eq!(refused, [Err(ApiMisuse::NotOpen); 5]);
        assert!(out.is_empty());
    }
}

#[test]
fn header_alone_and_payload_are_the_whole_frame() {
    for len in [0, 125, 126, 65_535, 65_536] {
        let text = "a".repeat(len);
        let mut whole = Vec::new();
        let mut server = rupor_proto::Connection::server(
            std::sync::Arc::default(),
            rupor_proto::Time::from_millis(0),
            1,
        );
        server.send(Message::Text(&text), &mut whole).unwrap();
        let mut parts = Vec::new();
        server
            .send_header(Message::Text(&text), &mut parts)
            .unwrap();
        parts.extend_from_slice(text.as_bytes());
        assert!(parts == whole, "{len}");
    }
    let keys = Box::new(|| [1, 2, 3, 4]);
    let client = rupor_proto::Connection::client(
        std::sync::Arc::default(),
        rupor_proto::Time::from_millis(0),
        1,
        keys,
    );
    let refused = client.send_header(Message::Text("a"), &mut Vec::new());
    assert_eq!(refused, Err(rupor_proto::ApiMisuse::FrameUnmasked));
}
