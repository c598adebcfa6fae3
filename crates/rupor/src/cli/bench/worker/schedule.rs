//! When messages are meant to leave, at a fixed rate, whatever became of those before (no coordinated omission).
//!
//! Message `k` of connection `i` of `n` is number `k × n + i` of all, and meant for `start + number / rate`. Nothing is
//! remembered of a message: its number tells.

use crate::cli::bench::plan::Plan;

/// One worker's part of it.
#[derive(Debug)]
pub(super) struct Schedule {
    rate: u64,
    start_ns: u64,
    /// This worker's first connection, the distance to its next, and how many there are altogether.
    first: u64,
    step: u64,
    all: u64,
    /// The round, and the connection in it, that is next.
    round: u64,
    index: u64,
    /// So many messages of all workers are meant to leave, and then no more.
    messages_max: u64,
}

impl Schedule {
    /// `rate` messages a second over all workers, and `messages_max` of them.
    pub(super) fn new(rate: u64, messages_max: u64) -> Self {
        Self {
            rate: rate.max(1),
            start_ns: u64::MAX,
            first: 0,
            step: 1,
            all: 1,
            round: 0,
            index: 0,
            messages_max,
        }
    }

    /// The messages start.
    pub(super) fn start(&mut self, start_ns: u64, worker: usize, plan: &Plan) {
        self.start_ns = start_ns;
        self.first = worker as u64;
        self.index = self.first;
        self.step = plan.threads as u64;
        self.all = plan.connections as u64;
    }

    /// When message `number` of connection `index` was meant to leave.
    pub(super) fn intended_ns(&self, number: u64, index: u64, all: u64) -> u64 {
        let number = number.saturating_mul(all).saturating_add(index);
        self.start_ns
            .saturating_add(number.saturating_mul(1_000_000_000) / self.rate)
    }

    /// When the next is meant to leave; never, when there is none.
    pub(super) fn next_ns(&self) -> u64 {
        let number = self.round.saturating_mul(self.all);
        if number.saturating_add(self.index) >= self.messages_max {
            return u64::MAX;
        }
        self.intended_ns(self.round, self.index, self.all)
    }

    /// Takes the next one, if it is to leave by now and before the end: the place of its connection.
    pub(super) fn pop(&mut self, now_ns: u64, until_ns: u64) -> Option<usize> {
        let next = self.next_ns();
        if next > now_ns || next >= until_ns {
            return None;
        }
        let place = (self.index - self.first) / self.step;
        self.index += self.step;
        if self.index >= self.all {
            self.index = self.first;
            self.round += 1;
        }
        usize::try_from(place).ok()
    }
}
