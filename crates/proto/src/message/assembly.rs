//! A message while it arrives in pieces.
//!
//! Invariants: one contiguous buffer, that grows with what has arrived and never from what was
//! announced; text is checked before it is stored, so that the buffer is UTF-8 at all times and is
//! never checked again; limits are checked from the header of a frame, before its payload.

use alloc::{string::String, vec::Vec};

use super::{Incoming, Kind, Payload, utf8::Utf8};
use crate::{Limits, PeerError, frame::header::Header};

/// The first allocation of a buffer, unless the message is known to be shorter.
const BUFFER_BYTES_MIN: usize = 64;

/// An unfinished message.
pub(crate) struct Assembly {
    buffer: Buffer,
    frames: u32,
}

enum Buffer {
    Text(String, Utf8),
    Binary(Vec<u8>),
    /// Compressed (RFC 7692): inflated when it is complete.
    Compressed(Kind, Vec<u8>),
    /// Nobody wants it any more, but its end must still be found.
    Dropped,
}

impl Assembly {
    /// A message that begins with this frame, which has passed [`check_first_frame`].
    pub(crate) fn new(kind: Kind, first: &Header) -> Self {
        let buffer = match kind {
            _ if first.compressed => Buffer::Compressed(kind, Vec::new()),
            Kind::Text => Buffer::Text(String::new(), Utf8::default()),
            Kind::Binary => Buffer::Binary(Vec::new()),
        };
        Self {
            buffer,
            frames: weight(first),
        }
    }

    /// A message whose payload is not kept.
    pub(crate) fn dropped() -> Self {
        Self {
            buffer: Buffer::Dropped,
            frames: 0,
        }
    }

    /// Frees what has been kept and keeps no more.
    pub(crate) fn discard(&mut self) {
        self.buffer = Buffer::Dropped;
    }

    /// Counts a further frame against the limits, from its header alone.
    pub(crate) fn begin_frame(
        &mut self,
        header: &Header,
        limits: &Limits,
    ) -> Result<(), PeerError> {
        if !matches!(self.buffer, Buffer::Dropped) {
            self.frames = self.frames.saturating_add(weight(header));
            check_limits(
                self.len(),
                self.frames,
                header,
                self.bytes_max(limits),
                limits,
            )?;
        }
        Ok(())
    }

    /// Adds unmasked payload. `bytes_max`: no message that this can become is longer.
    pub(crate) fn append(&mut self, piece: &[u8], bytes_max: usize) -> Result<(), PeerError> {
        let needed = self.len().saturating_add(piece.len());
        match &mut self.buffer {
            Buffer::Text(text, utf8) => {
                let capacity = grown(text.capacity(), needed, bytes_max);
                text.reserve_exact(capacity.saturating_sub(text.len()));
                utf8.push(piece, |part| text.push_str(part))
                    .map_err(|_| PeerError::TextNotUtf8)
            }
            Buffer::Binary(bytes) | Buffer::Compressed(_, bytes) => {
                let capacity = grown(bytes.capacity(), needed, bytes_max);
                bytes.reserve_exact(capacity.saturating_sub(bytes.len()));
                bytes.extend_from_slice(piece);
                Ok(())
            }
            Buffer::Dropped => Ok(()),
        }
    }

    /// Payload bytes so far.
    pub(crate) fn len(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text, utf8) => text.len().saturating_add(utf8.pending_len()),
            Buffer::Binary(bytes) | Buffer::Compressed(_, bytes) => bytes.len(),
            Buffer::Dropped => 0,
        }
    }

    /// Bytes that its buffer may have.
    pub(crate) fn bytes_max(&self, limits: &Limits) -> usize {
        bytes_max(matches!(self.buffer, Buffer::Compressed(..)), limits)
    }

    /// The message, now that its last byte was appended.
    pub(crate) fn finish(self) -> Result<Finished, PeerError> {
        Ok(match self.buffer {
            Buffer::Text(_, utf8) if !utf8.is_complete() => return Err(PeerError::TextNotUtf8),
            Buffer::Text(text, _) => Finished::Message(Incoming(Payload::OwnedText(text))),
            Buffer::Binary(bytes) => Finished::Message(Incoming(Payload::OwnedBinary(bytes))),
            Buffer::Compressed(kind, bytes) => Finished::Compressed(kind, bytes),
            Buffer::Dropped => Finished::Dropped,
        })
    }
}

/// What all frames together are.
pub(crate) enum Finished {
    Message(Incoming<'static>),
    Compressed(Kind, Vec<u8>),
    Dropped,
}

/// A message that was inflated. Its text is checked here, at its end: before, there was none.
pub(crate) fn inflated(kind: Kind, payload: Vec<u8>) -> Result<Incoming<'static>, PeerError> {
    Ok(Incoming(match kind {
        Kind::Text => {
            Payload::OwnedText(String::from_utf8(payload).map_err(|_| PeerError::TextNotUtf8)?)
        }
        Kind::Binary => Payload::OwnedBinary(payload),
    }))
}

/// A whole, unmasked message that lies in one frame of the input.
#[inline(always)]
pub(crate) fn whole(kind: Kind, payload: &[u8]) -> Result<Incoming<'_>, PeerError> {
    Ok(Incoming(match kind {
        Kind::Text => {
            Payload::Text(simdutf8::basic::from_utf8(payload).map_err(|_| PeerError::TextNotUtf8)?)
        }
        Kind::Binary => Payload::Binary(payload),
    }))
}

/// Checks the header of a frame that begins a message against the limits.
pub(crate) fn check_first_frame(header: &Header, limits: &Limits) -> Result<(), PeerError> {
    check_limits(
        0,
        weight(header),
        header,
        bytes_max(header.compressed, limits),
        limits,
    )
}

/// Checks a frame against the limits: the bytes of its message before it, the frames with it.
fn check_limits(
    bytes: usize,
    frames: u32,
    header: &Header,
    bytes_max: usize,
    limits: &Limits,
) -> Result<(), PeerError> {
    let room = bytes_max.saturating_sub(bytes);
    if usize::try_from(header.payload_len).map_or(true, |len| len > room) {
        return Err(PeerError::MessageTooBig);
    }
    if frames > limits.frames_per_message_max {
        return Err(PeerError::TooManyFrames);
    }
    Ok(())
}

/// Bytes that the frames of a message may have together. A compressed message of the largest size
/// may be an eighth longer on the wire: that much the fixed code of DEFLATE can add, which a simple
/// compressor uses for everything.
fn bytes_max(compressed: bool, limits: &Limits) -> usize {
    let max = limits.message_bytes_max;
    if compressed {
        max.saturating_add(max / 8).saturating_add(64)
    } else {
        max
    }
}

/// For how many frames it counts. An empty frame that does not even end its message has no use but
/// to keep us busy.
fn weight(header: &Header) -> u32 {
    if header.payload_len == 0 && !header.fin {
        2
    } else {
        1
    }
}

/// The capacity to have for `needed` bytes: twice as much as before, so that many small pieces cost
/// linear time, but not over `bytes_max`, which is the end of the message where that is known.
fn grown(capacity: usize, needed: usize, bytes_max: usize) -> usize {
    if needed <= capacity {
        return capacity;
    }
    capacity
        .saturating_mul(2)
        .max(BUFFER_BYTES_MIN)
        .min(bytes_max)
        .max(needed)
}
