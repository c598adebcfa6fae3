//! Any sequence of commands: the hub does what the simplest possible hub does, and its indexes agree.

use crate::hub::Channel;
use crate::members::Members;
use crate::{
    Command, ConnectionId, Counts, Effect, Hub, Kind, Limits, Publication, Refused, Target,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

const LIMITS: Limits = Limits {
    channels_max: 4,
    subscriptions_per_connection_max: 3,
    connections_per_user_max: 20,
    connections_per_cookie_max: 3,
    users_per_publication_max: 4,
    channel_name_bytes_max: 2,
    user_name_bytes_max: 2,
    cookie_bytes_max: 2,
};

#[derive(Debug, Default)]
struct Known {
    kind: u8,
    user: Option<Arc<str>>,
    cookie: Option<Arc<str>>,
    channels: BTreeSet<Arc<str>>,
}

/// The simplest possible hub: one table, searched from end to end.
#[derive(Debug, Default)]
struct Model {
    connections: BTreeMap<ConnectionId, Known>,
}

impl Model {
    fn count(&self, test: impl Fn(&Known) -> bool) -> usize {
        self.connections
            .values()
            .filter(|known| test(known))
            .count()
    }

    fn channels(&self) -> BTreeSet<&Arc<str>> {
        self.connections
            .values()
            .flat_map(|known| &known.channels)
            .collect()
    }

    fn matching(&self, target: &Target) -> BTreeSet<ConnectionId> {
        let is = |id: &ConnectionId, known: &Known| match target {
            Target::User(user) => known.user.as_ref() == Some(user),
            Target::Users(users) => known.user.as_ref().is_some_and(|user| users.contains(user)),
            Target::Connection(one) => id == one,
            Target::Cookie(cookie) => known.cookie.as_ref() == Some(cookie),
            Target::Channel(channel) => known.channels.contains(channel),
            Target::All => true,
        };
        self.connections
            .iter()
            .filter(|(id, known)| is(id, known))
            .map(|(id, _)| *id)
            .collect()
    }

    fn check_user(&self, user: &Arc<str>) -> Result<(), Refused> {
        if user.len() > LIMITS.user_name_bytes_max {
            return Err(Refused::BadUserName);
        }
        let open = self.count(|known| known.user.as_ref() == Some(user));
        if open >= LIMITS.connections_per_user_max {
            return Err(Refused::TooManyConnections);
        }
        Ok(())
    }

    fn check_target(target: &Target) -> Result<(), Refused> {
        match target {
            Target::User(user) if user.len() > 2 => Err(Refused::BadUserName),
            Target::Users(users) if users.len() > 4 => Err(Refused::TooManyUsers),
            Target::Users(users) if users.iter().any(|user| user.len() > 2) => {
                Err(Refused::BadUserName)
            }
            Target::Channel(name) if name.len() > 2 => Err(Refused::BadChannelName),
            _ => Ok(()),
        }
    }

    /// The count that the hub should answer, and who is to be sent something or closed.
    fn apply(&mut self, command: &Command) -> Result<(usize, BTreeSet<ConnectionId>), Refused> {
        let mut reached = BTreeSet::new();
        let count = match command {
            Command::Open {
                connection,
                kind,
                user,
                cookie,
            } => {
                if self.connections.contains_key(connection) {
                    return Err(Refused::ConnectionExists);
                }
                user.as_ref().map_or(Ok(()), |user| self.check_user(user))?;
                let cookie = cookie.clone().filter(|cookie| {
                    let open = self.count(|known| known.cookie.as_ref() == Some(cookie));
                    cookie.len() <= LIMITS.cookie_bytes_max
                        && open < LIMITS.connections_per_cookie_max
                });
                let known = Known {
                    kind: kind.0,
                    user: user.clone(),
                    cookie,
                    ..Known::default()
                };
                self.connections.insert(*connection, known);
                1
            }
            Command::Identify { connection, user } => self.identify(*connection, user)?,
            Command::Close { connection } => {
                self.connections
                    .remove(connection)
                    .ok_or(Refused::UnknownConnection)?;
                1
            }
            Command::Subscribe {
                connection,
                channel,
            } => self.subscribe(*connection, channel)?,
            Command::Unsubscribe {
                connection,
                channel,
            } => {
                let known = self
                    .connections
                    .get_mut(connection)
                    .ok_or(Refused::UnknownConnection)?;
                usize::from(known.channels.remove(channel))
            }
            Command::Publish {
                target, exclude, ..
            } => {
                Self::check_target(target)?;
                reached = self.matching(target);
                if let Some(exclude) = exclude {
                    reached.remove(exclude);
                }
                reached.len()
            }
            Command::Disconnect { target, .. } => {
                Self::check_target(target)?;
                reached = self.matching(target);
                reached.len()
            }
        };
        Ok((count, reached))
    }

    fn identify(&mut self, id: ConnectionId, user: &Arc<str>) -> Result<usize, Refused> {
        match self.connections.get(&id).map(|known| &known.user) {
            None => Err(Refused::UnknownConnection),
            Some(Some(known)) if known == user => Ok(0),
            Some(Some(_)) => Err(Refused::AnotherUser),
            Some(None) => {
                self.check_user(user)?;
                self.connections.get_mut(&id).unwrap().user = Some(user.clone());
                Ok(1)
            }
        }
    }

    fn subscribe(&mut self, id: ConnectionId, channel: &Arc<str>) -> Result<usize, Refused> {
        if channel.len() > LIMITS.channel_name_bytes_max {
            return Err(Refused::BadChannelName);
        }
        let known = self
            .connections
            .get(&id)
            .ok_or(Refused::UnknownConnection)?;
        if known.channels.contains(channel) {
            return Ok(0);
        }
        if known.channels.len() >= LIMITS.subscriptions_per_connection_max {
            return Err(Refused::TooManySubscriptions);
        }
        let channels = self.channels();
        if !channels.contains(channel) && channels.len() >= LIMITS.channels_max {
            return Err(Refused::TooManyChannels);
        }
        self.connections
            .get_mut(&id)
            .unwrap()
            .channels
            .insert(channel.clone());
        Ok(1)
    }
}

/// Workers as the hub's owner keeps them: who gets what is subscribed by effects alone.
#[derive(Debug, Default)]
struct Workers {
    topics: BTreeMap<(Arc<str>, u8), BTreeSet<ConnectionId>>,
}

impl Workers {
    /// Carries effects out; who was reached, each at most once.
    fn carry_out(&mut self, effects: Vec<Effect>, model: &Model) -> BTreeSet<ConnectionId> {
        let mut reached = BTreeSet::new();
        let mut reach = |id: ConnectionId| assert!(reached.insert(id), "{id} is reached twice");
        let kind_of = |id: &ConnectionId| model.connections[id].kind;
        for effect in effects {
            match effect {
                Effect::Deliver {
                    connections, kind, ..
                } => {
                    assert!(!connections.is_empty());
                    assert!(connections.iter().all(|id| kind_of(id) == kind.0));
                    connections.into_iter().for_each(&mut reach);
                }
                Effect::Publish {
                    channel,
                    kind,
                    exclude,
                    ..
                } => {
                    let topic = &self.topics[&(channel, kind.0)];
                    assert!(
                        topic.iter().any(|id| Some(*id) != exclude),
                        "an effect for nobody"
                    );
                    topic
                        .iter()
                        .filter(|id| Some(**id) != exclude)
                        .for_each(|id| reach(*id));
                }
                Effect::Broadcast { kind, exclude, .. } => {
                    let of_kind = model.connections.keys().filter(|id| kind_of(id) == kind.0);
                    of_kind
                        .filter(|id| Some(**id) != exclude)
                        .for_each(|id| reach(*id));
                }
                Effect::Subscribe {
                    connection,
                    kind,
                    channel,
                } => {
                    assert!(
                        self.topics
                            .entry((channel, kind.0))
                            .or_default()
                            .insert(connection)
                    );
                }
                Effect::Unsubscribe {
                    connection,
                    kind,
                    channel,
                } => {
                    assert!(
                        self.topics
                            .get_mut(&(channel, kind.0))
                            .unwrap()
                            .remove(&connection)
                    );
                }
                Effect::Disconnect { connections, .. } => {
                    assert!(!connections.is_empty());
                    connections.into_iter().for_each(&mut reach);
                }
            }
        }
        reached
    }

    fn forget(&mut self, id: ConnectionId) {
        self.topics.values_mut().for_each(|members| {
            members.remove(&id);
        });
    }
}

fn check_indexes(hub: &Hub, model: &Model) {
    let names = |pick: fn(&Known) -> Option<&Arc<str>>| {
        model
            .connections
            .values()
            .filter_map(pick)
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert_eq!(
        hub.counts(),
        Counts {
            connections: model.connections.len(),
            users: names(|known| known.user.as_ref()),
            cookies: names(|known| known.cookie.as_ref()),
            channels: model.channels().len(),
            subscriptions: model
                .connections
                .values()
                .map(|known| known.channels.len())
                .sum(),
        }
    );
    let sets_of = |table: &HashMap<Arc<str>, Members>| -> BTreeMap<Arc<str>, BTreeSet<_>> {
        table
            .iter()
            .map(|(name, members)| (name.clone(), members.iter().collect()))
            .collect()
    };
    for (user, members) in sets_of(&hub.users) {
        assert_eq!(members, model.matching(&Target::User(user)));
    }
    for (cookie, members) in sets_of(&hub.cookies) {
        assert_eq!(members, model.matching(&Target::Cookie(cookie)));
    }
    for (name, Channel { members, kinds }) in &hub.channels {
        let expected = model.matching(&Target::Channel(name.clone()));
        assert_eq!(members.iter().collect::<BTreeSet<_>>(), expected);
        assert_eq!(
            (members.len(), hub.channel(name)),
            (expected.len(), expected.len())
        );
        let kinds = kinds.counts(members.len());
        assert_eq!(kinds.total(), expected.len());
        for kind in Kind::all() {
            let of_kind = expected
                .iter()
                .any(|id| model.connections[id].kind == kind.0);
            assert_eq!(kinds.present().any(|present| present == kind), of_kind);
        }
    }
    for (id, known) in &model.connections {
        assert_eq!(hub.user_of(*id), known.user.as_ref());
        assert!(
            known
                .channels
                .iter()
                .all(|channel| hub.is_subscribed(*id, channel))
        );
    }
}

fn connection() -> impl Strategy<Value = ConnectionId> {
    (0..40u64).prop_map(ConnectionId)
}

fn name() -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(vec!["a", "b", "c", "d", "e", "bad"]).prop_map(Arc::from)
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        name().prop_map(Target::User),
        prop::collection::vec(name(), 0..=5).prop_map(Target::Users),
        connection().prop_map(Target::Connection),
        name().prop_map(Target::Cookie),
        name().prop_map(Target::Channel),
        Just(Target::All),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let publication = Publication {
        text: "text".into(),
        compress: true,
        key: None,
        id: None,
    };
    prop_oneof![
        6 => (connection(), 0..3u8, prop::option::of(name()), prop::option::of(name())).prop_map(
            |(connection, kind, user, cookie)| Command::Open {
                connection,
                kind: Kind(kind),
                user,
                cookie,
            }
        ),
        2 => (connection(), name())
            .prop_map(|(connection, user)| Command::Identify { connection, user }),
        2 => connection().prop_map(|connection| Command::Close { connection }),
        6 => (connection(), name())
            .prop_map(|(connection, channel)| Command::Subscribe { connection, channel }),
        2 => (connection(), name())
            .prop_map(|(connection, channel)| Command::Unsubscribe { connection, channel }),
        3 => (target(), prop::option::of(connection())).prop_map(move |(target, exclude)| {
            Command::Publish { target, exclude, publication: publication.clone() }
        }),
        1 => target().prop_map(|target| Command::Disconnect {
            target,
            code: 3000,
            reason: "".into(),
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_does_what_the_model_does(
        commands in prop::collection::vec(command(), 0..200)
    ) {
        let mut hub = Hub::new(LIMITS);
        let mut model = Model::default();
        let mut workers = Workers::default();
        for command in commands {
            let expected = model.apply(&command);
            let mut effects = Vec::new();
            let outcome = hub.apply(command.clone(), &mut effects);
            if let Command::Close { connection } = command {
                workers.forget(connection);
            }
            let refused = outcome.is_err();
            prop_assert!(!refused || effects.is_empty(), "a refused command has no effects");
            let reached = workers.carry_out(effects, &model);
            let outcome = outcome.map(|outcome| (outcome.connections, reached));
            prop_assert_eq!(outcome, expected, "{:?}", command);
            check_indexes(&hub, &model);
        }
        for connection in model.connections.keys() {
            hub.apply(Command::Close { connection: *connection }, &mut Vec::new()).unwrap();
        }
        prop_assert_eq!(hub.counts(), Counts::default());
        prop_assert_eq!(hub.kinds.total(), 0);
    }
}
