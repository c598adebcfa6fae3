//! The heart of a worker: its connections, and what a turn of its loop does with them. Knows no
//! poller, no socket type and no clock, so a simulated network can drive it.
//!
//! A turn: [`Core::begin_turn`] with the time, [`Core::ready`] for what became readable or
//! writable,
//! [`Core::adopt`] and [`Core::commands`] for what came through the inbox, then [`Core::end_turn`],
//! which does what is due and writes to every connection that something was queued for.
//!
//! Invariants: `on_close` is called once for each `on_open` that returned; a slot is free only
//! after its connection gave back its subscriptions and its part of the backlog.

mod parting;
mod publishing;
mod serving;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rupor_proto::{CloseCode, State, Time};
use slab::Slab;

use super::context::Context;
use super::delivery::Droppable;
use super::drain::Drain;
use super::flags::Flags;
use super::link::{Arrival, Link, NEVER};
use super::rare::Held;
use super::runs::Runs;
use super::timers::Scheduled;
use super::transport::Transport;
use crate::handler::{Connection, Handler};
use crate::id::{ConnectionId, SLOTS_MAX};
use crate::inbox::Command;
use crate::stats::{DropReason, add};

/// An opened connection on its way to a worker.
pub(crate) struct Adoption<A, T> {
    pub(crate) transport: T,
    /// The 101, unsent. Empty where another answers when it hears from the transport that it is
    /// open (HTTP/2).
    pub(crate) response: Vec<u8>,
    /// What came behind the request.
    pub(crate) received: Vec<u8>,
    pub(crate) admission: A,
    pub(crate) arrival: Arrival,
}

/// What became of a connection's transport.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer closed its side.
    pub(crate) read_closed: bool,
}

struct Entry<S, T> {
    link: Link,
    transport: T,
    /// `None` once `on_close` has it.
    state: Option<S>,
}

/// A worker without its poller.
pub(crate) struct Core<H: Handler, T> {
    handler: H,
    entries: Slab<Entry<H::State, T>>,
    context: Context,
    generation: u32,
    buffer: Vec<u8>,
    drain: Option<Drain>,
    /// The lists of the last turn, for this one.
    spare_list: Vec<u32>,
    runs: Runs,
}

/// The connection of that name, if it is still there.
fn find<S, T>(entries: &mut Slab<Entry<S, T>>, id: ConnectionId) -> Option<&mut Entry<S, T>> {
    entries
        .get_mut(id.slot())
        .filter(|entry| entry.link.id == id)
}

const INTERNAL_ERROR: &[u8] =
    b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

impl<H: Handler, T: Transport> Core<H, T> {
    pub(crate) fn new(handler: H, context: Context, generation: u32) -> Self {
        let buffer = vec![0; context.limits.receive_buffer_bytes.max(1)];
        Self {
            handler,
            entries: Slab::new(),
            context,
            generation,
            buffer,
            drain: None,
            spare_list: Vec::new(),
            runs: Runs::default(),
        }
    }

    /// Begins a turn at `now`, and serves who was left over by the last.
    pub(crate) fn begin_turn(&mut self, now: Time) {
        self.context.now = now;
        let spare = std::mem::take(&mut self.spare_list);
        let mut again = std::mem::replace(&mut self.context.again, spare);
        for slot in again.drain(..) {
            let slot = slot as usize;
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.link.flags.remove(Flags::AGAIN);
                self.pump(slot);
            }
        }
        self.spare_list = again;
    }

    /// The slot that the next adopted connection will have, if there is one.
    pub(crate) fn vacant_slot(&self) -> Option<usize> {
        Some(self.entries.vacant_key()).filter(|slot| *slot < SLOTS_MAX)
    }

    /// A connection that was given to this worker never became one of its.
    pub(crate) fn forget_assigned(&self) {
        self.context
            .counters
            .assigned
            .fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Takes an opened connection in. `on_open` runs before the 101 leaves.
    pub(crate) fn adopt(&mut self, adoption: Adoption<H::Admission, T>) {
        let Self {
            handler,
            entries,
            context,
            ..
        } = self;
        let vacant = entries.vacant_entry();
        let slot = vacant.key();
        let Ok(slot_bits) = u32::try_from(slot) else {
            return;
        };
        self.generation = self.generation.wrapping_add(1);
        let id = ConnectionId::from_parts(context.worker, slot_bits, self.generation);
        let mut link = Link::new(id, adoption.arrival, context);
        let mut transport = adoption.transport;
        add(&context.counters.opened, 1);

        context.out.extend_from_slice(&adoption.response);
        link.flags.insert(Flags::OPENING);
        let opened = guard(|| {
            let mut connection = Connection::new(&mut link, context, None);
            handler.on_open(&mut connection, adoption.admission)
        });
        link.flags.remove(Flags::OPENING);
        let Some(state) = opened else {
            context.out.clear();
            if !adoption.response.is_empty() {
                context.out.extend_from_slice(INTERNAL_ERROR);
            }
            link.write_out(context, &mut transport);
            context.topics.remove(slot_bits);
            link.release(context);
            count_panic(context);
            context.counters.closed(CloseCode::ABNORMAL);
            add(&context.counters.gone, 1);
            return;
        };
        link.flags.set(Flags::READABLE, transport.opened());
        if !adoption.received.is_empty() {
            link.hold(Held {
                bytes: adoption.received,
                at: 0,
            });
        }
        vacant.insert(Entry {
            link,
            transport,
            state: Some(state),
        });
        if let Some(drain) = &mut self.drain {
            drain.add(id);
        }
        self.pump(slot);
    }

    /// Serves a connection whose transport became ready.
    pub(crate) fn ready(&mut self, slot: usize, readiness: Readiness) {
        let Self {
            entries, context, ..
        } = self;
        let Some(Entry {
            link, transport, ..
        }) = entries.get_mut(slot)
        else {
            return;
        };
        if readiness.readable | readiness.read_closed {
            link.flags.insert(Flags::READABLE);
        }
        if readiness.read_closed {
            link.flags.insert(Flags::READ_CLOSED);
        }
        if readiness.writable && link.flags.contains(Flags::BLOCKED) {
            link.flags.remove(Flags::BLOCKED);
            link.flush(context, transport);
        }
        self.pump(slot);
    }

    /// Does one thing that somebody asked for.
    fn command(&mut self, command: Command) {
        let Self {
            entries, context, ..
        } = self;
        match command {
            Command::Send { to, frame } => self.send(to, frame),
            Command::Publish {
                topic,
                frame,
                exclude,
                slow,
            } => {
                let droppable = Droppable::new(slow, &topic);
                self.publish(&topic, frame, droppable, exclude);
            }
            Command::Subscribe { id, topic } => {
                if let Some(entry) = find(entries, id)
                    && !entry.link.flags.contains(Flags::PARTING)
                {
                    let slot = entry.link.slot();
                    context.topics.subscribe(slot, &topic, &context.limits);
                }
            }
            Command::Unsubscribe { id, topic } => {
                if let Some(entry) = find(entries, id) {
                    context.topics.unsubscribe(entry.link.slot(), &topic);
                }
            }
            Command::Close { id, code, reason } => self.close(id, code, &reason),
            Command::Mark(mark) => context.marks.push(mark),
        }
    }

    fn close(&mut self, id: ConnectionId, code: CloseCode, reason: &str) {
        self.queue_run(id.slot());
        if let Some(entry) = find(&mut self.entries, id)
            && !entry.link.flags.contains(Flags::PARTING)
        {
            entry.link.close(code, reason, &mut self.context);
            self.settle(id.slot(), None);
        }
    }

    /// Ends the turn: what is due is done, what was queued is written.
    pub(crate) fn end_turn(&mut self) {
        self.run_drain();
        self.run_timers();
        self.flush_dirty();
        self.context.marks.clear();
        self.keep_budget();
        // The last message for many may be large, and the next turn far away.
        self.context.deflate.forget_shared();
        self.context.publish_tally();
    }

    /// How long the loop may sleep.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        if !self.context.again.is_empty() || !self.context.dirty.is_empty() {
            return Some(Duration::ZERO);
        }
        let drain = self
            .drain
            .as_ref()
            .and_then(|drain| drain.timeout(self.context.now));
        let timers = self.context.timers.timeout(self.context.now);
        match (drain, timers) {
            (Some(drain), Some(timers)) => Some(drain.min(timers)),
            (one, other) => one.or(other),
        }
    }

    fn run_timers(&mut self) {
        while let Some((tick, slots)) = self.context.timers.pop(self.context.now) {
            for slot in &slots {
                let slot = *slot as usize;
                if let Some(entry) = self.entries.get_mut(slot)
                    && entry.link.scheduled.is_at(tick)
                {
                    entry.link.scheduled = Scheduled::NEVER;
                    self.due(slot);
                }
            }
            self.context.timers.recycle(slots);
        }
    }

    /// Does what is due for one connection.
    fn due(&mut self, slot: usize) {
        let Self {
            entries,
            context,
            handler,
            ..
        } = self;
        let Some(Entry {
            link,
            transport,
            state,
        }) = entries.get_mut(slot)
        else {
            return;
        };
        let now = context.now;
        if link.flags.contains(Flags::PARTING) {
            if link.timer <= now {
                self.remove(slot);
            } else {
                link.schedule(context);
            }
            return;
        }
        if link.timer <= now
            && let Some(state) = state
        {
            link.timer = NEVER;
            let done = guard(|| {
                let mut connection = Connection::new(link, context, Some(transport));
                handler.on_timer(&mut connection, state);
            });
            if done.is_none() {
                end_after_panic(link, context);
            }
        }
        let stall = u64::from(context.limits.backlog_stall_ms);
        if link.protocol.state() == State::Open
            && let Some(outbox) = &link.outbox
            && now.saturating_since(outbox.progress()) >= stall
        {
            link.doom.get_or_insert(DropReason::BacklogStall);
        }
        let closed = if link.protocol.poll_timeout().is_some_and(|at| at <= now) {
            link.handle_timeout(context)
        } else {
            None
        };
        let resume = link.over_since() != NEVER && link.may_read(context);
        self.settle(slot, closed);
        if resume {
            self.pump(slot);
        }
    }

    fn flush_dirty(&mut self) {
        let spare = std::mem::take(&mut self.spare_list);
        let mut dirty = std::mem::replace(&mut self.context.dirty, spare);
        for slot in dirty.drain(..) {
            let slot = slot as usize;
            let Self {
                entries, context, ..
            } = self;
            let Some(Entry {
                link, transport, ..
            }) = entries.get_mut(slot)
            else {
                continue;
            };
            link.flags.remove(Flags::DIRTY);
            if !link.flags.contains(Flags::BLOCKED) {
                link.flush(context, transport);
            }
            self.settle(slot, None);
        }
        self.spare_list = dirty;
    }

    /// Drops the fattest connections while the server's backlog is over its budget and this
    /// worker has at least its share of it.
    fn keep_budget(&mut self) {
        let budget = self.context.limits.backlog_budget_bytes;
        let own = self.context.tally.backlog;
        // The cheap question first: only a worker with its share of the budget asks the others.
        let workers = self.context.handle.workers().max(1) as u64;
        if budget == 0 || own == 0 || own < budget / workers {
            return;
        }
        self.context.publish_tally();
        let total = self.context.handle.shared().counters.backlog_bytes();
        if total <= budget || own < total / workers {
            return;
        }
        let mut excess = total - budget;
        let mut fat: Vec<(usize, usize)> = self
            .entries
            .iter()
            .filter(|(_, entry)| {
                !entry.link.flags.contains(Flags::PARTING) && entry.link.doom.is_none()
            })
            .map(|(slot, entry)| (entry.link.weight(), slot))
            .filter(|(weight, _)| *weight > 0)
            .collect();
        fat.sort_unstable_by(|one, other| other.cmp(one));
        for (weight, slot) in fat {
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.link.doom = Some(DropReason::BacklogBudget);
                entry.link.forget_held();
            }
            self.settle(slot, None);
            excess = excess.saturating_sub(weight as u64);
            if excess == 0 {
                break;
            }
        }
    }
}

fn end_after_panic(link: &mut Link, context: &mut Context) {
    count_panic(context);
    link.close(CloseCode::INTERNAL_ERROR, "", context);
}

fn count_panic(context: &Context) {
    add(&context.counters.panics, 1);
    context.counters.dropped(DropReason::Panic);
    tracing::error!("a handler panicked; its connection is closed");
}

/// Runs a callback; `None` if it panicked. The handler may be left in a state of its own making,
/// but nothing of the worker's is: a callback changes it only through whole calls.
fn guard<R>(callback: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(callback)).ok()
}

/// What one connection takes in the table.
#[cfg(test)]
pub(crate) fn entry_bytes<H: Handler, T>() -> usize {
    size_of::<Entry<H::State, T>>()
}

#[cfg(test)]
impl<H: Handler, T> Core<H, T> {
    /// Whether a connection has anything on the heap.
    pub(crate) fn holds_memory_for(&self, slot: usize) -> bool {
        let link = &self.entries[slot].link;
        link.outbox.is_some() || link.rare.is_some()
    }

    /// Bytes that wait for a connection.
    pub(crate) fn backlog_of(&self, slot: usize) -> usize {
        self.entries[slot].link.backlog()
    }

    /// Whether nothing of any connection is left.
    pub(crate) fn is_clean(&self) -> bool {
        self.entries.is_empty() && self.context.topics.is_empty() && self.context.out.is_empty()
    }
}
