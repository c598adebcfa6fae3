//! Any calls and any input on one connection: what it writes is what the RFC allows, in the order
//! of the calls, and nothing behind its Close frame.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rupor_fuzz::ends::End;
use rupor_fuzz::reference::{Reference, Rules};
use rupor_fuzz::wire::{self, NOW, Piece, Seen, connect, wide};
use rupor_proto::{CloseCode, Config, Frame, Kind, Limits, Message, State};

#[derive(Arbitrary, Debug)]
struct Input {
    server: bool,
    control_frames_per_second: u8,
    message_time_max_ms: u16,
    acts: Vec<Act>,
}

#[derive(Arbitrary, Debug)]
enum Act {
    Send(bool, Vec<u8>),
    Fragment(bool, Vec<u8>, bool),
    Frame(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    HoldPongs,
    ReleasePong,
    Receive(Piece),
    Wait(u16),
    End,
}

fuzz_target!(|input: Input| {
    let config = Config {
        limits: Limits {
            message_bytes_max: 4096,
            frames_per_message_max: 16,
            message_time_max_ms: input.message_time_max_ms.into(),
            control_frames_per_second: input.control_frames_per_second.into(),
            control_frames_burst: 10,
        },
        ping_interval_ms: 25_000,
        ..wide()
    };
    let mut end = End::new(connect(input.server, config));
    let mut now = NOW;
    for act in input.acts.iter().take(200) {
        match act {
            Act::Wait(ms) => {
                now = now.saturating_add_ms(u64::from(*ms) * 4);
                end.wake(now);
            }
            Act::End => end.end(now),
            Act::Receive(piece) => {
                let bytes = wire::encode(std::slice::from_ref(piece), input.server);
                end.receive(&bytes, now);
            }
            act => perform(act, &mut end, now),
        }
        let over = end.closed.is_some();
        assert_eq!(end.connection.state() == State::Closed, over);
        assert_eq!(end.connection.poll_timeout().is_none(), over);
    }
    let mut peer = Reference::new(Rules {
        peer_is_client: !input.server,
        message_bytes_max: usize::MAX,
        frames_per_message_max: u32::MAX,
    });
    peer.bytes(&end.out);
    assert_eq!(peer.behind, 0, "bytes behind the Close frame");
    assert!(!peer.is_inside_a_frame());
    let messages = |seen: &Seen| match seen {
        Seen::Message(text, payload) => Some((*text, payload.clone())),
        Seen::Failed(code) => panic!("the peer would fail with {code}"),
        Seen::Ping(_) | Seen::Pong(_) | Seen::Closed(_) => None,
    };
    let messages: Vec<_> = peer.seen.iter().filter_map(messages).collect();
    assert_eq!(messages, end.sent);
});

fn perform(act: &Act, end: &mut End, now: rupor_proto::Time) {
    match act {
        Act::Send(text, payload) => {
            let text = text.then(|| std::str::from_utf8(payload).ok()).flatten();
            let message = text.map_or(Message::Binary(payload), Message::Text);
            if end.act(|it, _, out| it.send(message, out)) {
                end.sent.push((text.is_some(), payload.clone()));
            }
        }
        Act::Fragment(text, payload, last) => {
            let kind = if *text { Kind::Text } else { Kind::Binary };
            if end.act(|it, _, out| it.send_fragment(kind, payload, *last, out)) {
                let (_, message) = end.begun.get_or_insert_with(|| (*text, Vec::new()));
                message.extend_from_slice(payload);
                if *last && let Some(message) = end.begun.take() {
                    end.sent.push(message);
                }
            }
        }
        Act::Frame(payload) => {
            if end.connection.is_sendable() {
                let frame = Frame::new(Message::Binary(payload));
                end.out.extend_from_slice(frame.as_bytes());
                end.sent.push((false, payload.clone()));
            }
        }
        Act::Ping(payload) => _ = end.act(|it, _, out| it.send_ping(payload, out)),
        Act::Pong(payload) => _ = end.act(|it, _, out| it.send_pong(payload, out)),
        Act::Close(code, reason) => {
            _ = end.act(|it, _, out| it.close(CloseCode::new(*code), reason, now, out));
        }
        Act::HoldPongs => end.connection.hold_pongs(),
        Act::ReleasePong => end.connection.release_pong(&mut end.out),
        Act::Receive(_) | Act::Wait(_) | Act::End => {}
    }
}
