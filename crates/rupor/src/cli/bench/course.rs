//! What all threads of a run share: its phase, its clock, its counters.
//!
//! Times are nanoseconds since the run was set up. The conductor moves the phases on; a worker that cannot go on ends the
//! run by [`Course::fail`].

use super::publications::Publications;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The messages of a fixed rate start so much later than their start is announced: until then all workers know.
const LEAD: Duration = Duration::from_millis(30);

/// Where a run is. Only forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Phase {
    /// Connections are opened.
    Opening,
    /// Messages go.
    Running,
    /// Nothing new goes; what is on its way is waited for.
    Ending,
    /// Everybody stops.
    Done,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Course {
    epoch: Instant,
    phase: AtomicU8,
    start_ns: AtomicU64,
    from_ns: AtomicU64,
    until_ns: AtomicU64,
    opened: AtomicUsize,
    /// When the last of them was.
    opened_ns: AtomicU64,
    /// Replies or deliveries so far, of each worker.
    messages: Vec<AtomicU64>,
    failure: Mutex<Option<String>>,
    /// Of `broadcast` and `push`.
    pub(super) publications: Option<Publications>,
}

impl Course {
    /// A run of so many workers that begins now.
    pub(super) fn new(workers: usize, publications: Option<Publications>) -> Self {
        Self {
            epoch: Instant::now(),
            phase: AtomicU8::new(0),
            start_ns: AtomicU64::new(0),
            from_ns: AtomicU64::new(u64::MAX),
            until_ns: AtomicU64::new(u64::MAX),
            opened: AtomicUsize::new(0),
            opened_ns: AtomicU64::new(0),
            messages: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            failure: Mutex::new(None),
            publications,
        }
    }

    /// Now.
    pub(super) fn now_ns(&self) -> u64 {
        nanoseconds(self.epoch.elapsed())
    }

    /// The phase.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Opening,
            1 => Phase::Running,
            2 => Phase::Ending,
            _ => Phase::Done,
        }
    }

    /// Moves on to this phase, unless it is further already.
    pub(super) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// Starts the messages. Measured is what is meant to leave after `warmup` and before `warmup + duration`.
    pub(super) fn start(&self, warmup: Duration, duration: Duration) {
        let start = self.now_ns() + nanoseconds(LEAD);
        let from = start + nanoseconds(warmup);
        self.start_ns.store(start, Ordering::Relaxed);
        self.from_ns.store(from, Ordering::Relaxed);
        self.until_ns
            .store(from + nanoseconds(duration), Ordering::Relaxed);
        self.advance(Phase::Running);
    }

    /// When the messages started.
    pub(super) fn start_ns(&self) -> u64 {
        self.start_ns.load(Ordering::Relaxed)
    }

    /// Whether the messages were started. They are not when it was interrupted before.
    pub(super) fn has_started(&self) -> bool {
        self.start_ns() > 0
    }

    /// When measuring begins.
    pub(super) fn measured_from_ns(&self) -> u64 {
        self.from_ns.load(Ordering::Relaxed)
    }

    /// When nothing new may leave.
    pub(super) fn until_ns(&self) -> u64 {
        self.until_ns.load(Ordering::Relaxed)
    }

    /// Ends the messages now.
    pub(super) fn end(&self) {
        self.until_ns.fetch_min(self.now_ns(), Ordering::Relaxed);
        self.advance(Phase::Ending);
    }

    /// Whether a message that was meant to leave then is measured.
    pub(super) fn is_measured(&self, intended_ns: u64) -> bool {
        intended_ns >= self.measured_from_ns() && intended_ns < self.until_ns()
    }

    /// One more connection is open.
    pub(super) fn count_opened(&self) {
        self.opened_ns.fetch_max(self.now_ns(), Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::AcqRel);
    }

    /// Connections that were opened.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::Acquire)
    }

    /// How long it took to open them.
    pub(super) fn opening(&self) -> Duration {
        Duration::from_nanos(self.opened_ns.load(Ordering::Relaxed))
    }

    /// What a worker has counted so far.
    pub(super) fn count_messages(&self, worker: usize, messages: u64) {
        if let Some(counter) = self.messages.get(worker) {
            counter.store(messages, Ordering::Relaxed);
        }
    }

    /// What all workers have counted so far.
    pub(super) fn messages(&self) -> u64 {
        let counters = self.messages.iter();
        counters
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum()
    }

    /// Ends the run for this reason; the first one is kept.
    pub(super) fn fail(&self, why: String) {
        self.until_ns.fetch_min(self.now_ns(), Ordering::Relaxed);
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(why);
        self.advance(Phase::Done);
    }

    /// Why it failed, if it did.
    pub(super) fn failure(&self) -> Option<String> {
        let failure = self.failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// As many nanoseconds as fit.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
