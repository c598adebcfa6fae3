//! Deadlines and rates, with a clock that only moves when a test says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod wire;

use rupor_proto::{
    CloseCode, Config, Connection, Event, Initiator, Limits, PeerError, State, Time,
};
use wire::{BINARY, CLOSE, CONTINUATION, FIN, NOW, PING, PONG, ROLES, Role, TEXT, frames};

fn at(ms: u64) -> Time {
    NOW.saturating_add_ms(ms)
}

/// What is received at `ms`; the error it ends with, if it does.
fn receive(connection: &mut Connection, bytes: &[u8], ms: u64) -> Option<PeerError> {
    let (mut bytes, mut out) = (bytes.to_vec(), Vec::new());
    let mut input = &mut bytes[..];
    while let Some(event) = connection.receive(&mut input, at(ms), &mut out) {
        if let Event::Closed(close) = event {
            return close.error;
        }
    }
    None
}

/// Wakes it at the moment it asked for; that moment and what it sent.
fn wake(connection: &mut Connection) -> (u64, Vec<u8>, Option<Event<'static>>) {
    let due = connection.poll_timeout().unwrap();
    let mut out = Vec::new();
    let early = Time::from_millis(due.as_millis() - 1);
    assert_eq!(connection.handle_timeout(early, &mut out), None);
    assert!(out.is_empty(), "nothing happens early");
    let event = connection.handle_timeout(due, &mut out);
    (due.saturating_since(NOW), out, event)
}

fn expect_closed(event: Option<Event<'_>>, code: CloseCode, error: PeerError) {
    let Some(Event::Closed(close)) = event else {
        panic!("{event:?}")
    };
    assert_eq!((close.code, close.error), (code, Some(error)));
    assert_eq!((close.initiator, close.clean), (Initiator::Local, false));
}

/// A Ping each interval, 10 % more or less; any byte at all, even half a header, is life.
#[test]
fn pings_are_spread_and_any_byte_answers_them() {
    for role in ROLES {
        let mut connection = role.connect(Config::default());
        let (mut last, mut intervals) = (0, Vec::new());
        for _ in 0..200 {
            let (now, out, event) = wake(&mut connection);
            assert_eq!(event, None);
            assert_eq!(frames(role, &out), [(FIN | PING, vec![])]);
            intervals.push(now - last);
            last = now;
            let pong = role.frame(FIN | PONG, b"");
            assert_eq!(receive(&mut connection, &pong[..1], now + 9_999), None);
            assert_eq!(receive(&mut connection, &pong[1..], now + 9_999), None);
        }
        let (min, max) = (
            intervals.iter().min().unwrap(),
            intervals.iter().max().unwrap(),
        );
        assert!(*min >= 22_500 && *max <= 27_500, "{min}..{max}");
        assert!(
            *min < 23_000 && *max > 27_000,
            "spread over all of it: {min}..{max}"
        );
    }
}

/// Connections with other seeds ping at other times.
#[test]
fn seeds_spread_the_first_ping() {
    let config = std::sync::Arc::new(Config::default());
    let dues: std::collections::BTreeSet<_> = (0..100)
        .map(|seed| {
            Connection::server(config.clone(), NOW, seed)
                .poll_timeout()
                .unwrap()
        })
        .collect();
    assert!(dues.len() > 90, "{}", dues.len());
}

/// F-HO: silence after a Ping ends the connection; nothing is sent to nobody.
#[test]
fn silence_after_a_ping() {
    for role in ROLES {
        let mut connection = role.connect(Config::default());
        let (pinged, ..) = wake(&mut connection);
        let (due, out, event) = wake(&mut connection);
        assert_eq!(due, pinged + 10_000);
        assert!(out.is_empty());
        expect_closed(event, CloseCode::ABNORMAL, PeerError::PongTimeout);
        assert_eq!(connection.state(), State::Closed);
        assert_eq!(connection.poll_timeout(), None);
    }
}

/// Pings that come faster than the pong deadline do not put it off.
#[test]
fn more_pings_do_not_prolong_the_silence() {
    let config = Config {
        ping_interval_ms: 1000,
        pong_timeout_ms: 3500,
        ..Config::default()
    };
    let mut connection = Role::Server.connect(config);
    let (first, ..) = wake(&mut connection);
    let end = (0..10)
        .map(|_| wake(&mut connection))
        .find(|(.., event)| event.is_some());
    let (due, _, event) = end.unwrap();
    assert_eq!(due, first + 3500);
    expect_closed(event, CloseCode::ABNORMAL, PeerError::PongTimeout);
}

/// What has not been asked anything yet is not excused, and nobody is given less time by it.
#[test]
fn silence_is_excused_until_then() {
    let mut connection = Role::Server.connect(Config::default());
    connection.excuse_silence(Time::from_millis(u64::MAX - 1));
    let (pinged, ..) = wake(&mut connection);
    connection.excuse_silence(at(pinged + 12_000));
    connection.excuse_silence(at(pinged + 3_000));
    let (due, _, event) = wake(&mut connection);
    assert_eq!(due, pinged + 12_000);
    expect_closed(event, CloseCode::ABNORMAL, PeerError::PongTimeout);
}

#[test]
fn no_pings() {
    for role in ROLES {
        let connection = role.connect(Config {
            ping_interval_ms: 0,
            ..Config::default()
        });
        assert_eq!(connection.poll_timeout(), None);
    }
}

/// The peer does not answer our Close frame, whatever else it sends.
#[test]
fn close_without_an_answer() {
    for role in ROLES {
        let (mut connection, mut out) = (role.connect(Config::default()), Vec::new());
        wake(&mut connection);
        connection
            .close(CloseCode::NORMAL, "", at(60_000), &mut out)
            .unwrap();
        assert_eq!(
            receive(&mut connection, &role.frame(FIN | TEXT, b"x"), 64_000),
            None
        );
        assert_eq!(
            receive(&mut connection, &role.frame(TEXT, b"x"), 64_000),
            None
        );
        let (due, out, event) = wake(&mut connection);
        assert_eq!(due, 65_000);
        assert!(out.is_empty());
        expect_closed(event, CloseCode::ABNORMAL, PeerError::CloseTimeout);
    }
}

/// W-F5: a frame or message that dribbles in, cut anywhere, has 30 s from its first byte.
#[test]
fn w_f5_slow_messages() {
    let config = Config {
        ping_interval_ms: 0,
        ..Config::default()
    };
    for role in ROLES {
        let frame = role.frame(BINARY, &[7; 100]);
        let mut pinged = frame.clone();
        pinged.extend(role.frame(FIN | PING, b"x"));
        let cut_ping = &role.frame(FIN | PING, &[7; 100])[..50];
        for begun in [&frame[..1], &frame[..50], &frame, &pinged, cut_ping] {
            let mut connection = role.connect(config);
            assert_eq!(
                receive(&mut connection, &role.frame(FIN | TEXT, b"x"), 500),
                None
            );
            assert_eq!(connection.poll_timeout(), None);
            let mut ms = 1000;
            for byte in begun {
                assert_eq!(receive(&mut connection, &[*byte], ms), None);
                ms += 100;
            }
            let (due, out, event) = wake(&mut connection);
            assert_eq!(due, 31_000, "{} bytes", begun.len());
            expect_closed(event, CloseCode::POLICY, PeerError::MessageTooSlow);
            assert_eq!(frames(role, &out)[0].0, FIN | CLOSE);
        }

        // The end of the message ends the deadline, and the next message has its own.
        let mut connection = role.connect(config);
        assert_eq!(receive(&mut connection, &frame, 0), None);
        let end = role.frame(FIN | CONTINUATION, b"");
        assert_eq!(receive(&mut connection, &end, 29_999), None);
        assert_eq!(connection.poll_timeout(), None);
        assert_eq!(receive(&mut connection, &frame, 29_999), None);
        assert_eq!(connection.poll_timeout(), Some(at(59_999)));
    }
}

/// W-C1: 50 control frames at once and 10 a second are allowed, one more is not; what it cost us is
/// bounded, too.
#[test]
fn w_c1_ping_flood() {
    for role in ROLES {
        for opcode in [PING, PONG] {
            let frame = role.frame(FIN | opcode, &[0; 125]);
            let (mut connection, mut out) = (role.connect(Config::default()), Vec::new());
            let mut bytes = frame.repeat(1000);
            let mut input = &mut bytes[..];
            let mut frames_seen = 0;
            let close = loop {
                match connection.receive(&mut input, NOW, &mut out) {
                    Some(Event::Ping(_) | Event::Pong(_)) => frames_seen += 1,
                    event => break event,
                }
            };
            assert_eq!(frames_seen, 50);
            expect_closed(close, CloseCode::POLICY, PeerError::TooManyControlFrames);
            let pongs = if opcode == PING { 50 } else { 0 };
            assert_eq!(frames(role, &out).len(), pongs + 1);

            // The same in one-second steps: 50 and 10, then 10 each second, then one too many.
            let mut connection = role.connect(Config::default());
            assert_eq!(receive(&mut connection, &frame.repeat(50), 0), None);
            for second in 1..20 {
                let ten = frame.repeat(10);
                assert_eq!(
                    receive(&mut connection, &ten, second * 1000),
                    None,
                    "{second}"
                );
            }
            let error = receive(&mut connection, &frame, 19_099);
            assert_eq!(error, Some(PeerError::TooManyControlFrames));
        }
    }
}

/// Pongs that answer our own Pings cost the peer nothing; a rate of 0 is no limit; a Close always
/// gets through.
#[test]
fn frames_that_do_not_count_as_a_flood() {
    let limits = Limits {
        control_frames_burst: 1,
        ..Limits::default()
    };
    for role in ROLES {
        let (mut connection, mut out) = (
            role.connect(Config {
                limits,
                ..Config::default()
            }),
            Vec::new(),
        );
        for _ in 0..100 {
            connection.send_ping(b"", &mut out).unwrap();
        }
        let pong = role.frame(FIN | PONG, b"");
        assert_eq!(receive(&mut connection, &pong.repeat(101), 0), None);
        let close = role.frame(FIN | CLOSE, b"\x03\xe8");
        assert_eq!(receive(&mut connection, &close, 0), None);
        assert_eq!(connection.state(), State::Closed);

        // A hundred Pings are answered by a hundred Pongs; one more was the allowance.
        let mut connection = role.connect(Config {
            limits,
            ..Config::default()
        });
        for _ in 0..100 {
            connection.send_ping(b"", &mut out).unwrap();
        }
        let error = receive(&mut connection, &pong.repeat(102), 0);
        assert_eq!(error, Some(PeerError::TooManyControlFrames));

        let limits = Limits {
            control_frames_per_second: 0,
            ..limits
        };
        let mut connection = role.connect(Config {
            limits,
            ..Config::default()
        });
        assert_eq!(receive(&mut connection, &pong.repeat(10_000), 0), None);
    }
}
