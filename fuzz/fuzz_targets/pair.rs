//! A client and a server in memory: any calls on both, any cut, any delay, a clock and a link that
//! may break. Nothing is lost or changed while both are open, and both come to an end.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rupor_fuzz::ends::{End, agree, deflate_config};
use rupor_fuzz::wire::{NOW, connect, wide};
use rupor_proto::{CloseCode, Config, Kind, Message, Time};

#[derive(Arbitrary, Debug)]
struct Input {
    deflate: Option<(bool, u8)>,
    ping_interval_ms: u16,
    acts: Vec<(bool, Act)>,
}

#[derive(Arbitrary, Debug)]
enum Act {
    Text(String),
    Binary(Vec<u8>, bool),
    Fragment(bool, Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    HoldPongs,
    ReleasePong,
    /// So many bytes arrive at the other end.
    Travel(u16),
    Wait(u16),
    Cut,
}

fuzz_target!(|input: Input| {
    let config = Config {
        ping_interval_ms: input.ping_interval_ms.into(),
        ..wide()
    };
    let mut ends = [true, false].map(|server| {
        let connection = connect(server, config);
        End::new(match input.deflate {
            Some((takeover, bits)) => {
                connection.with_deflate(&agree(&deflate_config(takeover, 9 + bits % 7)))
            }
            None => connection,
        })
    });
    let mut now = NOW;
    // Whether something but the ends' own doing has ended a connection.
    let mut disturbed = false;
    for (server, act) in input.acts.iter().take(200) {
        let this = usize::from(!*server);
        match act {
            Act::Travel(count) => travel(&mut ends, this, usize::from(*count), now),
            Act::Wait(ms) => {
                now = now.saturating_add_ms(u64::from(*ms) * 8);
                for end in &mut ends {
                    let open = end.closed.is_none();
                    end.wake(now);
                    disturbed |= open && end.closed.is_some();
                }
            }
            Act::Cut => {
                disturbed = true;
                ends[this].end(now);
            }
            act => perform(act, &mut ends[this], now),
        }
    }
    finish(&mut ends, now);
    judge(&ends, disturbed);
});

fn travel(ends: &mut [End; 2], from: usize, count: usize, now: Time) {
    let count = count.min(ends[from].out.len());
    let bytes: Vec<u8> = ends[from].out.drain(..count).collect();
    ends[1 - from].receive(&bytes, now);
}

fn perform(act: &Act, end: &mut End, now: Time) {
    match act {
        Act::Text(text) => {
            if end.act(|it, pool, out| it.send_deflated(Message::Text(text), pool, out)) {
                end.sent.push((true, text.clone().into_bytes()));
            }
        }
        Act::Binary(bytes, plain) => {
            let message = Message::Binary(bytes);
            if end.act(|it, pool, out| {
                if *plain {
                    it.send(message, out)
                } else {
                    it.send_deflated(message, pool, out)
                }
            }) {
                end.sent.push((false, bytes.clone()));
            }
        }
        Act::Fragment(text, payload, last) => fragment(*text, payload, *last, end),
        Act::Ping(payload) => _ = end.act(|it, _, out| it.send_ping(payload, out)),
        Act::Pong(payload) => _ = end.act(|it, _, out| it.send_pong(payload, out)),
        Act::Close(code, reason) => {
            _ = end.act(|it, _, out| it.close(CloseCode::new(*code), reason, now, out));
        }
        Act::HoldPongs => end.connection.hold_pongs(),
        Act::ReleasePong => end.connection.release_pong(&mut end.out),
        Act::Travel(_) | Act::Wait(_) | Act::Cut => {}
    }
}

fn fragment(text: bool, payload: &[u8], last: bool, end: &mut End) {
    let kind = if text { Kind::Text } else { Kind::Binary };
    if !end.act(|it, _, out| it.send_fragment(kind, payload, last, out)) {
        return;
    }
    let (_, message) = end.begun.get_or_insert_with(|| (text, Vec::new()));
    message.extend_from_slice(payload);
    if last && let Some(message) = end.begun.take() {
        end.sent.push(message);
    }
}

/// Lets everything arrive, closes, and ends the transport.
fn finish(ends: &mut [End; 2], now: Time) {
    for round in 0..4 {
        for from in [0, 1] {
            travel(ends, from, usize::MAX, now);
        }
        if round == 0 {
            let server = &mut ends[0];
            server.act(|it, _, out| it.close(CloseCode::NORMAL, "", now, out));
        }
    }
    for end in ends {
        assert!(end.out.is_empty(), "two ends that talk for ever");
        end.end(now);
    }
}

fn judge(ends: &[End; 2], disturbed: bool) {
    for (end, peer) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
        let count = end.received.len();
        assert!(count <= peer.sent.len());
        assert_eq!(end.received, peer.sent[..count], "in order and unchanged");
        let close = end.closed.as_ref().expect("it has ended");
        assert!(end.connection.poll_timeout().is_none());
        if disturbed {
            continue;
        }
        assert!(close.error.is_none(), "{close:?}");
        assert!(close.clean, "{close:?}");
        // Who closed first drops what still comes; the other has had all that was sent.
        if close.initiator == rupor_proto::Initiator::Peer {
            assert_eq!(count, peer.sent.len(), "nothing is lost");
        }
    }
}
