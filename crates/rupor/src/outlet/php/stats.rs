//! What is counted of worker processes.

use std::sync::atomic::{AtomicU64, Ordering};

/// What an event was that found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    Open,
    Message,
    Told,
    Refused,
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, by an error of its own or by somebody's signal.
    Died,
    /// It could not be started, or did not say hello.
    NotStarted,
    /// What it wrote were no frames.
    NotFrames,
    /// An event took longer than `php.exec_ttl`.
    ExecTtl,
    /// `php.max_jobs`.
    MaxJobs,
    /// `php.max_worker_memory`.
    MaxWorkerMemory,
    /// It was told to, to be replaced.
    Reload,
    /// It was told to, for good.
    Stop,
}

impl End {
    const ALL: [Self; 8] = [
        Self::Died,
        Self::NotStarted,
        Self::NotFrames,
        Self::ExecTtl,
        Self::MaxJobs,
        Self::MaxWorkerMemory,
        Self::Reload,
        Self::Stop,
    ];

    /// As the metrics name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Died => "died",
            Self::NotStarted => "not_started",
            Self::NotFrames => "not_frames",
            Self::ExecTtl => "exec_ttl",
            Self::MaxJobs => "max_jobs",
            Self::MaxWorkerMemory => "max_worker_memory",
            Self::Reload => "reload",
            Self::Stop => "stop",
        }
    }

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
    ends: [AtomicU64; End::ALL.len()],
    events: AtomicU64,
    events_failed: AtomicU64,
    opens_dropped: AtomicU64,
    messages_dropped: AtomicU64,
    told_dropped: AtomicU64,
    refused_dropped: AtomicU64,
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
    pub(crate) ends: [(&'static str, u64); End::ALL.len()],
    /// Events that were handled.
    pub(crate) events: u64,
    /// Events whose process ended.
    pub(crate) events_failed: u64,
    /// Events that found no room, by what they were.
    pub(crate) dropped: [(&'static str, u64); 4],
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
            ends: std::array::from_fn(|at| (End::ALL[at].name(), load(&self.ends[at]))),
            events: load(&self.events),
            events_failed: load(&self.events_failed),
            dropped: [
                ("open", load(&self.opens_dropped)),
                ("message", load(&self.messages_dropped)),
                ("told", load(&self.told_dropped)),
                ("refused", load(&self.refused_dropped)),
            ],
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
        let counters = End::ALL.iter().zip(&self.ends);
        for (_, counter) in counters.filter(|(of, _)| **of == end) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn handled(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, events: usize) {
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        self.events_failed.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, dropped: Dropped) {
        let counter = match dropped {
            Dropped::Open => &self.opens_dropped,
            Dropped::Message => &self.messages_dropped,
            Dropped::Told => &self.told_dropped,
            Dropped::Refused => &self.refused_dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.commands_refused.fetch_add(1, Ordering::Relaxed);
    }
}
