//! The receiving side: input is taken apart in place.
//!
//! A frame that lies whole in the input is handled there, without a copy. Whatever does not ends
//! up in [`Unfinished`]: the bytes of a header that was cut, the frame whose payload is still
//! coming, the fragmented message whose frames are. It is freed as soon as nothing is unfinished.

use alloc::{boxed::Box, vec::Vec};
use core::mem;

use super::{Connection, State};
use crate::{
    Close, CloseCode, Control, DeflatePool, Event, Incoming, Initiator, PeerError, Time,
    frame::{
        Opcode,
        header::{self, HEADER_BYTES_MAX, Header, Rules},
        mask,
    },
    message::assembly::{self, Assembly, Finished},
};

/// What has begun and not ended.
pub(super) struct Unfinished {
    /// When its first byte came.
    since: Time,
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// The frame whose header is complete and whose payload is not: cut down to what is still to
    /// come, the masking key turned to where it goes on.
    frame: Option<Header>,
    /// The payload so far of that frame, if it is a control frame: at most 125 bytes.
    control: Vec<u8>,
    /// The message that it, or the frames before it, belong to.
    message: Option<Assembly>,
}

impl Unfinished {
    fn new(since: Time) -> Box<Self> {
        Box::new(Self {
            since,
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            frame: None,
            control: Vec::new(),
            message: None,
        })
    }

    pub(super) fn since(&self) -> Time {
        self.since
    }

    pub(super) fn discard_message(&mut self) {
        if let Some(message) = &mut self.message {
            message.discard();
        }
    }

    fn is_empty(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Adds a byte of a header that was cut; all of it so far.
    fn push_header(&mut self, byte: u8) -> &[u8] {
        let len = usize::from(self.header_len);
        if let Some(slot) = self.header.get_mut(len) {
            *slot = byte;
            self.header_len = self.header_len.saturating_add(1);
        }
        self.header
            .get(..usize::from(self.header_len))
            .unwrap_or_default()
    }
}

/// Cuts the first `len` bytes off `input`.
fn take_front<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let whole = mem::take(input);
    let (front, rest) = whole.split_at_mut(len.min(whole.len()));
    *input = rest;
    front
}

impl Connection {
    /// Takes the next event out of `input` and cuts what it used off its front; `None`: all of it
    /// was used. Replies that the protocol owes (Pong, Close) are appended to `out`; a caller whose
    /// output is backed up says so with [`hold_pongs`](Self::hold_pongs).
    ///
    /// A message that lies in one whole frame of `input` is unmasked there and borrowed from it;
    /// one that comes in pieces is put together and handed out owned. Behind
    /// [`Event::Closed`] all input is discarded.
    ///
    /// On a connection with permessage-deflate use [`receive_with`](Self::receive_with): this one
    /// makes a pool of its own for each compressed message.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        now: Time,
        out: &mut Vec<u8>,
    ) -> Option<Event<'a>> {
        self.receive_events(input, now, out, None)
    }

    /// The frequent way is inlined where it is called, down to the unmasking, so that an event of it is never put together in
    /// memory and taken apart again; [`receive_frames`](Self::receive_frames) is the other one.
    #[inline(always)]
    pub(super) fn receive_events<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        now: Time,
        out: &mut Vec<u8>,
        pool: Option<&mut DeflatePool>,
    ) -> Option<Event<'a>> {
        if !input.is_empty() {
            // Any byte is a sign of life.
            self.pong_due = Time::NEVER;
        }
        match self.whole_message(input) {
            Some(Ok(message)) => Some(Event::Message(message)),
            Some(Err(error)) => Some(self.fail(error, out)),
            None => self.receive_frames(input, now, out, pool),
        }
    }

    /// Takes frames until one of them is an event.
    #[inline(never)]
    fn receive_frames<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        now: Time,
        out: &mut Vec<u8>,
        mut pool: Option<&mut DeflatePool>,
    ) -> Option<Event<'a>> {
        while !input.is_empty() && self.state != State::Closed {
            match self.receive_frame(input, now, out, pool.as_deref_mut()) {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(error) => return Some(self.fail(error, out)),
            }
        }
        *input = &mut [];
        None
    }

    /// Takes a message that lies whole at the front of `input`, which is how nearly all come. `None`:
    /// it is something else, or more than a limit allows, which is for
    /// [`receive_frame`](Self::receive_frame) to say.
    #[inline(always)]
    fn whole_message<'a>(
        &self,
        input: &mut &'a mut [u8],
    ) -> Option<Result<Incoming<'a>, PeerError>> {
        if self.unfinished.is_some() || self.state != State::Open {
            return None;
        }
        let frame = header::decode_plain(input, !self.is_client)?;
        let limits = &self.config.limits;
        let end = frame.header_len.saturating_add(frame.payload_len);
        if end > input.len()
            || frame.payload_len > limits.message_bytes_max
            || limits.frames_per_message_max == 0
        {
            return None;
        }
        let payload = take_front(input, end).get_mut(frame.header_len..)?;
        if let Some(key) = frame.masking_key {
            mask::apply(payload, key);
        }
        Some(assembly::whole(frame.kind, payload))
    }

    /// How many bytes the message takes, its header with it, that is the beginning of `input` and of which `input` has not
    /// all. A caller that reads the rest behind it before it calls [`receive`](Self::receive) is lent the message from there,
    /// where it would otherwise be put together from pieces. `None`: that would spare nothing.
    pub fn whole_message_bytes(&self, input: &[u8]) -> Option<usize> {
        if self.unfinished.is_some() || self.state != State::Open {
            return None;
        }
        let rules = Rules {
            masked: !self.is_client,
            message_open: false,
            deflate: false,
        };
        let (header, header_len) = header::decode(input, rules).ok()??;
        let payload_len = usize::try_from(header.payload_len).ok()?;
        let bytes = header_len.saturating_add(payload_len);
        let alone = header.fin && header.opcode.kind().is_some();
        let allowed = payload_len <= self.config.limits.message_bytes_max;
        (alone && allowed && bytes > input.len()).then_some(bytes)
    }

    /// Takes one frame, or what there is of it.
    fn receive_frame<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        now: Time,
        out: &mut Vec<u8>,
        pool: Option<&mut DeflatePool>,
    ) -> Result<Option<Event<'a>>, PeerError> {
        if let Some(frame) = self
            .unfinished
            .as_ref()
            .and_then(|unfinished| unfinished.frame)
        {
            return self.receive_payload(frame, input, now, out, pool);
        }
        let Some(frame) = self.receive_header(input, now)? else {
            return Ok(None);
        };
        self.check_frame(&frame, now)?;
        let alone = frame.opcode.is_control() || (frame.fin && frame.opcode.kind().is_some());
        match usize::try_from(frame.payload_len) {
            Ok(len) if alone && len <= input.len() => {
                let payload = take_front(input, len);
                if let Some(key) = frame.masking_key {
                    mask::apply(payload, key);
                }
                self.free_unfinished();
                self.whole_frame(&frame, payload, out, pool)
            }
            _ => {
                self.begin_payload(&frame, now);
                self.receive_payload(frame, input, now, out, pool)
            }
        }
    }

    /// Takes a header, or what there is of it.
    fn receive_header(
        &mut self,
        input: &mut &mut [u8],
        now: Time,
    ) -> Result<Option<Header>, PeerError> {
        let rules = Rules {
            masked: !self.is_client,
            message_open: self
                .unfinished
                .as_ref()
                .is_some_and(|it| it.message.is_some()),
            deflate: self.deflate.is_some(),
        };
        if self
            .unfinished
            .as_ref()
            .is_none_or(|unfinished| unfinished.header_len == 0)
            && let Some((header, used)) = header::decode(input, rules)?
        {
            take_front(input, used);
            return Ok(Some(header));
        }
        let unfinished = self.unfinished.get_or_insert_with(|| Unfinished::new(now));
        while !input.is_empty() {
            for byte in take_front(input, 1) {
                if let Some((header, _)) = header::decode(unfinished.push_header(*byte), rules)? {
                    unfinished.header_len = 0;
                    return Ok(Some(header));
                }
            }
        }
        Ok(None)
    }

    /// Checks a header against the limits, before anything is kept of its payload.
    fn check_frame(&mut self, header: &Header, now: Time) -> Result<(), PeerError> {
        let limits = &self.config.limits;
        match header.opcode {
            Opcode::Close => Ok(()),
            Opcode::Pong if self.pings_unanswered > 0 => {
                self.pings_unanswered = self.pings_unanswered.saturating_sub(1);
                Ok(())
            }
            Opcode::Ping | Opcode::Pong if self.allowance.take(now, limits) => Ok(()),
            Opcode::Ping | Opcode::Pong => Err(PeerError::TooManyControlFrames),
            Opcode::Continuation => {
                match self
                    .unfinished
                    .as_mut()
                    .and_then(|unfinished| unfinished.message.as_mut())
                {
                    Some(message) => message.begin_frame(header, limits),
                    None => Err(PeerError::ContinuationWithoutStart),
                }
            }
            Opcode::Text | Opcode::Binary if self.state == State::Open => {
                assembly::check_first_frame(header, limits)
            }
            Opcode::Text | Opcode::Binary => Ok(()),
        }
    }

    /// Prepares for a payload that comes in pieces, or that is one piece of several.
    fn begin_payload(&mut self, frame: &Header, now: Time) {
        let open = self.state == State::Open;
        let unfinished = self.unfinished.get_or_insert_with(|| Unfinished::new(now));
        if let Some(kind) = frame.opcode.kind() {
            let message = if open {
                Assembly::new(kind, frame)
            } else {
                Assembly::dropped()
            };
            unfinished.message = Some(message);
        }
    }

    /// Takes what there is of the payload of a frame that is not handled where it lies.
    fn receive_payload<'a>(
        &mut self,
        mut frame: Header,
        input: &mut &'a mut [u8],
        now: Time,
        out: &mut Vec<u8>,
        pool: Option<&mut DeflatePool>,
    ) -> Result<Option<Event<'a>>, PeerError> {
        let limits = &self.config.limits;
        let unfinished = self.unfinished.get_or_insert_with(|| Unfinished::new(now));
        let len = usize::try_from(frame.payload_len).unwrap_or(usize::MAX);
        let piece = take_front(input, len);
        if let Some(key) = frame.masking_key {
            mask::apply(piece, key);
            frame.masking_key = Some(mask::advance(key, piece.len()));
        }
        if frame.opcode.is_control() {
            unfinished.control.extend_from_slice(piece);
        } else if let Some(message) = &mut unfinished.message {
            // Where the frame is the message's last, its end is known: no need to go beyond.
            let bytes_max = if frame.fin {
                message.len().saturating_add(len)
            } else {
                message.bytes_max(limits)
            };
            message.append(piece, bytes_max)?;
        }
        let taken = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        frame.payload_len = frame.payload_len.saturating_sub(taken);
        unfinished.frame = (frame.payload_len > 0).then_some(frame);
        if unfinished.frame.is_some() {
            return Ok(None);
        }
        if frame.opcode.is_control() {
            let payload = mem::take(&mut unfinished.control);
            self.free_unfinished();
            return self.control_frame(frame.opcode, &payload, out);
        }
        if !frame.fin {
            return Ok(None);
        }
        let message = unfinished.message.take();
        self.free_unfinished();
        let Some(message) = message else {
            return Ok(None);
        };
        match message.finish()? {
            Finished::Message(message) => Ok(Some(Event::Message(message))),
            Finished::Compressed(kind, payload) => self.inflate(kind, &payload, pool).map(Some),
            Finished::Dropped => Ok(None),
        }
    }

    /// A frame that is not one of several, unmasked where it lies.
    fn whole_frame<'a>(
        &mut self,
        frame: &Header,
        payload: &'a [u8],
        out: &mut Vec<u8>,
        pool: Option<&mut DeflatePool>,
    ) -> Result<Option<Event<'a>>, PeerError> {
        let Some(kind) = frame.opcode.kind() else {
            return self.control_frame(frame.opcode, payload, out);
        };
        if self.state != State::Open {
            return Ok(None);
        }
        if frame.compressed {
            return self.inflate(kind, payload, pool).map(Some);
        }
        Ok(Some(Event::Message(assembly::whole(kind, payload)?)))
    }

    fn control_frame(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'static>>, PeerError> {
        match opcode {
            Opcode::Close => return self.close_frame(payload, out).map(Some),
            // Nothing is sent behind our Close frame (RFC 6455 §1.4).
            _ if self.state != State::Open => {}
            Opcode::Ping => {
                let payload = Control::new(payload);
                self.answer_ping(payload, out);
                return Ok(Some(Event::Ping(payload)));
            }
            Opcode::Pong => return Ok(Some(Event::Pong(Control::new(payload)))),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        Ok(None)
    }

    /// The peer's Close frame (RFC 6455 §5.5.1): answered with its own code, if ours is not out.
    fn close_frame(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Event<'static>, PeerError> {
        let (code, reason) = match payload {
            [] => (CloseCode::NO_STATUS, ""),
            [_] => return Err(PeerError::CloseOneByte),
            [high, low, reason @ ..] => {
                let code = CloseCode::new(u16::from_be_bytes([*high, *low]));
                if !code.is_receivable() {
                    return Err(PeerError::CloseCodeNotAllowed(code));
                }
                let reason =
                    core::str::from_utf8(reason).map_err(|_| PeerError::CloseReasonNotUtf8)?;
                (code, reason)
            }
        };
        let initiator = match self.state {
            State::Open => {
                let echo = payload.get(..2).unwrap_or_default();
                self.write_frame(true, Opcode::Close, echo, out);
                Initiator::Peer
            }
            State::Closing | State::Closed => Initiator::Local,
        };
        let reason = reason.into();
        Ok(self.end(Close {
            code,
            reason,
            initiator,
            clean: true,
            error: None,
        }))
    }

    fn free_unfinished(&mut self) {
        if self
            .unfinished
            .as_ref()
            .is_some_and(|unfinished| unfinished.is_empty())
        {
            self.unfinished = None;
        }
    }
}
