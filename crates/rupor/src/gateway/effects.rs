//! What the hub decided, as commands for the workers.
//!
//! A publication becomes a frame once per kind of receiver; the workers share it. One for named connections costs a command
//! for each of them, one for a channel or for everybody a command for each worker.

use super::{rules, server_id};
use crate::config::{ChannelRule, WhenSlow};
use crate::dialect::{self, Address};
use rupor_hub::{ConnectionId, Effect, Kind, Publication};
use rupor_proto::{CloseCode, Frame};
use rupor_server::{Command, SlowPolicy, Topic, WorkerId};
use std::sync::Arc;

/// The topic of everybody of a kind. A channel's topic begins with a digit, so the two never meet.
pub(super) fn topic_of_all(kind: Kind) -> Topic {
    Topic::from(format!("*{}", kind.0))
}

/// The topic of a kind's subscribers to a channel: one digit and the channel's name.
fn topic_of_channel(kind: Kind, channel: &str) -> Topic {
    Topic::from(format!("{}{channel}", kind.0))
}

/// Longest topic name for a channel's name of that length; see [`topic_of_channel`].
pub(super) const fn topic_bytes_max(channel_name_bytes_max: usize) -> usize {
    channel_name_bytes_max + 1
}

/// The channel of a topic; `None` for that of everybody.
pub(super) fn channel_of(topic: &Topic) -> Option<&str> {
    topic
        .as_str()
        .strip_prefix(|kind: char| kind.is_ascii_digit())
}

/// Adds the commands that carry effects out on `workers` workers, in their order. `rules` say what becomes of publications
/// at slow readers.
pub(super) fn to_commands(
    effects: impl IntoIterator<Item = Effect>,
    rules: &[ChannelRule],
    workers: usize,
    commands: &mut Vec<(WorkerId, Command)>,
) {
    for effect in effects {
        push_commands(effect, rules, workers, commands);
    }
}

fn push_commands(
    effect: Effect,
    rules: &[ChannelRule],
    workers: usize,
    commands: &mut Vec<(WorkerId, Command)>,
) {
    match effect {
        Effect::Deliver {
            connections,
            kind,
            user,
            publication,
        } => {
            let address = Address {
                user: user.as_deref(),
                ..Address::default()
            };
            let frame = frame(kind, address, &publication);
            commands.extend(connections.into_iter().map(|to| send(to, frame.clone())));
        }
        Effect::Publish {
            channel,
            kind,
            exclude,
            publication,
        } => {
            let address = Address {
                channel: Some(&channel),
                ..Address::default()
            };
            let frame = frame(kind, address, &publication);
            let topic = topic_of_channel(kind, &channel);
            let slow = slow_policy(rules::when_slow(rules, &channel), publication.key);
            commands.extend(to_every_worker(workers, &topic, &frame, exclude, &slow));
        }
        Effect::Broadcast {
            kind,
            exclude,
            publication,
        } => {
            let frame = frame(kind, Address::default(), &publication);
            let (topic, slow) = (topic_of_all(kind), SlowPolicy::Disconnect);
            commands.extend(to_every_worker(workers, &topic, &frame, exclude, &slow));
        }
        Effect::Subscribe {
            connection,
            kind,
            channel,
        } => {
            let (id, topic) = (server_id(connection), topic_of_channel(kind, &channel));
            commands.push((id.worker(), Command::Subscribe { id, topic }));
        }
        Effect::Unsubscribe {
            connection,
            kind,
            channel,
        } => {
            let (id, topic) = (server_id(connection), topic_of_channel(kind, &channel));
            commands.push((id.worker(), Command::Unsubscribe { id, topic }));
        }
        Effect::Disconnect {
            connections,
            code,
            reason,
        } => {
            commands.extend(connections.into_iter().map(|id| close(id, code, &reason)));
        }
    }
}

/// A publication as connections of a kind get it.
fn frame(kind: Kind, address: Address<'_>, publication: &Publication) -> Frame {
    let address = Address {
        publication: publication.id.as_deref(),
        ..address
    };
    let frame = dialect::of_kind(kind).publication(address, &publication.text);
    if publication.compress {
        frame
    } else {
        frame.uncompressed()
    }
}

fn slow_policy(slow: WhenSlow, key: Option<Arc<str>>) -> SlowPolicy {
    match slow {
        WhenSlow::Disconnect => SlowPolicy::Disconnect,
        WhenSlow::DropNewest => SlowPolicy::DropNewest,
        WhenSlow::DropOldest => SlowPolicy::DropOldest,
        WhenSlow::Latest => SlowPolicy::Latest { key },
    }
}

fn close(id: ConnectionId, code: u16, reason: &str) -> (WorkerId, Command) {
    let id = server_id(id);
    (
        id.worker(),
        Command::Close {
            id,
            code: CloseCode::new(code),
            reason: reason.to_owned(),
        },
    )
}

/// The command that sends a frame to one connection.
pub(super) fn send(to: ConnectionId, frame: Frame) -> (WorkerId, Command) {
    let to = server_id(to);
    (to.worker(), Command::Send { to, frame })
}

fn to_every_worker<'a>(
    workers: usize,
    topic: &'a Topic,
    frame: &'a Frame,
    exclude: Option<ConnectionId>,
    slow: &'a SlowPolicy,
) -> impl Iterator<Item = (WorkerId, Command)> + 'a {
    let exclude = exclude.map(server_id);
    WorkerId::all(workers).map(move |worker| {
        (
            worker,
            Command::Publish {
                topic: topic.clone(),
                frame: frame.clone(),
                exclude,
                slow: slow.clone(),
            },
        )
    })
}
