//! The heart of a worker: its connections, and what a turn of its loop does with them. Knows no
//! poller, no socket type and no clock, so a simulated network can drive it.
//!
//! A turn: [`Core::begin_turn`] with the time, [`Core::ready`] for what became readable or writable,
//! [`Core::adopt`] and [`Core::command`] for what came through the inbox, then [`Core::end_turn`],
//! which does what is due and writes to every connection that something was queued for.
//!
//! Invariants: `on_close` is called once for each `on_open` that returned; a slot is free only after
//! its connection gave back its subscriptions and its part of the backlog.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rupor_proto::{Close, CloseCode, Event, Initiator, State, Time};
use slab::Slab;

use super::drain::Drain;
use super::link::{Arrival, CLOSE_SLOW, Context, Held, Link, NEVER};
use super::timers;
use super::transport::Transport;
use crate::handler::{Connection, Handler};
use crate::id::{ConnectionId, SLOTS_MAX};
use crate::inbox::{Command, End};
use crate::stats::{DropReason, add};

/// An opened connection on its way to a worker.
pub(crate) struct Adoption<A, T> {
    pub(crate) transport: T,
    /// The 101, unsent.
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
}

/// The connection of that name, if it is still there.
fn find<S, T>(entries: &mut Slab<Entry<S, T>>, id: ConnectionId) -> Option<&mut Entry<S, T>> {
    entries
        .get_mut(id.slot())
        .filter(|entry| entry.link.id == id)
}

/// How far a piece of input was served.
enum Served {
    All,
    /// So many bytes may not be served yet.
    Paused(usize),
    Closed(Close),
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
                entry.link.flags.again = false;
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
        link.flags.opening = true;
        let opened = guard(|| {
            let mut connection = Connection::new(&mut link, context, None);
            handler.on_open(&mut connection, adoption.admission)
        });
        link.flags.opening = false;
        let Some(state) = opened else {
            context.out.clear();
            context.out.extend_from_slice(INTERNAL_ERROR);
            link.write_out(context, &mut transport);
            context.topics.remove(slot_bits);
            link.release(context);
            count_panic(context);
            context.counters.closed(CloseCode::ABNORMAL);
            add(&context.counters.gone, 1);
            return;
        };
        // What came with the request may be more than messages already in the transport.
        link.flags.readable = true;
        if !adoption.received.is_empty() {
            link.held = Some(Box::new(Held {
                bytes: adoption.received,
                at: 0,
            }));
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
        link.flags.readable |= readiness.readable | readiness.read_closed;
        link.flags.read_closed |= readiness.read_closed;
        if readiness.writable && link.flags.blocked {
            link.flags.blocked = false;
            link.flush(context, transport);
        }
        self.pump(slot);
    }

    /// Does what somebody asked for through the inbox.
    pub(crate) fn command(&mut self, command: Command) {
        let Self {
            entries, context, ..
        } = self;
        match command {
            Command::Send { to, frame } => {
                if let Some(entry) = find(entries, to) {
                    entry.link.deliver(&frame, context, &mut entry.transport);
                }
            }
            Command::Publish {
                topic,
                frame,
                exclude,
            } => {
                let topics = std::mem::take(&mut context.topics);
                for slot in topics.subscribers(&topic) {
                    if let Some(entry) = entries.get_mut(slot as usize)
                        && exclude != Some(entry.link.id)
                    {
                        entry.link.deliver(&frame, context, &mut entry.transport);
                    }
                }
                context.topics = topics;
            }
            Command::Subscribe { id, topic } => {
                if let Some(entry) = find(entries, id)
                    && !entry.link.flags.parting
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
        }
    }

    fn close(&mut self, id: ConnectionId, code: CloseCode, reason: &str) {
        if let Some(entry) = self.entries.get_mut(id.slot())
            && entry.link.id == id
            && !entry.link.flags.parting
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
        self.keep_budget();
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

    /// Begins to end, gently or at once.
    pub(crate) fn end(&mut self, end: End) {
        match end {
            End::Drain(window) => {
                let ids = self
                    .entries
                    .iter()
                    .map(|(_, entry)| entry.link.id)
                    .collect();
                self.drain = Some(Drain::new(ids, self.context.now, window));
            }
            End::Stop => {
                self.drain = Some(Drain::new(Vec::new(), self.context.now, Duration::ZERO));
                let slots: Vec<usize> = self.entries.iter().map(|(slot, _)| slot).collect();
                for slot in slots {
                    self.stop(slot);
                }
            }
        }
    }

    /// Whether it was asked to end and nobody is left.
    pub(crate) fn is_finished(&self) -> bool {
        self.drain.is_some() && self.entries.is_empty()
    }

    fn stop(&mut self, slot: usize) {
        let Self {
            entries, context, ..
        } = self;
        let Some(Entry {
            link,
            transport,
            state,
        }) = entries.get_mut(slot)
        else {
            return;
        };
        if state.is_some() {
            link.close(CloseCode::GOING_AWAY, "the server stops", context);
            link.write_out(context, transport);
            self.part(
                slot,
                &Close {
                    code: CloseCode::GOING_AWAY,
                    reason: String::new(),
                    initiator: Initiator::Local,
                    clean: false,
                    error: None,
                },
            );
        }
        self.remove(slot);
    }

    fn run_drain(&mut self) {
        while let Some(id) = self
            .drain
            .as_mut()
            .and_then(|drain| drain.next_due(self.context.now))
        {
            self.close(id, CloseCode::GOING_AWAY, "the server is going down");
        }
    }

    fn run_timers(&mut self) {
        while let Some((tick, slots)) = self.context.timers.pop(self.context.now) {
            for slot in &slots {
                let slot = *slot as usize;
                if let Some(entry) = self.entries.get_mut(slot)
                    && entry.link.scheduled == tick
                {
                    entry.link.scheduled = timers::NEVER;
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
        if link.flags.parting {
            if link.linger_until <= now {
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
        let mut closed = None;
        if link.protocol.poll_timeout().is_some_and(|at| at <= now)
            && let Some(Event::Closed(close)) = link.protocol.handle_timeout(now, &mut context.out)
        {
            closed = Some(close);
        }
        let resume = link.over_since != NEVER && link.may_read(context);
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
            link.flags.dirty = false;
            if !link.flags.blocked {
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
            .filter(|(_, entry)| !entry.link.flags.parting && entry.link.doom.is_none())
            .map(|(slot, entry)| (entry.link.weight(), slot))
            .filter(|(weight, _)| *weight > 0)
            .collect();
        fat.sort_unstable_by(|one, other| other.cmp(one));
        for (weight, slot) in fat {
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.link.doom = Some(DropReason::BacklogBudget);
                entry.link.held = None;
            }
            self.settle(slot, None);
            excess = excess.saturating_sub(weight as u64);
            if excess == 0 {
                break;
            }
        }
    }

    /// Reads and serves what a connection has for us, within its turn.
    fn pump(&mut self, slot: usize) {
        let Self {
            entries,
            context,
            handler,
            buffer,
            ..
        } = self;
        let Some(entry) = entries.get_mut(slot) else {
            return;
        };
        if entry.link.flags.parting {
            self.linger(slot);
            return;
        }
        let mut closed = None;
        let may_read = entry.link.may_read(context);
        if let Some(mut held) = entry.link.held.take_if(|_| may_read) {
            let rest = held.bytes.get_mut(held.at..).unwrap_or_default();
            match serve(entry, handler, context, rest) {
                Served::All => {}
                Served::Paused(left) => {
                    held.at = held.bytes.len() - left;
                    entry.link.held = Some(held);
                }
                Served::Closed(close) => closed = Some(close),
            }
        }
        let mut rounds = context.limits.reads_per_turn_max.max(1);
        while closed.is_none()
            && entry.link.flags.readable
            && entry.link.held.is_none()
            && entry.link.may_read(context)
        {
            if rounds == 0 {
                entry.link.mark_again(context);
                break;
            }
            rounds -= 1;
            match entry.transport.read(buffer) {
                Ok(0) => {
                    entry.link.flags.readable = false;
                    closed = end_of_input(&mut entry.link, context);
                }
                Ok(count) => {
                    // A short read took all there was; the next byte is announced. Not so the end.
                    if count < buffer.len() && !entry.link.flags.read_closed {
                        entry.link.flags.readable = false;
                    }
                    context.tally.bytes_in += count as u64;
                    entry.link.rate.bytes(count, &context.limits, context.now);
                    let input = buffer.get_mut(..count).unwrap_or_default();
                    match serve(entry, handler, context, input) {
                        Served::All => {}
                        Served::Paused(left) => {
                            let rest = buffer.get(count - left..count).unwrap_or_default();
                            let held = Held {
                                bytes: rest.to_vec(),
                                at: 0,
                            };
                            entry.link.held = Some(Box::new(held));
                        }
                        Served::Closed(close) => closed = Some(close),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    entry.link.flags.readable = false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => entry.link.flags.broken = true,
            }
        }
        entry.link.watch_rate(context);
        self.settle(slot, closed);
    }

    /// Brings a connection to rest after something happened to it: writes what was queued, ends it
    /// if it has to end, puts it among the timers.
    fn settle(&mut self, slot: usize, closed: Option<Close>) {
        let Self {
            entries, context, ..
        } = self;
        let Some(Entry {
            link, transport, ..
        }) = entries.get_mut(slot)
        else {
            return;
        };
        link.write_out(context, transport);
        let mut closed = closed;
        if let Some(reason) = link.doom.take()
            && closed.is_none()
        {
            closed = condemn(link, reason, context);
            link.write_out(context, transport);
        }
        if link.flags.broken && closed.is_none() && !link.flags.parting {
            context.counters.dropped(DropReason::Broken);
            closed = end_of_input(link, context);
        }
        if let Some(close) = closed
            && !link.flags.parting
        {
            self.part(slot, &close);
        }
        self.rest(slot);
    }

    /// The last of [`settle`](Self::settle): what is left to wait for.
    fn rest(&mut self, slot: usize) {
        let Self {
            entries, context, ..
        } = self;
        let Some(Entry {
            link, transport, ..
        }) = entries.get_mut(slot)
        else {
            return;
        };
        if link.flags.parting {
            let sent = link.outbox.is_none() && !link.flags.blocked;
            if link.flags.broken || (sent && link.flags.leave_when_sent) {
                self.remove(slot);
                return;
            }
            if sent && !link.flags.shut {
                link.flags.shut = true;
                transport.shutdown();
            }
            if link.flags.readable {
                link.mark_again(context);
            }
        } else if (link.flags.readable || link.held.is_some()) && link.may_read(context) {
            link.mark_again(context);
        }
        link.account(context);
        link.schedule(context);
    }

    /// Tells the handler that a connection is over, and lets what is unsent leave.
    fn part(&mut self, slot: usize, close: &Close) {
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
        let Some(state) = state.take() else { return };
        link.flags.parting = true;
        link.held = None;
        link.timer = NEVER;
        let linger = u64::from(context.limits.linger_ms);
        link.linger_until = context.now.saturating_add_ms(linger);
        // After a clean end nothing more comes, and after an abrupt one nobody is there.
        link.flags.leave_when_sent = close.clean || close.code == CloseCode::ABNORMAL;
        context.counters.closed(close.code);
        context.topics.remove(link.slot());
        let done = guard(|| {
            let mut connection = Connection::new(link, context, None);
            handler.on_close(&mut connection, state, close);
        });
        if done.is_none() {
            count_panic(context);
        }
        // It may have subscribed again.
        context.topics.remove(link.slot());
        link.write_out(context, transport);
    }

    /// Reads past a peer that has yet to notice its end, so that our last words reach it instead
    /// of a reset.
    fn linger(&mut self, slot: usize) {
        let Self {
            entries,
            buffer,
            context,
            ..
        } = self;
        let Some(Entry {
            link, transport, ..
        }) = entries.get_mut(slot)
        else {
            return;
        };
        let mut rounds = context.limits.reads_per_turn_max.max(1);
        while link.flags.readable && !link.flags.broken && rounds > 0 {
            rounds -= 1;
            match transport.read(buffer) {
                Ok(0) => {
                    link.flags.readable = false;
                    link.flags.leave_when_sent = true;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => link.flags.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => link.flags.broken = true,
            }
        }
        self.rest(slot);
    }

    fn remove(&mut self, slot: usize) {
        if let Some(mut entry) = self.entries.try_remove(slot) {
            entry.link.release(&mut self.context);
            add(&self.context.counters.gone, 1);
        }
    }
}

/// Hands what is in `input` to the handler, message by message.
fn serve<H: Handler, T: Transport>(
    entry: &mut Entry<H::State, T>,
    handler: &mut H,
    context: &mut Context,
    input: &mut [u8],
) -> Served {
    let Entry {
        link,
        transport,
        state,
    } = entry;
    let Some(state) = state else {
        return Served::All;
    };
    let mut rest = input;
    while let Some(event) = link
        .protocol
        .receive(&mut rest, context.now, &mut context.out)
    {
        match event {
            Event::Message(incoming) => {
                context.tally.messages_in += 1;
                link.rate.message(&context.limits, context.now);
                let done = guard(|| {
                    let mut connection = Connection::new(link, context, Some(transport));
                    handler.on_message(&mut connection, state, incoming.as_message());
                });
                if done.is_none() {
                    end_after_panic(link, context);
                }
            }
            Event::Ping(_) | Event::Pong(_) => {}
            Event::Closed(close) => return Served::Closed(close),
        }
        if context.out.len() >= context.limits.receive_buffer_bytes {
            link.write_out(context, transport);
        }
        if !rest.is_empty() && !link.may_read(context) {
            return Served::Paused(rest.len());
        }
    }
    Served::All
}

/// Condemns a connection: what is unsent is forgotten and a close frame says why, or the
/// connection ends here if it was closing already.
fn condemn(link: &mut Link, reason: DropReason, context: &mut Context) -> Option<Close> {
    context.counters.dropped(reason);
    let (code, text) = match reason {
        DropReason::Rate => (CloseCode::POLICY, "too many messages"),
        _ => (CLOSE_SLOW, "reads too slowly"),
    };
    if let Some(outbox) = &mut link.outbox
        && reason != DropReason::Rate
    {
        outbox.forget_unwritten();
    }
    link.held = None;
    if link.protocol.state() == State::Open {
        link.close(code, text, context);
        return None;
    }
    link.flags.broken = true;
    end_of_input(link, context)
}

/// The protocol's end when no more input will come.
fn end_of_input(link: &mut Link, context: &mut Context) -> Option<Close> {
    match link.protocol.receive_eof(context.now) {
        Some(Event::Closed(close)) => Some(close),
        _ => None,
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
