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

/// The furthest that a connection stands ahead, in ticks: over a year, and one less than has room,
/// for the tick that is left out. What is further is looked at then, and put in again.
const AHEAD_MAX: u64 = i32::MAX as u64 - 1;

/// The tick at which a connection stands in the table, as it remembers it: the lower half of its
/// number, which says all as long as it is no more than [`AHEAD_MAX`] away. 0, which no tick is
/// that anybody stands at: it stands at none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheduled(u32);

impl Scheduled {
    /// It does not stand in the table.
    pub(crate) const NEVER: Self = Self(0);

    fn new(tick: u64) -> Self {
        Self(lower_half(tick))
    }

    /// Whether it stands at this tick.
    pub(crate) fn is_at(self, tick: u64) -> bool {
        self == Self::new(tick)
    }

    /// How far it is ahead of `passed`, in ticks; less than 0 for one that passed already.
    fn ahead_of(self, passed: u64) -> i64 {
        if self == Self::NEVER {
            return i64::MAX;
        }
        self.0.wrapping_sub(lower_half(passed)).cast_signed().into()
    }
}

fn lower_half(tick: u64) -> u32 {
    let [a, b, c, d, ..] = tick.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

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
    pub(crate) fn schedule(&mut self, slot: u32, at: Time, scheduled: &mut Scheduled) {
        if at.as_millis() == u64::MAX {
            return;
        }
        // The first tick that begins at or after the deadline.
        let tick = at.as_millis().div_ceil(TICK_MS);
        let mut ahead = tick.saturating_sub(self.passed).clamp(1, AHEAD_MAX);
        if Scheduled::NEVER.is_at(self.passed + ahead) {
            ahead += 1;
        }
        let tick = self.passed + ahead;
        if scheduled.ahead_of(self.passed) > ahead.cast_signed() {
            *scheduled = Scheduled::new(tick);
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
            timers.schedule(slot, Time::from_millis(at), &mut Scheduled::NEVER.clone());
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
        timers.schedule(1, Time::from_millis(5), &mut Scheduled::NEVER.clone());
        assert_eq!(due(&mut timers, 160), []);
        assert_eq!(due(&mut timers, 176), [1]);
    }

    #[test]
    fn a_later_deadline_is_left_to_the_earlier_tick() {
        let mut timers = Timers::default();
        let mut scheduled = Scheduled::NEVER;
        timers.schedule(7, Time::from_millis(160), &mut scheduled);
        timers.schedule(7, Time::from_millis(1600), &mut scheduled);
        assert!(scheduled.is_at(10));
        timers.schedule(7, Time::from_millis(32), &mut scheduled);
        assert!(scheduled.is_at(2));
        assert_eq!(due(&mut timers, 5000), [7, 7]);
    }

    /// A server that runs for years: the number that a connection remembers begins again after two
    /// of them, and a deadline may be further away than it reaches.
    #[test]
    fn years_do_not_confuse_it() {
        let mut timers = Timers::default();
        let now = ((1 << 32) - 2) * TICK_MS;
        assert_eq!(due(&mut timers, now), []);
        let mut scheduled = Scheduled::NEVER;
        for (ticks, at) in [(9, 9), (3, 3), (5, 3), (2, 3)] {
            timers.schedule(1, Time::from_millis(now + ticks * TICK_MS), &mut scheduled);
            assert!(scheduled.is_at((1 << 32) - 2 + at), "{ticks}");
        }
        assert_eq!(due(&mut timers, now + 2 * TICK_MS), []);
        assert_eq!(due(&mut timers, now + 3 * TICK_MS), [1]);

        let mut far = Scheduled::NEVER;
        timers.schedule(2, Time::from_millis(u64::MAX - 1), &mut far);
        let (tick, slots) = timers.pop(Time::from_millis(u64::MAX / 2)).unwrap();
        assert_eq!(slots, [1], "it stood there before");
        timers.recycle(slots);
        assert!(!far.is_at(tick));
        let (tick, slots) = timers.pop(Time::from_millis(u64::MAX / 2)).unwrap();
        assert_eq!(slots, [2]);
        assert!(far.is_at(tick));
    }
}
