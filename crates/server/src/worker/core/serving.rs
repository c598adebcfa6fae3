//! Serving a connection: reading, handing messages to the handler, writing, and finding out
//! whether it is over.

use std::io::ErrorKind;

use rupor_proto::{Close, CloseCode, Event, State};

use super::super::context::Context;
use super::super::delivery::LeftOutNotes;
use super::super::flags::Flags;
use super::super::link::{CLOSE_SLOW, Link};
use super::super::rare::Held;
use super::super::transport::Transport;
use super::{Core, Entry, end_after_panic, guard};
use crate::handler::{Connection, Handler};
use crate::limits::Limits;
use crate::stats::DropReason;

/// How far a piece of input was served.
enum Served {
    All,
    /// So many bytes may not be served yet.
    Paused(usize),
    /// So many bytes are the beginning of a message of so many bytes, the rest of which can be read.
    Cut(usize, usize),
    Closed(Close),
}

/// What a connection may read in its turn.
struct Turn {
    left_bytes: usize,
    /// How much is read at once.
    read_bytes: usize,
}

impl Turn {
    fn new(buffer_bytes: usize, limits: &Limits) -> Self {
        let reads = usize::try_from(limits.reads_per_turn_max).unwrap_or(usize::MAX);
        // Half of the buffer, so that there is room behind for the rest of a message; and a little more, so that a message
        // of half the buffer comes whole with its header.
        let read_bytes = buffer_bytes / 2 + buffer_bytes / 32;
        Self {
            left_bytes: buffer_bytes.saturating_mul(reads.max(1)),
            read_bytes: read_bytes.max(1),
        }
    }
}

impl<H: Handler, T: Transport> Core<H, T> {
    /// Reads and serves what a connection has for us, within its turn.
    pub(super) fn pump(&mut self, slot: usize) {
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
        if entry.link.flags.contains(Flags::PARTING) {
            self.linger(slot);
            return;
        }
        let mut closed = serve_held(entry, handler, context);
        let mut turn = Turn::new(buffer.len(), &context.limits);
        while closed.is_none()
            && turn.left_bytes > 0
            && entry.link.flags.contains(Flags::READABLE)
            && !entry.link.has_held()
            && entry.link.may_read(context)
        {
            closed = read_and_serve(entry, handler, context, buffer, &mut turn);
        }
        entry.link.watch_rate(context);
        self.settle(slot, closed);
    }

    /// Brings a connection to rest after something happened to it: writes what was queued, ends it
    /// if it has to end, puts it among the timers.
    pub(super) fn settle(&mut self, slot: usize, closed: Option<Close>) {
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
        link.write_out(context, transport);
        if let Some(notes) = link.take_left_out(&context.limits)
            && let Some(state) = state
        {
            tell_left_out(notes, link, handler, state, context, transport);
        }
        let mut closed = closed;
        if let Some(reason) = link.doom.take()
            && closed.is_none()
        {
            closed = condemn(link, reason, context);
            link.write_out(context, transport);
        }
        if link.flags.contains(Flags::BROKEN)
            && closed.is_none()
            && !link.flags.contains(Flags::PARTING)
        {
            context.counters.dropped(DropReason::Broken);
            closed = end_of_input(link, context);
        }
        if let Some(close) = closed
            && !link.flags.contains(Flags::PARTING)
        {
            self.part(slot, &close);
        }
        self.rest(slot);
    }

    /// The last of [`settle`](Self::settle): what is left to wait for.
    pub(super) fn rest(&mut self, slot: usize) {
        let Self {
            entries, context, ..
        } = self;
        let Some(Entry {
            link, transport, ..
        }) = entries.get_mut(slot)
        else {
            return;
        };
        if link.flags.contains(Flags::PARTING) {
            let sent = link.outbox.is_none() && !link.flags.contains(Flags::BLOCKED);
            if link.flags.contains(Flags::BROKEN)
                || (sent && link.flags.contains(Flags::LEAVE_WHEN_SENT))
            {
                self.remove(slot);
                return;
            }
            if sent && !link.flags.contains(Flags::SHUT) {
                link.flags.insert(Flags::SHUT);
                transport.shutdown();
            }
            if link.flags.contains(Flags::READABLE) {
                link.mark_again(context);
            }
        } else if (link.flags.contains(Flags::READABLE) || link.has_held())
            && link.may_read(context)
        {
            link.mark_again(context);
        }
        link.account(context);
        link.schedule(context);
    }
}

/// Tells the handler what was left out, and writes what it has to say about that.
fn tell_left_out<H: Handler>(
    notes: LeftOutNotes,
    link: &mut Link,
    handler: &mut H,
    state: &mut H::State,
    context: &mut Context,
    transport: &mut dyn Transport,
) {
    for (topic, count) in notes.into_sorted() {
        let done = guard(|| {
            let mut connection = Connection::new(link, context, Some(transport));
            handler.on_left_out(&mut connection, state, &topic, count);
        });
        if done.is_none() {
            end_after_panic(link, context);
        }
    }
    link.write_out(context, transport);
}

/// Serves what was received before and had to wait.
fn serve_held<H: Handler, T: Transport>(
    entry: &mut Entry<H::State, T>,
    handler: &mut H,
    context: &mut Context,
) -> Option<Close> {
    if !entry.link.has_held() || !entry.link.may_read(context) {
        return None;
    }
    let mut held = entry.link.take_held()?;
    let rest = held.bytes.get_mut(held.at..).unwrap_or_default();
    match serve(entry, handler, context, rest, 0) {
        Served::All | Served::Cut(..) => None,
        Served::Paused(left) => {
            held.at = held.bytes.len() - left;
            entry.link.hold(held);
            None
        }
        Served::Closed(close) => Some(close),
    }
}

/// Reads and serves what was read. A message of which the rest can be read is completed where it lies; its length, if it is
/// a long one, is how much is read the next time.
fn read_and_serve<H: Handler, T: Transport>(
    entry: &mut Entry<H::State, T>,
    handler: &mut H,
    context: &mut Context,
    buffer: &mut [u8],
    turn: &mut Turn,
) -> Option<Close> {
    let mut unserved = 0..0;
    let mut until = turn.read_bytes;
    loop {
        let room = buffer.get_mut(unserved.end..until).unwrap_or_default();
        let read = read(entry, context, room);
        unserved.end += read.bytes;
        turn.left_bytes = turn.left_bytes.saturating_sub(read.bytes.max(1));
        if entry.link.flags.contains(Flags::DEAF) && !read.is_end {
            return None;
        }
        let cut_bytes_max = if unserved.end == until {
            buffer.len()
        } else {
            0
        };
        let input = buffer.get_mut(unserved.clone()).unwrap_or_default();
        match serve(entry, handler, context, input, cut_bytes_max) {
            Served::All => {}
            Served::Paused(left) => {
                let rest = buffer.get(unserved.end - left..unserved.end);
                let bytes = rest.unwrap_or_default().to_vec();
                entry.link.hold(Held { bytes, at: 0 });
            }
            Served::Closed(close) => return Some(close),
            Served::Cut(left, whole) => {
                unserved.start = unserved.end - left;
                if unserved.start + whole > buffer.len() {
                    buffer.copy_within(unserved.clone(), 0);
                    unserved = 0..left;
                }
                until = unserved.start + whole;
                // Shorter reads would cost more calls of the system than they spare.
                turn.read_bytes = whole.max(buffer.len() / 8);
                continue;
            }
        }
        if read.is_end {
            return end_of_input(&mut entry.link, context);
        }
        return None;
    }
}

/// What a read came to.
struct Read {
    bytes: usize,
    /// Nothing more will come.
    is_end: bool,
}

/// Reads once.
fn read<S, T: Transport>(entry: &mut Entry<S, T>, context: &mut Context, room: &mut [u8]) -> Read {
    let link = &mut entry.link;
    let mut bytes = 0;
    match entry.transport.read(room) {
        Ok(0) => {
            link.flags.remove(Flags::READABLE);
            return Read {
                bytes: 0,
                is_end: true,
            };
        }
        Ok(count) => {
            // A short read took all there was; the next byte is announced. Not so the end.
            if count < room.len() && !link.flags.contains(Flags::READ_CLOSED) {
                link.flags.remove(Flags::READABLE);
            }
            context.tally.bytes_in += count as u64;
            link.rate.bytes(count, &context.limits, context.now);
            bytes = count;
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            link.flags.remove(Flags::READABLE);
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(_) => link.flags.insert(Flags::BROKEN),
    }
    Read {
        bytes,
        is_end: false,
    }
}

/// Hands what is in `input` to the handler, message by message; but for the beginning of one at its end that can be read
/// to be one of at most `cut_bytes_max`.
fn serve<H: Handler, T: Transport>(
    entry: &mut Entry<H::State, T>,
    handler: &mut H,
    context: &mut Context,
    input: &mut [u8],
    cut_bytes_max: usize,
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
    loop {
        let before = rest.len();
        // One guard for all the messages: behind one whose handler panicked the others are served.
        let served = guard(|| {
            serve_each(
                link,
                transport,
                state,
                handler,
                context,
                &mut rest,
                cut_bytes_max,
            )
        });
        if let Some(served) = served {
            return served;
        }
        end_after_panic(link, context);
        if rest.len() == before {
            return Served::All;
        }
    }
}

fn serve_each<H: Handler, T: Transport>(
    link: &mut Link,
    transport: &mut T,
    state: &mut H::State,
    handler: &mut H,
    context: &mut Context,
    rest: &mut &mut [u8],
    cut_bytes_max: usize,
) -> Served {
    link.watch_pongs();
    loop {
        if cut_bytes_max > 0
            && let Some(whole) = link.protocol.whole_message_bytes(rest)
            && whole <= cut_bytes_max
        {
            return Served::Cut(rest.len(), whole);
        }
        let Context {
            deflate, out, now, ..
        } = context;
        let Some(event) = link.protocol.receive_with(deflate, rest, *now, out) else {
            return Served::All;
        };
        match event {
            Event::Message(incoming) => {
                context.tally.messages_in += 1;
                link.rate.message(&context.limits, context.now);
                let mut connection = Connection::new(link, context, Some(transport));
                handler.on_message(&mut connection, state, incoming.as_message());
            }
            Event::Ping(_) | Event::Pong(_) => {}
            Event::Closed(close) => return Served::Closed(close),
        }
        if context.out.len() >= context.limits.receive_buffer_bytes {
            link.write_out(context, transport);
        }
        link.watch_pongs();
        if !rest.is_empty() && !link.may_read(context) {
            return Served::Paused(rest.len());
        }
    }
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
    link.forget_held();
    if link.protocol.state() == State::Open {
        link.close(code, text, context);
        return None;
    }
    link.flags.insert(Flags::BROKEN);
    end_of_input(link, context)
}

/// The protocol's end when no more input will come.
fn end_of_input(link: &mut Link, context: &mut Context) -> Option<Close> {
    match link.protocol.receive_eof(context.now) {
        Some(Event::Closed(close)) => Some(close),
        _ => None,
    }
}
