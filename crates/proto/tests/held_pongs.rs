//! One Pong for the newest Ping (RFC 6455 §5.5.3), for a caller whose output is backed up; one for
//! each where it is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod heap;
mod wire;

use heap::measure;
use rupor_proto::{CloseCode, Connection, Message};
use wire::{CLOSE, FIN, NOW, PING, PONG, ROLES, Role, Seen, TEXT, feed, feed_pieces, frames, wide};

/// Pings with these payloads, behind each other.
fn pings(role: Role, payloads: &[&[u8]]) -> Vec<u8> {
    payloads
        .iter()
        .flat_map(|payload| role.frame(FIN | PING, payload))
        .collect()
}

fn sent(role: Role, out: &[u8]) -> Vec<(u8, Vec<u8>)> {
    frames(role, out)
}

fn pong(payload: &[u8]) -> (u8, Vec<u8>) {
    (FIN | PONG, payload.to_vec())
}

/// As Autobahn 2.10 and 2.11 have it, in one piece and byte by byte: whose output leaves answers
/// each Ping, and what it sends does not depend on how the input was cut.
#[test]
fn every_ping_is_answered_where_nothing_is_backed_up() {
    for role in ROLES {
        let payloads: Vec<String> = (0..10).map(|n| format!("payload-{n}")).collect();
        let payloads: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
        for sizes in [&[usize::MAX][..], &[1], &[3, 1, 40]] {
            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
            let seen = feed_pieces(&mut connection, &pings(role, &payloads), sizes, &mut out);
            assert_eq!(seen.len(), 10);
            let expected: Vec<_> = payloads.iter().map(|payload| pong(payload)).collect();
            assert_eq!(sent(role, &out), expected);
        }
    }
}

/// RFC 6455 §5.5.3, however the input was cut; and the next Ping is answered at once again.
#[test]
fn newest_ping_is_answered_when_pongs_were_held() {
    for role in ROLES {
        for sizes in [&[usize::MAX][..], &[1], &[3, 1, 40]] {
            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
            connection.hold_pongs();
            let input = pings(role, &[b"first", &[7; 125], b"newest"]);
            let seen = feed_pieces(&mut connection, &input, sizes, &mut out);
            assert_eq!(seen.len(), 3, "each is told all the same");
            assert_eq!(seen[2], Seen::Ping(b"newest".to_vec()));
            assert!(out.is_empty());
            connection.release_pong(&mut out);
            assert_eq!(sent(role, &out), [pong(b"newest")]);
            connection.release_pong(&mut out);
            feed(&mut connection, &pings(role, &[b"later"]), &mut out);
            assert_eq!(sent(role, &out), [pong(b"newest"), pong(b"later")]);
        }
    }
}

/// Holding is about Pongs alone, and without a Ping there is nothing to release.
#[test]
fn messages_are_sent_while_pongs_are_held() {
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(wide()), Vec::new());
        connection.hold_pongs();
        connection.release_pong(&mut out);
        assert!(out.is_empty());
        connection.hold_pongs();
        feed(&mut connection, &pings(role, &[b"?"]), &mut out);
        connection.send(Message::Text("one"), &mut out).unwrap();
        connection.send_pong(b"unasked", &mut out).unwrap();
        connection.release_pong(&mut out);
        let expected = [(FIN | TEXT, b"one".to_vec()), pong(b"unasked"), pong(b"?")];
        assert_eq!(sent(role, &out), expected);
    }
}

/// A Ping that came before our Close frame is answered before it (RFC 6455 §5.5.2); one that
/// nobody can hear the answer to any more is not.
#[test]
fn held_pong_leaves_before_our_close_frame_and_never_after_it() {
    for role in ROLES {
        let held = |role: Role| -> (Connection, Vec<u8>) {
            let (mut connection, mut out) = (role.connect(wide()), Vec::new());
            connection.hold_pongs();
            feed(&mut connection, &pings(role, &[b"?"]), &mut out);
            (connection, out)
        };
        let (mut connection, mut out) = held(role);
        connection
            .close(CloseCode::NORMAL, "", NOW, &mut out)
            .unwrap();
        connection.release_pong(&mut out);
        let close = (FIN | CLOSE, vec![0x03, 0xe8]);
        assert_eq!(sent(role, &out), [pong(b"?"), close]);

        // The peer's Close frame, or a broken rule, ends it.
        for (ending, code) in [
            (&[0x03, 0xe8][..], vec![0x03, 0xe8]),
            (&[0], vec![0x03, 0xea]),
        ] {
            let (mut connection, mut out) = held(role);
            feed(&mut connection, &role.frame(FIN | CLOSE, ending), &mut out);
            connection.release_pong(&mut out);
            let sent = sent(role, &out);
            assert_eq!(sent.len(), 1);
            assert_eq!((sent[0].0, &sent[0].1[..2]), (FIN | CLOSE, &code[..]));
        }

        let (mut connection, mut out) = held(role);
        connection.receive_eof(NOW);
        connection.release_pong(&mut out);
        assert!(out.is_empty());
    }
}

/// W-C1: however many Pings come, one Pong is held: that of a peer that never reads.
#[test]
fn w_c1_one_pong_is_held() {
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(wide()), Vec::new());
        connection.hold_pongs();
        let mut flood = pings(role, &[&[b'p'; 125]]).repeat(1000);
        let (heap, ()) = measure(|| {
            let mut input = &mut flood[..];
            while connection.receive(&mut input, NOW, &mut out).is_some() {}
        });
        // Its payload, and for a server's the box that says that there is one.
        assert!(heap.held <= 160, "{heap:?}");
        assert!(heap.calls <= 2, "{heap:?}");
        assert!(out.is_empty());
    }
}
