//! The state and the rules.

use crate::kinds::{KindCounts, Kinds};
use crate::members::Members;
use crate::names::Names;
use crate::tables::{join, leave, shrink};
use crate::{
    Command, ConnectionId, Effect, Kind, Limits, Outcome, Publication, Refused, Target,
    is_channel_name, is_user_name,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Users, connections and channels of one node.
#[derive(Debug)]
pub struct Hub {
    limits: Limits,
    connections: HashMap<ConnectionId, Entry>,
    kinds: KindCounts,
    users: HashMap<Arc<str>, Members>,
    cookies: HashMap<Arc<str>, Members>,
    channels: HashMap<Arc<str>, Channel>,
    subscriptions: usize,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub connections: usize,
    /// Users with a connection.
    pub users: usize,
    /// Cookie values that a connection came with.
    pub cookies: usize,
    /// Channels with a subscription.
    pub channels: usize,
    /// Subscriptions.
    pub subscriptions: usize,
}

/// What is known of a connection. Names are the keys of the other tables, shared.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    user: Option<Arc<str>>,
    cookie: Option<Arc<str>>,
    channels: Names,
}

#[derive(Debug)]
struct Channel {
    members: Members,
    kinds: Kinds,
}

impl Hub {
    /// A hub with nobody on it.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            connections: HashMap::new(),
            kinds: KindCounts::default(),
            users: HashMap::new(),
            cookies: HashMap::new(),
            channels: HashMap::new(),
            subscriptions: 0,
        }
    }

    /// Carries a command out: changes the state and appends what has to be done to `effects`.
    ///
    /// # Errors
    /// Says why not; then nothing has changed and `effects` is as it was.
    pub fn apply(
        &mut self,
        command: Command,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Refused> {
        match command {
            Command::Open {
                connection,
                kind,
                user,
                cookie,
            } => self.open(connection, kind, user, cookie),
            Command::Identify { connection, user } => self.identify(connection, user),
            Command::Close { connection } => self.close(connection),
            Command::Subscribe {
                connection,
                channel,
            } => self.subscribe(connection, channel, effects),
            Command::Unsubscribe {
                connection,
                channel,
            } => self.unsubscribe(connection, &channel, effects),
            Command::Publish {
                target,
                exclude,
                publication,
            } => self.publish(&target, exclude, &publication, effects),
            Command::Disconnect {
                target,
                code,
                reason,
            } => self.disconnect(&target, code, reason, effects),
        }
    }

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.connections.len(),
            users: self.users.len(),
            cookies: self.cookies.len(),
            channels: self.channels.len(),
            subscriptions: self.subscriptions,
        }
    }

    /// The connections of a user, in no order.
    pub fn user(&self, user: &str) -> impl Iterator<Item = ConnectionId> + '_ {
        self.users.get(user).into_iter().flat_map(Members::iter)
    }

    /// How many connections are subscribed to a channel.
    #[must_use]
    pub fn channel(&self, name: &str) -> usize {
        self.channels
            .get(name)
            .map_or(0, |channel| channel.members.len())
    }

    /// Whether a publication for this target would reach anybody now; also true of one that would be refused.
    #[must_use]
    pub fn is_heard(&self, target: &Target) -> bool {
        if self.check_target(target).is_err() {
            return true;
        }
        // A name stands in a table only while it has a member.
        match target {
            Target::All => !self.connections.is_empty(),
            Target::Channel(channel) => self.channels.contains_key(channel),
            Target::User(user) => self.users.contains_key(user),
            Target::Users(users) => users.iter().any(|user| self.users.contains_key(user)),
            Target::Cookie(cookie) => self.cookies.contains_key(cookie),
            Target::Connection(one) => self.connections.contains_key(one),
        }
    }

    /// Who a connection is; `None` also when there is no such connection.
    #[must_use]
    pub fn user_of(&self, connection: ConnectionId) -> Option<&Arc<str>> {
        self.connections.get(&connection)?.user.as_ref()
    }

    /// Whether a connection is subscribed to a channel.
    #[must_use]
    pub fn is_subscribed(&self, connection: ConnectionId, channel: &str) -> bool {
        self.channels
            .get(channel)
            .is_some_and(|channel| channel.members.contains(connection))
    }

    fn open(
        &mut self,
        connection: ConnectionId,
        kind: Kind,
        user: Option<Arc<str>>,
        cookie: Option<Arc<str>>,
    ) -> Result<Outcome, Refused> {
        if usize::from(kind.0) >= Kind::COUNT {
            return Err(Refused::UnknownKind);
        }
        if self.connections.contains_key(&connection) {
            return Err(Refused::ConnectionExists);
        }
        if let Some(user) = &user {
            self.check_user(user)?;
        }
        let user = user.map(|user| join(&mut self.users, user, connection));
        let cookie = cookie
            .filter(|cookie| {
                (1..=self.limits.cookie_bytes_max).contains(&cookie.len())
                    && self.cookies.get(cookie).map_or(0, Members::len)
                        < self.limits.connections_per_cookie_max
            })
            .map(|cookie| join(&mut self.cookies, cookie, connection));
        self.kinds.add(kind);
        self.connections.insert(
            connection,
            Entry {
                kind,
                user,
                cookie,
                channels: Names::default(),
            },
        );
        Ok(Outcome { connections: 1 })
    }

    fn identify(&mut self, connection: ConnectionId, user: Arc<str>) -> Result<Outcome, Refused> {
        let entry = self
            .connections
            .get(&connection)
            .ok_or(Refused::UnknownConnection)?;
        match &entry.user {
            Some(known) if *known == user => return Ok(Outcome { connections: 0 }),
            Some(_) => return Err(Refused::AnotherUser),
            None => self.check_user(&user)?,
        }
        let user = join(&mut self.users, user, connection);
        if let Some(entry) = self.connections.get_mut(&connection) {
            entry.user = Some(user);
        }
        Ok(Outcome { connections: 1 })
    }

    /// Has no effects: whoever carried the connection forgets its subscriptions with it.
    fn close(&mut self, connection: ConnectionId) -> Result<Outcome, Refused> {
        let entry = self
            .connections
            .remove(&connection)
            .ok_or(Refused::UnknownConnection)?;
        self.kinds.remove(entry.kind);
        if let Some(user) = &entry.user {
            leave(&mut self.users, user, connection);
        }
        if let Some(cookie) = &entry.cookie {
            leave(&mut self.cookies, cookie, connection);
        }
        for channel in entry.channels.as_slice() {
            self.leave_channel(channel, connection, entry.kind);
        }
        shrink(&mut self.connections);
        Ok(Outcome { connections: 1 })
    }

    fn subscribe(
        &mut self,
        connection: ConnectionId,
        channel: Arc<str>,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Refused> {
        if !is_channel_name(&channel, self.limits.channel_name_bytes_max) {
            return Err(Refused::BadChannelName);
        }
        let entry = self
            .connections
            .get_mut(&connection)
            .ok_or(Refused::UnknownConnection)?;
        if entry.channels.as_slice().contains(&channel) {
            return Ok(Outcome { connections: 0 });
        }
        if entry.channels.as_slice().len() >= self.limits.subscriptions_per_connection_max {
            return Err(Refused::TooManySubscriptions);
        }
        let known = self
            .channels
            .get_key_value(&channel)
            .map(|(name, _)| Arc::clone(name));
        if known.is_none() && self.channels.len() >= self.limits.channels_max {
            return Err(Refused::TooManyChannels);
        }
        let kind = entry.kind;
        let channel = known.unwrap_or(channel);
        entry.channels.insert(Arc::clone(&channel));
        self.subscriptions += 1;
        self.channels
            .entry(Arc::clone(&channel))
            .and_modify(|entry| {
                entry.kinds.add(kind, entry.members.len());
                entry.members.insert(connection);
            })
            .or_insert_with(|| Channel {
                members: Members::One(connection),
                kinds: Kinds::Only(kind),
            });
        effects.push(Effect::Subscribe {
            connection,
            kind,
            channel,
        });
        Ok(Outcome { connections: 1 })
    }

    fn unsubscribe(
        &mut self,
        connection: ConnectionId,
        channel: &Arc<str>,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Refused> {
        let entry = self
            .connections
            .get_mut(&connection)
            .ok_or(Refused::UnknownConnection)?;
        let Some(channel) = entry.channels.remove(channel) else {
            return Ok(Outcome { connections: 0 });
        };
        let kind = entry.kind;
        self.leave_channel(&channel, connection, kind);
        effects.push(Effect::Unsubscribe {
            connection,
            kind,
            channel,
        });
        Ok(Outcome { connections: 1 })
    }

    /// [`Command::Publish`], which changes nothing, for whoever keeps what is published.
    ///
    /// # Errors
    /// Says why not; then `effects` is as it was.
    pub fn publish(
        &self,
        target: &Target,
        exclude: Option<ConnectionId>,
        publication: &Publication,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Refused> {
        self.check_target(target)?;
        let connections = match target {
            Target::Channel(channel) => {
                let Some(entry) = self.channels.get(channel) else {
                    return Ok(Outcome { connections: 0 });
                };
                let excluded = exclude.filter(|one| entry.members.contains(*one));
                let kinds = self.kinds_without(entry.kinds.counts(entry.members.len()), excluded);
                effects.extend(kinds.present().map(|kind| Effect::Publish {
                    channel: Arc::clone(channel),
                    kind,
                    exclude,
                    publication: publication.clone(),
                }));
                kinds.total()
            }
            Target::All => {
                let kinds = self.kinds_without(self.kinds, exclude);
                effects.extend(kinds.present().map(|kind| Effect::Broadcast {
                    kind,
                    exclude,
                    publication: publication.clone(),
                }));
                kinds.total()
            }
            named => self.deliver(named, exclude, publication, effects),
        };
        Ok(Outcome { connections })
    }

    fn deliver(
        &self,
        target: &Target,
        exclude: Option<ConnectionId>,
        publication: &Publication,
        effects: &mut Vec<Effect>,
    ) -> usize {
        let first = effects.len();
        let mut total = 0;
        self.for_each(target, |connection| {
            let Some(entry) = self.connections.get(&connection) else {
                return;
            };
            if exclude == Some(connection) {
                return;
            }
            total += 1;
            let of_kind = effects
                .iter_mut()
                .skip(first)
                .find_map(|effect| match effect {
                    Effect::Deliver {
                        connections, kind, ..
                    } if *kind == entry.kind => Some(connections),
                    _ => None,
                });
            match of_kind {
                Some(connections) => connections.push(connection),
                None => effects.push(Effect::Deliver {
                    connections: vec![connection],
                    kind: entry.kind,
                    user: match target {
                        Target::User(user) => Some(Arc::clone(user)),
                        _ => None,
                    },
                    publication: publication.clone(),
                }),
            }
        });
        total
    }

    fn disconnect(
        &self,
        target: &Target,
        code: u16,
        reason: Arc<str>,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Refused> {
        self.check_target(target)?;
        let mut connections = Vec::new();
        self.for_each(target, |connection| connections.push(connection));
        let count = connections.len();
        if count > 0 {
            effects.push(Effect::Disconnect {
                connections,
                code,
                reason,
            });
        }
        Ok(Outcome { connections: count })
    }

    /// Visits the connections of a target, each once.
    fn for_each(&self, target: &Target, visit: impl FnMut(ConnectionId)) {
        match target {
            Target::User(user) => self.user(user).for_each(visit),
            Target::Users(users) => {
                // A connection is one user's, so it can come twice only if a name does.
                let mut names: Vec<&str> = users.iter().map(AsRef::as_ref).collect();
                names.sort_unstable();
                names.dedup();
                let connections = names.into_iter().flat_map(|user| self.user(user));
                connections.for_each(visit);
            }
            Target::Connection(one) => {
                let known = self.connections.contains_key(one).then_some(*one);
                known.into_iter().for_each(visit);
            }
            Target::Cookie(cookie) => {
                let members = self.cookies.get(cookie).into_iter();
                members.flat_map(Members::iter).for_each(visit);
            }
            Target::Channel(channel) => {
                let entry = self.channels.get(channel).into_iter();
                let connections = entry.flat_map(|channel| channel.members.iter());
                connections.for_each(visit);
            }
            Target::All => self.connections.keys().copied().for_each(visit),
        }
    }

    fn kinds_without(&self, mut kinds: KindCounts, excluded: Option<ConnectionId>) -> KindCounts {
        if let Some(entry) = excluded.and_then(|one| self.connections.get(&one)) {
            kinds.remove(entry.kind);
        }
        kinds
    }

    fn check_target(&self, target: &Target) -> Result<(), Refused> {
        let limits = &self.limits;
        let good_user = |user: &Arc<str>| is_user_name(user, limits.user_name_bytes_max);
        match target {
            Target::User(user) if !good_user(user) => Err(Refused::BadUserName),
            Target::Users(users) if users.len() > limits.users_per_publication_max => {
                Err(Refused::TooManyUsers)
            }
            Target::Users(users) if !users.iter().all(good_user) => Err(Refused::BadUserName),
            Target::Channel(name) if !is_channel_name(name, limits.channel_name_bytes_max) => {
                Err(Refused::BadChannelName)
            }
            _ => Ok(()),
        }
    }

    /// Whether one more connection may be this user's.
    fn check_user(&self, user: &Arc<str>) -> Result<(), Refused> {
        if !is_user_name(user, self.limits.user_name_bytes_max) {
            return Err(Refused::BadUserName);
        }
        let open = self.users.get(user).map_or(0, Members::len);
        if open >= self.limits.connections_per_user_max {
            return Err(Refused::TooManyConnections);
        }
        Ok(())
    }

    fn leave_channel(&mut self, name: &Arc<str>, connection: ConnectionId, kind: Kind) {
        let Some(channel) = self.channels.get_mut(name) else {
            return;
        };
        self.subscriptions -= 1;
        channel.kinds.remove(kind);
        if channel.members.remove(connection) {
            self.channels.remove(name);
            shrink(&mut self.channels);
        }
    }
}

#[cfg(test)]
mod tests;
