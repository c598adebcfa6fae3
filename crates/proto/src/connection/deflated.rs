//! What a connection can do besides when permessage-deflate was agreed to (RFC 7692): receive and
//! send compressed messages, with a [`DeflatePool`] that it is lent.

use alloc::{boxed::Box, vec::Vec};

use super::Connection;
use crate::{
    ApiMisuse, DeflateAgreement, DeflatePool, Event, Frame, Kind, Message, Outgoing, PeerError,
    Time,
    deflate::{self, InflateError},
    frame::{Opcode, encode},
    message::assembly,
};

impl Connection {
    /// The same connection with what the handshake agreed to. To be called before anything is
    /// received or sent.
    #[must_use]
    pub fn with_deflate(mut self, agreement: &DeflateAgreement) -> Self {
        let server = !self.is_client;
        self.deflate = Some(Box::new(deflate::Context::new(agreement, server)));
        self
    }

    /// Whether permessage-deflate was agreed to, and the connection is not over.
    pub fn has_deflate(&self) -> bool {
        self.deflate.is_some()
    }

    /// Whether what is compressed for the peer builds on what was sent before ("context takeover"):
    /// then it must leave once it was compressed, and cannot be left out.
    pub fn sends_with_takeover(&self) -> bool {
        self.deflate.as_ref().is_some_and(|it| it.takes_over())
    }

    /// [`receive`](Self::receive) with a pool for compressed messages, which are handed out owned.
    ///
    /// A compressed message is inflated when it is complete: text is checked then, and
    /// [`message_bytes_max`](crate::Limits::message_bytes_max) holds for what comes out. On the
    /// wire it may be an eighth and 64 bytes longer.
    #[inline(always)]
    pub fn receive_with<'a>(
        &mut self,
        pool: &mut DeflatePool,
        input: &mut &'a mut [u8],
        now: Time,
        out: &mut Vec<u8>,
    ) -> Option<Event<'a>> {
        self.receive_events(input, now, out, Some(pool))
    }

    /// [`send`](Self::send), compressed if permessage-deflate was agreed to, the message is long
    /// enough ([`message_bytes_min`](crate::DeflateConfig::message_bytes_min)) and it becomes
    /// shorter, or, with context takeover, later ones may by it: up to 1 KiB it then goes compressed
    /// whatever it becomes. Not for messages that have a secret beside text that others choose; see
    /// [`DeflateConfig`](crate::DeflateConfig).
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::NotOpen`], [`ApiMisuse::FragmentUnfinished`].
    pub fn send_deflated(
        &mut self,
        message: Message<'_>,
        pool: &mut DeflatePool,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiMisuse> {
        self.check_message()?;
        let masking_key = self.masking_key();
        let compressed = match &mut self.deflate {
            Some(context) if context.wants(message.len()) => {
                context.compress(message.as_bytes(), pool)
            }
            _ => None,
        };
        let opcode = Opcode::from(message.kind());
        let start = out.len();
        match compressed {
            Some(payload) => {
                encode::compressed_frame(out, opcode, payload, masking_key);
                let wire_bytes = out.len().saturating_sub(start);
                pool.counts.sent.add(message.len(), wire_bytes);
            }
            None => encode::frame(out, true, opcode, message.as_bytes(), masking_key),
        }
        Ok(())
    }

    /// What to write of a message for many on this connection: compressed as
    /// [`send_deflated`](Self::send_deflated) does, but only once for all connections that compress
    /// alike and were sent the same before. A frame that was made
    /// [uncompressed](Frame::uncompressed) stays so. (Any may also be written as it is, whenever
    /// [`is_sendable`](Self::is_sendable) says so: it goes plain.)
    ///
    /// From here on the connection counts the message as sent: the bytes must be written, in the
    /// order of these calls and of all that is appended to `out`, or the connection be closed.
    /// (Unless they are [droppable](Outgoing::is_droppable).)
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::NotOpen`], [`ApiMisuse::FragmentUnfinished`], [`ApiMisuse::FrameUnmasked`] for
    /// a client's connection.
    pub fn share(&mut self, frame: &Frame, pool: &mut DeflatePool) -> Result<Outgoing, ApiMisuse> {
        self.check_message()?;
        if self.is_client {
            return Err(ApiMisuse::FrameUnmasked);
        }
        Ok(match &mut self.deflate {
            Some(context) => context.share(frame, pool),
            None => Outgoing::from(frame),
        })
    }

    /// Inflates a complete message.
    pub(super) fn inflate(
        &mut self,
        kind: Kind,
        payload: &[u8],
        pool: Option<&mut DeflatePool>,
    ) -> Result<Event<'static>, PeerError> {
        // The header of a compressed frame was refused where nothing was agreed to.
        let context = self.deflate.as_mut().ok_or(PeerError::ReservedBits)?;
        let mut own_pool = DeflatePool::new();
        let pool = pool.unwrap_or(&mut own_pool);
        let bytes_max = self.config.limits.message_bytes_max;
        let inflated = context
            .inflate(payload, bytes_max, pool)
            .map_err(|error| match error {
                InflateError::Invalid => PeerError::DeflateInvalid,
                InflateError::Distance => PeerError::DeflateDistance,
                InflateError::TooBig => PeerError::MessageTooBig,
            })?;
        assembly::inflated(kind, inflated).map(Event::Message)
    }
}
