//! PHP handlers: `onOpen`, `onMessage` and `onClose` in processes that the gateway starts and watches.
//!
//! The sockets belong to the gateway, so they outlive any of these processes. All events of a connection go to one process,
//! in order: [`Php`] puts them into that process's bounded [`Queue`], on the connection's thread, and returns. A task for
//! each process ([`supervise`]) starts it, writes events, reads commands ([`session`]) and has them carried out by the
//! gateway ([`carry_out`]). How they talk: docs/reference/worker-protocol.md, here [`wire`].
//!
//! An event is handed to one process, once: one that may have been handled when a process ended is not tried again, but
//! counted, logged, and its connection hears of it as configured.

mod breaker;
mod carry_out;
mod files;
pub(crate) mod launcher;
mod lines;
mod process;
mod queue;
mod session;
mod stats;
mod supervise;
mod upgrade;
mod watch;
mod wire;

pub(crate) use stats::Counts;

use super::limits::{Full, Limits};
use super::{Conversation, Outlet, Verdict, handlers_span, request};
use crate::config::{PhpConfig, PhpKey};
use crate::gateway::{Gateway, OVERLOADED};
use crate::inlet::listener::Inlet;
use futures_util::future::BoxFuture;
use lines::Writers;
use queue::{Known, Queue};
use rupor_proto::{Close, Message};
use rupor_server::UpgradeRequest;
use stats::{Dropped, Stats};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, watch as orders};
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};
use upgrade::Upgrades;
use wire::EventKind;

/// The handlers: a queue for each worker process.
#[derive(Debug)]
pub(crate) struct Php {
    config: PhpConfig,
    workers: Box<[Worker]>,
    upgrades: Upgrades,
    writers: Writers,
    stats: Stats,
    /// Somebody wanted to connect, or nobody has to before the processes start.
    wanted: orders::Sender<bool>,
}

/// One worker process, seen from outside.
#[derive(Debug)]
struct Worker {
    queue: Mutex<Queue>,
    /// There is something to be written.
    wake: Notify,
}

impl Worker {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics under this lock; if something did, the queue would still be whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something into the queue and wakes whoever writes.
    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let changed = change(&mut self.queue());
        self.wake.notify_one();
        changed
    }
}

/// What the processes are to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Order {
    /// Grows when they are to be replaced by new ones.
    generation: u64,
    /// They are to end.
    stop: bool,
}

impl Php {
    /// Handlers that are not started yet: events wait.
    pub(crate) fn new(config: PhpConfig) -> Self {
        let worker = || Worker {
            queue: Mutex::new(Queue::new(Limits {
                events_max: config.events_max,
                bytes_max: config.bytes_max,
            })),
            wake: Notify::new(),
        };
        let workers = std::iter::repeat_with(worker)
            .take(config.workers.get())
            .collect();
        Self {
            wanted: orders::Sender::new(config.files.is_empty()),
            config,
            workers,
            upgrades: Upgrades::default(),
            writers: Writers::default(),
            stats: Stats::default(),
        }
    }

    /// Which of several they are, for the log and the metrics.
    pub(crate) fn pool(&self) -> &str {
        &self.config.pool
    }

    /// What is logged of them is under this.
    fn span(&self) -> Span {
        handlers_span(&self.config.pool)
    }

    /// Whether some of them are not there, because processes fail to start.
    pub(crate) fn fails(&self) -> bool {
        self.stats.has_open_breaker()
    }

    /// What is counted.
    pub(crate) fn counts(&self) -> Counts {
        let waiting = |worker: &Worker| worker.queue().waiting();
        self.stats.counts(self.workers.iter().map(waiting).sum())
    }

    /// The worker of a connection.
    fn worker(&self, conversation: &dyn Conversation) -> Option<&Worker> {
        match self.config.key {
            PhpKey::Connection => self.worker_by(conversation.connection()),
            PhpKey::Path => self.worker_by(conversation.path()),
        }
    }

    /// The worker that decides about an upgrade: the one that will have the connection, where that is known.
    fn worker_for_upgrade(&self, request: u64, path: &str) -> Option<&Worker> {
        match self.config.key {
            PhpKey::Connection => self.worker_by(request),
            PhpKey::Path => self.worker_by(path),
        }
    }

    fn worker_by(&self, key: impl Hash) -> Option<&Worker> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let count = u64::try_from(self.workers.len()).ok()?;
        let index = hasher.finish().checked_rem(count)?;
        self.workers.get(usize::try_from(index).ok()?)
    }

    /// Nothing is lost silently: who is not heard is told so.
    fn overloaded(&self, conversation: &mut dyn Conversation, dropped: Dropped) {
        self.stats.dropped(dropped);
        conversation.close(OVERLOADED.code, &OVERLOADED.reason());
    }
}

impl Outlet for Php {
    fn admit<'a>(
        &'a self,
        request: &'a UpgradeRequest,
        user: Option<&'a str>,
    ) -> BoxFuture<'a, Verdict> {
        Box::pin(self.decide(request, user))
    }

    fn wants_request(&self) -> bool {
        true
    }

    fn on_open(&self, conversation: &mut dyn Conversation, request: Option<Box<UpgradeRequest>>) {
        let (Some(worker), Some(request)) = (self.worker(conversation), request) else {
            return;
        };
        let known = Known::new(
            request::fields(&request),
            conversation.user().map(Into::into),
        );
        let connection = conversation.connection();
        if worker.change(|queue| queue.open(connection, known)) == Err(Full) {
            self.overloaded(conversation, Dropped::Open);
        }
    }

    fn on_message(&self, conversation: &mut dyn Conversation, message: Message<'_>) {
        let Some(worker) = self.worker(conversation) else {
            return;
        };
        let (kind, body) = match message {
            Message::Text(text) => (EventKind::Text, text.as_bytes()),
            Message::Binary(bytes) => (EventKind::Binary, bytes),
        };
        let subject = conversation.connection().0;
        if worker.change(|queue| queue.push(kind, subject, body)) == Err(Full) {
            self.overloaded(conversation, Dropped::Message);
        }
    }

    fn on_close(&self, conversation: &mut dyn Conversation, close: &Close) {
        if let Some(worker) = self.worker(conversation) {
            let mut body = close.code.as_u16().to_be_bytes().to_vec();
            body.push(u8::from(close.clean));
            body.extend_from_slice(close.reason.as_bytes());
            worker.change(|queue| queue.close(conversation.connection(), &body));
        }
    }
}

/// The processes, while they run.
#[derive(Debug)]
pub(crate) struct Running {
    php: Arc<Php>,
    runtime: Handle,
    order: orders::Sender<Order>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Starts the processes, and takes lines for them.
    pub(crate) fn start(
        php: &Arc<Php>,
        gateway: &Arc<Gateway>,
        lines: Vec<Inlet>,
        runtime: &Runtime,
    ) -> Self {
        let (order, orders) = orders::channel(Order::default());
        let mut tasks = JoinSet::new();
        for number in 0..php.workers.len() {
            let task = supervise::Supervisor::new(
                number,
                Arc::clone(php),
                Arc::clone(gateway),
                orders.clone(),
            );
            tasks.spawn_on(task.run().instrument(php.span()), runtime.handle());
        }
        for inlet in lines {
            let served = lines::serve(inlet, Arc::clone(php), orders.clone());
            tasks.spawn_on(served.instrument(php.span()), runtime.handle());
        }
        if php.config.watch {
            let watched = reload_when_changed(Arc::clone(php), order.clone());
            tasks.spawn_on(watched.instrument(php.span()), runtime.handle());
        }
        Self {
            php: Arc::clone(php),
            runtime: runtime.handle().clone(),
            order,
            tasks,
        }
    }

    /// Replaces each process by a new one, which reads the handlers again, if PHP can read their script. No connection
    /// notices.
    pub(crate) fn reload(&self) {
        let (php, order) = (Arc::clone(&self.php), self.order.clone());
        let span = php.span();
        let reloaded = async move {
            match watch::fault_of(&php.config.binary, &php.config.script).await {
                Some(said) => keep(&said),
                None => reload(&order),
            }
        };
        self.runtime.spawn(reloaded.instrument(span));
    }

    /// Ends them after what they were handed, or by force if that takes too long.
    pub(crate) async fn stop(mut self) {
        self.order.send_modify(|order| order.stop = true);
        while self.tasks.join_next().await.is_some() {}
    }
}

fn reload(order: &orders::Sender<Order>) {
    tracing::info!("the handlers are read again by new processes");
    order.send_modify(|order| order.generation += 1);
}

fn keep(said: &str) {
    tracing::error!(
        "PHP cannot read the handlers: {said}. Those that run go on. Fix: mend it, then save it again or send SIGHUP"
    );
}

/// Replaces the processes each time a file of the handlers has changed and PHP can read what has, until they are to end.
async fn reload_when_changed(php: Arc<Php>, order: orders::Sender<Order>) {
    let PhpConfig { script, binary, .. } = &php.config;
    let mut ending = order.subscribe();
    let reloads = async {
        let mut running = watch::look(script).await;
        let mut seen = running.clone();
        loop {
            seen = watch::changed(script, seen).await;
            if let Some(said) = watch::fault(binary, &running, &seen).await {
                keep(&said);
                continue;
            }
            tracing::info!("a PHP file has changed");
            running.clone_from(&seen);
            reload(&order);
        }
    };
    tokio::select! {
        () = reloads => {}
        _ = ending.wait_for(|order| order.stop) => {}
    }
}
