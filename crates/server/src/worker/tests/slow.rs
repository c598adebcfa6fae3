//! What slow readers are spared, and what they are not: policies, control frames, counters.

use proptest::prelude::*;
use rupor_proto::handshake::{HttpVersion, Upgrade};
use rupor_proto::{DeflateAgreement, DeflateConfig};

use super::*;

/// The policy of each topic of the script `topics`.
fn policy(topic: &str, key: Option<&str>) -> SlowPolicy {
    match topic {
        "a" => SlowPolicy::Disconnect,
        "b" => SlowPolicy::DropNewest,
        "c" => SlowPolicy::DropOldest,
        _ => SlowPolicy::Latest {
            key: key.map(Arc::from),
        },
    }
}

fn publish(topic: &str, key: Option<&str>, word: &str) -> Command {
    Command::Publish {
        topic: topic.into(),
        frame: text(word),
        exclude: None,
        slow: policy(topic, key),
    }
}

fn send(peer: &Peer, word: &str) -> Command {
    Command::Send {
        to: peer.id,
        frame: text(word),
    }
}

/// A soft limit of ten frames of ten bytes each.
fn soft() -> Limits {
    Limits {
        backlog_soft_bytes: 100,
        backlog_bytes_max: 200,
        ..Sim::quiet()
    }
}

/// Eight bytes: a frame of ten.
fn words(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(|n| format!("word {n:03}")).collect()
}

/// What came when `count` of ten bytes were published to a blocked subscriber of all topics.
fn published(sim: &mut Sim, peer: &mut Peer, topic: &str, count: usize) -> Vec<String> {
    peer.block();
    for word in words(1..=count) {
        sim.command([publish(topic, None, &word)]);
    }
    peer.unblock();
    sim.settle(&[&*peer]);
    peer.heard()
}

#[test]
fn soft_limit_holds_and_over_it_the_policy_begins() {
    for (topic, policy, reason, left) in [
        ("a", "none", "", words(1..=11)),
        ("b", "drop-newest", "backlog_soft", words(1..=10)),
        ("c", "drop-oldest", "backlog_soft", words(2..=11)),
        ("d", "latest", "replaced", words(11..=11)),
    ] {
        let mut sim = Sim::new(soft());
        let mut peer = sim.open("topics");
        let just = published(&mut sim, &mut peer, topic, 10);
        assert_eq!(just, words(1..=10), "{topic}");
        assert_eq!(sim.left_out(policy, reason), 0);

        let mut heard = published(&mut sim, &mut peer, topic, 11);
        let lost = 11 - left.len() as u64;
        assert_eq!(sim.left_out(policy, reason), lost, "{topic}");
        if lost > 0 {
            // Where the backlog became small at once, the notice had room in it.
            assert_eq!(heard.pop(), Some(format!("left out {lost} of {topic}")));
            let notes = sim.log.borrow().left_out.clone();
            assert_eq!(notes, [(peer.id, topic.to_owned(), lost)]);
        }
        assert_eq!(heard, left, "{topic}");
        assert!(sim.closes().is_empty());
    }
}

#[test]
fn soft_limit_of_frames_holds_and_over_it_the_policy_begins() {
    let mut sim = Sim::new(Limits {
        backlog_soft_frames: 10,
        ..Sim::quiet()
    });
    let mut peer = sim.open("topics");
    assert_eq!(published(&mut sim, &mut peer, "b", 10).len(), 10);
    assert_eq!(sim.left_out("drop-newest", "backlog_soft"), 0);
    assert_eq!(published(&mut sim, &mut peer, "b", 11).len(), 11);
    assert_eq!(sim.left_out("drop-newest", "backlog_soft"), 1);
}

/// A soft limit over the hard one is the hard one.
#[test]
fn what_may_be_left_out_never_costs_the_connection() {
    let limits = Limits {
        backlog_soft_bytes: usize::MAX,
        backlog_soft_frames: usize::MAX,
        backlog_bytes_max: 100,
        ..Sim::quiet()
    };
    for topic in ["b", "c"] {
        let mut sim = Sim::new(limits.clone());
        let mut peer = sim.open("topics");
        let heard = published(&mut sim, &mut peer, topic, 100);
        assert_eq!(heard.len(), 11, "ten and the notice");
        assert!(sim.closes().is_empty());
    }
}

#[test]
fn all_keys_together_do_cost_it_at_the_hard_limit() {
    let mut sim = Sim::new(soft());
    let mut peer = sim.open("topics");
    peer.block();
    for word in words(1..=20) {
        sim.command([publish("d", Some(&word), &word)]);
    }
    sim.pass(100);
    assert_eq!(sim.dropped("backlog_bytes"), 0);
    sim.command([publish("d", Some("word 001"), "word 101")]);
    assert_eq!(sim.dropped("backlog_bytes"), 0, "one came, one went");
    sim.command([publish("d", Some("another"), "word 102")]);
    peer.unblock();
    sim.settle(&[&peer]);
    assert_eq!(peer.heard(), ["close 3008 reads too slowly"]);
    assert_eq!(sim.dropped("backlog_bytes"), 1);
}

#[test]
fn many_in_one_turn_are_not_left_out_for_who_reads() {
    let mut sim = Sim::new(soft());
    let mut peer = sim.open("topics");
    for topic in ["b", "c", "d"] {
        sim.command((0..1000).map(|n| publish(topic, None, &n.to_string())));
        assert_eq!(peer.heard().len(), 1000, "{topic}");
    }
    assert!(sim.log.borrow().left_out.is_empty());
}

/// What is sent to a connection directly stays, and what is left out makes no way for it: it is
/// the newest that goes where nothing older of its topic is left.
#[test]
fn direct_messages_are_never_left_out() {
    let mut sim = Sim::new(soft());
    let mut peer = sim.open("topics");
    peer.block();
    sim.command([publish("c", None, "old")]);
    sim.command(words(1..=19).iter().map(|word| send(&peer, word)));
    sim.command([publish("c", None, "newer"), publish("c", None, "newest!!!")]);
    assert_eq!(sim.left_out("drop-oldest", "backlog_soft"), 2);
    assert_eq!(sim.left_out("drop-oldest", "backlog_full"), 1);
    peer.unblock();
    sim.settle(&[&peer]);
    let mut expected = words(1..=19);
    expected.push("left out 3 of c".to_owned());
    assert_eq!(peer.heard(), expected);
}

/// A message whose first byte the peer has is not left out, and others behind it are.
#[test]
fn half_written_publication_stays() {
    for topic in ["c", "d"] {
        let mut sim = Sim::new(soft());
        let mut peer = sim.open("topics");
        peer.block();
        for word in words(1..=10) {
            sim.command([publish(topic, None, &word)]);
        }
        peer.wire.borrow_mut().room = 3;
        sim.settle(&[&peer]);
        for word in words(11..=20) {
            sim.command([publish(topic, None, &word)]);
        }
        peer.unblock();
        sim.settle(&[&peer]);
        let heard = peer.heard();
        assert_eq!(heard[0], "word 001");
        assert!(heard.contains(&"word 020".to_owned()));
        let left_out: u64 = sim.log.borrow().left_out.iter().map(|note| note.2).sum();
        let notices = sim.log.borrow().left_out.len();
        assert_eq!(heard.len() as u64 + left_out - notices as u64, 20);
    }
}

/// W-C1: a peer that pings and does not read is owed the pong for its newest ping.
#[test]
fn w_c1_pongs_do_not_pile_up() {
    let mut limits = Sim::quiet();
    limits.protocol.limits.control_frames_per_second = 0;
    let mut sim = Sim::new(limits);
    let mut peer = sim.open("");
    peer.wire.borrow_mut().room = 5;
    sim.command([send(&peer, &"x".repeat(1000))]);
    for n in 0..10_000_u32 {
        let mut out = Vec::new();
        let payload = n.to_be_bytes().repeat(30);
        peer.protocol.send_ping(&payload, &mut out).unwrap();
        peer.wire.borrow_mut().to_server.extend(out);
        sim.settle(&[&peer]);
    }
    let held = sim.counters.snapshot().backlog_bytes;
    assert!(held <= 1004, "{held}");
    peer.wire.borrow_mut().room = 1000;
    sim.settle(&[&peer]);
    peer.unblock();
    sim.settle(&[&peer]);
    let heard = peer.heard();
    assert_eq!(heard, ["x".repeat(1000), "pong".to_owned()]);
    assert_eq!(peer.pongs, [9_999_u32.to_be_bytes().repeat(30)]);
    // Now that nothing is backed up, each is answered.
    for _ in 0..10 {
        let mut out = Vec::new();
        peer.protocol.send_ping(b"?", &mut out).unwrap();
        peer.wire.borrow_mut().to_server.extend(out);
    }
    sim.settle(&[&peer]);
    assert_eq!(peer.heard(), ["pong"; 10]);
}

/// A full backlog neither keeps control frames out nor is made fuller by them, and they do not wait
/// behind what nobody has begun to read.
#[test]
fn control_frames_overtake_a_full_backlog() {
    let mut limits = Sim::quiet();
    limits.backlog_bytes_max = 100;
    limits.backlog_frames_max = 10;
    limits.backlog_stall_ms = u32::MAX;
    limits.protocol.ping_interval_ms = 1000;
    let mut sim = Sim::new(limits);
    let mut peer = sim.open("");
    peer.block();
    sim.command(words(1..=10).iter().map(|word| send(&peer, word)));
    let mut out = Vec::new();
    peer.protocol.send_ping(b"?", &mut out).unwrap();
    peer.wire.borrow_mut().to_server.extend(out);
    sim.settle(&[&peer]);
    sim.pass(1_500);
    assert!(sim.closes().is_empty());
    peer.wire.borrow_mut().room = 30;
    sim.settle(&[&peer]);
    let heard = peer.heard();
    assert_eq!(heard[..2], ["pong", "ping"], "{heard:?}");
    peer.unblock();
    sim.settle(&[&peer]);
    let rest = peer.heard();
    assert_eq!([&heard[2..], &rest[..]].concat(), words(1..=10));
    assert!(rest.len() >= 8);
    assert_eq!(sim.dropped("backlog_bytes"), 0);
    assert_eq!(sim.dropped("backlog_frames"), 0);
}

/// A close frame went into the middle of a message: the first part had been written from the
/// buffer, and the queue did not know that what it was given was the rest.
#[test]
fn close_frame_does_not_go_inside_a_message() {
    let mut sim = Sim::new(Sim::quiet());
    let mut peer = sim.open("");
    peer.wire.borrow_mut().room = 500;
    peer.say("big 5000");
    sim.settle(&[&peer]);
    sim.pass(11_000);
    assert_eq!(sim.dropped("backlog_stall"), 1);
    peer.unblock();
    sim.settle(&[&peer]);
    assert_eq!(
        peer.heard(),
        ["b".repeat(5000), "close 3008 reads too slowly".to_owned()]
    );
}

fn takeover() -> DeflateAgreement {
    let headers = [
        ("Host", "example.org"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
    ];
    let headers = headers.map(|(name, value)| (name, value.as_bytes()));
    let upgrade = Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers).unwrap();
    let config = DeflateConfig {
        server_no_context_takeover: false,
        takeover_message_bytes_min: 0,
        ..DeflateConfig::default()
    };
    config.accept(&upgrade.deflate_offers, None).unwrap()
}

/// One thing that may happen to a connection.
#[derive(Clone, Debug)]
enum Happening {
    Publish(usize, usize, usize),
    Send(usize),
    Ping,
    Room(usize),
    Unblock,
    Pass(u64),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        12 => (0..4_usize, 0..4_usize, 0..60_usize).prop_map(|(t, k, n)| Happening::Publish(t, k, n)),
        2 => (0..60_usize).prop_map(Happening::Send),
        1 => Just(Happening::Ping),
        3 => (0..120_usize).prop_map(Happening::Room),
        1 => Just(Happening::Unblock),
        1 => (0..2_000_u64).prop_map(Happening::Pass),
    ];
    prop::collection::vec(one, 1..150)
}

/// The words in a text message: topic, key, number.
fn parts(text: &str) -> Option<(&str, &str, usize)> {
    let mut words = text.split(' ');
    let (topic, key) = (words.next()?, words.next()?);
    if topic == "left" {
        return None;
    }
    Some((topic, key, words.next()?.parse().ok()?))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any mix of policies, keys, direct messages and pings over a peer that takes what it likes,
    /// compressed with takeover or not.
    #[test]
    fn what_a_slow_reader_gets(happenings in happenings(), deflate: bool, hard in 400..2_000_usize) {
        let mut sim = Sim::new(Limits {
            backlog_soft_bytes: 300,
            backlog_soft_frames: 20,
            backlog_bytes_max: hard,
            backlog_frames_max: 40,
            ..Sim::quiet()
        });
        let wire = Wire { room: usize::MAX, ..Wire::default() };
        let mut peer = sim.open_with("topics", wire, b"", deflate.then(takeover));
        let mut newest: HashMap<(usize, usize), usize> = HashMap::new();
        let (mut sent, mut direct, mut pings) = ([0_u64; 4], 0, 0);
        let mut heard = Vec::new();
        for (n, happening) in happenings.into_iter().enumerate() {
            match happening {
                Happening::Publish(topic, key, len) => {
                    let name = ["a", "b", "c", "d"][topic];
                    let word = format!("{name} {key} {n} {}", "x".repeat(len));
                    let key_name = (key > 0).then(|| key.to_string());
                    sim.command([publish(name, key_name.as_deref(), &word)]);
                    newest.insert((topic, key), n);
                    sent[topic] += 1;
                }
                Happening::Send(len) => {
                    sim.command([send(&peer, &format!("direct - {n} {}", "x".repeat(len)))]);
                    direct += 1;
                }
                Happening::Ping if peer.protocol.state() == proto::State::Open => {
                    pings += 1;
                    let mut out = Vec::new();
                    peer.protocol.send_ping(&[pings], &mut out).unwrap();
                    peer.wire.borrow_mut().to_server.extend(out);
                }
                Happening::Ping => {}
                Happening::Room(room) => peer.wire.borrow_mut().room = room,
                Happening::Unblock => peer.unblock(),
                Happening::Pass(ms) => sim.pass(ms),
            }
            sim.settle(&[&peer]);
            heard.extend(peer.heard());
            let held = sim.counters.snapshot().backlog_bytes;
            prop_assert!(held <= hard as u64 + 200, "{held}");
        }
        peer.unblock();
        for _ in 0..3 {
            sim.settle(&[&peer]);
            heard.extend(peer.heard());
        }

        let messages: Vec<_> = heard.iter().filter_map(|text| parts(text)).collect();
        let numbers: Vec<_> = messages.iter().map(|(_, _, n)| *n).collect();
        prop_assert!(numbers.is_sorted(), "in their order: {numbers:?}");
        if let Some(close) = heard.iter().find(|text| text.starts_with("close")) {
            prop_assert_eq!(close, "close 3008 reads too slowly");
            return Ok(());
        }
        if !sim.closes().is_empty() {
            // The peer took nothing for too long, and did not even read the close frame.
            return Ok(());
        }
        let came = |name: &str| messages.iter().filter(|(topic, _, _)| *topic == name).count() as u64;
        prop_assert_eq!(came("direct"), direct);
        prop_assert_eq!(came("a"), sent[0]);
        prop_assert_eq!(came("b") + sim.left_out("drop-newest", "backlog_soft"), sent[1]);
        let oldest = sim.left_out("drop-oldest", "backlog_soft") + sim.left_out("drop-oldest", "backlog_full");
        prop_assert_eq!(came("c") + oldest, sent[2]);
        prop_assert_eq!(came("d") + sim.left_out("latest", "replaced"), sent[3]);
        for ((topic, _), n) in newest {
            prop_assert!(topic != 3 || numbers.contains(&n), "the newest of each key arrives: {}", n);
        }
        // Everything that was left out was told, and the newest ping was answered.
        let told: u64 = sim.log.borrow().left_out.iter().map(|note| note.2).sum();
        let counted: u64 = sim.counters.snapshot().left_out.iter().map(|(_, n)| n).sum();
        prop_assert_eq!(told, counted);
        if pings > 0 {
            prop_assert!(peer.pongs.contains(&vec![pings]));
        }
    }
}
