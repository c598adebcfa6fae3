//! Frames of one batch of commands, and which of them wait for whom: connections that hear the same
//! frames one behind the other are written one run of bytes, which is put together once.
//!
//! Invariants: between batches nothing waits. A slot waits for one run without a gap, or for
//! nothing. What waits is at most [`RUN_FRAMES_MAX`] frames, and [`RUN_BYTES_MAX`] bytes if it is
//! more than one.

use std::ops::Range;

use rupor_proto::Frame;

use super::delivery::Droppable;

/// Frames that are gathered before they are written.
pub(crate) const RUN_FRAMES_MAX: usize = 1024;

/// Bytes that are gathered before they are written.
pub(crate) const RUN_BYTES_MAX: usize = 256 * 1024;

/// A frame of the batch.
pub(crate) struct Gathered {
    pub(crate) frame: Frame,
    pub(crate) droppable: Option<Droppable>,
    /// Where it ends in the bytes of all.
    end: usize,
}

/// What of the batch waits for a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Waiting {
    #[default]
    Unseen,
    /// The frames from the one to before the other.
    Run(u32, u32),
    /// Nothing, and until the end of the batch nothing will: everything goes to its queue at once.
    Behind,
}

/// What is to be done with a frame for a slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It waits.
    Waits,
    /// These were waiting and go to its queue now, and the frame behind them.
    Behind(Range<usize>),
}

/// The frames of a batch.
#[derive(Default)]
pub(crate) struct Runs {
    frames: Vec<Gathered>,
    /// As many of them as were asked for, one behind the other.
    bytes: Vec<u8>,
    copied: usize,
    /// By slot. It has a place for every slot up to the highest that was ever sent to.
    waiting: Vec<Waiting>,
    /// The slots that are not unseen.
    seen: Vec<u32>,
}

impl Runs {
    /// Whether a frame of so many bytes has to wait until the others have left.
    pub(crate) fn is_full(&self, len: usize) -> bool {
        let bytes = self.frames.last().map_or(0, |last| last.end);
        bytes > 0 && (self.frames.len() >= RUN_FRAMES_MAX || bytes + len > RUN_BYTES_MAX)
    }

    /// Adds a frame, for nobody yet.
    pub(crate) fn push(&mut self, frame: Frame, droppable: Option<Droppable>) {
        let start = self.frames.last().map_or(0, |last| last.end);
        self.frames.push(Gathered {
            end: start + frame.as_bytes().len(),
            frame,
            droppable,
        });
    }

    /// Adds a slot to those that the newest frame is for. `may_wait` is asked once in a batch.
    pub(crate) fn add(&mut self, slot: u32, may_wait: impl FnOnce() -> bool) -> Place {
        let index = slot as usize;
        if index >= self.waiting.len() {
            self.waiting.resize(index + 1, Waiting::Unseen);
        }
        let end = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        let newest = end.saturating_sub(1);
        let Some(waiting) = self.waiting.get_mut(index) else {
            return Place::Behind(0..0);
        };
        let (now, place) = match *waiting {
            Waiting::Unseen => {
                self.seen.push(slot);
                if may_wait() {
                    (Waiting::Run(newest, end), Place::Waits)
                } else {
                    (Waiting::Behind, Place::Behind(0..0))
                }
            }
            Waiting::Run(start, before) if before == newest => {
                (Waiting::Run(start, end), Place::Waits)
            }
            Waiting::Run(start, before) => {
                let run = start as usize..before as usize;
                (Waiting::Behind, Place::Behind(run))
            }
            Waiting::Behind => (Waiting::Behind, Place::Behind(0..0)),
        };
        *waiting = now;
        place
    }

    /// The newest frame, as a run.
    pub(crate) fn newest(&self) -> Range<usize> {
        self.frames.len().saturating_sub(1)..self.frames.len()
    }

    /// What waits for a slot, which waits for nothing more in this batch.
    pub(crate) fn take(&mut self, slot: u32) -> Range<usize> {
        let waiting = self.waiting.get_mut(slot as usize);
        if let Some(waiting) = waiting
            && let Waiting::Run(start, end) = *waiting
        {
            *waiting = Waiting::Behind;
            start as usize..end as usize
        } else {
            0..0
        }
    }

    /// The slots that something was gathered for, in the order of their connections in memory.
    pub(crate) fn take_seen(&mut self) -> Vec<u32> {
        self.seen.sort_unstable();
        std::mem::take(&mut self.seen)
    }

    /// The frames of a run.
    pub(crate) fn frames(&self, run: Range<usize>) -> &[Gathered] {
        self.frames.get(run).unwrap_or_default()
    }

    /// The frames of a run as they go on the wire.
    pub(crate) fn bytes(&mut self, run: Range<usize>) -> &[u8] {
        if run.len() == 1 {
            let only = self.frames.get(run.start);
            return only.map_or(&[], |only| only.frame.as_bytes());
        }
        for one in self.frames.get(self.copied..run.end).unwrap_or_default() {
            self.bytes.extend_from_slice(one.frame.as_bytes());
            self.copied += 1;
        }
        let start_of = |index: usize| match index.checked_sub(1) {
            Some(before) => self.frames.get(before).map_or(0, |one| one.end),
            None => 0,
        };
        let (start, end) = (start_of(run.start), start_of(run.end));
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Ends the batch; `seen` is the list that was taken.
    pub(crate) fn clear(&mut self, mut seen: Vec<u32>) {
        for slot in seen.drain(..) {
            if let Some(waiting) = self.waiting.get_mut(slot as usize) {
                *waiting = Waiting::Unseen;
            }
        }
        self.seen = seen;
        self.frames.clear();
        self.bytes.clear();
        self.copied = 0;
        // One long message must not leave its size behind.
        self.bytes.shrink_to(RUN_BYTES_MAX);
    }
}
