//! Properties: what a connection delivers and answers does not depend on how its bytes were cut,
//! and what one end sends the other receives. proptest prints the seed of a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod wire;

use std::collections::VecDeque;

use proptest::{prelude::*, sample};
use rupor_proto::{CloseCode, Config, Connection, Event, Kind, Limits, Message};
use wire::{
    BINARY, CLOSE, CONTINUATION, FIN, NOW, PING, PONG, Role, Seen, TEXT, Width, feed_pieces, raw,
    wide,
};

fn role() -> impl Strategy<Value = Role> {
    sample::select(&wire::ROLES[..])
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![4 => 1..8_usize, 1 => 8..200_usize], 1..100)
}

/// Texts, with characters of every length, some not quite right.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-zа-я🎈€]{0,60}".prop_map(String::into_bytes),
        2 => "[a-zа-я🎈€]{0,60}".prop_map(|text| {
            let mut bytes = text.into_bytes();
            bytes.pop();
            bytes
        }),
        2 => prop::collection::vec(any::<u8>(), 0..140),
        1 => Just(vec![b'x'; 400]),
    ]
}

/// A frame that is mostly right on its own; in a row, some of them break a rule.
fn frame() -> impl Strategy<Value = (u8, Vec<u8>, bool)> {
    let data = (
        sample::select(vec![
            FIN | TEXT,
            FIN | TEXT,
            FIN | BINARY,
            TEXT,
            BINARY,
            CONTINUATION,
            CONTINUATION,
            FIN | CONTINUATION,
        ]),
        payload(),
        prop::bool::weighted(0.005),
    );
    let control = (
        sample::select(vec![FIN | PING, FIN | PONG, PING]),
        prop::collection::vec(any::<u8>(), 0..126),
        Just(false),
    );
    let close = (
        Just(FIN | CLOSE),
        prop_oneof![
            Just(vec![]),
            Just(vec![3]),
            (990..1020_u16, "[a-zа-я]{0,20}").prop_map(|(code, reason)| [
                &code.to_be_bytes(),
                reason.as_bytes()
            ]
            .concat()),
        ],
        Just(false),
    );
    let odd = (any::<u8>(), payload(), any::<bool>());
    prop_oneof![80 => data, 20 => control, 2 => close, 2 => odd]
}

/// Messages as they should be: fragments in order, control frames between them.
fn good_frames() -> impl Strategy<Value = Vec<(u8, Vec<u8>, bool)>> {
    let message = (any::<bool>(), "[a-zа-я🎈€]{0,80}", 1..6_usize, 0..3_u8).prop_map(
        |(text, payload, pieces, between)| {
            let bytes = payload.into_bytes();
            let size = bytes.len().div_ceil(pieces).max(1);
            let mut parts: Vec<_> = bytes.chunks(size).collect();
            if parts.is_empty() {
                parts.push(b"");
            }
            let mut frames = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                let kind = if text { TEXT } else { BINARY };
                let opcode = if index == 0 { kind } else { CONTINUATION };
                let fin = if index + 1 == parts.len() { FIN } else { 0 };
                frames.push((fin | opcode, part.to_vec(), false));
                if index as u8 == between {
                    frames.push((FIN | PING, vec![between], false));
                }
            }
            frames
        },
    );
    prop::collection::vec(message, 0..8).prop_map(|messages| messages.concat())
}

/// Limits that the frames above reach now and then.
fn tight() -> Config {
    let limits = Limits {
        message_bytes_max: 300,
        frames_per_message_max: 6,
        control_frames_burst: 5,
        ..Limits::default()
    };
    Config {
        limits,
        ..Config::default()
    }
}

fn encode(role: Role, frames: &[(u8, Vec<u8>, bool)]) -> Vec<u8> {
    let frames = frames.iter().map(|(first, payload, wrong_mask)| {
        let masked = (role == Role::Server) != *wrong_mask;
        raw(
            *first,
            payload.len() as u64,
            Width::Shortest,
            masked,
            payload,
        )
    });
    frames.collect::<Vec<_>>().concat()
}

/// Feeds, closes halfway if asked to, and ends the input.
fn run(
    role: Role,
    config: Config,
    (before, after): (&[u8], &[u8]),
    close: bool,
    sizes: &[usize],
) -> (Vec<Seen>, Vec<u8>) {
    let (mut connection, mut out) = (role.connect(config), Vec::new());
    let mut seen = feed_pieces(&mut connection, before, sizes, &mut out);
    if close {
        let _ = connection.close(CloseCode::NORMAL, "enough", NOW, &mut out);
    }
    seen.extend(feed_pieces(&mut connection, after, sizes, &mut out));
    seen.extend(connection.receive_eof(NOW).map(Seen::from));
    assert!(
        matches!(seen.last(), Some(Seen::Closed(_))),
        "Closed is the last event"
    );
    let ends = seen
        .iter()
        .filter(|event| matches!(event, Seen::Closed(_)))
        .count();
    assert_eq!(ends, 1, "Closed comes once");
    (seen, out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn same_events_for_any_split(
        role in role(),
        frames in prop_oneof![prop::collection::vec(frame(), 0..20), good_frames()],
        close_at in prop::option::weighted(0.2, any::<sample::Index>()),
        tight_limits: bool,
        sizes in sizes(),
    ) {
        let bytes = encode(role, &frames);
        let config = if tight_limits { tight() } else { wide() };
        let cut = close_at.map_or(0, |index| index.index(bytes.len() + 1));
        let parts = bytes.split_at(cut);
        let whole = run(role, config, parts, close_at.is_some(), &[usize::MAX]);
        prop_assert_eq!(&run(role, config, parts, close_at.is_some(), &[1]), &whole);
        prop_assert_eq!(&run(role, config, parts, close_at.is_some(), &sizes), &whole);
    }

    /// Who reads as much as `whole_message_bytes` says before it calls `receive` is lent the message.
    #[test]
    fn message_that_is_read_to_its_end_is_lent(
        text in "[a-zа-я🎈€]{0,200}",
        before in any::<sample::Index>(),
        role in role(),
    ) {
        let bytes = encode(role, &[(FIN | TEXT, text.clone().into_bytes(), false)]);
        let mut connection = role.connect(wide());
        let part = &bytes[..before.index(bytes.len())];
        match connection.whole_message_bytes(part) {
            Some(whole) => prop_assert_eq!(whole, bytes.len()),
            None => prop_assert!(part.len() < bytes.len() - text.len()),
        }
        prop_assert_eq!(connection.whole_message_bytes(&bytes), None);
        let mut input = &mut bytes.clone()[..];
        match connection.receive(&mut input, NOW, &mut Vec::new()) {
            Some(Event::Message(message)) => {
                prop_assert!(message.is_borrowed());
                prop_assert_eq!(message.as_message(), Message::Text(&text));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// Bytes that are no frames at all.
    #[test]
    fn same_events_for_any_split_of_noise(
        role in role(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        sizes in sizes(),
    ) {
        let whole = run(role, tight(), (&[], &bytes), false, &[usize::MAX]);
        prop_assert_eq!(&run(role, tight(), (&[], &bytes), false, &[1]), &whole);
        prop_assert_eq!(&run(role, tight(), (&[], &bytes), false, &sizes), &whole);
    }
}

/// Something that an application does.
#[derive(Clone, Debug)]
enum Act {
    Send(Kind, Vec<u8>),
    Fragments(Kind, Vec<Vec<u8>>),
    Ping(Vec<u8>),
    Close(u16, String),
}

fn act() -> impl Strategy<Value = (bool, Act)> {
    let kind = || prop_oneof![Just(Kind::Text), Just(Kind::Binary)];
    let text = || "[a-zа-я🎈€]{0,300}".prop_map(String::into_bytes);
    let pieces =
        (text(), prop::collection::vec(any::<sample::Index>(), 0..6)).prop_map(|(bytes, cuts)| {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut from = 0;
            let mut piece = |to: usize| {
                let piece = bytes[from..to].to_vec();
                from = to;
                piece
            };
            cuts.into_iter().map(&mut piece).collect::<Vec<_>>()
        });
    let act = prop_oneof![
        8 => (kind(), text()).prop_map(|(kind, bytes)| Act::Send(kind, bytes)),
        4 => (kind(), pieces).prop_map(|(kind, pieces)| Act::Fragments(kind, pieces)),
        3 => prop::collection::vec(any::<u8>(), 0..126).prop_map(Act::Ping),
        1 => (3000..5000_u16, "[a-zа-я]{0,30}").prop_map(|(code, text)| Act::Close(code, text)),
    ];
    (any::<bool>(), act)
}

/// One end of a pair, what it was sent and has not read, and what it must still see.
struct End {
    connection: Connection,
    out: Vec<u8>,
    inbox: VecDeque<u8>,
    expected: VecDeque<Seen>,
    closed: bool,
}

impl End {
    fn new(role: Role) -> Self {
        let connection = role.connect(wide());
        let (out, inbox, expected) = Default::default();
        Self {
            connection,
            out,
            inbox,
            expected,
            closed: false,
        }
    }

    /// Reads up to `len` bytes; checks all events against what was sent.
    fn read(&mut self, len: usize) {
        let len = len.min(self.inbox.len());
        let mut bytes: Vec<u8> = self.inbox.drain(..len).collect();
        let mut input = &mut bytes[..];
        while let Some(event) = self.connection.receive(&mut input, NOW, &mut self.out) {
            match Seen::from(event) {
                Seen::Pong(_) => {}
                Seen::Closed(close) => {
                    assert!(close.clean, "{close:?}");
                    self.closed = true;
                }
                seen => assert_eq!(Some(seen), self.expected.pop_front()),
            }
        }
    }
}

/// Does `act` at `from`, and notes what `to` must see.
fn perform(act: &Act, from: &mut End, to: &mut End) {
    let (connection, out) = (&mut from.connection, &mut from.out);
    match act {
        Act::Send(kind, bytes) => {
            let message = match kind {
                Kind::Text => Message::Text(std::str::from_utf8(bytes).unwrap()),
                Kind::Binary => Message::Binary(bytes),
            };
            if connection.send(message, out).is_ok() {
                to.expected.push_back(Seen::Message(*kind, bytes.clone()));
            }
        }
        Act::Fragments(kind, pieces) => {
            let sent = pieces.iter().enumerate().all(|(index, piece)| {
                let last = index + 1 == pieces.len();
                connection.send_fragment(*kind, piece, last, out).is_ok()
            });
            if sent {
                to.expected.push_back(Seen::Message(*kind, pieces.concat()));
            }
        }
        Act::Ping(payload) => {
            if connection.send_ping(payload, out).is_ok() {
                to.expected.push_back(Seen::Ping(payload.clone()));
            }
        }
        Act::Close(code, reason) => {
            let code = CloseCode::new(*code);
            if connection.close(code, reason, NOW, out).is_ok() {
                // What was on its way to this end is dropped from here on.
                from.expected.clear();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A client and a server that are joined: each sees exactly what the other sent, in order,
    /// however the bytes travel, until one closes; then both end cleanly.
    #[test]
    fn pair(acts in prop::collection::vec(act(), 0..40), sizes in sizes()) {
        let mut ends = [End::new(Role::Client), End::new(Role::Server)];
        let mut sizes = sizes.iter().cycle().copied();
        let mut travel = |ends: &mut [End; 2]| {
            for from in [0, 1] {
                let bytes = std::mem::take(&mut ends[from].out);
                let to = &mut ends[1 - from];
                to.inbox.extend(bytes);
                to.read(sizes.next().unwrap());
            }
        };
        for (by_client, act) in &acts {
            let [client, server] = &mut ends;
            let (from, to) = if *by_client { (client, server) } else { (server, client) };
            let was_open = from.connection.state() == rupor_proto::State::Open;
            if to.connection.state() == rupor_proto::State::Open {
                perform(act, from, to);
            } else if was_open && !to.closed {
                // The other end has closed: what is sent to it now is dropped there.
                let mut nobody = End::new(Role::Client);
                perform(act, from, &mut nobody);
            }
            travel(&mut ends);
        }
        let [client, _] = &mut ends;
        let _ = client.connection.close(CloseCode::NORMAL, "", NOW, &mut client.out);
        if !client.closed {
            client.expected.clear();
        }
        while ends.iter().any(|end| !end.inbox.is_empty() || !end.out.is_empty()) {
            travel(&mut ends);
        }
        for end in &ends {
            prop_assert!(end.closed);
            prop_assert!(end.expected.is_empty());
        }
    }

    /// Encoding and decoding are each other's inverse; a whole frame is never copied.
    #[test]
    fn round_trip(role in role(), kind_is_text: bool, text in "\\PC{0,2000}") {
        let message =
            if kind_is_text { Message::Text(&text) } else { Message::Binary(text.as_bytes()) };
        let (mut sender, mut bytes) = (role.peer().connect(wide()), Vec::new());
        sender.send(message, &mut bytes).unwrap();
        let (mut receiver, mut out) = (role.connect(wide()), Vec::new());
        let mut input = &mut bytes[..];
        let event = receiver.receive(&mut input, NOW, &mut out);
        let Some(Event::Message(incoming)) = event else { panic!("{event:?}") };
        prop_assert_eq!(incoming.as_message(), message);
        prop_assert!(incoming.is_borrowed());
    }
}
