//! When which connection wants to be looked at: one ordered table of ticks for the whole worker, no
//! object per connection.
//!
//! A connection stands in it at most at its earliest deadline and remembers at which tick; a
//! deadline that moved away is found out only when its old tick comes. So a busy connection costs
//! nothing here.

use std::collections::BTreeMap;
use std::time::Duration;

use rupor_proto::Time;

/// The length of a tick: deadlines are kept late by up to this.
const TICK_MS: u64 = 16;

/// A tick that never comes: "not in the table".
pub(crate) const NEVER: u64 = u64::MAX;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    ticks: BTreeMap<u64, Vec<u32>>,
    /// The tick that it was when somebody last looked. Nothing is put at or before it, so a
    /// deadline that stays in the past cannot keep the loop from going on.
    passed: u64,
    /// The list of a tick that has passed, for the next new tick.
    spare: Vec<u32>,
}

impl Timers {
    /// Looks at `slot` no earlier than `at`. `scheduled` is the tick at which that connection
    /// stands in the table.
    pub(crate) fn schedule(&mut self, slot: u32, at: Time, scheduled: &mut u64) {
        if at.as_millis() == u64::MAX {
            return;
        }
        // The first tick that begins at or after the deadline.
        let tick = at.as_millis().div_ceil(TICK_MS).max(self.passed + 1);
        if tick < *scheduled {
            *scheduled = tick;
            let spare = &mut self.spare;
            self.ticks
                .entry(tick)
                .or_insert_with(|| std::mem::take(spare))
                .push(slot);
        }
    }

    /// The next tick that has come by `now`, with the slots that stood there. A slot is meant only
    /// if its connection still has that tick as its own.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(u64, Vec<u32>)> {
        self.passed = now.as_millis() / TICK_MS;
        let first = self.ticks.first_entry()?;
        if *first.key() > self.passed {
            return None;
        }
        Some(first.remove_entry())
    }

    /// Takes a list back that [`pop`](Self::pop) gave out.
    pub(crate) fn recycle(&mut self, mut slots: Vec<u32>) {
        slots.clear();
        if slots.capacity() <= 1024 {
            self.spare = slots;
        }
    }

    /// How long until the next tick that somebody waits for.
    pub(crate) fn timeout(&self, now: Time) -> Option<Duration> {
        let (tick, _) = self.ticks.first_key_value()?;
        let at = Time::from_millis(tick.saturating_mul(TICK_MS));
        Some(Duration::from_millis(at.saturating_since(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(timers: &mut Timers, now: u64) -> Vec<u32> {
        let mut all = Vec::new();
        while let Some((_, slots)) = timers.pop(Time::from_millis(now)) {
            all.extend(&slots);
            timers.recycle(slots);
        }
        all
    }

    #[test]
    fn nothing_comes_early_and_nothing_stays() {
        let mut timers = Timers::default();
        for (slot, at) in [(0, 1), (1, 16), (2, 17), (3, 100)] {
            timers.schedule(slot, Time::from_millis(at), &mut NEVER.clone());
        }
        assert_eq!(due(&mut timers, 15), []);
        assert_eq!(due(&mut timers, 16), [0, 1]);
        assert_eq!(due(&mut timers, 31), []);
        assert_eq!(
            timers.timeout(Time::from_millis(31)),
            Some(Duration::from_millis(1))
        );
        assert_eq!(due(&mut timers, 1000), [2, 3]);
        assert_eq!(timers.timeout(Time::from_millis(1000)), None);
    }

    #[test]
    fn a_deadline_in_the_past_waits_for_the_next_tick() {
        let mut timers = Timers::default();
        assert_eq!(due(&mut timers, 160), []);
        timers.schedule(1, Time::from_millis(5), &mut NEVER.clone());
        assert_eq!(due(&mut timers, 160), []);
        assert_eq!(due(&mut timers, 176), [1]);
    }

    #[test]
    fn a_later_deadline_is_left_to_the_earlier_tick() {
        let mut timers = Timers::default();
        let mut scheduled = NEVER;
        timers.schedule(7, Time::from_millis(160), &mut scheduled);
        timers.schedule(7, Time::from_millis(1600), &mut scheduled);
        assert_eq!(scheduled, 10);
        timers.schedule(7, Time::from_millis(32), &mut scheduled);
        assert_eq!(scheduled, 2);
        assert_eq!(due(&mut timers, 5000), [7, 7]);
    }
}
