//! Serving a connection: reading, handing messages to the handler, writing, and finding out
//! whether it is over.

use std::io::ErrorKind;

use rupor_proto::{Close, CloseCode, Event, State};

use super::super::context::Context;
use super::super::delivery::LeftOutNotes;
use super::super::link::{CLOSE_SLOW, Link};
use super::super::rare::Held;
use super::super::transport::Transport;
use super::{Core, Entry, end_after_panic, guard};
use crate::handler::{Connection, Handler};
use crate::stats::DropReason;

/// How far a piece of input was served.
enum Served {
    All,
    /// So many bytes may not be served yet.
    Paused(usize),
    Closed(Close),
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
        if entry.link.flags.parting {
            self.linger(slot);
            return;
        }
        let mut closed = serve_held(entry, handler, context);
        for _ in 0..context.limits.reads_per_turn_max.max(1) {
            if closed.is_some()
                || !entry.link.flags.readable
                || entry.link.has_held()
                || !entry.link.may_read(context)
            {
                break;
            }
            closed = read_once(entry, handler, context, buffer);
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
        } else if (link.flags.readable || link.has_held()) && link.may_read(context) {
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
    match serve(entry, handler, context, rest) {
        Served::All => None,
        Served::Paused(left) => {
            held.at = held.bytes.len() - left;
            entry.link.hold(held);
            None
        }
        Served::Closed(close) => Some(close),
    }
}

/// Reads once and serves it.
fn read_once<H: Handler, T: Transport>(
    entry: &mut Entry<H::State, T>,
    handler: &mut H,
    context: &mut Context,
    buffer: &mut [u8],
) -> Option<Close> {
    match entry.transport.read(buffer) {
        Ok(0) => {
            entry.link.flags.readable = false;
            return end_of_input(&mut entry.link, context);
        }
        Ok(count) => {
            // A short read took all there was; the next byte is announced. Not so the end.
            if count < buffer.len() && !entry.link.flags.read_closed {
                entry.link.flags.readable = false;
            }
            context.tally.bytes_in += count as u64;
            entry.link.rate.bytes(count, &context.limits, context.now);
            if entry.link.flags.deaf {
                return None;
            }
            let input = buffer.get_mut(..count).unwrap_or_default();
            match serve(entry, handler, context, input) {
                Served::All => {}
                Served::Paused(left) => {
                    let rest = buffer.get(count - left..count).unwrap_or_default();
                    let bytes = rest.to_vec();
                    entry.link.hold(Held { bytes, at: 0 });
                }
                Served::Closed(close) => return Some(close),
            }
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            entry.link.flags.readable = false;
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(_) => entry.link.flags.broken = true,
    }
    None
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
    loop {
        let before = rest.len();
        // One guard for all the messages: behind one whose handler panicked the others are served.
        let served = guard(|| serve_each(link, transport, state, handler, context, &mut rest));
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
) -> Served {
    link.watch_pongs();
    while let Some(event) =
        link.protocol
            .receive_with(&mut context.deflate, rest, context.now, &mut context.out)
    {
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
    link.forget_held();
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
