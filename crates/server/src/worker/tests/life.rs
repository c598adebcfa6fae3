//! Opening, being served, ending.

use super::*;
use crate::inbox::End;

/// A small generator of numbers, so that a failure can be had again from its seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn any_cut_of_the_bytes_both_ways_echoes_the_same() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut sim = Sim::new(Limits {
            receive_buffer_bytes: 1 + random.below(300),
            ..Sim::quiet()
        });
        let mut peer = sim.open("");
        let expected: Vec<String> = (0..20)
            .map(|n| format!("{n} {}", "x".repeat(random.below(400))))
            .collect();
        for message in &expected {
            peer.say(message);
        }
        let mut all: VecDeque<u8> = std::mem::take(&mut peer.wire.borrow_mut().to_server);
        let mut heard = Vec::new();
        for _ in 0..5000 {
            {
                let mut wire = peer.wire.borrow_mut();
                let count = random.below(200).min(all.len());
                wire.to_server.extend(all.drain(..count));
                wire.read_step = random.below(50);
                wire.write_step = random.below(50);
                wire.room = random.below(300);
            }
            sim.turn(&[&peer]);
            heard.extend(peer.heard());
            if heard.len() == expected.len() {
                break;
            }
        }
        assert!(heard == expected, "seed {seed}: {heard:?}");
        assert!(sim.closes().is_empty(), "seed {seed}");
    }
}

#[test]
fn what_on_open_does_comes_before_and_behind_the_101() {
    let mut sim = Sim::new(Sim::quiet());
    let mut peer = sim.open("greet");
    assert!(peer.wire.borrow().from_server.starts_with(RESPONSE));
    assert_eq!(peer.heard(), ["greeting"]);
}

#[test]
fn messages_that_came_with_the_request_are_served() {
    let mut sim = Sim::new(Sim::quiet());
    let mut early = Vec::new();
    client().send(Message::Text("early"), &mut early).unwrap();
    let wire = Wire {
        room: usize::MAX,
        ..Wire::default()
    };
    let mut peer = sim.open_over("", wire, &early);
    assert_eq!(peer.heard(), ["early"]);
}

#[test]
fn closing_handshake_of_the_peer_ends_it_once() {
    let mut sim = Sim::new(Sim::quiet());
    let mut peer = sim.open("");
    let mut out = Vec::new();
    peer.protocol
        .close(1000.into(), "done", Time::from_millis(0), &mut out)
        .unwrap();
    peer.wire.borrow_mut().to_server.extend(out);
    sim.settle(&[&peer]);
    assert_eq!(peer.heard(), ["close 1000 "]);
    assert_eq!(sim.closes(), [(peer.id, 1000)]);
    assert!(peer.gone());
    sim.pass(60_000);
    assert_eq!(sim.closes().len(), 1);
    assert_eq!(sim.counters.snapshot().connections, 0);
}

#[test]
fn close_by_the_handler_waits_for_the_answer_and_no_longer() {
    let mut sim = Sim::new(Sim::quiet());
    let [mut answers, mut silent] = [sim.open(""), sim.open("")];
    for peer in [&mut answers, &mut silent] {
        peer.say("close enough");
        peer.say("not served");
    }
    sim.settle(&[&answers, &silent]);
    for peer in [&mut answers, &mut silent] {
        assert_eq!(peer.heard(), ["close 4001 enough"]);
    }
    silent.wire.borrow_mut().to_server.clear();
    sim.settle(&[&answers]);
    assert_eq!(sim.closes(), [(answers.id, 4001)]);
    assert!(answers.gone() && !silent.gone());
    sim.pass(7_000);
    assert_eq!(sim.closes(), [(answers.id, 4001), (silent.id, 1006)]);
    assert!(silent.gone());
    let served: Vec<_> = sim.log.borrow().messages.values().cloned().collect();
    assert_eq!(served, [["close enough"], ["close enough"]]);
}

#[test]
fn reset_and_end_without_goodbye_are_1006() {
    let mut sim = Sim::new(Sim::quiet());
    let [reset, ended, behind] = [sim.open(""), sim.open(""), sim.open("")];
    reset.wire.borrow_mut().reset = true;
    ended.wire.borrow_mut().closed = true;
    // The end comes right behind bytes, in one announcement.
    let mut behind = behind;
    behind.say("last");
    behind.wire.borrow_mut().closed = true;
    sim.settle(&[&reset, &ended, &behind]);
    assert_eq!(
        sim.closes(),
        [(reset.id, 1006), (ended.id, 1006), (behind.id, 1006)]
    );
    assert!(reset.gone() && ended.gone() && behind.gone());
    assert_eq!(sim.log.borrow().messages[&behind.id], ["last"]);
    assert_eq!(sim.dropped("broken"), 1);
}

#[test]
fn broken_rule_is_answered_and_the_answer_has_time_to_arrive() {
    let mut sim = Sim::new(Sim::quiet());
    let mut peer = sim.open("");
    // An unmasked frame (RFC 6455 §5.1), and much behind it that must not reset the connection.
    peer.wire.borrow_mut().to_server.extend([0x81, 0x01, b'x']);
    sim.settle(&[&peer]);
    assert_eq!(sim.closes(), [(peer.id, 1002)]);
    assert!(peer.heard()[0].starts_with("close 1002"));
    assert!(peer.wire.borrow().shut && !peer.gone());
    peer.wire.borrow_mut().to_server.extend([0; 5000]);
    sim.settle(&[&peer]);
    assert!(peer.wire.borrow().to_server.is_empty() && !peer.gone());
    sim.pass(1_100);
    assert!(peer.gone());
    assert!(sim.log.borrow().messages.is_empty());
}

#[test]
fn peer_that_leaves_while_we_linger_is_let_go() {
    let mut sim = Sim::new(Sim::quiet());
    let peer = sim.open("");
    peer.wire.borrow_mut().to_server.extend([0x81, 0x01, b'x']);
    sim.settle(&[&peer]);
    peer.wire.borrow_mut().closed = true;
    sim.settle(&[&peer]);
    assert!(peer.gone());
}

#[test]
fn panic_in_on_message_ends_one_connection() {
    let mut sim = Sim::new(Sim::quiet());
    let [mut bad, mut good] = [sim.open(""), sim.open("")];
    bad.say("panic");
    good.say("hello");
    sim.settle(&[&bad, &good]);
    assert_eq!(bad.heard(), ["close 1011 "]);
    assert_eq!(good.heard(), ["hello"]);
    sim.settle(&[&bad]);
    assert_eq!(sim.closes(), [(bad.id, 1011)]);
    good.say("still here");
    sim.settle(&[&good]);
    assert_eq!(good.heard(), ["still here"]);
    assert_eq!(sim.counters.snapshot().panics, 1);
}

#[test]
fn panic_in_on_open_is_a_500_without_on_close() {
    let mut sim = Sim::new(Sim::quiet());
    let bad = sim.open("panic");
    assert!(bad.wire.borrow().from_server.starts_with(b"HTTP/1.1 500 "));
    assert!(bad.gone());
    assert!(sim.closes().is_empty());
    let stats = sim.counters.snapshot();
    assert_eq!((stats.connections, stats.panics), (0, 1));
    let mut good = sim.open("greet");
    assert_eq!(good.heard(), ["greeting"]);
}

#[test]
fn command_for_a_connection_that_was_is_void() {
    let mut sim = Sim::new(Sim::quiet());
    let first = sim.open("topic");
    first.wire.borrow_mut().reset = true;
    sim.settle(&[&first]);
    let mut second = sim.open("");
    assert_eq!(first.slot, second.slot);
    assert_ne!(first.id, second.id);
    let topic = || "topic".into();
    sim.command([
        Command::Send {
            to: first.id,
            frame: text("for the first"),
        },
        Command::Close {
            id: first.id,
            code: 1000.into(),
            reason: String::new(),
        },
        Command::Subscribe {
            id: first.id,
            topic: topic(),
        },
        Command::Publish {
            topic: topic(),
            frame: text("for subscribers"),
            exclude: None,
            slow: SlowPolicy::Disconnect,
        },
    ]);
    assert_eq!(second.heard(), [""; 0]);
}

#[test]
fn publish_reaches_subscribers_but_the_excluded_one() {
    let mut sim = Sim::new(Sim::quiet());
    let [mut one, mut two, mut three] = [sim.open("topic"), sim.open("topic"), sim.open("")];
    let publish = |exclude, word: &str| Command::Publish {
        topic: "topic".into(),
        frame: text(word),
        exclude,
        slow: SlowPolicy::Disconnect,
    };
    sim.command([publish(None, "a"), publish(Some(one.id), "b")]);
    sim.command([
        Command::Unsubscribe {
            id: two.id,
            topic: "topic".into(),
        },
        Command::Subscribe {
            id: three.id,
            topic: "topic".into(),
        },
        publish(None, "c"),
    ]);
    assert_eq!(one.heard(), ["a", "c"]);
    assert_eq!(two.heard(), ["a", "b"]);
    assert_eq!(three.heard(), ["c"]);
}

/// What three subscribers hear of a batch that they hear different parts of.
#[test]
fn a_batch_keeps_its_order_for_those_who_miss_a_part_of_it() {
    let mut sim = Sim::new(Sim::quiet());
    let [mut one, mut two, mut three] = [sim.open("topic"), sim.open("topic"), sim.open("topic")];
    let publish = |exclude, word: &str| Command::Publish {
        topic: "topic".into(),
        frame: text(word),
        exclude,
        slow: SlowPolicy::Disconnect,
    };
    let send = |to, word: &str| Command::Send {
        to,
        frame: text(word),
    };
    sim.command([
        publish(None, "a"),
        publish(Some(two.id), "b"),
        publish(None, "c"),
        send(three.id, "d"),
        publish(None, "e"),
        send(one.id, "f"),
        Command::Close {
            id: three.id,
            code: proto::CloseCode::NORMAL,
            reason: String::new(),
        },
        publish(None, "g"),
    ]);
    assert_eq!(one.heard(), ["a", "b", "c", "e", "f", "g"]);
    assert_eq!(two.heard(), ["a", "c", "e", "g"]);
    assert_eq!(three.heard(), ["a", "b", "c", "d", "e", "close 1000 "]);
}

#[test]
fn a_batch_that_the_peer_takes_a_part_of_goes_on_where_it_was_cut() {
    for room in 0..=30 {
        let mut sim = Sim::new(Sim::quiet());
        let mut peer = sim.open("topic");
        peer.block();
        peer.wire.borrow_mut().room = room;
        let batch = ["first", "second", "third"].map(|word| Command::Publish {
            topic: "topic".into(),
            frame: text(word),
            exclude: None,
            slow: SlowPolicy::DropOldest,
        });
        sim.command(batch);
        let rest = 7_usize.saturating_add(8 + 7).saturating_sub(room);
        assert_eq!(sim.core.backlog_of(0), rest, "room for {room}");
        peer.unblock();
        sim.settle(&[&peer]);
        assert_eq!(peer.heard(), ["first", "second", "third"]);
    }
}

#[test]
fn a_batch_may_be_longer_than_what_is_gathered() {
    use super::super::runs::{RUN_BYTES_MAX, RUN_FRAMES_MAX};
    let mut sim = Sim::new(Sim::quiet());
    let mut peer = sim.open("topic");
    let mut words: Vec<String> = (0..=RUN_FRAMES_MAX).map(|n| n.to_string()).collect();
    let long = "x".repeat(RUN_BYTES_MAX / 8);
    words.extend((0..9).map(|n| format!("{n}{long}")));
    sim.command(words.iter().map(|word| Command::Publish {
        topic: "topic".into(),
        frame: text(word),
        exclude: None,
        slow: SlowPolicy::Disconnect,
    }));
    assert!(peer.heard() == words);
}

#[test]
fn timer_comes_once_and_a_later_one_replaces_it() {
    let mut sim = Sim::new(Sim::quiet());
    let mut peer = sim.open("");
    peer.say("timer 100");
    peer.say("timer 300");
    sim.settle(&[&peer]);
    sim.pass(290);
    assert_eq!(peer.heard(), [""; 0]);
    sim.pass(30);
    assert_eq!(peer.heard(), ["timer"]);
    sim.pass(5000);
    assert_eq!(sim.log.borrow().timers, 1);
}

#[test]
fn silent_peer_is_pinged_and_then_given_up() {
    let limits = Limits {
        protocol: proto::Config::default(),
        ..Sim::quiet()
    };
    let mut sim = Sim::new(limits);
    let [mut answers, mut silent] = [sim.open(""), sim.open("")];
    sim.pass(28_000);
    assert_eq!(answers.heard(), ["ping"]);
    assert_eq!(silent.heard(), ["ping"]);
    silent.wire.borrow_mut().to_server.clear();
    sim.settle(&[&answers]);
    sim.pass(10_000);
    assert_eq!(sim.closes(), [(silent.id, 1006)]);
    sim.pass(2_000);
    assert!(silent.gone() && !answers.gone());
}

#[test]
fn drain_spreads_the_closes_and_ends() {
    let mut sim = Sim::new(Sim::quiet());
    let mut peers: Vec<Peer> = (0..10).map(|_| sim.open("")).collect();
    sim.turn(&[]);
    sim.core.end(End::Drain(Duration::from_secs(10)));
    let mut left = Vec::new();
    for _ in 0..10 {
        sim.pass(1000);
        let refs: Vec<&Peer> = peers.iter().collect();
        sim.settle(&refs);
        for peer in &mut peers {
            let heard = peer.heard();
            assert!(
                heard.iter().all(|word| word.starts_with("close 1001")),
                "{heard:?}"
            );
        }
        let refs: Vec<&Peer> = peers.iter().collect();
        sim.settle(&refs);
        left.push(sim.counters.snapshot().connections);
    }
    assert!(left.is_sorted_by(|one, other| one >= other), "{left:?}");
    assert!(left[0] >= 8 && left[4] >= 4 && left[4] <= 6, "{left:?}");
    assert!(sim.core.is_finished());
    assert_eq!(sim.closes().len(), 10);
}

#[test]
fn drain_cuts_those_who_do_not_answer() {
    let mut sim = Sim::new(Sim::quiet());
    let peer = sim.open("");
    peer.block();
    sim.turn(&[]);
    sim.core.end(End::Drain(Duration::ZERO));
    sim.pass(7_000);
    assert!(peer.gone() && sim.core.is_finished());
    assert_eq!(sim.closes(), [(peer.id, 1006)]);
}

#[test]
fn stop_is_at_once() {
    let mut sim = Sim::new(Sim::quiet());
    let [mut one, blocked] = [sim.open(""), sim.open("")];
    blocked.block();
    sim.turn(&[]);
    sim.core.end(End::Stop);
    assert!(sim.core.is_finished());
    assert!(one.gone() && blocked.gone());
    assert_eq!(one.heard(), ["close 1001 the server stops"]);
    assert_eq!(sim.closes(), [(one.id, 1001), (blocked.id, 1001)]);
}

#[test]
fn silent_connection_is_small() {
    // All that a connection without unsent bytes is to its worker, with a handler that keeps nothing
    // for it. The bar is 256 bytes in the whole process (docs/explanation/performance.md, "Memory
    // and set-up"), of which these are by far the most: who needs more is to move something else to
    // `Rare`, or to say in that document why the bar cannot be kept.
    let bytes = crate::worker::core::entry_bytes::<Stateless, crate::worker::Socket>();
    // mio's sockets know their poller where debug assertions are on.
    let debug = if cfg!(debug_assertions) { 8 } else { 0 };
    assert!(bytes <= 184 + debug, "{bytes} bytes");
    let link = size_of::<crate::worker::Link>();
    assert!(link <= 160, "{link} bytes");
    let mut sim = Sim::new(Sim::quiet());
    let mut peer = sim.open("");
    peer.say("hello");
    sim.settle(&[&peer]);
    peer.block();
    sim.command([Command::Send {
        to: peer.id,
        frame: text("late"),
    }]);
    peer.unblock();
    sim.settle(&[&peer]);
    assert_eq!(peer.heard(), ["hello", "late"]);
    assert!(!sim.core.holds_memory_for(peer.slot));
}
