//! What is counted of worker processes.

use crate::by_label::{self, ByLabel, labels};
use std::sync::atomic::{AtomicU64, Ordering};

labels! {
    /// What an event was that found no room.
    pub(super) enum Dropped {
        Open = "open",
        Message = "message",
        Told = "told",
        Refused = "refused",
    }
}

labels! {
    /// Why a process ended.
    pub(super) enum End {
        /// By itself, by an error of its own or by somebody's signal.
        Died = "died",
        /// It could not be started, or did not say hello.
        NotStarted = "not_started",
        /// What it wrote were no frames.
        NotFrames = "not_frames",
        /// An event took longer than `php.exec_ttl`.
        ExecTtl = "exec_ttl",
        /// `php.max_jobs`.
        MaxJobs = "max_jobs",
        /// `php.max_worker_memory`.
        MaxWorkerMemory = "max_worker_memory",
        /// It was told to, to be replaced.
        Reload = "reload",
        /// It was told to, for good.
        Stop = "stop",
    }
}

impl End {
    /// Whether something is wrong, so that the next start waits.
    pub(super) fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Died | Self::NotStarted | Self::NotFrames | Self::ExecTtl
        )
    }
}

/// Counters of all processes.
#[derive(Debug, Default)]
pub(super) struct Stats {
    running: AtomicU64,
    breakers_open: AtomicU64,
    ends: ByLabel<End>,
    events: AtomicU64,
    events_failed: AtomicU64,
    dropped: ByLabel<Dropped>,
    commands_refused: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Processes that run and have said hello.
    pub(crate) running: u64,
    /// Workers whose breaker is open.
    pub(crate) breakers_open: u64,
    /// Processes that ended, by why.
    pub(crate) ends: by_label::Counts,
    /// Events that were handled.
    pub(crate) events: u64,
    /// Events whose process ended.
    pub(crate) events_failed: u64,
    /// Events that found no room, by what they were.
    pub(crate) dropped: by_label::Counts,
    /// Commands that could not be carried out.
    pub(crate) commands_refused: u64,
    /// Events that wait now.
    pub(crate) waiting: usize,
}

impl Stats {
    pub(super) fn counts(&self, waiting: usize) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            running: load(&self.running),
            breakers_open: load(&self.breakers_open),
            ends: self.ends.counts(),
            events: load(&self.events),
            events_failed: load(&self.events_failed),
            dropped: self.dropped.counts(),
            commands_refused: load(&self.commands_refused),
            waiting,
        }
    }

    pub(super) fn began(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn no_longer_runs(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn breaker_opened(&self) {
        self.breakers_open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn breaker_closed(&self) {
        self.breakers_open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn has_open_breaker(&self) -> bool {
        self.breakers_open.load(Ordering::Relaxed) > 0
    }

    pub(super) fn ended(&self, end: End) {
        self.ends.count(end);
    }

    pub(super) fn handled(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, events: usize) {
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        self.events_failed.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, dropped: Dropped) {
        self.dropped.count(dropped);
    }

    pub(super) fn refused(&self) {
        self.commands_refused.fetch_add(1, Ordering::Relaxed);
    }
}
