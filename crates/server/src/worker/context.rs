//! What a worker's connections share.
//!
//! Invariant: [`Context::out`] holds what was queued for the one connection that is being served,
//! and is empty between connections.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rupor_proto::{Config, DeflatePool, Time};

use super::outbox::Outbox;
use super::subprotocols::Subprotocols;
use super::timers::Timers;
use super::topics::Topics;
use crate::handle::Handle;
use crate::id::WorkerId;
use crate::inbox::Mark;
use crate::limits::Limits;
use crate::stats::{WorkerCounters, add};

/// Outboxes that a worker keeps for their next user.
const SPARE_MAX: usize = 1024;

/// What a worker's connections share.
pub(crate) struct Context {
    pub(crate) worker: WorkerId,
    pub(crate) handle: Handle,
    pub(crate) limits: Arc<Limits>,
    pub(crate) config: Arc<Config>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) topics: Topics,
    pub(crate) subprotocols: Subprotocols,
    pub(crate) timers: Timers,
    /// Now, as the loop's turn sees it.
    pub(crate) now: Time,
    pub(crate) out: Vec<u8>,
    /// What connections compress and inflate with.
    pub(crate) deflate: DeflatePool,
    /// Connections whose outbox is to be flushed at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    /// Connections to be read again in the next turn.
    pub(crate) again: Vec<u32>,
    /// Dropped when `dirty` is flushed.
    pub(crate) marks: Vec<Mark>,
    #[expect(
        clippy::vec_box,
        reason = "the boxes are what is spared: connections own one each"
    )]
    spare: Vec<Box<Outbox>>,
    pub(crate) tally: Tally,
}

/// What a turn counted; added to the shared counters at its end.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) messages_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) frames_out: u64,
    pub(crate) bytes_out: u64,
    /// Bytes that wait now, not since the last turn.
    pub(crate) backlog: u64,
}

impl Context {
    pub(crate) fn new(worker: WorkerId, handle: Handle, limits: Arc<Limits>) -> Self {
        let counters = handle
            .shared()
            .counters
            .workers
            .get(worker.index())
            .cloned();
        Self {
            worker,
            config: Arc::new(limits.protocol),
            counters: counters.unwrap_or_default(),
            handle,
            limits,
            topics: Topics::default(),
            subprotocols: Subprotocols::default(),
            timers: Timers::default(),
            now: Time::from_millis(0),
            out: Vec::new(),
            deflate: DeflatePool::new(),
            dirty: Vec::new(),
            again: Vec::new(),
            marks: Vec::new(),
            spare: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Adds what the turn counted to the shared counters.
    pub(crate) fn publish_tally(&mut self) {
        let tally = &mut self.tally;
        add(
            &self.counters.messages_in,
            std::mem::take(&mut tally.messages_in),
        );
        add(&self.counters.bytes_in, std::mem::take(&mut tally.bytes_in));
        add(
            &self.counters.frames_out,
            std::mem::take(&mut tally.frames_out),
        );
        add(
            &self.counters.bytes_out,
            std::mem::take(&mut tally.bytes_out),
        );
        self.counters.deflate(&self.deflate.take_counts());
        self.counters
            .backlog_bytes
            .store(tally.backlog, Ordering::Relaxed);
    }

    /// An empty outbox.
    pub(crate) fn outbox(&mut self) -> Box<Outbox> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes an outbox back for its next user.
    pub(crate) fn take_back(&mut self, mut outbox: Box<Outbox>) {
        if self.spare.len() < SPARE_MAX {
            outbox.reset();
            self.spare.push(outbox);
        }
    }
}
