//! Everything at once, at random, from a seed: what must hold whatever happens.

use super::life::Random;
use super::*;
use crate::inbox::End;

const SCRIPTS: [&str; 5] = ["", "greet", "topic", "topic", "panic"];
const WORDS: [&str; 7] = [
    "hello",
    "panic",
    "close now",
    "timer 50",
    "big 3000",
    "big 30000",
    "x",
];

fn publication(n: usize, exclude: ConnectionId) -> Command {
    Command::Publish {
        topic: "topic".into(),
        frame: text(&"p".repeat(n * 10)),
        exclude: Some(exclude),
        slow: match n % 4 {
            0 => SlowPolicy::Disconnect,
            1 => SlowPolicy::DropNewest,
            2 => SlowPolicy::DropOldest,
            _ => SlowPolicy::Latest { key: None },
        },
    }
}

/// One thing that may happen.
fn happen(sim: &mut Sim, peers: &mut Vec<Peer>, random: &mut Random) {
    let action = random.below(20);
    if peers.is_empty() || (action == 0 && peers.len() < 8) {
        let peer = sim.open(SCRIPTS[random.below(SCRIPTS.len())]);
        peers.push(peer);
        return;
    }
    let at = random.below(peers.len());
    let peer = &mut peers[at];
    let to = peer.id;
    match action {
        1..=5 => {
            for _ in 0..random.below(20) {
                let word = WORDS[random.below(WORDS.len())];
                if peer.protocol.state() == proto::State::Open {
                    peer.say(word);
                }
            }
        }
        6 if random.below(4) == 0 => peer
            .wire
            .borrow_mut()
            .to_server
            .extend([0x81, 0x81, 0, 0, 0, 0, 0xff]),
        7 if random.below(4) == 0 => peer.wire.borrow_mut().reset = true,
        8 if random.below(4) == 0 => peer.wire.borrow_mut().closed = true,
        6..=8 => drop(peer.heard()),
        9 | 10 => peer.block(),
        11 | 12 => peer.unblock(),
        13 => {
            let mut wire = peer.wire.borrow_mut();
            wire.room = random.below(5000);
            wire.read_step = random.below(100);
            wire.write_step = random.below(100);
        }
        14 => sim.command((0..random.below(30)).map(|_| Command::Send {
            to,
            frame: text("sent"),
        })),
        15 => sim.command((0..random.below(30)).map(|n| publication(n, to))),
        16 => sim.command([
            Command::Subscribe {
                id: to,
                topic: "topic".into(),
            },
            Command::Unsubscribe {
                id: to,
                topic: "other".into(),
            },
        ]),
        17 => sim.command([Command::Close {
            id: to,
            code: 4000.into(),
            reason: "r".repeat(200),
        }]),
        18 => sim.pass(random.below(4_000) as u64),
        _ => {
            peers.retain(|peer| !peer.gone());
        }
    }
    let ready: Vec<&Peer> = peers.iter().filter(|peer| !peer.gone()).collect();
    sim.settle(&ready);
}

#[test]
fn whatever_happens_every_connection_ends_once_and_leaves_nothing() {
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut sim = Sim::new(Limits {
            backlog_soft_bytes: 5_000,
            backlog_bytes_max: 20_000,
            backlog_frames_max: 50,
            backlog_pause_bytes: 2_000,
            backlog_budget_bytes: 25_000,
            receive_buffer_bytes: 1 + random.below(2_000),
            messages_per_second: 50,
            bytes_per_second: 500,
            rate_timeout_ms: 1_500,
            protocol: proto::Config::default(),
            ..Limits::default()
        });
        let mut peers = Vec::new();
        let mut wires = Vec::new();
        for _ in 0..300 {
            happen(&mut sim, &mut peers, &mut random);
            if let Some(peer) = peers.last() {
                wires.push(Rc::clone(&peer.wire));
            }
            let stats = sim.counters.snapshot();
            // One message over the limit may wait where nothing else did.
            assert!(stats.backlog_bytes <= 8 * 32_000, "seed {seed}: {stats:?}");
        }
        if random.below(2) == 0 {
            sim.core.end(End::Drain(Duration::from_secs(2)));
            sim.pass(15_000);
        } else {
            sim.core.end(End::Stop);
            sim.turn(&[]);
        }
        assert!(sim.core.is_finished(), "seed {seed}");
        let log = sim.log.borrow();
        let mut closed: Vec<ConnectionId> = log.closed.iter().map(|(id, _)| *id).collect();
        let count = closed.len();
        closed.sort_unstable_by_key(|id| id.as_u64());
        closed.dedup();
        assert_eq!(count, closed.len(), "seed {seed}: closed twice");
        let panicked = log.opened.len() - closed.len();
        let stats = sim.counters.snapshot();
        assert!(panicked as u64 <= stats.panics, "seed {seed}: not closed");
        assert_eq!(
            (stats.connections, stats.backlog_bytes),
            (0, 0),
            "seed {seed}"
        );
        assert_eq!(stats.opened, log.opened.len() as u64, "seed {seed}");
        let by_code: u64 = stats.closed.iter().map(|(_, count)| count).sum();
        assert_eq!(by_code, stats.opened, "seed {seed}");
        assert!(
            wires.iter().all(|wire| wire.borrow().dropped),
            "seed {seed}"
        );
        assert!(sim.core.is_clean(), "seed {seed}");
    }
}
