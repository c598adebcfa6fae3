//! How frames from outside come to one connection's queue, and what makes way for them when its
//! peer reads too slowly.

use std::collections::HashMap;
use std::sync::Arc;

use rupor_proto::{Frame, Outgoing};

use super::context::Context;
use super::flags::Flags;
use super::link::Link;
use super::outbox::{Lane, Outbox};
use super::transport::Transport;
use crate::limits::Limits;
use crate::slow::SlowPolicy;
use crate::stats::{DropReason, LeftOut};
use crate::topic::Topic;

/// Topics that are remembered of one connection until its handler is told what was left out. Beyond
/// them it is only counted.
pub(crate) const NOTED_TOPICS_MAX: usize = 128;

/// Bytes that the system may have unsent of a connection for which something waits that may be left
/// out: what the system has, cannot be. Others may have more of theirs there
/// ([`Limits::notsent_lowat_bytes`]), which long messages are faster by.
const UNSENT_DROPPABLE_BYTES_MAX: u32 = 128 * 1024;

/// How a publication may be left out.
#[derive(Debug, Clone)]
pub(crate) struct Droppable {
    first_out: FirstOut,
    lane: Arc<Lane>,
}

/// Who makes way.
#[derive(Debug, Clone, Copy)]
enum FirstOut {
    Newest,
    Oldest,
    AllBefore,
}

impl Droppable {
    /// `None`: it may not.
    pub(crate) fn new(policy: SlowPolicy, topic: &Topic) -> Option<Self> {
        let (first_out, key) = match policy {
            SlowPolicy::Disconnect => return None,
            SlowPolicy::DropNewest => (FirstOut::Newest, None),
            SlowPolicy::DropOldest => (FirstOut::Oldest, None),
            SlowPolicy::Latest { key } => (FirstOut::AllBefore, key),
        };
        let topic = topic.clone();
        let lane = Arc::new(Lane { topic, key });
        Some(Self { first_out, lane })
    }
}

/// What was left out since the handler was told, topic by topic.
#[derive(Debug, Default)]
pub(crate) struct LeftOutNotes(HashMap<Topic, u64>);

impl LeftOutNotes {
    fn add(&mut self, topic: &Topic, count: u64) {
        if let Some(sum) = self.0.get_mut(topic) {
            *sum = sum.saturating_add(count);
        } else if self.0.len() < NOTED_TOPICS_MAX {
            self.0.insert(topic.clone(), count);
        }
    }

    /// In the order of their names.
    pub(crate) fn into_sorted(self) -> Vec<(Topic, u64)> {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_unstable();
        all
    }
}

impl Link {
    /// Queues a frame for a connection that is not being served now.
    pub(crate) fn deliver(
        &mut self,
        frame: &Frame,
        droppable: Option<&Droppable>,
        context: &mut Context,
        transport: &mut dyn Transport,
    ) {
        if self.flags.contains(Flags::PARTING)
            || self.doom.is_some()
            || !self.protocol.is_sendable()
        {
            return;
        }
        let len = frame.as_bytes().len();
        if let Some(droppable) = droppable
            && !self.make_way(len, droppable, context, transport)
        {
            return;
        }
        for try_write in [true, false] {
            match self.over_backlog(len, &context.limits) {
                None => break,
                // Much may have come for it in this turn: that alone does not make it slow.
                Some(_) if try_write => self.flush(context, transport),
                Some(reason) => {
                    self.doom = Some(reason);
                    self.mark_dirty(context);
                    return;
                }
            }
        }
        let Some(outgoing) = self.outgoing(frame, droppable.is_some(), context) else {
            return;
        };
        let lane = droppable
            .filter(|_| outgoing.is_droppable())
            .map(|droppable| Arc::clone(&droppable.lane));
        if lane.is_some() && !self.flags.contains(Flags::KEEPS_UNSENT) {
            self.flags.insert(Flags::KEEPS_UNSENT);
            if context.limits.notsent_lowat_bytes > UNSENT_DROPPABLE_BYTES_MAX {
                transport.keep_unsent(UNSENT_DROPPABLE_BYTES_MAX);
            }
        }
        let now = context.now;
        self.outbox_mut(context).push_frame(outgoing, lane, now);
        context.tally.frames_out += 1;
        self.mark_dirty(context);
    }

    /// What goes on the wire. What may be left out and will have to wait goes plain where others
    /// would be compressed behind it.
    fn outgoing(
        &mut self,
        frame: &Frame,
        droppable: bool,
        context: &mut Context,
    ) -> Option<Outgoing> {
        if droppable && self.flags.contains(Flags::BLOCKED) && self.protocol.sends_with_takeover() {
            return Some(Outgoing::from(frame));
        }
        self.share(frame, context).ok()
    }

    /// Makes way for a publication of so many bytes that may be left out; false: it was.
    fn make_way(
        &mut self,
        len: usize,
        droppable: &Droppable,
        context: &mut Context,
        transport: &mut dyn Transport,
    ) -> bool {
        if !self.over_soft(len, &context.limits) {
            return true;
        }
        if !self.flags.contains(Flags::BLOCKED) {
            self.flush(context, transport);
        }
        let lane = &droppable.lane;
        match droppable.first_out {
            FirstOut::AllBefore => {
                if self.over_soft(len, &context.limits)
                    && let Some(outbox) = &mut self.outbox
                {
                    let count = outbox.leave_out_all(lane);
                    self.note(LeftOut::Replaced, count, lane, context);
                }
                return true;
            }
            FirstOut::Oldest => {
                let mut count = 0;
                while self.over_soft(len, &context.limits)
                    && let Some(outbox) = &mut self.outbox
                    && outbox.leave_out_oldest(lane)
                {
                    count += 1;
                }
                self.note(LeftOut::OldestOverSoft, count, lane, context);
                if self.over_backlog(len, &context.limits).is_none() {
                    return true;
                }
                self.note(LeftOut::NewestOverMax, 1, lane, context);
            }
            FirstOut::Newest => {
                if !self.over_soft(len, &context.limits) {
                    return true;
                }
                self.note(LeftOut::NewestOverSoft, 1, lane, context);
            }
        }
        false
    }

    /// Counts what was left out, and keeps it for the handler.
    fn note(&mut self, how: LeftOut, count: u64, lane: &Lane, context: &mut Context) {
        if count > 0 {
            context.counters.left_out(how, count);
            let notes = self.rare_mut().left_out.get_or_insert_default();
            notes.add(&lane.topic, count);
            self.mark_dirty(context);
        }
    }

    /// What was left out, once there is half of the soft limit's room again: a notice in between
    /// would only add to what is too much already.
    pub(crate) fn take_left_out(&mut self, limits: &Limits) -> Option<LeftOutNotes> {
        let (bytes_max, frames_max) = soft_limits(limits);
        let small =
            |outbox: &Outbox| outbox.bytes() <= bytes_max / 2 && outbox.frames() <= frames_max / 2;
        if self.outbox.as_deref().is_none_or(small) {
            let notes = self.rare.as_mut()?.left_out.take();
            self.free_rare();
            notes.map(|notes| *notes)
        } else {
            None
        }
    }

    fn over_soft(&self, more: usize, limits: &Limits) -> bool {
        let (bytes_max, frames_max) = soft_limits(limits);
        self.over(more, bytes_max, frames_max).is_some()
    }

    fn over_backlog(&self, more: usize, limits: &Limits) -> Option<DropReason> {
        self.over(more, limits.backlog_bytes_max, limits.backlog_frames_max)
    }

    /// What is over with one more frame of so many bytes. Where nothing waits, nothing is.
    fn over(&self, more: usize, bytes_max: usize, frames_max: usize) -> Option<DropReason> {
        let outbox = self.outbox.as_ref().filter(|outbox| outbox.frames() > 0)?;
        if outbox.frames() >= frames_max {
            Some(DropReason::BacklogFrames)
        } else if outbox.bytes() + more > bytes_max {
            Some(DropReason::BacklogBytes)
        } else {
            None
        }
    }
}

/// Bytes and frames over which the policies begin: never more than the hard limits.
fn soft_limits(limits: &Limits) -> (usize, usize) {
    (
        limits.backlog_soft_bytes.min(limits.backlog_bytes_max),
        limits.backlog_soft_frames.min(limits.backlog_frames_max),
    )
}
