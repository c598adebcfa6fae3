//! The crash-loop breaker: while a worker's processes end before they handle anything, nothing is kept waiting for them.
//!
//! Browsers hear at once that nobody is there (1013, or 503 before the upgrade) instead of filling a queue for ever. What is
//! connected and silent stays connected, and processes are tried again all the while.

use super::queue::Event;
use super::stats::Dropped;
use super::wire::EventKind;
use super::{Php, Worker};
use crate::gateway::{ConnectionId, Gateway, OVERLOADED, PublishError, patience};
use rupor_hub::Refused;
use std::collections::BTreeSet;

/// So many processes in a row that ended before they handled one event open the breaker. An event that ends processes after
/// they have handled others cannot.
const FRUITLESS_MAX: u32 = 5;

/// Processes in a row that ended before they handled one event.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    fruitless: u32,
}

impl Breaker {
    /// A process has ended by a failure; true: the breaker is to be open.
    pub(super) fn failed(&mut self, fruitless: bool) -> bool {
        self.fruitless = if fruitless {
            self.fruitless.saturating_add(1)
        } else {
            0
        };
        self.fruitless >= FRUITLESS_MAX
    }

    /// A process has ended as it should, or the fault may be mended.
    pub(super) fn reset(&mut self) {
        self.fruitless = 0;
    }
}

impl Php {
    /// Opens a worker's breaker.
    pub(super) async fn open_breaker(&self, worker: &Worker, number: usize, gateway: &Gateway) {
        let Some(thrown_out) = worker.queue().shut() else {
            return;
        };
        self.stats.breaker_opened();
        self.upgrades.nobody_says();
        tracing::error!(
            worker = number,
            events_dropped = thrown_out.len(),
            "{FRUITLESS_MAX} PHP processes in a row ended before they handled one event: connections that need this worker are closed with 1013 until one starts. Fix: see what they printed above, mend the handlers, and send SIGHUP"
        );
        for event in &thrown_out {
            self.throw_out(event);
        }
        let connections: BTreeSet<ConnectionId> =
            thrown_out.iter().filter_map(Event::connection).collect();
        for connection in connections {
            let close = || gateway.close_for(connection, &OVERLOADED);
            match patience::patiently(close).await {
                // It closed a moment ago: that happens all the time.
                Ok(()) | Err(PublishError::Refused(Refused::UnknownConnection)) => {}
                Err(error) => tracing::warn!(
                    %connection, %error,
                    "a connection whose event was dropped is not closed"
                ),
            }
        }
    }

    /// Closes it, if it is open: the worker takes events again.
    pub(super) fn close_breaker(&self, worker: &Worker, number: usize) {
        if worker.queue().reopen() {
            self.stats.breaker_closed();
            self.upgrades.somebody_may_say();
            tracing::info!(worker = number, "the PHP worker takes events again");
        }
    }

    fn throw_out(&self, event: &Event) {
        match event.kind {
            EventKind::Upgrade => self.upgrades.give_up(event.subject),
            EventKind::Open => self.stats.dropped(Dropped::Open),
            EventKind::Told => self.stats.dropped(Dropped::Told),
            EventKind::Refused => self.stats.dropped(Dropped::Refused),
            _ => self.stats.dropped(Dropped::Message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_fruitless_process_in_a_row_opens_the_breaker() {
        let mut breaker = Breaker::default();
        assert!((1..FRUITLESS_MAX).all(|_| !breaker.failed(true)));
        // One that handled something begins anew.
        assert!(!breaker.failed(false));
        assert!((1..FRUITLESS_MAX).all(|_| !breaker.failed(true)));
        assert!(breaker.failed(true));
        breaker.reset();
        assert!(!breaker.failed(true));
    }
}
