//! Deadlines, and the allowance of control frames. All of it in plain integers.

use alloc::vec::Vec;

use super::{Connection, State};
use crate::{Event, Limits, PeerError, Time, frame::Opcode};

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if nothing else happens
    /// before. `None`: never. It may become later with every call on the connection, and earlier
    /// only with [`receive`](Self::receive), [`close`](Self::close) and `handle_timeout` itself.
    pub fn poll_timeout(&self) -> Option<Time> {
        let due = match self.state {
            State::Open => self.due.min(self.pong_due).min(self.message_due()),
            State::Closing => self.due,
            State::Closed => Time::NEVER,
        };
        (due != Time::NEVER).then_some(due)
    }

    /// Does what is due at `now`: appends a Ping to `out`, or gives up a peer that is silent after
    /// a Ping ([`PeerError::PongTimeout`]), takes too long over a message
    /// ([`PeerError::MessageTooSlow`]) or does not answer our Close frame
    /// ([`PeerError::CloseTimeout`]). Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Time, out: &mut Vec<u8>) -> Option<Event<'static>> {
        match self.state {
            State::Open if self.pong_due <= now => Some(self.fail(PeerError::PongTimeout, out)),
            State::Open if self.message_due() <= now => {
                Some(self.fail(PeerError::MessageTooSlow, out))
            }
            State::Open if self.due <= now => {
                self.write_frame(true, Opcode::Ping, &[], out);
                self.pings_unanswered = self.pings_unanswered.saturating_add(1);
                // A Ping into a silence that is already being timed does not prolong it.
                self.pong_due = self
                    .pong_due
                    .min(now.saturating_add_ms(self.config.pong_timeout_ms.into()));
                self.schedule_ping(now);
                None
            }
            State::Closing if self.due <= now => Some(self.fail(PeerError::CloseTimeout, out)),
            State::Open | State::Closing | State::Closed => None,
        }
    }

    /// Makes nothing of the peer's silence before `until`, if a Ping waits for an answer. For a peer
    /// that still takes what was sent before: it hears the Ping only behind that.
    pub fn excuse_silence(&mut self, until: Time) {
        if self.pong_due != Time::NEVER {
            self.pong_due = self.pong_due.max(until);
        }
    }

    pub(super) fn schedule_ping(&mut self, now: Time) {
        self.due = match self.config.ping_interval_ms {
            0 => Time::NEVER,
            interval => now.saturating_add_ms(self.jitter.spread(interval.into(), now)),
        };
    }

    /// When the frame or message that has begun must have ended.
    fn message_due(&self) -> Time {
        self.unfinished.as_ref().map_or(Time::NEVER, |unfinished| {
            unfinished
                .since()
                .saturating_add_ms(self.config.limits.message_time_max_ms.into())
        })
    }
}

/// A token bucket for control frames, kept as the one moment at which it will be full again
/// (the "generic cell rate algorithm").
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ControlAllowance {
    full_at_us: u64,
}

impl ControlAllowance {
    /// Takes one frame's worth out; false if there is none.
    pub(super) fn take(&mut self, now: Time, limits: &Limits) -> bool {
        let Some(frame_us) = 1_000_000_u64.checked_div(limits.control_frames_per_second.into())
        else {
            return true;
        };
        let now_us = now.as_millis().saturating_mul(1000);
        let full_at_us = self.full_at_us.max(now_us).saturating_add(frame_us);
        let bucket_us = frame_us.saturating_mul(limits.control_frames_burst.into());
        if full_at_us.saturating_sub(now_us) > bucket_us {
            return false;
        }
        self.full_at_us = full_at_us;
        true
    }
}

/// What spreads the Pings of many connections; nothing that must be secret comes from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jitter(u16);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = seed.to_le_bytes();
        Self(u16::from_le_bytes([a ^ c ^ e ^ g, b ^ d ^ f ^ h]))
    }

    /// `interval`, 10 % more or less, another one each time (SplitMix64, fed with the time).
    fn spread(self, interval: u64, now: Time) -> u64 {
        let fed = (u64::from(self.0) << 48) ^ now.as_millis();
        let mut bits = fed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let tenth = interval / 10;
        interval
            .saturating_sub(tenth)
            .saturating_add(bits % tenth.saturating_mul(2).saturating_add(1))
    }
}
