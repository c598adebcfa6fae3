//! The rules one by one, each limit at limit + 1, and any sequence of commands against a naive model.

mod model;

use crate::tables::SHRINK_ABOVE;
use crate::{
    Command, ConnectionId, Counts, Effect, Hub, Kind, Limits, Outcome, Publication, Refused, Target,
};
use std::sync::Arc;

const PLAIN: Kind = Kind(0);
const V1: Kind = Kind(1);

/// A hub that is asked in short.
struct Bench {
    hub: Hub,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            hub: Hub::new(limits),
        }
    }

    fn apply(&mut self, command: Command) -> (Result<usize, Refused>, Vec<Effect>) {
        let mut effects = Vec::new();
        let outcome = self.hub.apply(command, &mut effects);
        (outcome.map(|outcome: Outcome| outcome.connections), effects)
    }

    fn open(&mut self, connection: u64, kind: Kind, user: &str) -> Result<usize, Refused> {
        let user = (!user.is_empty()).then(|| Arc::from(user));
        let connection = ConnectionId(connection);
        self.apply(Command::Open {
            connection,
            kind,
            user,
            cookie: None,
        })
        .0
    }

    fn identify(&mut self, connection: u64, user: &str) -> Result<usize, Refused> {
        self.apply(Command::Identify {
            connection: ConnectionId(connection),
            user: user.into(),
        })
        .0
    }

    fn close(&mut self, connection: u64) -> Result<usize, Refused> {
        let (outcome, effects) = self.apply(Command::Close {
            connection: ConnectionId(connection),
        });
        assert_eq!(effects, []);
        outcome
    }

    fn subscribe(&mut self, connection: u64, channel: &str) -> Result<usize, Refused> {
        let connection = ConnectionId(connection);
        self.apply(Command::Subscribe {
            connection,
            channel: channel.into(),
        })
        .0
    }

    fn publish(&mut self, target: Target, exclude: Option<u64>) -> (usize, Vec<Effect>) {
        let publication = publication();
        let exclude = exclude.map(ConnectionId);
        let (outcome, mut effects) = self.apply(Command::Publish {
            target,
            exclude,
            publication,
        });
        for effect in &mut effects {
            if let Effect::Deliver { connections, .. } = effect {
                connections.sort();
            }
        }
        (outcome.unwrap(), effects)
    }
}

fn publication() -> Publication {
    Publication {
        text: "test".into(),
        compress: true,
        key: None,
        id: None,
    }
}

fn deliver(kind: Kind, user: Option<&str>, connections: &[u64]) -> Effect {
    Effect::Deliver {
        connections: connections.iter().copied().map(ConnectionId).collect(),
        kind,
        user: user.map(Arc::from),
        publication: publication(),
    }
}

#[test]
fn a_user_is_reached_on_all_connections_and_nobody_else_is() {
    let mut bench = Bench::new();
    for (connection, user) in [(1, "a"), (2, "b"), (3, "a"), (4, "")] {
        bench.open(connection, PLAIN, user).unwrap();
    }
    let (count, effects) = bench.publish(Target::User("a".into()), None);
    assert_eq!(
        (count, effects),
        (2, vec![deliver(PLAIN, Some("a"), &[1, 3])])
    );
    let (count, effects) = bench.publish(Target::User("nobody".into()), None);
    assert_eq!((count, effects), (0, vec![]));
}

#[test]
fn receivers_are_grouped_by_kind_and_come_once() {
    let mut bench = Bench::new();
    for (connection, kind, user) in [(1, PLAIN, "a"), (2, V1, "a"), (3, PLAIN, "b"), (4, V1, "c")] {
        bench.open(connection, kind, user).unwrap();
    }
    let users = ["a", "b", "a", "nobody"].map(Arc::from).to_vec();
    let (count, effects) = bench.publish(Target::Users(users), None);
    assert_eq!(count, 3);
    assert_eq!(
        effects,
        [deliver(PLAIN, None, &[1, 3]), deliver(V1, None, &[2])]
    );
}

#[test]
fn a_channel_costs_one_effect_per_kind() {
    let mut bench = Bench::new();
    for connection in 0..100 {
        bench
            .open(connection, if connection == 99 { V1 } else { PLAIN }, "")
            .unwrap();
        bench.subscribe(connection, "news").unwrap();
    }
    let target = Target::Channel("news".into());
    let effect = |kind, exclude: Option<u64>| Effect::Publish {
        channel: "news".into(),
        kind,
        exclude: exclude.map(ConnectionId),
        publication: publication(),
    };
    let both = vec![effect(PLAIN, None), effect(V1, None)];
    assert_eq!(bench.publish(target.clone(), None), (100, both));
    // The only one of its kind is left out: no effect for that kind.
    assert_eq!(
        bench.publish(target.clone(), Some(99)),
        (99, vec![effect(PLAIN, Some(99))])
    );
    // A stranger is left out: nothing changes but the name.
    bench.open(100, PLAIN, "").unwrap();
    let both = vec![effect(PLAIN, Some(100)), effect(V1, Some(100))];
    assert_eq!(bench.publish(target, Some(100)), (100, both));
}

#[test]
fn everybody_costs_one_effect_per_kind() {
    let mut bench = Bench::new();
    assert_eq!(bench.publish(Target::All, None), (0, vec![]));
    for connection in 0..10 {
        bench.open(connection, PLAIN, "").unwrap();
    }
    let effect = |exclude: Option<u64>| Effect::Broadcast {
        kind: PLAIN,
        exclude: exclude.map(ConnectionId),
        publication: publication(),
    };
    assert_eq!(bench.publish(Target::All, None), (10, vec![effect(None)]));
    assert_eq!(
        bench.publish(Target::All, Some(3)),
        (9, vec![effect(Some(3))])
    );
    assert_eq!(
        bench.publish(Target::All, Some(77)),
        (10, vec![effect(Some(77))])
    );
}

#[test]
fn a_cookie_finds_its_connections() {
    let mut bench = Bench::new();
    for (connection, cookie) in [(1, "one"), (2, "two"), (3, "one")] {
        let connection = ConnectionId(connection);
        let cookie = Some(Arc::from(cookie));
        bench
            .apply(Command::Open {
                connection,
                kind: PLAIN,
                user: None,
                cookie,
            })
            .0
            .unwrap();
    }
    let (count, effects) = bench.publish(Target::Cookie("one".into()), None);
    assert_eq!((count, effects), (2, vec![deliver(PLAIN, None, &[1, 3])]));
    assert_eq!(bench.hub.counts().cookies, 2);
}

#[test]
fn a_connection_says_once_who_it_is() {
    let mut bench = Bench::new();
    bench.open(1, PLAIN, "").unwrap();
    assert_eq!(bench.identify(1, "a"), Ok(1));
    assert_eq!(bench.identify(1, "a"), Ok(0));
    assert_eq!(bench.identify(1, "b"), Err(Refused::AnotherUser));
    assert_eq!(bench.identify(2, "a"), Err(Refused::UnknownConnection));
    assert_eq!(
        bench.hub.user_of(ConnectionId(1)).map(AsRef::as_ref),
        Some("a")
    );
    assert_eq!(bench.publish(Target::User("a".into()), None).0, 1);
}

#[test]
fn disconnect_names_each_connection_once_and_leaves_them_in_the_hub() {
    let mut bench = Bench::new();
    bench.open(1, PLAIN, "a").unwrap();
    bench.open(2, V1, "a").unwrap();
    let users = ["a", "a"].map(Arc::from).to_vec();
    let (outcome, mut effects) = bench.apply(Command::Disconnect {
        target: Target::Users(users),
        code: 3001,
        reason: "bye".into(),
    });
    assert_eq!(outcome, Ok(2));
    let Some(Effect::Disconnect {
        mut connections,
        code,
        reason,
    }) = effects.pop()
    else {
        panic!("no disconnect");
    };
    connections.sort();
    assert_eq!(connections, [ConnectionId(1), ConnectionId(2)]);
    assert_eq!((code, &*reason), (3001, "bye"));
    assert_eq!(bench.hub.counts().connections, 2);
}

#[test]
fn closed_connections_leave_nothing_behind() {
    let mut bench = Bench::new();
    for connection in 0..3000 {
        bench
            .open(connection, PLAIN, &format!("user{}", connection % 7))
            .unwrap();
        bench.subscribe(connection, "everybody").unwrap();
        bench
            .subscribe(connection, &format!("own{connection}"))
            .unwrap();
    }
    for connection in 0..3000 {
        bench.close(connection).unwrap();
    }
    assert_eq!(bench.hub.counts(), Counts::default());
    assert!(
        bench.hub.connections.capacity() <= SHRINK_ABOVE,
        "the table's memory is given back"
    );
    assert!(bench.hub.channels.capacity() <= SHRINK_ABOVE);
    assert_eq!(bench.close(0), Err(Refused::UnknownConnection));
}

#[test]
fn subscribing_twice_and_leaving_what_one_never_had_change_nothing() {
    let mut bench = Bench::new();
    bench.open(1, PLAIN, "").unwrap();
    assert_eq!(bench.subscribe(1, "a"), Ok(1));
    assert_eq!(bench.subscribe(1, "a"), Ok(0));
    let (outcome, effects) = bench.apply(Command::Unsubscribe {
        connection: ConnectionId(1),
        channel: "b".into(),
    });
    assert_eq!((outcome, effects), (Ok(0), vec![]));
    assert_eq!(bench.hub.counts().subscriptions, 1);
}

#[test]
fn every_limit_holds_at_limit_plus_one() {
    let mut bench = Bench::with(Limits {
        channels_max: 3,
        subscriptions_per_connection_max: 2,
        connections_per_user_max: 2,
        connections_per_cookie_max: 2,
        users_per_publication_max: 2,
        channel_name_bytes_max: 8,
        user_name_bytes_max: 8,
        cookie_bytes_max: 8,
    });
    bench.open(1, PLAIN, "a").unwrap();
    bench.open(2, PLAIN, "a").unwrap();
    assert_eq!(bench.open(3, PLAIN, "a"), Err(Refused::TooManyConnections));
    assert_eq!(bench.open(3, PLAIN, "123456789"), Err(Refused::BadUserName));
    assert_eq!(bench.open(3, Kind(8), ""), Err(Refused::UnknownKind));
    bench.open(3, PLAIN, "").unwrap();
    assert_eq!(bench.identify(3, "a"), Err(Refused::TooManyConnections));
    assert_eq!(bench.open(3, PLAIN, ""), Err(Refused::ConnectionExists));
    assert_eq!(
        bench.subscribe(1, "123456789"),
        Err(Refused::BadChannelName)
    );
    bench.subscribe(1, "12345678").unwrap();
    bench.subscribe(1, "two").unwrap();
    assert_eq!(
        bench.subscribe(1, "three"),
        Err(Refused::TooManySubscriptions)
    );
    bench.subscribe(2, "three").unwrap();
    assert_eq!(bench.subscribe(2, "four"), Err(Refused::TooManyChannels));
    bench.subscribe(2, "two").unwrap();
    let users = |count: usize| Target::Users(vec!["u".into(); count]);
    assert_eq!(bench.publish(users(2), None).0, 0);
    let publish = |target| Command::Publish {
        target,
        exclude: None,
        publication: publication(),
    };
    assert_eq!(
        bench.apply(publish(users(3))),
        (Err(Refused::TooManyUsers), vec![])
    );
    let target = Target::Channel("123456789".into());
    assert_eq!(
        bench.apply(publish(target)),
        (Err(Refused::BadChannelName), vec![])
    );
    let target = Target::User("123456789".into());
    assert_eq!(
        bench.apply(publish(target)),
        (Err(Refused::BadUserName), vec![])
    );
}

#[test]
fn a_cookie_over_its_limits_opens_but_is_not_found() {
    let mut bench = Bench::with(Limits {
        connections_per_cookie_max: 2,
        cookie_bytes_max: 4,
        ..Limits::default()
    });
    for (connection, cookie) in [
        (1, "c"),
        (2, "c"),
        (3, "c"),
        (4, "12345"),
        (5, "1234"),
        (6, ""),
    ] {
        let connection = ConnectionId(connection);
        let cookie = Some(Arc::from(cookie));
        bench
            .apply(Command::Open {
                connection,
                kind: PLAIN,
                user: None,
                cookie,
            })
            .0
            .unwrap();
    }
    for (cookie, found) in [("c", 2), ("12345", 0), ("1234", 1), ("", 0)] {
        assert_eq!(
            bench.publish(Target::Cookie(cookie.into()), None).0,
            found,
            "{cookie}"
        );
    }
}

#[test]
fn what_would_reach_somebody_is_heard_and_what_would_be_refused_too() {
    let mut bench = Bench::with(Limits {
        users_per_publication_max: 2,
        ..Limits::default()
    });
    assert!(!bench.hub.is_heard(&Target::All));
    bench.open(1, PLAIN, "anna").unwrap();
    bench.subscribe(1, "news").unwrap();
    let users = |names: &[&str]| Target::Users(names.iter().map(|name| Arc::from(*name)).collect());
    for (target, heard) in [
        (Target::All, true),
        (Target::User("anna".into()), true),
        (Target::User("berta".into()), false),
        (Target::User("".into()), true),
        (users(&["berta", "anna"]), true),
        (users(&["berta"]), false),
        (users(&["berta", "berta", "berta"]), true),
        (Target::Channel("news".into()), true),
        (Target::Channel("sport".into()), false),
        (Target::Channel("not a name".into()), true),
        (Target::Connection(ConnectionId(1)), true),
        (Target::Connection(ConnectionId(2)), false),
        (Target::Cookie("c".into()), false),
    ] {
        assert_eq!(bench.hub.is_heard(&target), heard, "{target:?}");
    }
}

#[test]
fn names_are_shared_not_copied() {
    let mut bench = Bench::new();
    for connection in 1..=2 {
        bench.open(connection, PLAIN, "a").unwrap();
        bench.subscribe(connection, "news").unwrap();
    }
    let entries: Vec<_> = [1, 2]
        .map(|n| &bench.hub.connections[&ConnectionId(n)])
        .into();
    assert!(Arc::ptr_eq(
        &entries[0].channels.as_slice()[0],
        &entries[1].channels.as_slice()[0]
    ));
    assert!(Arc::ptr_eq(
        entries[0].user.as_ref().unwrap(),
        entries[1].user.as_ref().unwrap()
    ));
    assert!(size_of::<super::Entry>() <= 64);
}
