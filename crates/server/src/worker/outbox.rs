//! What one connection has queued and the system has not taken: frames by reference, bytes of its
//! own, in order. Control frames have a place beside the queue, and leave at the next end of a
//! frame (RFC 6455 §5.4).
//!
//! Invariants: `bytes` is what is left to write of the queue, so the front chunk counts without its
//! `written` first bytes. What the peer has half of is the front chunk or the control frames, never
//! both. The front and the back of the queue are there; places of what was left out are only in
//! between. An outbox exists only while it is not empty; see `Context::spare`.

mod lanes;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Range;
use std::sync::Arc;

use rupor_proto::{Outgoing, Time};

pub(crate) use self::lanes::Lane;
use self::lanes::Lanes;

/// Chunks that go into one vectored write.
const SLICES_MAX: usize = 64;

/// Chunks that have so many bytes altogether are copied together for a plain write: for the system
/// that is less work than a list of many short pieces.
const TOGETHER_BYTES_MAX: usize = 8 * 1024;

/// Bytes of its own are gathered into chunks of about this size.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is kept for control frames beside the backlog, in bytes: room for a Pong that is half
/// written, the newest one, and a Ping of ours.
pub(crate) const CONTROL_BYTES_MAX: usize = 256;

/// The longest Pong of a server, in bytes.
const PONG_BYTES_MAX: usize = 127;

/// Places of what was left out that may stand in the queue whatever its length.
const GONE_MAX: usize = 8;

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

/// A place in the queue.
#[derive(Debug)]
struct Place {
    /// `None`: it was left out.
    chunk: Option<Chunk>,
    /// Of what may still be left out.
    lane: Option<Arc<Lane>>,
}

impl Place {
    fn as_bytes(&self) -> &[u8] {
        self.chunk.as_ref().map(Chunk::as_bytes).unwrap_or_default()
    }
}

/// The unsent part of a connection's output.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    places: VecDeque<Place>,
    /// The number of the front place; that of the next is one more.
    first: u64,
    /// Places whose chunk was left out.
    gone: usize,
    /// How much of the front chunk was written.
    written: usize,
    /// Something of the front chunk was written before it came here.
    cut: bool,
    bytes: usize,
    /// Whole control frames, of which so many bytes were written.
    control: Vec<u8>,
    control_written: usize,
    /// Where among them the newest Pong is.
    pong: Option<Range<usize>>,
    /// There from the first time that something is to be left out.
    lanes: Option<Lanes>,
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
    /// Bytes left to write, without control frames.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Chunks left to write: shared frames count one each.
    pub(crate) fn frames(&self) -> usize {
        self.places.len() - self.gone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty() && self.control.is_empty()
    }

    /// When the peer last took something.
    pub(crate) fn progress(&self) -> Time {
        self.progress
    }

    /// Queues a frame without copying it. From here on it leaves in its place, or with the whole
    /// connection: what is compressed behind it may build on it. Only if it has a lane may it be
    /// left out.
    pub(crate) fn push_frame(&mut self, frame: Outgoing, lane: Option<Arc<Lane>>, now: Time) {
        self.push(Chunk::Shared(frame), lane, now);
    }

    /// Queues the rest of a frame, behind nothing.
    pub(crate) fn push_begun(&mut self, frame: Outgoing, written: usize, now: Time) {
        self.push(Chunk::Shared(frame), None, now);
        self.consume(written);
    }

    /// Queues a copy of `bytes`: whole frames, but for the first if it was [cut](Self::set_cut).
    pub(crate) fn push_bytes(&mut self, bytes: &[u8], now: Time) {
        if bytes.is_empty() {
            return;
        }
        // A Close frame would come before control frames that wait for the end of a begun chunk.
        let waited_for = self.is_begun() && self.places.len() == 1 && !self.control.is_empty();
        match self.places.back_mut().and_then(|back| back.chunk.as_mut()) {
            Some(Chunk::Owned(last)) if !waited_for && last.len() + bytes.len() <= CHUNK_BYTES => {
                self.bytes += bytes.len();
                last.extend_from_slice(bytes);
            }
            _ => self.push(Chunk::Owned(bytes.to_vec()), None, now),
        }
    }

    /// The front chunk is the rest of something whose beginning was written.
    pub(crate) fn set_cut(&mut self) {
        self.cut = !self.places.is_empty();
    }

    fn push(&mut self, chunk: Chunk, lane: Option<Arc<Lane>>, now: Time) {
        self.begin(now);
        self.bytes += chunk.as_bytes().len();
        let number = self.first + self.places.len() as u64;
        if let (Some(lanes), Some(lane)) = (&mut self.lanes, &lane) {
            lanes.push(lane, number);
        }
        self.places.push_back(Place {
            chunk: Some(chunk),
            lane,
        });
    }

    /// Has `append` append the Pong for the newest Ping, if there is one. It takes the place of one
    /// that was not begun: only the newest is owed (RFC 6455 §5.5.3).
    pub(crate) fn take_pong(&mut self, now: Time, append: impl FnOnce(&mut Vec<u8>)) {
        let written = self.control_written;
        let older = self.pong.clone().filter(|pong| pong.start >= written);
        let older_len = older.as_ref().map_or(0, Range::len);
        if self.control.len() - older_len + PONG_BYTES_MAX > CONTROL_BYTES_MAX {
            return;
        }
        self.begin(now);
        let start = self.control.len();
        append(&mut self.control);
        if self.control.len() > start {
            self.control.drain(older.unwrap_or(0..0));
            self.pong = Some(start - older_len..self.control.len());
        }
    }

    /// Queues whole control frames beside the queue; false at [`CONTROL_BYTES_MAX`].
    pub(crate) fn push_control(&mut self, frames: &[u8], now: Time) -> bool {
        if self.control.len() + frames.len() > CONTROL_BYTES_MAX {
            return false;
        }
        self.begin(now);
        self.control.extend_from_slice(frames);
        true
    }

    fn begin(&mut self, now: Time) {
        if self.is_empty() {
            self.progress = now;
        }
    }

    /// Leaves out what waits longest in this lane; false if nothing does.
    pub(crate) fn leave_out_oldest(&mut self, lane: &Lane) -> bool {
        let Some(number) = self.lanes().take_oldest(lane) else {
            return false;
        };
        self.leave_out(number);
        self.close_ranks();
        true
    }

    /// Leaves out all that waits in this lane; how much that is.
    pub(crate) fn leave_out_all(&mut self, lane: &Lane) -> u64 {
        let all = self.lanes().take_all(lane);
        for number in &all {
            self.leave_out(*number);
        }
        self.close_ranks();
        all.len() as u64
    }

    /// Who waits where. It is made when something is to be left out, so that who reads fast enough
    /// costs nothing.
    fn lanes(&mut self) -> &mut Lanes {
        let Self { places, first, .. } = self;
        self.lanes.get_or_insert_with(|| {
            let mut lanes = Lanes::default();
            for (number, place) in (*first..).zip(places) {
                if let Some(lane) = &place.lane {
                    lanes.push(lane, number);
                }
            }
            lanes
        })
    }

    /// Empties a place that is no lane's any more.
    fn leave_out(&mut self, number: u64) {
        let index = number.saturating_sub(self.first);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(place) = self.places.get_mut(index)
            && let Some(chunk) = place.chunk.take()
        {
            place.lane = None;
            self.bytes = self.bytes.saturating_sub(chunk.as_bytes().len());
            self.gone += 1;
        }
    }

    fn pop_front(&mut self) {
        self.places.pop_front();
        self.first += 1;
    }

    /// Takes places of what was left out away at both ends, and all of them once they are half of
    /// the queue, which changes the numbers of the others: a constant share for each of them.
    fn close_ranks(&mut self) {
        while self.places.front().is_some_and(|it| it.chunk.is_none()) {
            self.pop_front();
            self.gone -= 1;
        }
        while self.places.back().is_some_and(|it| it.chunk.is_none()) {
            self.places.pop_back();
            self.gone -= 1;
        }
        if self.gone > GONE_MAX && self.gone > self.places.len() / 2 {
            self.places.retain(|it| it.chunk.is_some());
            self.gone = 0;
            self.lanes = None;
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
        while !self.is_empty() {
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

    /// Whether the peer has half of the front chunk.
    fn is_begun(&self) -> bool {
        self.cut || self.written > 0
    }

    fn write_once(&self, to: &mut dyn Write) -> io::Result<usize> {
        let front = self.places.front().map(Place::as_bytes).unwrap_or_default();
        let front = front.get(self.written..).unwrap_or_default();
        let control = self.control.get(self.control_written..).unwrap_or_default();
        let first = if self.is_begun() {
            [front, control]
        } else {
            [control, front]
        };
        let all = first
            .into_iter()
            .chain(self.places.iter().skip(1).map(Place::as_bytes));
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(all.filter(|it| !it.is_empty())) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        match slices.get(..count).unwrap_or_default() {
            [only] => to.write(only),
            several => write_several(several, to),
        }
    }

    fn consume(&mut self, mut count: usize) {
        while count > 0 {
            if !self.control.is_empty() && !self.is_begun() {
                let taken = count.min(self.control.len() - self.control_written);
                count -= taken;
                self.control_written += taken;
                if self.control_written == self.control.len() {
                    self.clear_control();
                }
                continue;
            }
            let Some(front) = self.places.front_mut() else {
                return;
            };
            // From its first byte on it cannot be left out.
            if let (Some(lane), Some(lanes)) = (front.lane.take(), &mut self.lanes) {
                lanes.take_oldest(&lane);
            }
            let left = front.as_bytes().len() - self.written;
            let taken = count.min(left);
            count -= taken;
            self.bytes = self.bytes.saturating_sub(taken);
            if taken < left {
                self.written += taken;
            } else {
                self.written = 0;
                self.cut = false;
                self.pop_front();
                self.close_ranks();
            }
        }
    }

    /// Forgets everything whose first byte has not been written, so that a close frame can follow
    /// what the peer has half of; and nothing else may, because the peer lacks what later messages
    /// may have been compressed behind.
    pub(crate) fn forget_unwritten(&mut self) {
        let keep = usize::from(self.is_begun());
        self.places.truncate(keep);
        self.gone = 0;
        self.lanes = None;
        self.bytes = self
            .places
            .front()
            .map_or(0, |front| front.as_bytes().len() - self.written);
        if self.control_written == 0 {
            self.clear_control();
        }
    }

    fn clear_control(&mut self) {
        self.control.clear();
        self.control_written = 0;
        self.pong = None;
    }

    /// Empties it for its next user.
    pub(crate) fn reset(&mut self) {
        self.places.clear();
        // One slow peer must not leave its size behind.
        self.places.shrink_to(64);
        self.gone = 0;
        self.written = 0;
        self.cut = false;
        self.bytes = 0;
        self.clear_control();
        self.lanes = None;
    }
}

/// Writes what it can of `slices`, at once.
fn write_several(slices: &[IoSlice<'_>], to: &mut dyn Write) -> io::Result<usize> {
    let len: usize = slices.iter().map(|slice| slice.len()).sum();
    if len > TOGETHER_BYTES_MAX {
        return to.write_vectored(slices);
    }
    let mut together = [0; TOGETHER_BYTES_MAX];
    let mut rest = together.as_mut_slice();
    for slice in slices {
        // There is room for all of them.
        rest.write_all(slice)?;
    }
    to.write(together.get(..len).unwrap_or_default())
}
