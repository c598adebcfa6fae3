//! What one connection has queued and the system has not taken: frames by reference, bytes of its
//! own, in order.
//!
//! Invariant: `bytes` is what is left to write, so the front chunk counts without its `written`
//! first bytes. An outbox exists only while it is not empty; see `Context::spare`.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};

use rupor_proto::{Outgoing, Time};

/// Chunks that go into one vectored write.
const SLICES_MAX: usize = 64;

/// Bytes of its own are gathered into chunks of about this size.
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Debug)]
enum Chunk {
    Shared(Outgoing),
    Owned(Vec<u8>),
}

impl Chunk {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Shared(frame) => frame.as_bytes(),
            Self::Owned(bytes) => bytes,
        }
    }
}

/// The unsent part of a connection's output.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    /// How much of the front chunk was written.
    written: usize,
    bytes: usize,
    /// When the peer last took something, or when this began to fill.
    progress: Time,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes that were taken.
    pub(crate) bytes: usize,
    /// Whether the transport would take no more.
    pub(crate) blocked: bool,
}

impl Outbox {
    /// Bytes left to write.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Chunks left to write: shared frames count one each.
    pub(crate) fn frames(&self) -> usize {
        self.chunks.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// When the peer last took something.
    pub(crate) fn progress(&self) -> Time {
        self.progress
    }

    /// Queues a frame without copying it. From here on it leaves in its place, or with the whole
    /// connection: what is compressed behind it may build on it.
    pub(crate) fn push_frame(&mut self, frame: Outgoing, now: Time) {
        self.begin(now);
        self.bytes += frame.as_bytes().len();
        self.chunks.push_back(Chunk::Shared(frame));
    }

    /// Queues a copy of `bytes`.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8], now: Time) {
        if bytes.is_empty() {
            return;
        }
        self.begin(now);
        self.bytes += bytes.len();
        match self.chunks.back_mut() {
            Some(Chunk::Owned(last)) if last.len() + bytes.len() <= CHUNK_BYTES => {
                last.extend_from_slice(bytes);
            }
            _ => self.chunks.push_back(Chunk::Owned(bytes.to_vec())),
        }
    }

    fn begin(&mut self, now: Time) {
        if self.chunks.is_empty() {
            self.progress = now;
        }
    }

    /// Writes until it is empty or `to` takes no more.
    ///
    /// # Errors
    /// Those of `to`, other than `WouldBlock` and `Interrupted`; a writer that takes nothing is
    /// `WriteZero`.
    pub(crate) fn write_to(&mut self, to: &mut dyn Write, now: Time) -> io::Result<Written> {
        let mut total = 0;
        let mut blocked = false;
        while !self.chunks.is_empty() {
            match self.write_once(to) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.consume(count);
                    total += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    blocked = true;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if total > 0 {
            self.progress = now;
        }
        Ok(Written {
            bytes: total,
            blocked,
        })
    }

    fn write_once(&self, to: &mut dyn Write) -> io::Result<usize> {
        let mut chunks = self.chunks.iter();
        let front = chunks
            .next()
            .and_then(|chunk| chunk.as_bytes().get(self.written..))
            .unwrap_or_default();
        if self.chunks.len() == 1 {
            return to.write(front);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        let all = std::iter::once(front).chain(chunks.map(Chunk::as_bytes));
        for (slice, bytes) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        to.write_vectored(slices.get(..count).unwrap_or_default())
    }

    fn consume(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        while let Some(front) = self.chunks.front() {
            let left = front.as_bytes().len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.chunks.pop_front();
        }
    }

    /// Forgets everything whose first byte has not been written, so that a close frame can follow
    /// what the peer has half of; and nothing else may, because the peer lacks what later messages
    /// may have been compressed behind.
    pub(crate) fn forget_unwritten(&mut self) {
        let keep = usize::from(self.written > 0);
        self.chunks.truncate(keep);
        self.bytes = self
            .chunks
            .front()
            .map_or(0, |front| front.as_bytes().len() - self.written);
    }

    /// Empties it for its next user.
    pub(crate) fn reset(&mut self) {
        self.chunks.clear();
        // One slow peer must not leave its size behind.
        self.chunks.shrink_to(64);
        self.written = 0;
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use rupor_proto::{Frame, Message};

    use super::*;

    const NOW: Time = Time::from_millis(0);

    /// Takes `step` bytes a call and would block after `room`.
    struct Narrow {
        taken: Vec<u8>,
        step: usize,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.step).min(self.room);
            self.taken.extend_from_slice(&bytes[..count]);
            self.room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn filled() -> (Outbox, Vec<u8>) {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for n in 0..200_u8 {
            let frame = Frame::new(Message::Binary(&[n; 40]));
            expected.extend_from_slice(frame.as_bytes());
            outbox.push_frame(Outgoing::from(&frame), NOW);
            outbox.push_bytes(&[n, n], NOW);
            outbox.push_bytes(b"own", NOW);
            expected.extend_from_slice(&[n, n]);
            expected.extend_from_slice(b"own");
        }
        (outbox, expected)
    }

    #[test]
    fn short_writes_lose_and_repeat_nothing() {
        for step in [1, 3, 44, 1000, usize::MAX] {
            let (mut outbox, expected) = filled();
            let mut to = Narrow {
                taken: Vec::new(),
                step,
                room: 0,
            };
            while !outbox.is_empty() {
                to.room = 777;
                let written = outbox.write_to(&mut to, NOW).unwrap();
                assert_eq!(written.blocked, !outbox.is_empty());
                assert_eq!(outbox.bytes(), expected.len() - to.taken.len());
            }
            assert!(to.taken == expected, "step {step}");
            assert_eq!(outbox.bytes(), 0);
        }
    }

    #[test]
    fn forgetting_keeps_what_the_peer_has_half_of() {
        let (mut outbox, expected) = filled();
        let mut to = Narrow {
            taken: Vec::new(),
            step: usize::MAX,
            room: 50,
        };
        outbox.write_to(&mut to, NOW).unwrap();
        outbox.forget_unwritten();
        outbox.push_bytes(b"close", NOW);
        to.room = usize::MAX;
        outbox.write_to(&mut to, NOW).unwrap();
        // 50 bytes end inside the second frame (42 + 5 + 42).
        assert_eq!(to.taken.len(), 42 + 5 + 42 + 5);
        assert_eq!(to.taken[..89], expected[..89]);
        assert_eq!(&to.taken[89..], b"close");
    }

    #[test]
    fn progress_is_the_last_time_that_something_was_taken() {
        let (mut outbox, _) = filled();
        let mut to = Narrow {
            taken: Vec::new(),
            step: 1,
            room: 1,
        };
        outbox.write_to(&mut to, Time::from_millis(5)).unwrap();
        assert_eq!(outbox.progress(), Time::from_millis(5));
        outbox.write_to(&mut to, Time::from_millis(9)).unwrap();
        assert_eq!(outbox.progress(), Time::from_millis(5));
    }
}
