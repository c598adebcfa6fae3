//! The glue between `rupor-server` (connections on worker threads) and `rupor-hub` (who is who, and who hears what).
//!
//! [`Gateway`] is the one thing that inlets, applications and the workers' handlers share. It owns the hub behind one
//! lock; what the hub decides is put into the workers' inboxes while that lock is held, so that every worker sees the
//! publications of a channel in the same order. The lock is held for no I/O and nothing is awaited under it.
//!
//! Start at [`Gateway::publish`] for the way from the site to a browser, at `handler` for the way back, at
//! `admission` for who is let in.

mod error;
mod settings;
mod types;

pub(crate) use error::PublishError;
pub(crate) use rupor_hub::{ConnectionId, Target};
pub(crate) use settings::Settings;
pub(crate) use types::{ChannelStatus, Counts, Publish, Receipt, UserStatus};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rupor_hub::Hub;

/// The gateway of this node.
#[derive(Debug)]
pub(crate) struct Gateway {
    settings: Settings,
    hub: Mutex<Hub>,
}

impl Gateway {
    /// A gateway with nobody on it. It sends nothing before it is attached to a server.
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let hub = Mutex::new(Hub::new(settings.limits.clone()));
        Arc::new(Self { settings, hub })
    }

    /// Publishes a batch in its order; each result stands at its publication's place.
    ///
    /// What is published is ordered by the moment of this call, not by when the future is polled.
    pub(crate) fn publish(
        &self,
        batch: Vec<Publish>,
    ) -> impl Future<Output = Vec<Result<Receipt, PublishError>>> + Send + 'static {
        let results: Vec<_> = batch
            .iter()
            .map(|_| Err(PublishError::Unavailable))
            .collect();
        std::future::ready(results)
    }

    /// Closes the connections of a target; how many.
    ///
    /// # Errors
    /// The code is none that an application may use (1000, 3000 to 4999; RFC 6455 §7.4), the reason is over 123
    /// bytes (§5.5), or a worker's inbox is full.
    pub(crate) fn disconnect(
        &self,
        target: Target,
        code: u16,
        reason: &str,
    ) -> Result<usize, PublishError> {
        let _ = (target, code, reason);
        Err(PublishError::Unavailable)
    }

    /// Whether a user is online on this node, and by which connections.
    pub(crate) fn user(&self, user: &str) -> UserStatus {
        UserStatus {
            connections: self.hub().user(user).collect(),
        }
    }

    /// Who listens to a channel on this node.
    pub(crate) fn channel(&self, name: &str) -> ChannelStatus {
        ChannelStatus {
            connections: self.hub().channel(name),
        }
    }

    /// What there is now.
    pub(crate) fn counts(&self) -> Counts {
        let hub = self.hub().counts();
        Counts {
            connections: hub.connections,
            users: hub.users,
            channels: hub.channels,
            subscriptions: hub.subscriptions,
            ..Counts::default()
        }
    }

    /// What it was made with.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        // The hub changes its state last and cannot panic half way: what a panicking thread left is whole.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
