//! What goes into the gateway and what comes out of it.

use super::{ConnectionId, Target};
use std::sync::Arc;

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    /// To whom.
    pub(crate) target: Target,
    /// Except to this connection.
    pub(crate) exclude: Option<ConnectionId>,
    /// The text, as plain connections get it.
    pub(crate) body: Arc<str>,
    /// Whether it may be compressed; not if there is a secret in it beside text that others choose.
    pub(crate) compress: bool,
    /// What it is the newest state of, where a slow reader gets only the newest; `None`: of its channel.
    pub(crate) key: Option<Arc<str>>,
    /// The same each time that it is sent, so that a client can tell a repeat; `None`: it is sent once.
    pub(crate) id: Option<Arc<str>>,
}

/// That a publication was taken: it is in the inbox of every worker that has a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Connections that it is for, on this node.
    pub(crate) connections: usize,
}

/// One user, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserStatus {
    /// The user's connections on this node, sorted; none: not online.
    pub(crate) connections: Vec<ConnectionId>,
}

impl UserStatus {
    /// Whether the user has a connection.
    pub(crate) fn online(&self) -> bool {
        !self.connections.is_empty()
    }
}

/// One channel, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChannelStatus {
    /// Connections subscribed to it on this node.
    pub(crate) connections: usize,
}

/// What there is now, and what there was since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Open connections.
    pub(crate) connections: usize,
    /// Users with a connection.
    pub(crate) users: usize,
    /// Channels with a subscription.
    pub(crate) channels: usize,
    /// Subscriptions.
    pub(crate) subscriptions: usize,
    /// Publications taken since the start.
    pub(crate) publications: u64,
    /// Publications refused since the start because a worker's inbox was full.
    pub(crate) publications_overloaded: u64,
    /// Publications refused since the start for what they were.
    pub(crate) publications_refused: u64,
    /// Messages of browsers dropped since the start because no application answers on their path.
    pub(crate) dropped_no_application: u64,
    /// Messages of browsers dropped since the start because the connection had not said who it is.
    pub(crate) dropped_unidentified: u64,
    /// Subscriptions and publications of browsers refused since the start by a rule of a channel.
    pub(crate) forbidden: [u64; 2],
}
