//! How fast a peer may send: messages and bytes a second, with a burst (the generic cell rate
//! algorithm: one number for each, no refill timer).
//!
//! Each number is the time, in microseconds, at which everything that was charged is paid for. The
//! peer is over its rate while that is more than the burst ahead of now.

use rupor_proto::Time;

use crate::limits::Limits;

const MICROS: u64 = 1_000_000;

/// What one connection has been charged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rate {
    messages_paid_us: u64,
    bytes_paid_us: u64,
}

fn charge(paid_us: &mut u64, amount: usize, per_second: u32, now: Time) {
    if per_second > 0 {
        let price = (amount as u64).saturating_mul(MICROS) / u64::from(per_second);
        let now_us = now.as_millis().saturating_mul(1000);
        *paid_us = (*paid_us).max(now_us).saturating_add(price);
    }
}

impl Rate {
    /// Charges one message.
    pub(crate) fn message(&mut self, limits: &Limits, now: Time) {
        charge(
            &mut self.messages_paid_us,
            1,
            limits.messages_per_second,
            now,
        );
    }

    /// Charges bytes.
    pub(crate) fn bytes(&mut self, count: usize, limits: &Limits, now: Time) {
        charge(&mut self.bytes_paid_us, count, limits.bytes_per_second, now);
    }

    /// Whether the peer may not go on now: [`over_until`](Self::over_until) without its division,
    /// for what is asked about every message.
    pub(crate) fn is_over(&self, limits: &Limits, now: Time) -> bool {
        let paid_us = self.messages_paid_us.max(self.bytes_paid_us);
        let burst_us = u64::from(limits.rate_burst_seconds).saturating_mul(MICROS);
        paid_us.saturating_sub(burst_us) > now.as_millis().saturating_mul(1000)
    }

    /// When the peer may go on, if it may not now.
    pub(crate) fn over_until(&self, limits: &Limits, now: Time) -> Option<Time> {
        let burst_us = u64::from(limits.rate_burst_seconds).saturating_mul(MICROS);
        let paid_us = self.messages_paid_us.max(self.bytes_paid_us);
        let at = Time::from_millis(paid_us.saturating_sub(burst_us).div_ceil(1000));
        (at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(rate: &Rate, limits: &Limits, now: u64) -> Option<u64> {
        let at = rate.over_until(limits, Time::from_millis(now));
        assert_eq!(rate.is_over(limits, Time::from_millis(now)), at.is_some());
        at.map(Time::as_millis)
    }

    #[test]
    fn burst_is_taken_and_one_more_waits() {
        let limits = Limits {
            messages_per_second: 100,
            rate_burst_seconds: 4,
            ..Limits::default()
        };
        let mut rate = Rate::default();
        let now = 1_000_000;
        for _ in 0..400 {
            rate.message(&limits, Time::from_millis(now));
        }
        assert_eq!(over(&rate, &limits, now), None);
        rate.message(&limits, Time::from_millis(now));
        assert_eq!(over(&rate, &limits, now), Some(now + 10));
        assert_eq!(over(&rate, &limits, now + 10), None);
    }

    #[test]
    fn bytes_have_their_own_rate_and_zero_is_off() {
        let limits = Limits {
            bytes_per_second: 1000,
            rate_burst_seconds: 1,
            ..Limits::default()
        };
        let mut rate = Rate::default();
        rate.bytes(3000, &limits, Time::from_millis(0));
        assert_eq!(over(&rate, &limits, 0), Some(2000));
        let off = Limits {
            bytes_per_second: 0,
            messages_per_second: 0,
            ..limits
        };
        let mut rate = Rate::default();
        rate.bytes(usize::MAX, &off, Time::from_millis(0));
        rate.message(&off, Time::from_millis(0));
        assert_eq!(over(&rate, &off, 0), None);
    }
}
