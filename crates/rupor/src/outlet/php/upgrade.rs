//! Upgrades that handlers decide about: a question to a process, and whoever waits for its answer.

use super::Php;
use super::queue::Known;
use super::wire::EventKind;
use crate::outlet::{Verdict, request};
use rupor_server::UpgradeRequest;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// Upgrades that wait for an answer.
#[derive(Debug)]
pub(super) struct Upgrades {
    wanted: watch::Sender<Wanted>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Verdict>>>,
}

/// Whether handlers want to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// No process has said so yet.
    NotSaid,
    /// None has, and processes fail to start.
    NobodySays,
    /// A process has said so.
    Said(bool),
}

/// The body of `accept`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Accept {
    user: Option<String>,
    channels: Vec<String>,
}

impl Default for Upgrades {
    fn default() -> Self {
        Self {
            wanted: watch::Sender::new(Wanted::NotSaid),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        }
    }
}

impl Upgrades {
    /// A process has said whether it wants to be asked.
    pub(super) fn want(&self, wanted: bool) {
        self.wanted.send_replace(Wanted::Said(wanted));
    }

    /// Processes fail to start: who waits for one to say is not kept waiting.
    pub(super) fn nobody_says(&self) {
        self.change(Wanted::NotSaid, Wanted::NobodySays);
    }

    /// One may start.
    pub(super) fn somebody_may_say(&self) {
        self.change(Wanted::NobodySays, Wanted::NotSaid);
    }

    fn change(&self, from: Wanted, to: Wanted) {
        self.wanted.send_if_modified(|wanted| {
            let changes = *wanted == from;
            if changes {
                *wanted = to;
            }
            changes
        });
    }

    async fn are_wanted(&self) -> Option<bool> {
        let mut wanted = self.wanted.subscribe();
        let known = wanted.wait_for(|wanted| *wanted != Wanted::NotSaid).await;
        match known.as_deref() {
            Ok(Wanted::Said(wanted)) => Some(*wanted),
            _ => None,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Verdict>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a question; false: nobody waits for it.
    pub(super) fn answer(&self, request: u64, verdict: Verdict) -> bool {
        let waiting = self.waiting().remove(&request);
        waiting.is_some_and(|waiting| waiting.send(verdict).is_ok())
    }

    /// There will be no answer.
    pub(super) fn give_up(&self, request: u64) {
        self.waiting().remove(&request);
    }

    /// An upgrade may pass: what `accept` said about it; `None`: not what it should be.
    pub(super) fn accept(&self, request: u64, body: &[u8]) -> Option<bool> {
        let Accept { user, channels } = serde_json::from_slice(body).ok()?;
        Some(self.answer(request, Verdict::Accept { user, channels }))
    }
}

impl Php {
    /// Asks the handlers whether this upgrade may pass. The server does not wait for ever
    /// ([`admit_timeout_ms`](rupor_server::Limits)).
    pub(super) async fn decide(&self, request: &UpgradeRequest, user: Option<&str>) -> Verdict {
        self.wanted
            .send_if_modified(|wanted| !std::mem::replace(wanted, true));
        match self.upgrades.are_wanted().await {
            Some(true) => {}
            Some(false) => return Verdict::pass(),
            None => return Verdict::unavailable(),
        }
        let number = self.upgrades.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.upgrades.waiting().insert(number, answer);
        let _forgotten = Forget(self, number);
        let body = Known::new(request::fields(request), user.map(Into::into)).open();
        let asked = self
            .worker_for_upgrade(number, request.path())
            .is_some_and(|worker| {
                worker
                    .change(|queue| queue.push(EventKind::Upgrade, number, body.as_bytes()))
                    .is_ok()
            });
        if !asked {
            return Verdict::unavailable();
        }
        answered.await.unwrap_or_else(|_| Verdict::unavailable())
    }
}

/// An upgrade that is given up, by whoever asks for it too, is nobody's question any more.
struct Forget<'p>(&'p Php, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.upgrades.give_up(self.1);
    }
}
