//! What the outbox counts.

use crate::by_label::{self, ByLabel, labels};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

labels! {
    /// What became of a row.
    pub(super) enum Outcome {
        /// It was published, and is deleted.
        Published = "published",
        /// Nobody came who would have heard it; it is deleted.
        Unheard = "unheard",
        /// It is a dead letter: it stays, with the reason.
        Dead = "dead",
    }
}

/// Counters of the outbox.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    connected: AtomicBool,
    reading: AtomicBool,
    lost: AtomicU64,
    rows: ByLabel<Outcome>,
    held: AtomicU64,
    dead_letters: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Whether there is a connection to its database.
    pub(crate) connected: bool,
    /// Whether it is this gateway that reads the table.
    pub(crate) reading: bool,
    /// Connections that were lost.
    pub(crate) lost: u64,
    /// Rows, by what became of them.
    pub(crate) rows: by_label::Counts,
    /// Rows that wait for somebody who would hear them.
    pub(crate) held: u64,
    /// Dead letters in the table.
    pub(crate) dead_letters: u64,
}

impl Stats {
    /// What was counted up to now.
    pub(crate) fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connected: self.connected.load(Ordering::Relaxed),
            reading: self.reading.load(Ordering::Relaxed),
            lost: load(&self.lost),
            rows: self.rows.counts(),
            held: load(&self.held),
            dead_letters: load(&self.dead_letters),
        }
    }

    pub(super) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    pub(super) fn reading(&self, reading: bool) {
        self.reading.store(reading, Ordering::Relaxed);
    }

    /// There is no connection.
    pub(super) fn ended(&self) {
        self.connected(false);
        self.reading(false);
        self.held(0);
    }

    pub(super) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, outcome: Outcome, rows: usize) {
        self.rows.add(outcome, rows as u64);
    }

    pub(super) fn held(&self, rows: usize) {
        self.held.store(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn dead_letters(&self, rows: u64) {
        self.dead_letters.store(rows, Ordering::Relaxed);
    }
}
