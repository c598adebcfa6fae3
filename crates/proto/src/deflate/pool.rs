//! What connections take turns with: compressors, the tables of an inflater, a buffer, and the
//! last message that was compressed for many.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use super::{
    compress::{Compressors, Settings},
    inflate::Inflater,
    shared::Cache,
};

/// Lent to a connection for a call: [`receive_with`](crate::Connection::receive_with),
/// [`send_deflated`](crate::Connection::send_deflated),
/// [`share`](crate::Connection::share). One for each thread that carries connections is enough.
///
/// It is empty until it is used; then it has 9 KB for inflating, 140 to 380 KB for each window
/// size and level that is compressed with, and a buffer for the message.
#[derive(Default)]
pub struct DeflatePool {
    inflater: Option<Box<Inflater>>,
    compressors: Compressors,
    buffer: Vec<u8>,
    pub(super) cache: Cache,
    pub(crate) counts: DeflateCounts,
}

/// What a pool was used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateCounts {
    /// Runs of a compressor. Fewer than messages were sent where several connections shared one;
    /// also those whose result was not used, because it was no shorter.
    pub compressions: u64,
    /// What was sent compressed.
    pub sent: DeflateTraffic,
    /// What was received compressed.
    pub received: DeflateTraffic,
}

/// Compressed messages of one direction, one for each connection that they went over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateTraffic {
    /// Messages.
    pub messages: u64,
    /// Bytes of their payload, uncompressed.
    pub plain_bytes: u64,
    /// Bytes that stood for it on the wire; of what is sent that includes the frame's header.
    pub wire_bytes: u64,
}

impl DeflateTraffic {
    pub(crate) fn add(&mut self, plain: usize, wire: usize) {
        let add = |sum: &mut u64, more: usize| {
            *sum = sum.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        };
        add(&mut self.messages, 1);
        add(&mut self.plain_bytes, plain);
        add(&mut self.wire_bytes, wire);
    }
}

/// The buffer for compressed messages is given back when it is larger than this.
const BUFFER_BYTES_KEPT: usize = 64 * 1024;
/// With context takeover messages of at most so many bytes are sent compressed also where that is
/// no shorter: only so do they become what the next ones are short behind. Longer ones that do not
/// become shorter are noise, and would push out of the window what is of use.
const REMEMBERED_BYTES_MAX: usize = 1024;

impl DeflatePool {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn inflater(&mut self) -> &mut Inflater {
        self.inflater
            .get_or_insert_with(|| Box::new(Inflater::new()))
    }

    /// Compresses `payload` behind `history`, for a connection with context takeover or without.
    /// `None`: it would not become shorter, and need not be remembered.
    pub(super) fn compress(
        &mut self,
        settings: Settings,
        takeover: bool,
        history: &[u8],
        payload: &[u8],
    ) -> Option<&[u8]> {
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        self.counts.compressions = self.counts.compressions.saturating_add(1);
        let done = self
            .compressors
            .compress(settings, history, payload, &mut self.buffer);
        let remembered = takeover && payload.len() <= REMEMBERED_BYTES_MAX;
        let worth_it = settings.even_if_longer || remembered || self.buffer.len() < payload.len();
        (done && worth_it).then_some(self.buffer.as_slice())
    }
}

impl DeflatePool {
    /// What it was used for since it was made or last asked.
    pub fn take_counts(&mut self) -> DeflateCounts {
        core::mem::take(&mut self.counts)
    }
}

impl fmt::Debug for DeflatePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeflatePool").finish_non_exhaustive()
    }
}
