//! Saying goodbye to many without their coming back all at once: closes spread evenly over a
//! window.

use std::time::Duration;

use rupor_proto::Time;

use crate::id::ConnectionId;

/// Who is still to be closed, and when.
#[derive(Debug)]
pub(crate) struct Drain {
    left: Vec<ConnectionId>,
    total: u64,
    closed: u64,
    started: Time,
    window_ms: u64,
}

impl Drain {
    /// Closes these within `window`, evenly.
    pub(crate) fn new(left: Vec<ConnectionId>, started: Time, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self {
            total: left.len() as u64,
            closed: 0,
            left,
            started,
            window_ms,
        }
    }

    /// Closes this one too: it came too late to be spread, so it is next.
    pub(crate) fn add(&mut self, id: ConnectionId) {
        self.left.push(id);
        self.total += 1;
    }

    /// Somebody whose time has come.
    pub(crate) fn next_due(&mut self, now: Time) -> Option<ConnectionId> {
        if self.due_at()? > now {
            return None;
        }
        self.closed += 1;
        self.left.pop()
    }

    /// How long until the next one.
    pub(crate) fn timeout(&self, now: Time) -> Option<Duration> {
        Some(Duration::from_millis(self.due_at()?.saturating_since(now)))
    }

    fn due_at(&self) -> Option<Time> {
        if self.left.is_empty() {
            return None;
        }
        let offset = u128::from(self.window_ms) * u128::from(self.closed) / u128::from(self.total);
        Some(
            self.started
                .saturating_add_ms(u64::try_from(offset).unwrap_or(u64::MAX)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_are_spread_evenly_over_the_window() {
        let ids = (0..4).map(ConnectionId::from_u64).collect();
        let start = Time::from_millis(1000);
        let mut drain = Drain::new(ids, start, Duration::from_secs(4));
        let mut times = Vec::new();
        for now in (1000..6000).step_by(10) {
            while drain.next_due(Time::from_millis(now)).is_some() {
                times.push(now);
            }
        }
        assert_eq!(times, [1000, 2000, 3000, 4000]);
        assert_eq!(drain.timeout(start), None);
    }

    #[test]
    fn without_a_window_all_go_at_once() {
        let ids = (0..3).map(ConnectionId::from_u64).collect();
        let mut drain = Drain::new(ids, Time::from_millis(5), Duration::ZERO);
        for _ in 0..3 {
            assert!(drain.next_due(Time::from_millis(5)).is_some());
        }
        assert_eq!(drain.next_due(Time::from_millis(9)), None);
    }
}
