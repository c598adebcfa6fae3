//! One connection as its worker keeps it, but for the transport and the handler's state: the
//! protocol, what is unsent, deadlines.
//!
//! Invariant: a connection's messages leave in the order: its outbox, then [`Context::out`]; Pings and
//! Pongs may overtake them.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;

use rupor_proto::{
    Close, CloseCode, Connection, DeflateAgreement, Event, Frame, Message, Outgoing, State, Time,
};

use super::context::Context;
use super::flags::Flags;
use super::outbox::Outbox;
use super::rare::Rare;
use super::rate::Rate;
use super::remote::Remote;
use super::timers::Scheduled;
use super::transport::Transport;
use crate::error::SendError;
use crate::id::ConnectionId;
use crate::opening::Permit;
use crate::stats::{DropReason, add};

/// The close code for a peer that reads too slowly: connect again, later.
pub const CLOSE_SLOW: CloseCode = CloseCode::new(3008);

/// A frame of at least this many bytes is queued by reference also where it could be copied.
const BY_REFERENCE_BYTES: usize = 16 * 1024;

/// A message of at least this many bytes is written from where it lies: a call of the system costs
/// less than copying it behind others.
const WRITTEN_ALONE_BYTES: usize = 64 * 1024;

/// A time that never comes.
pub(crate) const NEVER: Time = Time::from_millis(u64::MAX);

/// One connection.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) protocol: Connection,
    pub(crate) outbox: Option<Box<Outbox>>,
    pub(super) rare: Option<Box<Rare>>,
    pub(crate) rate: Rate,
    /// When the handler wants `on_timer`; of one that is parting, until when it lingers.
    pub(crate) timer: Time,
    /// The tick at which it stands among the timers.
    pub(crate) scheduled: Scheduled,
    pub(super) remote: Remote,
    pub(super) subprotocol: Option<NonZeroU8>,
    pub(crate) doom: Option<DropReason>,
    pub(crate) flags: Flags,
    /// Its place in the limits per address; given back when the connection is gone.
    _permit: Option<Permit>,
}

/// What an adopted connection comes with.
pub(crate) struct Arrival {
    pub(crate) remote: SocketAddr,
    pub(crate) subprotocol: Option<Box<str>>,
    pub(crate) deflate: Option<DeflateAgreement>,
    pub(crate) permit: Option<Permit>,
}

impl Link {
    pub(crate) fn new(id: ConnectionId, arrival: Arrival, context: &mut Context) -> Self {
        // The jitter only has to differ between connections: a multiplicative hash does.
        let seed = id.as_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut protocol = Connection::server(Arc::clone(&context.config), context.now, seed);
        let mut flags = Flags::empty();
        if let Some(agreement) = &arrival.deflate {
            flags.insert(Flags::DEFLATE);
            protocol = protocol.with_deflate(agreement);
            add(&context.counters.deflate_opened, 1);
        }
        let (remote, scope_id) = Remote::new(arrival.remote);
        let mut link = Self {
            id,
            protocol,
            outbox: None,
            rare: None,
            rate: Rate::default(),
            timer: NEVER,
            scheduled: Scheduled::NEVER,
            remote,
            subprotocol: None,
            doom: None,
            flags,
            _permit: arrival.permit,
        };
        if scope_id != 0 {
            link.rare_mut().scope_id = scope_id;
        }
        if let Some(name) = arrival.subprotocol {
            link.set_subprotocol(name, context);
        }
        link
    }

    /// The slot, as the worker's lists keep it.
    pub(crate) fn slot(&self) -> u32 {
        // A slot has 24 bits.
        u32::try_from(self.id.slot()).unwrap_or(u32::MAX)
    }

    /// Bytes of its outbox.
    pub(crate) fn backlog(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }

    /// Bytes that the worker keeps for it.
    pub(crate) fn weight(&self) -> usize {
        self.backlog() + self.held_bytes()
    }

    /// Queues a message of the connection that is being served.
    pub(crate) fn send(
        &mut self,
        message: Message<'_>,
        compress: bool,
        context: &mut Context,
        mut transport: Option<&mut dyn Transport>,
    ) -> Result<(), SendError> {
        self.make_room(message.len(), context, transport.as_deref_mut())?;
        let plain = !compress || !self.flags.contains(Flags::DEFLATE);
        if message.len() >= WRITTEN_ALONE_BYTES
            && plain
            && self.can_write()
            && let Some(transport) = transport
        {
            return self.send_alone(message, context, transport);
        }
        let Context { out, deflate, .. } = context;
        if plain {
            self.protocol.send(message, out)
        } else {
            self.protocol.send_deflated(message, deflate, out)
        }
        .map_err(|_| SendError::Closing)?;
        context.tally.frames_out += 1;
        Ok(())
    }

    /// Writes a message from where it lies, behind what is in `out`; only what the system does not
    /// take is copied.
    fn send_alone(
        &mut self,
        message: Message<'_>,
        context: &mut Context,
        transport: &mut dyn Transport,
    ) -> Result<(), SendError> {
        self.protocol
            .send_header(message, &mut context.out)
            .map_err(|_| SendError::Closing)?;
        context.tally.frames_out += 1;
        self.write_now(message.as_bytes(), context, transport);
        Ok(())
    }

    /// Queues an encoded message of the connection that is being served.
    pub(crate) fn send_frame(
        &mut self,
        frame: &Frame,
        context: &mut Context,
        transport: Option<&mut dyn Transport>,
    ) -> Result<(), SendError> {
        self.make_room(frame.as_bytes().len(), context, transport)?;
        let outgoing = self.share(frame, context)?;
        if outgoing.as_bytes().len() >= BY_REFERENCE_BYTES {
            self.queue_out(context);
            let now = context.now;
            self.outbox_mut(context).push_frame(outgoing, None, now);
            self.mark_dirty(context);
        } else {
            context.out.extend_from_slice(outgoing.as_bytes());
        }
        context.tally.frames_out += 1;
        Ok(())
    }

    /// What goes on the wire for a frame. It must be queued next: it may be compressed behind all
    /// that was queued before. So whether there is room is asked earlier, about the frame as it is.
    pub(super) fn share(
        &mut self,
        frame: &Frame,
        context: &mut Context,
    ) -> Result<Outgoing, SendError> {
        self.protocol
            .share(frame, &mut context.deflate)
            .map_err(|_| SendError::Closing)
    }

    /// Whether `more` bytes may be queued. What fills up is written first, so only a peer that does
    /// not read runs into the limit.
    fn make_room(
        &mut self,
        more: usize,
        context: &mut Context,
        transport: Option<&mut dyn Transport>,
    ) -> Result<(), SendError> {
        if self.doom.is_some() {
            return Err(SendError::Slow);
        }
        if self.flags.contains(Flags::PARTING) || !self.protocol.is_sendable() {
            return Err(SendError::Closing);
        }
        if context.out.len() + more > context.limits.receive_buffer_bytes
            && let Some(transport) = transport
        {
            self.write_out(context, transport);
        }
        let queued = self.backlog() + context.out.len();
        if queued > 0 && queued + more > context.limits.backlog_bytes_max {
            self.doom = Some(DropReason::BacklogBytes);
            return Err(SendError::Slow);
        }
        Ok(())
    }

    /// Begins the closing handshake: a code that may not be sent becomes 1000, a reason is cut.
    pub(crate) fn close(&mut self, code: CloseCode, reason: &str, context: &mut Context) {
        let code = if code.is_sendable() {
            code
        } else {
            CloseCode::NORMAL
        };
        let reason = cut(reason, Connection::CLOSE_REASON_BYTES_MAX);
        // The one error left is that it is closing already.
        let _ = self
            .protocol
            .close(code, reason, context.now, &mut context.out);
    }

    pub(crate) fn mark_dirty(&mut self, context: &mut Context) {
        if !self.flags.contains(Flags::DIRTY) {
            self.flags.insert(Flags::DIRTY);
            context.dirty.push(self.slot());
        }
    }

    pub(crate) fn mark_again(&mut self, context: &mut Context) {
        if !self.flags.contains(Flags::AGAIN) {
            self.flags.insert(Flags::AGAIN);
            context.again.push(self.slot());
        }
    }

    pub(super) fn outbox_mut(&mut self, context: &mut Context) -> &mut Outbox {
        self.outbox.get_or_insert_with(|| context.outbox())
    }

    /// Gives an empty outbox back.
    fn return_outbox(&mut self, context: &mut Context) {
        if let Some(outbox) = self.outbox.take() {
            context.take_back(outbox);
        }
    }

    /// Moves what is in `out` behind what is in the outbox.
    pub(crate) fn queue_out(&mut self, context: &mut Context) {
        if !context.out.is_empty() {
            let out = std::mem::take(&mut context.out);
            let now = context.now;
            self.outbox_mut(context).push_bytes(&out, now);
            context.out = out;
            context.out.clear();
        }
    }

    /// Writes what is queued for the connection that is being served: `out` straight from where it
    /// lies, if nothing is before it.
    pub(crate) fn write_out(&mut self, context: &mut Context, transport: &mut dyn Transport) {
        if self.can_write() {
            self.write_now(&[], context, transport);
        }
        self.queue_out(context);
        if context.out.capacity() > 4 * context.limits.receive_buffer_bytes {
            context.out.shrink_to(context.limits.receive_buffer_bytes);
        }
        self.flush_below(transport);
        self.take_pong(context);
        if self.outbox.is_some() && !self.flags.contains(Flags::BLOCKED) {
            self.flush(context, transport);
        }
    }

    /// Writes what is in `out` and then `body`, and queues what the transport does not take.
    fn write_now(&mut self, body: &[u8], context: &mut Context, transport: &mut dyn Transport) {
        let head = context.out.len();
        let written = self.write_from(&context.out, body, transport);
        context.tally.bytes_out += written as u64;
        let unsent = body.get(written.saturating_sub(head)..);
        let unsent = unsent.unwrap_or_default();
        context.out.drain(..written.min(head));
        if !unsent.is_empty() && context.out.is_empty() {
            let now = context.now;
            self.outbox_mut(context).push_bytes(unsent, now);
        } else {
            // Its header waits too: nothing may come between them.
            context.out.extend_from_slice(unsent);
            self.queue_out(context);
        }
        if written > 0
            && let Some(outbox) = &mut self.outbox
        {
            outbox.set_cut();
        }
    }

    /// Whether nothing is before what would be written now.
    fn can_write(&self) -> bool {
        self.outbox.is_none()
            && !self.flags.contains(Flags::BLOCKED)
            && !self.flags.contains(Flags::BROKEN)
    }

    /// Writes `head` and then `body`, until the transport takes no more or fails; how many bytes it
    /// took.
    fn write_from(&mut self, head: &[u8], body: &[u8], transport: &mut dyn Transport) -> usize {
        let mut written = 0;
        while written < head.len() + body.len() {
            let from_head = head.get(written..).unwrap_or_default();
            let from_body = body.get(written.saturating_sub(head.len())..);
            let from_body = from_body.unwrap_or_default();
            let result = match (from_head, from_body) {
                (only, []) | ([], only) => transport.write(only),
                (one, other) => transport.write_vectored(&[IoSlice::new(one), IoSlice::new(other)]),
            };
            match result {
                Ok(count) if count > 0 => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.flags.insert(Flags::BLOCKED);
                    break;
                }
                Ok(_) | Err(_) => {
                    self.flags.insert(Flags::BROKEN);
                    break;
                }
            }
        }
        written
    }

    /// Whether frames that were gathered for many may be written to it as they are: nothing is
    /// before them, and nothing but their bytes has to be known of them.
    pub(crate) fn takes_runs(&self) -> bool {
        self.can_write()
            && !self.flags.contains(Flags::DEFLATE)
            && !self.flags.contains(Flags::PARTING)
            && self.doom.is_none()
            && self.protocol.is_sendable()
    }

    /// Writes a run of frames; how many bytes of it were taken. It is settled at the end of the turn
    /// if those were not all.
    pub(crate) fn write_run(
        &mut self,
        run: &[u8],
        context: &mut Context,
        transport: &mut dyn Transport,
    ) -> usize {
        let written = self.write_from(run, &[], transport);
        context.tally.bytes_out += written as u64;
        self.flush_below(transport);
        if written < run.len()
            || self.flags.contains(Flags::BLOCKED)
            || self.flags.contains(Flags::BROKEN)
        {
            self.mark_dirty(context);
        }
        written
    }

    /// Queues the rest of a frame whose first bytes were written.
    pub(crate) fn queue_begun(&mut self, frame: &Frame, written: usize, context: &mut Context) {
        let now = context.now;
        let outgoing = Outgoing::from(frame);
        self.outbox_mut(context).push_begun(outgoing, written, now);
        context.tally.frames_out += 1;
    }

    /// Writes the outbox.
    pub(crate) fn flush(&mut self, context: &mut Context, transport: &mut dyn Transport) {
        if self.flags.contains(Flags::BROKEN) {
            return;
        }
        self.take_pong(context);
        if let Some(outbox) = &mut self.outbox {
            match outbox.write_to(transport, context.now) {
                Ok(written) => {
                    context.tally.bytes_out += written.bytes as u64;
                    self.flags.set(Flags::BLOCKED, written.blocked);
                }
                Err(_) => self.flags.insert(Flags::BROKEN),
            }
            if outbox.is_empty() {
                self.return_outbox(context);
            }
        }
        self.flush_below(transport);
    }

    /// Takes a Pong that the protocol held to where it can leave next.
    fn take_pong(&mut self, context: &Context) {
        let Self {
            outbox, protocol, ..
        } = self;
        if let Some(outbox) = outbox {
            outbox.take_pong(context.now, |control| protocol.release_pong(control));
        }
    }

    /// Before the protocol is given input: whether a Pong could leave now. If not, only the newest
    /// Ping will be answered, maybe before an older one whose Pong is among the messages already.
    pub(crate) fn watch_pongs(&mut self) {
        if self.flags.contains(Flags::BLOCKED) && self.outbox.is_some() {
            self.protocol.hold_pongs();
        }
    }

    /// Has the protocol do what is due. A Ping of ours does not wait behind messages.
    pub(crate) fn handle_timeout(&mut self, context: &mut Context) -> Option<Close> {
        let start = context.out.len();
        let event = self.protocol.handle_timeout(context.now, &mut context.out);
        if let Some(Event::Closed(close)) = event {
            return Some(close);
        }
        if let Some(outbox) = &mut self.outbox {
            let ping = context.out.get(start..).unwrap_or_default();
            // Where there is no room, earlier ones wait there still.
            outbox.push_control(ping, context.now);
            context.out.truncate(start);
        }
        None
    }

    /// What TLS still holds.
    fn flush_below(&mut self, transport: &mut dyn Transport) {
        if self.flags.contains(Flags::BROKEN) {
            return;
        }
        match transport.flush() {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.flags.insert(Flags::BLOCKED)
            }
            Err(_) => self.flags.insert(Flags::BROKEN),
        }
    }

    /// Throws away what was received and not served. It is being closed: what else comes counts for nothing.
    pub(crate) fn forget_held(&mut self) {
        if self.take_held().is_some() {
            self.flags.insert(Flags::DEAF);
        }
    }

    /// Whether it may be served more input now.
    pub(crate) fn may_read(&self, context: &Context) -> bool {
        !self.flags.contains(Flags::BROKEN)
            && self.doom.is_none()
            && self.backlog() <= context.limits.backlog_pause_bytes
            && !self.rate.is_over(&context.limits, context.now)
    }

    /// Keeps watch over how long it has been over its rate.
    pub(crate) fn watch_rate(&mut self, context: &Context) {
        let (limits, now) = (&context.limits, context.now);
        if self.rate.is_over(limits, now) {
            if self.over_since() == NEVER {
                self.set_over_since(now);
            }
            let patience = u64::from(limits.rate_timeout_ms);
            if patience > 0
                && now.saturating_since(self.over_since()) >= patience
                && self.protocol.state() == State::Open
            {
                self.doom.get_or_insert(DropReason::Rate);
            }
        } else if !self.flags.contains(Flags::READABLE) && !self.has_held() {
            self.set_over_since(NEVER);
        }
    }

    /// The earliest time at which something about it is due.
    pub(crate) fn next_deadline(&self, context: &Context) -> Time {
        if self.flags.contains(Flags::PARTING) {
            return self.timer;
        }
        let limits = &context.limits;
        let mut at = self
            .protocol
            .poll_timeout()
            .unwrap_or(NEVER)
            .min(self.timer);
        if let Some(outbox) = &self.outbox
            && self.protocol.state() == State::Open
        {
            let stall = u64::from(limits.backlog_stall_ms);
            at = at.min(outbox.progress().saturating_add_ms(stall));
        }
        if self.over_since() != NEVER
            && let Some(resume) = self.rate.over_until(limits, context.now)
        {
            at = at.min(resume);
        }
        at
    }

    /// Puts it among the timers for its earliest deadline.
    pub(crate) fn schedule(&mut self, context: &mut Context) {
        let at = self.next_deadline(context);
        let slot = self.slot();
        context.timers.schedule(slot, at, &mut self.scheduled);
    }

    /// Brings the worker's backlog up to what this connection holds now.
    pub(crate) fn account(&mut self, context: &mut Context) {
        if self.outbox.is_some() {
            // Its pong comes only behind what waits for it. Whether it takes something of that is
            // for `backlog_stall_ms` to see.
            let patience = u64::from(context.config.pong_timeout_ms);
            let until = context.now.saturating_add_ms(patience);
            self.protocol.excuse_silence(until);
        }
        let count = self.weight() as u64;
        let others = context.tally.backlog.saturating_sub(self.counted());
        context.tally.backlog = others.saturating_add(count);
        self.set_counted(count);
    }

    /// Gives back what it holds of the worker's, before it is dropped.
    pub(crate) fn release(&mut self, context: &mut Context) {
        context.tally.backlog = context.tally.backlog.saturating_sub(self.counted());
        self.set_counted(0);
        self.return_outbox(context);
        if self.flags.contains(Flags::DEFLATE) {
            add(&context.counters.deflate_gone, 1);
        }
    }
}

/// The longest beginning of `text` that has at most `bytes_max` bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_cut_between_characters() {
        assert_eq!(cut("short", 123), "short");
        let long = "я".repeat(100);
        assert_eq!(cut(&long, 123), "я".repeat(61));
        assert_eq!(cut("", 0), "");
    }
}
