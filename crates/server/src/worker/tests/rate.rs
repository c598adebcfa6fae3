//! Peers that send too fast.

use super::*;

fn limited() -> Limits {
    Limits {
        messages_per_second: 10,
        rate_burst_seconds: 2,
        ..Sim::quiet()
    }
}

#[test]
fn burst_is_served_and_the_rest_waits_its_turn() {
    let mut sim = Sim::new(limited());
    let mut peer = sim.open("");
    for n in 0..40 {
        peer.say(&n.to_string());
    }
    sim.settle(&[&peer]);
    // The burst, and the one message that goes over it.
    assert_eq!(peer.heard().len(), 21);
    sim.pass(1_000);
    let more = peer.heard().len();
    assert!((9..=11).contains(&more), "{more}");
    sim.pass(1_500);
    assert_eq!(peer.heard().last().map(String::as_str), Some("39"));
    assert!(sim.closes().is_empty());
    assert_eq!(sim.dropped("rate"), 0);
}

#[test]
fn ten_seconds_over_the_rate_are_a_1008() {
    let mut sim = Sim::new(limited());
    let [mut fast, mut fair] = [sim.open(""), sim.open("")];
    for second in 0..14 {
        for n in 0..100 {
            fast.say(&n.to_string());
            if n % 20 == 0 {
                fair.say(&second.to_string());
            }
        }
        sim.settle(&[&fast, &fair]);
        sim.pass(1_000);
    }
    assert_eq!(fast.heard().last().unwrap(), "close 1008 too many messages");
    assert_eq!(fair.heard().len(), 14 * 5);
    assert_eq!(sim.dropped("rate"), 1);
}

/// What was received when it was condemned is thrown away; the rest then began inside a frame, and the end was told as the
/// peer's breach of the protocol.
#[test]
fn a_flood_that_goes_on_after_its_1008_is_no_protocol_error() {
    let mut sim = Sim::new(Limits {
        receive_buffer_bytes: 500,
        ..limited()
    });
    let mut fast = sim.open("");
    for second in 0..60 {
        for n in 0..100 {
            fast.say(&format!("{second} {n} {}", "x".repeat(100)));
        }
        sim.settle(&[&fast]);
        sim.pass(1_000);
    }
    assert_eq!(sim.dropped("rate"), 1);
    assert_eq!(fast.heard().last().unwrap(), "close 1008 too many messages");
    assert_eq!(sim.closes(), [(fast.id, 1006)]);
}

#[test]
fn without_a_timeout_it_is_only_slow() {
    let mut sim = Sim::new(Limits {
        rate_timeout_ms: 0,
        ..limited()
    });
    let mut peer = sim.open("");
    for n in 0..200 {
        peer.say(&n.to_string());
    }
    sim.settle(&[&peer]);
    sim.pass(17_000);
    let heard = peer.heard().len();
    assert!((185..200).contains(&heard), "{heard}");
    sim.pass(2_000);
    assert_eq!(peer.heard().last().map(String::as_str), Some("199"));
    assert!(sim.closes().is_empty());
}

#[test]
fn bytes_have_a_rate_too() {
    let limits = Limits {
        bytes_per_second: 1_000,
        rate_burst_seconds: 1,
        ..Sim::quiet()
    };
    let mut sim = Sim::new(Limits {
        receive_buffer_bytes: 500,
        ..limits
    });
    let mut peer = sim.open("");
    for _ in 0..100 {
        peer.say(&"x".repeat(94));
    }
    sim.settle(&[&peer]);
    let at_once = peer.heard().len();
    assert!((10..=15).contains(&at_once), "{at_once}");
    sim.pass(3_000);
    let more = peer.heard().len();
    assert!((25..=35).contains(&more), "{more}");
}
