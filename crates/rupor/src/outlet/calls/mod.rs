//! Handlers that are called for each event and answer what is to be done: a script in php-fpm, over FastCGI, or a webhook.
//!
//! Events of a connection are handled one after the other, those of different connections side by side, so many at a time.
//! [`Calls`] puts events into [`Lanes`], on the connection's thread, and returns; each of a number of tasks takes the next
//! event, makes the call ([`Callee`]) and carries out the [`answer`].
//!
//! An event is handed to the handlers once, as far as that can be known (`fastcgi::UNHEARD_MAX`): one whose call failed is
//! counted, logged, and its connection hears of it as configured.

mod answer;
mod callee;
mod fastcgi;
mod lanes;
mod record;
mod webhook;

use super::limits::{Full, Limits};
use super::{Conversation, Outlet, Verdict, close_failed, handlers_span};
use crate::config::{Application, CallConfig, CallEvent, FailedEvent, FpmConfig, WebhookConfig};
use crate::gateway::{Gateway, OVERLOADED};
use answer::{CarryOut, Change};
use callee::{Answer, Callee};
use futures_util::future::BoxFuture;
use lanes::{About, Event, Job, Lanes};
use rupor_proto::{Close, Message};
use rupor_server::UpgradeRequest;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

/// How often idle connections are looked for.
const IDLE_LOOK: Duration = Duration::from_secs(1);
/// How long events that wait may take to be handled at the end.
const END_MAX: Duration = Duration::from_secs(10);

/// The handlers.
#[derive(Debug)]
pub(crate) struct Calls {
    application: Application,
    config: CallConfig,
    lanes: Mutex<Lanes>,
    /// A permit for each event that waits to be looked for.
    ready: Semaphore,
    callee: Callee,
    /// Set once it runs.
    gateway: Mutex<Weak<Gateway>>,
    stats: Stats,
}

#[derive(Debug, Default)]
struct Stats {
    handled: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    wrong: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Events that were handled.
    pub(crate) handled: u64,
    /// Events whose call failed.
    pub(crate) failed: u64,
    /// Events that found no room.
    pub(crate) dropped: u64,
    /// Answers that could not be carried out in full.
    pub(crate) wrong: u64,
    /// Events that wait.
    pub(crate) waiting: usize,
    /// Connections that are open to who is called, where that is known.
    pub(crate) connections: usize,
}

impl Calls {
    /// A script in php-fpm. It is not called yet: events wait.
    pub(crate) fn fpm(number: usize, config: FpmConfig) -> Self {
        let calls = config.calls.clone();
        let callee = Callee::Fpm(fastcgi::Pool::new(config));
        Self::new(Application::Fpm(number), calls, callee)
    }

    /// A webhook. It is not called yet: events wait.
    pub(crate) fn webhook(number: usize, config: WebhookConfig) -> Self {
        let calls = config.calls.clone();
        let callee = Callee::Webhook(webhook::Client::new(config));
        Self::new(Application::Webhook(number), calls, callee)
    }

    fn new(application: Application, config: CallConfig, callee: Callee) -> Self {
        Self {
            application,
            lanes: Mutex::new(Lanes::new(Limits {
                events_max: config.events_max,
                bytes_max: config.bytes_max,
            })),
            ready: Semaphore::new(0),
            callee,
            config,
            gateway: Mutex::default(),
            stats: Stats::default(),
        }
    }

    /// By which name paths are given to it.
    pub(crate) fn application(&self) -> Application {
        self.application
    }

    /// Which of several it is, for the log and the metrics.
    pub(crate) fn pool(&self) -> &str {
        &self.config.pool
    }

    /// What it logs is under this.
    fn span(&self) -> Span {
        handlers_span(&self.config.pool)
    }

    /// By which name metrics show it.
    pub(crate) fn name(&self) -> &'static str {
        match self.callee {
            Callee::Fpm(_) => "fpm",
            Callee::Webhook(_) => "webhook",
        }
    }

    /// What is counted.
    pub(crate) fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            handled: load(&self.stats.handled),
            failed: load(&self.stats.failed),
            dropped: load(&self.stats.dropped),
            wrong: load(&self.stats.wrong),
            waiting: self.lanes().waiting(),
            connections: self.callee.connections(),
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing panics under this lock; if something did, the lanes would still be whole.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wants(&self, event: CallEvent) -> bool {
        self.config.events.contains(&event)
    }

    /// Nothing is lost silently: who is not heard is told so.
    fn push(&self, conversation: &mut dyn Conversation, event: Event) {
        let pushed = self.lanes().push(conversation.connection(), event);
        match pushed {
            Ok(()) => self.ready.add_permits(1),
            Err(Full) => {
                self.stats.dropped.fetch_add(1, Ordering::Relaxed);
                conversation.close(OVERLOADED.code, &OVERLOADED.reason());
            }
        }
    }

    /// Handles events as they come; never returns.
    async fn handle_all(self: Arc<Self>, gateway: Arc<Gateway>) {
        while let Ok(permit) = self.ready.acquire().await {
            permit.forget();
            let job = self.lanes().take();
            if let Some(job) = job {
                let connection = job.connection;
                self.handle(&gateway, job).await;
                let mut lanes = self.lanes();
                lanes.finish(connection);
                // Its next event was looked for while this one was being handled, and not found.
                if lanes.is_ready() {
                    self.ready.add_permits(1);
                }
            }
        }
    }

    async fn handle(&self, gateway: &Gateway, job: Job) {
        let Job {
            connection,
            about,
            event,
        } = job;
        let answer = match self.callee.call(Some(connection), &about, &event).await {
            Ok(answer) => answer,
            Err(error) => {
                self.failed(&event, &error.to_string());
                let tell = self.config.failed_event == FailedEvent::Close;
                if tell && !matches!(event, Event::Close { .. }) {
                    close_failed(gateway, connection, "the handlers failed");
                }
                return;
            }
        };
        self.stats.handled.fetch_add(1, Ordering::Relaxed);
        log_errors(&answer);
        let mut changes = Vec::new();
        let carry_out = CarryOut {
            gateway,
            connection,
        };
        if let Err(error) = carry_out.answer(&answer.body, &mut changes).await {
            self.wrong(&event, &error);
        }
        // What is answered to a refusal itself is not told again, or it might never end.
        let hears = self.wants(CallEvent::Refused) && !matches!(event, Event::Refused(_));
        let mut lanes = self.lanes();
        for change in changes {
            match (change, lanes.about(connection)) {
                (Change::User(user), Some(about)) => about.user = Some(user),
                (Change::Attached(json), Some(about)) => about.attached = Some(json),
                (Change::Refused(refused), Some(_)) if hears => {
                    // It is looked for when this event is finished.
                    let full = lanes.push(connection, Event::Refused(refused)).is_err();
                    let dropped = &self.stats.dropped;
                    dropped.fetch_add(u64::from(full), Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }

    fn failed(&self, event: &Event, error: &str) {
        self.stats.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            event = event.name(),
            "an event failed and is not tried again: {error}"
        );
    }

    fn wrong(&self, event: &Event, error: &str) {
        self.stats.wrong.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            event = event.name(),
            "what the handlers answered is not all carried out: {error}"
        );
    }

    /// Asks the handlers about an upgrade.
    async fn decide(&self, request: &UpgradeRequest, user: Option<&str>) -> Verdict {
        if !self.wants(CallEvent::Upgrade) {
            return Verdict::pass();
        }
        let gateway = self
            .gateway
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        // Whoever is quicker than the start is let in by nobody.
        let Some(gateway) = gateway else {
            return Verdict::unavailable();
        };
        let about = About {
            request: Arc::new(request.clone()),
            user: user.map(Into::into),
            attached: None,
        };
        let answer = match self.callee.call(None, &about, &Event::Upgrade).await {
            Ok(answer) => answer,
            Err(error) => {
                self.failed(&Event::Upgrade, &error.to_string());
                return Verdict::unavailable();
            }
        };
        self.stats.handled.fetch_add(1, Ordering::Relaxed);
        log_errors(&answer);
        answer::verdict(&gateway, &answer.body)
            .await
            .unwrap_or_else(|error| {
                self.wrong(&Event::Upgrade, &error);
                Verdict::Refuse {
                    status: 500,
                    reason: "the handlers failed".to_owned(),
                }
            })
    }
}

/// Notices and warnings of a script.
fn log_errors(answer: &Answer) {
    for line in String::from_utf8_lossy(&answer.errors).lines().take(100) {
        tracing::warn!(target: "php", "{}", crate::log::printed(line));
    }
}

impl Outlet for Calls {
    fn admit<'a>(
        &'a self,
        request: &'a UpgradeRequest,
        user: Option<&'a str>,
    ) -> BoxFuture<'a, Verdict> {
        Box::pin(self.decide(request, user).instrument(self.span()))
    }

    fn wants_request(&self) -> bool {
        true
    }

    fn on_open(&self, conversation: &mut dyn Conversation, request: Option<Box<UpgradeRequest>>) {
        let Some(request) = request else { return };
        let about = About {
            request: Arc::from(request),
            user: conversation.user().map(Into::into),
            attached: None,
        };
        self.lanes().open(conversation.connection(), about);
        if self.wants(CallEvent::Open) {
            self.push(conversation, Event::Open);
        }
    }

    fn on_message(&self, conversation: &mut dyn Conversation, message: Message<'_>) {
        if self.wants(CallEvent::Message) {
            let event = match message {
                Message::Text(text) => Event::Text(text.into()),
                Message::Binary(bytes) => Event::Binary(bytes.into()),
            };
            self.push(conversation, event);
        }
    }

    fn on_close(&self, conversation: &mut dyn Conversation, close: &Close) {
        let event = self.wants(CallEvent::Close).then(|| Event::Close {
            code: close.code.as_u16(),
            reason: close.reason.as_str().into(),
            clean: close.clean,
        });
        self.lanes().close(conversation.connection(), event);
        self.ready.add_permits(1);
    }
}

/// The tasks that call.
#[derive(Debug)]
pub(crate) struct Running {
    calls: Arc<Calls>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Begins to handle events.
    pub(crate) fn start(calls: &Arc<Calls>, gateway: &Arc<Gateway>, runtime: &Runtime) -> Self {
        *calls.gateway.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(gateway);
        let mut tasks = JoinSet::new();
        for _ in 0..calls.config.at_a_time.get() {
            let task = Arc::clone(calls).handle_all(Arc::clone(gateway));
            tasks.spawn_on(task.instrument(calls.span()), runtime.handle());
        }
        let idle = Arc::clone(calls);
        let close_idle = async move {
            loop {
                tokio::time::sleep(IDLE_LOOK).await;
                idle.callee.close_idle();
            }
        };
        tasks.spawn_on(close_idle, runtime.handle());
        Self {
            calls: Arc::clone(calls),
            tasks,
        }
    }

    /// Ends it once what waits is handled, or after a while.
    pub(crate) async fn stop(self) {
        let handled = async {
            while self.calls.lanes().is_working() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(END_MAX, handled).await.is_err() {
            let events = self.calls.lanes().waiting();
            tracing::warn!(
                parent: &self.calls.span(),
                events,
                "the handlers were not called for all events by the end"
            );
        }
        drop(self.tasks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use futures_util::FutureExt as _;
    use std::num::NonZeroUsize;

    fn decided(events: Vec<CallEvent>) -> Option<Verdict> {
        let calls = Calls::webhook(
            0,
            WebhookConfig {
                url: http::Uri::from_static("http://127.0.0.1/"),
                key: Secret::new(*b"key"),
                calls: CallConfig {
                    pool: String::new(),
                    at_a_time: NonZeroUsize::MIN,
                    timeout: Duration::from_secs(1),
                    events,
                    failed_event: FailedEvent::Ignore,
                    events_max: 1,
                    bytes_max: 1,
                },
            },
        );
        let remote = "192.0.2.1:5".parse().unwrap();
        let request = UpgradeRequest::new("/", http::HeaderMap::new(), remote);
        calls.decide(&request, None).now_or_never()
    }

    #[test]
    fn nobody_is_let_in_before_handlers_can_be_asked() {
        assert_eq!(
            decided(vec![CallEvent::Upgrade]),
            Some(Verdict::unavailable())
        );
        assert_eq!(decided(vec![CallEvent::Open]), Some(Verdict::pass()));
    }
}
