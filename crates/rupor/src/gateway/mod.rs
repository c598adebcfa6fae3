//! The glue between `rupor-server` (connections on worker threads) and `rupor-hub` (who is who, and who hears what).
//!
//! [`Gateway`] is the one thing that inlets, applications and the workers' handlers share. It owns the hub behind one
//! lock; what the hub decides is put into the workers' inboxes while that lock is held, so that every worker sees the
//! publications of a channel, and the subscriptions among them, in the same order. All of a publication goes into the
//! inboxes or nothing does. Under the lock nothing is awaited, and no socket, application or broker is called.
//!
//! Order of locks: an application's own, the hub's, the inboxes'.
//!
//! Start at [`Gateway::publish`] for the way from the site to a browser, at [`WorkerHandler`] for the way back, at
//! [`Admission`] for who is let in.

mod admission;
mod asking;
mod clock;
mod close;
mod conversation;
mod deliver;
mod effects;
mod error;
mod handler;
pub(crate) mod patience;
mod rights;
mod rules;
mod settings;
mod types;

pub(crate) use admission::{Admission, Admitted};
pub(crate) use clock::Clock;
pub(crate) use close::{OVERLOADED, SIGNED_OUT, USER_CHANGED};
pub(crate) use error::PublishError;
pub(crate) use handler::WorkerHandler;
use rules::Right;
pub(crate) use rules::path_match;
pub(crate) use rupor_hub::{ConnectionId, Target};
pub(crate) use settings::Settings;
pub(crate) use types::{ChannelStatus, Counts, Publish, Receipt, UserStatus};

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::broker::{Broker, Memory, Node, Receipts};
use crate::outlet::Routes;
use rupor_hub::{Command, Effect, Hub, Kind, Refused};
use rupor_proto::Frame;
use rupor_server::Handle;

/// The gateway of this node.
#[derive(Debug)]
pub(crate) struct Gateway {
    settings: Settings,
    routes: Routes,
    hub: Mutex<Hub>,
    server: OnceLock<Handle>,
    broker: Box<dyn Broker>,
    counters: Counters,
}

/// What happened since the start.
#[derive(Debug, Default)]
struct Counters {
    publications: AtomicU64,
    publications_overloaded: AtomicU64,
    publications_refused: AtomicU64,
    dropped_no_application: AtomicU64,
    dropped_unidentified: AtomicU64,
    forbidden: [AtomicU64; 2],
}

/// What is done to a subscription.
#[derive(Debug, Clone, Copy)]
enum Change {
    Subscribe,
    Unsubscribe,
}

impl Change {
    fn reversed(self) -> Self {
        match self {
            Self::Subscribe => Self::Unsubscribe,
            Self::Unsubscribe => Self::Subscribe,
        }
    }

    fn command(self, connection: ConnectionId, channel: Arc<str>) -> Command {
        match self {
            Self::Subscribe => Command::Subscribe {
                connection,
                channel,
            },
            Self::Unsubscribe => Command::Unsubscribe {
                connection,
                channel,
            },
        }
    }
}

impl Gateway {
    /// A gateway with nobody on it. It sends nothing before it is attached to a server.
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let (php, calls) = (&settings.php, &settings.calls);
        let routes = Routes::new(&settings.applications, &settings.clock, php, calls);
        Self::with(settings, routes, |node| Box::new(Memory::new(node)))
    }

    /// A gateway with these applications, on the broker that is made for it. The broker has it weakly: the gateway owns
    /// its broker.
    pub(crate) fn with(
        settings: Settings,
        routes: Routes,
        broker: impl FnOnce(Weak<dyn Node>) -> Box<dyn Broker>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|node: &Weak<Self>| Self {
            hub: Mutex::new(Hub::new(settings.limits.clone())),
            settings,
            routes,
            server: OnceLock::new(),
            broker: broker(node.clone()),
            counters: Counters::default(),
        })
    }

    /// Gives the gateway the server whose connections it looks after. Only the first one counts; each
    /// [`WorkerHandler`] does this too.
    pub(crate) fn attach(&self, server: Handle) {
        let _ = self.server.set(server);
    }

    /// Publishes a batch in its order; each result stands at its publication's place.
    ///
    /// What is published is ordered by the moment of this call, not by when the future is polled. Dropping the future
    /// takes nothing back.
    pub(crate) fn publish(
        &self,
        batch: &[Publish],
    ) -> impl Future<Output = Receipts> + Send + use<> {
        self.broker.publish(batch)
    }

    /// Closes the connections of a target; how many.
    ///
    /// # Errors
    /// The code is none that an application may use (1000, 3000 to 4999; RFC 6455 §7.4), the reason is over 123
    /// bytes (§5.5), or a worker's inbox is full. Then none is closed.
    pub(crate) fn disconnect(
        &self,
        target: Target,
        code: u16,
        reason: &str,
    ) -> Result<usize, PublishError> {
        close::check_close(code, reason)?;
        let reason = reason.into();
        self.apply(Command::Disconnect {
            target,
            code,
            reason,
        })
    }

    /// Subscribes a connection to a channel; false: it was subscribed already.
    ///
    /// What is published after this call arrives; what was published before does not, even where it is still waiting
    /// for the worker: the subscription takes its place in the worker's inbox behind it.
    ///
    /// # Errors
    /// The hub's reason, or a full inbox; then nothing has changed.
    pub(crate) fn subscribe(
        &self,
        connection: ConnectionId,
        channel: &str,
    ) -> Result<bool, PublishError> {
        self.change(connection, channel, Change::Subscribe, None)
    }

    /// Ends a subscription; false: there was none. What was published before may still arrive.
    ///
    /// # Errors
    /// The hub's reason, or a full inbox; then nothing has changed.
    pub(crate) fn unsubscribe(
        &self,
        connection: ConnectionId,
        channel: &str,
    ) -> Result<bool, PublishError> {
        self.change(connection, channel, Change::Unsubscribe, None)
    }

    /// Changes a subscription, and sends `say` at the very place among the publications where it begins or ends. False:
    /// it was so already, and nothing was sent. Undone when the inbox has no room for it.
    fn change(
        &self,
        connection: ConnectionId,
        channel: &str,
        change: Change,
        say: Option<Frame>,
    ) -> Result<bool, PublishError> {
        let channel: Arc<str> = channel.into();
        let undo = change.reversed().command(connection, Arc::clone(&channel));
        let mut hub = self.hub();
        let mut effects = Vec::new();
        let command = change.command(connection, channel);
        let changed = hub.apply(command, &mut effects)?.connections > 0;
        if changed && let Err(error) = self.carry_out(effects, say.map(|frame| (connection, frame)))
        {
            // Whether there is room is only known by asking for it; under the lock nobody has seen the change yet.
            let _ = hub.apply(undo, &mut Vec::new());
            return Err(error);
        }
        Ok(changed)
    }

    /// Whether a user is online on this node, and by which connections.
    pub(crate) fn user(&self, user: &str) -> UserStatus {
        let mut connections: Vec<_> = self.hub().user(user).collect();
        connections.sort_unstable();
        UserStatus { connections }
    }

    /// Who listens to a channel on this node.
    pub(crate) fn channel(&self, name: &str) -> ChannelStatus {
        ChannelStatus {
            connections: self.hub().channel(name),
        }
    }

    /// Whether a publication for this target would reach anybody now; also true of one that would be refused.
    pub(crate) fn is_heard(&self, target: &Target) -> bool {
        self.hub().is_heard(target)
    }

    /// Waits until what was published before is written to those who read it, as far as the system takes it.
    ///
    /// # Errors
    /// A full inbox, or the server does not run yet.
    pub(crate) async fn written(&self) -> Result<(), PublishError> {
        let server = self.server.get().ok_or(PublishError::Unavailable)?;
        server.written().await.map_err(|_| PublishError::Overloaded)
    }

    /// What there is now, and what there was since the start.
    pub(crate) fn counts(&self) -> Counts {
        let hub = self.hub().counts();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Counts {
            connections: hub.connections,
            users: hub.users,
            channels: hub.channels,
            subscriptions: hub.subscriptions,
            publications: load(&counters.publications),
            publications_overloaded: load(&counters.publications_overloaded),
            publications_refused: load(&counters.publications_refused),
            dropped_no_application: load(&counters.dropped_no_application),
            dropped_unidentified: load(&counters.dropped_unidentified),
            forbidden: counters.forbidden.each_ref().map(load),
        }
    }

    /// Counts what a rule of a channel refused.
    fn count_forbidden(&self, right: Right) {
        let [subscribe, publish] = &self.counters.forbidden;
        let counter = match right {
            Right::Subscribe => subscribe,
            Right::Publish => publish,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What it was made with.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Enters a connection with its channels, all or nothing.
    fn open(
        &self,
        connection: ConnectionId,
        kind: Kind,
        user: Option<Arc<str>>,
        cookie: Option<Arc<str>>,
        channels: Vec<Arc<str>>,
    ) -> Result<(), PublishError> {
        let mut hub = self.hub();
        let open = Command::Open {
            connection,
            kind,
            user,
            cookie,
        };
        hub.apply(open, &mut Vec::new())?;
        self.subscribe_all(&mut hub, connection, channels)
            .inspect_err(|_| {
                let _ = hub.apply(Command::Close { connection }, &mut Vec::new());
            })
    }

    fn subscribe_all(
        &self,
        hub: &mut Hub,
        connection: ConnectionId,
        channels: Vec<Arc<str>>,
    ) -> Result<(), PublishError> {
        let mut effects = Vec::new();
        for channel in channels {
            hub.apply(
                Command::Subscribe {
                    connection,
                    channel,
                },
                &mut effects,
            )?;
        }
        self.carry_out(effects, None)
    }

    fn close(&self, connection: ConnectionId) {
        // The only refusal is that it is gone, and then it is.
        let _ = self
            .hub()
            .apply(Command::Close { connection }, &mut Vec::new());
    }

    /// For commands that change nothing in the hub: effects go out or nothing happened.
    fn apply(&self, command: Command) -> Result<usize, PublishError> {
        let mut hub = self.hub();
        let mut effects = Vec::new();
        let outcome = hub.apply(command, &mut effects)?;
        self.carry_out(effects, None)?;
        Ok(outcome.connections)
    }

    /// Puts effects, and behind them a frame for one connection, into the workers' inboxes, all or nothing. Called with the
    /// hub's lock held.
    fn carry_out(
        &self,
        effects: Vec<Effect>,
        say: Option<(ConnectionId, Frame)>,
    ) -> Result<(), PublishError> {
        if effects.is_empty() && say.is_none() {
            return Ok(());
        }
        let server = self.server.get().ok_or(PublishError::Unavailable)?;
        let mut commands = Vec::new();
        effects::to_commands(
            effects,
            &self.settings.channels,
            server.workers(),
            &mut commands,
        );
        commands.extend(say.map(|(to, frame)| effects::send(to, frame)));
        server
            .submit(commands)
            .map_err(|_| PublishError::Overloaded)
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        // Nothing panics under this lock; if something did, the hub's tables would still be whole.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Refused> for PublishError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// The hub's number of a server's connection.
fn hub_id(id: rupor_server::ConnectionId) -> ConnectionId {
    ConnectionId(id.as_u64())
}

/// The server's number of a hub's connection.
fn server_id(id: ConnectionId) -> rupor_server::ConnectionId {
    rupor_server::ConnectionId::from_u64(id.0)
}

#[cfg(test)]
mod tests;
