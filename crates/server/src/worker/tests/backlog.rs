//! Peers that read too slowly.

use super::*;

fn send(peer: &Peer, words: usize, word: &str) -> Vec<Command> {
    (0..words)
        .map(|_| Command::Send {
            to: peer.id,
            frame: text(word),
        })
        .collect()
}

#[test]
fn a_mark_is_dropped_when_what_stands_before_it_is_written() {
    let mut sim = Sim::new(Sim::quiet());
    let mut peer = sim.open("");
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let mark = Command::Mark(crate::inbox::Mark(sender));
    assert!(!receiver.is_closed());
    sim.command(send(&peer, 2, "sent").into_iter().chain([mark]));
    assert_eq!(peer.heard(), ["sent", "sent"]);
    let ended = receiver.try_recv();
    assert_eq!(
        ended,
        Err(tokio::sync::mpsc::error::TryRecvError::Disconnected)
    );
}

#[test]
fn backlog_holds_its_frames_and_not_one_more() {
    let mut sim = Sim::new(Limits {
        backlog_frames_max: 10,
        ..Sim::quiet()
    });
    let [mut just, mut over] = [sim.open(""), sim.open("")];
    just.block();
    over.block();
    sim.command(send(&just, 10, "x"));
    sim.command(send(&over, 11, "x"));
    sim.pass(100);
    just.unblock();
    over.unblock();
    sim.settle(&[&just, &over]);
    assert_eq!(just.heard(), ["x"; 10]);
    assert_eq!(over.heard(), ["close 3008 reads too slowly"]);
    assert_eq!(sim.dropped("backlog_frames"), 1);
    sim.settle(&[&over]);
    assert_eq!(sim.closes(), [(over.id, 3008)]);
}

#[test]
fn backlog_holds_its_bytes_and_not_one_more() {
    // Two bytes of header and eight of payload a frame.
    let mut sim = Sim::new(Limits {
        backlog_bytes_max: 100,
        ..Sim::quiet()
    });
    let [mut just, mut over] = [sim.open(""), sim.open("")];
    just.block();
    over.block();
    sim.command(send(&just, 10, "12345678"));
    sim.command(send(&over, 9, "12345678"));
    sim.command(send(&over, 1, "123456789"));
    sim.pass(100);
    just.unblock();
    over.unblock();
    sim.settle(&[&just, &over]);
    assert_eq!(just.heard().len(), 10);
    assert_eq!(over.heard(), ["close 3008 reads too slowly"]);
    assert_eq!(sim.dropped("backlog_bytes"), 1);
}

#[test]
fn many_frames_in_one_turn_do_not_make_a_reader_slow() {
    let mut sim = Sim::new(Limits {
        backlog_frames_max: 10,
        ..Sim::quiet()
    });
    let mut peer = sim.open("");
    sim.command(send(&peer, 1000, "x"));
    assert_eq!(peer.heard().len(), 1000);
    assert!(sim.closes().is_empty());
}

#[test]
fn one_message_over_the_limit_is_taken_when_nothing_waits() {
    let mut sim = Sim::new(Limits {
        backlog_bytes_max: 1000,
        ..Sim::quiet()
    });
    let mut peer = sim.open("");
    peer.wire.borrow_mut().room = 500;
    peer.say("big 5000");
    sim.settle(&[&peer]);
    // Four bytes of header; 500 bytes were taken at once.
    assert_eq!(sim.counters.snapshot().backlog_bytes, 4504);
    peer.unblock();
    sim.settle(&[&peer]);
    assert_eq!(peer.heard(), ["b".repeat(5000)]);
    assert_eq!(sim.counters.snapshot().backlog_bytes, 0);
}

#[test]
fn answers_over_the_limit_condemn_who_asked_for_them() {
    let mut sim = Sim::new(Limits {
        backlog_bytes_max: 1000,
        ..Sim::quiet()
    });
    let mut peer = sim.open("");
    peer.block();
    peer.say("big 600");
    peer.say("big 600");
    sim.settle(&[&peer]);
    peer.unblock();
    sim.settle(&[&peer]);
    assert_eq!(peer.heard(), ["close 3008 reads too slowly"]);
    assert_eq!(sim.dropped("backlog_bytes"), 1);
}

#[test]
fn who_does_not_read_is_not_read_from() {
    let mut sim = Sim::new(Limits {
        backlog_pause_bytes: 1000,
        ..Sim::quiet()
    });
    let mut peer = sim.open("");
    peer.block();
    for n in 0..100 {
        peer.say(&format!("{n:0100}"));
        sim.settle(&[&peer]);
    }
    let served = sim.log.borrow().messages[&peer.id].len();
    assert!(served < 12, "{served}");
    assert!(peer.wire.borrow().to_server.len() > 80 * 100);
    peer.unblock();
    sim.settle(&[&peer]);
    assert_eq!(peer.heard().len(), 100);
    assert!(sim.closes().is_empty());
}

#[test]
fn input_that_cannot_be_answered_now_is_answered_later() {
    // The answers are much larger than the requests, and all the requests come in one read.
    let limits = Limits {
        backlog_pause_bytes: 1000,
        receive_buffer_bytes: 4096,
        ..Sim::quiet()
    };
    let mut sim = Sim::new(limits);
    let mut peer = sim.open("");
    for _ in 0..100 {
        peer.say("big 3000");
    }
    peer.block();
    sim.settle(&[&peer]);
    let served = sim.log.borrow().messages[&peer.id].len();
    assert!(served < 5, "{served}");
    let mut heard = 0;
    for _ in 0..1000 {
        peer.wire.borrow_mut().room = 2000;
        sim.settle(&[&peer]);
        heard += peer.heard().len();
    }
    assert_eq!(heard, 100);
    assert!(sim.closes().is_empty());
    assert_eq!(sim.counters.snapshot().backlog_bytes, 0);
}

#[test]
fn message_that_is_longer_than_a_read_is_read_to_its_end() {
    let limits = Limits {
        receive_buffer_bytes: 320,
        ..Sim::quiet()
    };
    for len in 100..400 {
        let mut sim = Sim::new(limits.clone());
        let mut peer = sim.open("");
        let texts: Vec<String> = (0..9).map(|n| format!("{n:0len$}")).collect();
        for text in &texts {
            peer.say(text);
        }
        // Half of the last one comes later.
        let later = peer
            .wire
            .borrow_mut()
            .to_server
            .split_off(8 * len + len / 2);
        sim.settle(&[&peer]);
        peer.wire.borrow_mut().to_server.extend(later);
        sim.settle(&[&peer]);
        assert_eq!(peer.heard(), texts, "{len}");
    }
}

#[test]
fn nothing_comes_between_a_long_message_and_its_header() {
    let limits = Limits {
        backlog_pause_bytes: 1 << 20,
        ..Sim::quiet()
    };
    for room in 0..20 {
        let mut sim = Sim::new(limits.clone());
        let mut peer = sim.open("");
        peer.say("big 65536");
        peer.wire.borrow_mut().room = room;
        sim.settle(&[&peer]);
        let mut ping = Vec::new();
        peer.protocol.send_ping(b"?", &mut ping).unwrap();
        peer.wire.borrow_mut().to_server.extend(ping);
        sim.settle(&[&peer]);
        for _ in 0..3 {
            peer.wire.borrow_mut().room = 10;
            sim.settle(&[&peer]);
        }
        peer.unblock();
        sim.settle(&[&peer]);
        let mut heard = peer.heard();
        heard.sort_unstable_by_key(String::len);
        let lens: Vec<usize> = heard.iter().map(String::len).collect();
        assert_eq!(lens, ["pong".len(), 65_536], "{room}");
    }
}

#[test]
fn turn_of_one_connection_ends_after_so_many_bytes() {
    let limits = Limits {
        receive_buffer_bytes: 320,
        reads_per_turn_max: 2,
        ..Sim::quiet()
    };
    let mut sim = Sim::new(limits);
    let mut talker = sim.open("");
    for _ in 0..100 {
        talker.say(&"x".repeat(200));
    }
    let sent = talker.wire.borrow().to_server.len();
    sim.turn(&[&talker]);
    let read = sent - talker.wire.borrow().to_server.len();
    // The last message of a turn is read to its end.
    assert!((640..640 + 320).contains(&read), "{read}");
    sim.settle(&[&talker]);
    assert_eq!(talker.heard().len(), 100);
}

#[test]
fn stall_ends_a_connection_and_nobody_else() {
    let mut sim = Sim::new(Sim::quiet());
    let [stalled, mut trickles] = [sim.open(""), sim.open("")];
    stalled.block();
    trickles.block();
    sim.command(send(&stalled, 3, "x"));
    sim.command(send(&trickles, 3, "x"));
    for _ in 0..9 {
        sim.pass(1_000);
        trickles.wire.borrow_mut().room = 1;
        sim.settle(&[&trickles]);
    }
    assert_eq!(sim.dropped("backlog_stall"), 0);
    sim.pass(1_100);
    assert_eq!(sim.dropped("backlog_stall"), 1);
    sim.pass(8_000);
    assert_eq!(sim.closes(), [(stalled.id, 1006)]);
    assert!(stalled.gone());
    trickles.unblock();
    sim.settle(&[&trickles]);
    assert_eq!(trickles.heard(), ["x"; 3]);
}

#[test]
fn over_the_budget_the_fattest_goes() {
    let mut sim = Sim::new(Limits {
        backlog_budget_bytes: 10_000,
        ..Sim::quiet()
    });
    let [thin, mut fat, middle] = [sim.open(""), sim.open(""), sim.open("")];
    for peer in [&thin, &fat, &middle] {
        peer.block();
    }
    sim.command(send(&thin, 1, &"x".repeat(1000)));
    sim.command(send(&fat, 5, &"x".repeat(1000)));
    sim.command(send(&middle, 3, &"x".repeat(1000)));
    assert_eq!(sim.dropped("backlog_budget"), 0);
    sim.command(send(&thin, 1, &"x".repeat(1000)));
    assert_eq!(sim.dropped("backlog_budget"), 1);
    assert!(sim.counters.snapshot().backlog_bytes < 6_000);
    fat.unblock();
    sim.settle(&[&fat]);
    assert_eq!(fat.heard(), ["close 3008 reads too slowly"]);
}

#[test]
fn backlog_is_counted_down_when_its_connection_ends() {
    let mut sim = Sim::new(Sim::quiet());
    let peer = sim.open("");
    peer.block();
    sim.command(send(&peer, 10, "hello"));
    assert_eq!(sim.counters.snapshot().backlog_bytes, 70);
    peer.wire.borrow_mut().reset = true;
    sim.settle(&[&peer]);
    assert!(peer.gone());
    assert_eq!(sim.counters.snapshot().backlog_bytes, 0);
}

#[test]
fn who_still_reads_is_not_given_up_for_a_late_pong() {
    let limits = Limits {
        protocol: proto::Config::default(),
        ..Sim::quiet()
    };
    let mut sim = Sim::new(limits);
    let mut peer = sim.open("");
    peer.block();
    sim.command(send(&peer, 200, &"x".repeat(1000)));
    // So slow that a ping and its answer would be a minute on their way.
    let mut heard = Vec::new();
    while heard.len() < 200 {
        peer.wire.borrow_mut().room = 15_000;
        sim.settle(&[&peer]);
        heard.extend(peer.heard());
        sim.pass(5_000);
        assert!(sim.now < 200_000);
    }
    peer.unblock();
    for _ in 0..10 {
        sim.settle(&[&peer]);
        sim.pass(5_000);
        heard.extend(peer.heard());
    }
    assert!(heard.contains(&"ping".to_owned()));
    assert!(sim.closes().is_empty());
    // Silence without anything to read is silence.
    peer.wire.borrow_mut().to_server.clear();
    sim.pass(40_000);
    assert_eq!(sim.closes(), [(peer.id, 1006)]);
}

#[test]
fn long_message_is_whole_wherever_the_system_stops_taking_it() {
    let long = "b".repeat(65_536);
    // Before its header, inside it, behind it, inside the payload, and at its last byte; what was
    // queued before has 7 bytes, the header ten.
    for taken in [0, 3, 7, 8, 16, 17, 18, 50_000, 65_552, 65_553] {
        for write_step in [0, 999] {
            let mut sim = Sim::new(Sim::quiet());
            let mut peer = sim.open("");
            peer.wire.borrow_mut().room = taken;
            peer.wire.borrow_mut().write_step = write_step;
            for words in ["first", "big 65536", "last"] {
                peer.say(words);
            }
            sim.settle(&[&peer]);
            peer.unblock();
            sim.settle(&[&peer]);
            assert_eq!(peer.heard(), ["first", &long, "last"], "after {taken}");
            assert_eq!(sim.counters.snapshot().backlog_bytes, 0);
        }
    }
}
