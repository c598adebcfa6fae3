//! What the line inlets count.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of all line inlets, shared by their connections.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    connections_cut: AtomicU64,
    lines: AtomicU64,
    lines_refused: AtomicU64,
    answers_dropped: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Connections open now.
    pub(crate) connections: u64,
    /// Connections since the start.
    pub(crate) connections_total: u64,
    /// Of those, cut off because they did not speak lines (a browser, TLS).
    pub(crate) connections_cut: u64,
    /// Lines since the start.
    pub(crate) lines: u64,
    /// Of those, answered with an error.
    pub(crate) lines_refused: u64,
    /// Answers dropped because the writer did not read them; the lines were taken.
    pub(crate) answers_dropped: u64,
}

impl Stats {
    /// What was counted up to now.
    pub(crate) fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Closed first: a connection that ends meanwhile may be counted as open, none as less than none.
        let closed = load(&self.connections_closed);
        let opened = load(&self.connections_opened);
        Counts {
            connections: opened.saturating_sub(closed),
            connections_total: opened,
            connections_cut: load(&self.connections_cut),
            lines: load(&self.lines),
            lines_refused: load(&self.lines_refused),
            answers_dropped: load(&self.answers_dropped),
        }
    }

    pub(super) fn opened(&self) {
        self.connections_opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.connections_closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cut(&self) {
        self.connections_cut.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answered(&self, lines: u64, refused: u64, dropped: u64) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
        self.lines_refused.fetch_add(refused, Ordering::Relaxed);
        self.answers_dropped.fetch_add(dropped, Ordering::Relaxed);
    }
}
