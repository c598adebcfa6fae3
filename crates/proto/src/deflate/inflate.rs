//! Inflating one message (RFC 1951, RFC 7692 §7.2.2).
//!
//! It is ours, in safe code, for three reasons (docs/adr names the numbers): no byte of a peer
//! reaches unsafe code; a distance beyond the agreed window is refused exactly, wherever it points;
//! and a message begins where its connection's history ends without copying that history first.
//!
//! Invariants: a message is inflated in one call, so nothing depends on how it was cut; memory is
//! taken for at most [`GUESS_BYTES_MAX`] before the size of the message is known; the output never
//! exceeds the limit by a byte.

use alloc::{boxed::Box, vec::Vec};

use super::huffman::{Bits, Codes};

/// A message that is longer is measured before memory is taken for it.
pub(crate) const GUESS_BYTES_MAX: usize = 64 * 1024;

const LITERALS: usize = 288;
const DISTANCES: usize = 32;
const END_OF_BLOCK: u16 = 256;

/// Base and extra bits of the length symbols from 257 on (RFC 1951 §3.2.5).
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// Base and extra bits of the distance symbols.
const DISTANCE_BASES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
/// The order of the lengths of the code for code lengths (RFC 1951 §3.2.7).
const CODE_LENGTH_ORDER: [u8; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// Not DEFLATE, or not all of it.
    Invalid,
    /// A distance beyond the agreed window, or beyond what the connection has kept.
    Distance,
    /// Over the limit.
    TooBig,
}

/// What a message is inflated with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'h> {
    /// The end of what the connection has inflated before; empty without context takeover.
    pub(crate) history: &'h [u8],
    /// Bytes of the agreed window.
    pub(crate) window: usize,
    /// Bytes that the message may have.
    pub(crate) bytes_max: usize,
}

/// The tables of an inflater, to be used again for any connection's next message: nothing in them
/// outlives a call.
pub(crate) struct Inflater {
    /// Of the block at hand.
    dynamic: Tables,
    /// Of RFC 1951 §3.2.6, once they are needed. (A message of many small blocks must not make us
    /// build them again and again.)
    fixed: Option<Box<Tables>>,
    code_lengths: Codes<128, 19>,
}

/// The codes of the literals and lengths, and of the distances.
struct Tables {
    literals: Codes<1024, LITERALS>,
    distances: Codes<256, DISTANCES>,
}

impl Inflater {
    pub(crate) const fn new() -> Self {
        Self {
            dynamic: Tables::new(),
            fixed: None,
            code_lengths: Codes::new(),
        }
    }

    /// Inflates a whole message, its tail cut off as it is on the wire.
    ///
    /// No bytes at all, which no compressor makes, are taken for the empty message: some peers
    /// send that.
    pub(crate) fn inflate(
        &mut self,
        message: &[u8],
        context: Context<'_>,
    ) -> Result<Vec<u8>, InflateError> {
        if message.is_empty() {
            return Ok(Vec::new());
        }
        let guess_max = context.bytes_max.min(GUESS_BYTES_MAX);
        let guess = message.len().saturating_mul(4).min(guess_max);
        let mut stored = Stored::new(context, guess, guess_max);
        match self.run(message, &mut stored) {
            Err(InflateError::TooBig) if guess_max < context.bytes_max => {}
            result => return result.map(|()| stored.out),
        }
        drop(stored);
        let mut measured = Measured { context, len: 0 };
        self.run(message, &mut measured)?;
        let mut stored = Stored::new(context, measured.len, measured.len);
        self.run(message, &mut stored)?;
        Ok(stored.out)
    }

    /// All blocks of a message. Behind a final block (RFC 7692 §7.2.3.4) the next one begins with
    /// a new byte.
    fn run(&mut self, message: &[u8], sink: &mut impl Sink) -> Result<(), InflateError> {
        let mut bits = Bits::new(message);
        loop {
            bits.refill();
            if bits.is_empty() {
                return Ok(());
            }
            let last = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => stored_block(&mut bits, sink)?,
                1 => {
                    let fixed = match &mut self.fixed {
                        Some(fixed) => fixed,
                        none => none.insert(Box::new(Tables::fixed()?)),
                    };
                    fixed.block(&mut bits, sink)?;
                }
                2 => {
                    self.dynamic_codes(&mut bits)?;
                    self.dynamic.block(&mut bits, sink)?;
                }
                _ => return Err(InflateError::Invalid),
            }
            if last {
                bits.align();
                // A sender that ends so should have added an empty block (RFC 7692 §7.2.1), whose
                // end the tail would be. Many decoders do not notice that it is missing.
                if bits.is_at_tail() {
                    return Ok(());
                }
            }
        }
    }

    /// The codes that a block brings (RFC 1951 §3.2.7).
    fn dynamic_codes(&mut self, bits: &mut Bits<'_>) -> Result<(), InflateError> {
        bits.refill();
        let literals = usize::from(bits.take(5)?).wrapping_add(257);
        let distances = usize::from(bits.take(5)?).wrapping_add(1);
        let code_lengths = usize::from(bits.take(4)?).wrapping_add(4);
        if literals > 286 || distances > 30 {
            return Err(InflateError::Invalid);
        }
        let mut lengths = [0_u8; LITERALS + DISTANCES];
        for symbol in CODE_LENGTH_ORDER.iter().take(code_lengths) {
            bits.refill();
            if let Some(len) = lengths.get_mut(usize::from(*symbol)) {
                *len = u8::try_from(bits.take(3)?).map_err(|_| InflateError::Invalid)?;
            }
        }
        self.code_lengths
            .build(lengths.first_chunk::<19>().unwrap_or(&[0; 19]))?;

        let total = literals.wrapping_add(distances);
        let lengths = lengths.get_mut(..total).ok_or(InflateError::Invalid)?;
        self.read_lengths(bits, lengths)?;
        let (literals, distances) = lengths
            .split_at_checked(literals)
            .ok_or(InflateError::Invalid)?;
        // A block that could not end is refused at once, as zlib does.
        if literals
            .get(usize::from(END_OF_BLOCK))
            .is_none_or(|len| *len == 0)
        {
            return Err(InflateError::Invalid);
        }
        self.dynamic.literals.build(literals)?;
        self.dynamic.distances.build(distances)
    }

    /// The run-length code of the lengths of both alphabets, across the border between them.
    fn read_lengths(&self, bits: &mut Bits<'_>, lengths: &mut [u8]) -> Result<(), InflateError> {
        let mut at = 0_usize;
        while at < lengths.len() {
            bits.refill();
            let symbol = self.code_lengths.decode(bits)?;
            let (len, times) = match symbol {
                0..=15 => (u8::try_from(symbol).map_err(|_| InflateError::Invalid)?, 1),
                16 => {
                    let before = at.checked_sub(1).and_then(|before| lengths.get(before));
                    let before = *before.ok_or(InflateError::Invalid)?;
                    (before, bits.take(2)?.wrapping_add(3))
                }
                17 => (0, bits.take(3)?.wrapping_add(3)),
                _ => (0, bits.take(7)?.wrapping_add(11)),
            };
            let end = at.wrapping_add(times.into());
            lengths
                .get_mut(at..end)
                .ok_or(InflateError::Invalid)?
                .fill(len);
            at = end;
        }
        Ok(())
    }
}

impl Tables {
    const fn new() -> Self {
        Self {
            literals: Codes::new(),
            distances: Codes::new(),
        }
    }

    /// The codes of RFC 1951 §3.2.6.
    fn fixed() -> Result<Self, InflateError> {
        let mut tables = Self::new();
        let mut lengths = [8_u8; LITERALS];
        for (symbol, len) in lengths.iter_mut().enumerate() {
            *len = match symbol {
                144..=255 => 9,
                256..=279 => 7,
                _ => 8,
            };
        }
        tables.literals.build(&lengths)?;
        tables.distances.build(&[5; DISTANCES])?;
        Ok(tables)
    }

    /// The symbols of a block, up to its end (RFC 1951 §3.2.3).
    fn block(&self, bits: &mut Bits<'_>, sink: &mut impl Sink) -> Result<(), InflateError> {
        loop {
            bits.refill();
            let symbol = self.literals.decode(bits)?;
            if let Ok(literal) = u8::try_from(symbol) {
                sink.literal(literal)?;
                continue;
            }
            let Some(symbol) = symbol.checked_sub(END_OF_BLOCK.wrapping_add(1)) else {
                return Ok(());
            };
            let len = extended(&LENGTHS, symbol, bits)?;
            let symbol = self.distances.decode(bits)?;
            let distance = extended(&DISTANCE_BASES, symbol, bits)?;
            sink.copy(distance, len)?;
        }
    }
}

/// The number that a symbol and its extra bits stand for.
#[inline]
fn extended(table: &[(u16, u8)], symbol: u16, bits: &mut Bits<'_>) -> Result<usize, InflateError> {
    let (base, extra) = *table
        .get(usize::from(symbol))
        .ok_or(InflateError::Invalid)?;
    Ok(usize::from(base).wrapping_add(bits.take(extra.into())?.into()))
}

/// A block without compression (RFC 1951 §3.2.4).
fn stored_block(bits: &mut Bits<'_>, sink: &mut impl Sink) -> Result<(), InflateError> {
    bits.align();
    bits.refill();
    let len = bits.take(16)?;
    if bits.take(16)? != !len {
        return Err(InflateError::Invalid);
    }
    bits.take_bytes(len.into(), |piece| sink.bytes(piece))
}

/// Where the inflated bytes go.
trait Sink {
    fn literal(&mut self, byte: u8) -> Result<(), InflateError>;
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), InflateError>;
    /// `len` bytes from `distance` bytes back; they may overlap what they make.
    fn copy(&mut self, distance: usize, len: usize) -> Result<(), InflateError>;
}

impl Context<'_> {
    /// Checks a distance at this place in the message.
    #[inline]
    fn check(&self, distance: usize, len: usize) -> Result<(), InflateError> {
        if distance > self.window || distance > len.wrapping_add(self.history.len()) {
            return Err(InflateError::Distance);
        }
        Ok(())
    }
}

/// Only counts.
struct Measured<'h> {
    context: Context<'h>,
    len: usize,
}

impl Measured<'_> {
    #[inline]
    fn add(&mut self, len: usize) -> Result<(), InflateError> {
        self.len = self.len.saturating_add(len);
        if self.len > self.context.bytes_max {
            return Err(InflateError::TooBig);
        }
        Ok(())
    }
}

impl Sink for Measured<'_> {
    #[inline]
    fn literal(&mut self, _byte: u8) -> Result<(), InflateError> {
        self.add(1)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), InflateError> {
        self.add(bytes.len())
    }

    #[inline]
    fn copy(&mut self, distance: usize, len: usize) -> Result<(), InflateError> {
        self.context.check(distance, self.len)?;
        self.add(len)
    }
}

/// Keeps what comes.
struct Stored<'h> {
    context: Context<'h>,
    out: Vec<u8>,
    /// Bytes that `out` may grow to.
    bytes_max: usize,
}

impl<'h> Stored<'h> {
    fn new(context: Context<'h>, capacity: usize, bytes_max: usize) -> Self {
        Self {
            context,
            out: Vec::with_capacity(capacity),
            bytes_max,
        }
    }

    /// Makes room for `len` more bytes, or refuses them.
    #[inline]
    fn reserve(&mut self, len: usize) -> Result<(), InflateError> {
        let needed = self.out.len().saturating_add(len);
        if needed > self.bytes_max {
            return Err(InflateError::TooBig);
        }
        if needed > self.out.capacity() {
            let capacity = self
                .out
                .capacity()
                .saturating_mul(2)
                .max(needed)
                .min(self.bytes_max);
            self.out
                .reserve_exact(capacity.saturating_sub(self.out.len()));
        }
        Ok(())
    }
}

impl Sink for Stored<'_> {
    #[inline]
    fn literal(&mut self, byte: u8) -> Result<(), InflateError> {
        self.reserve(1)?;
        self.out.push(byte);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), InflateError> {
        self.reserve(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn copy(&mut self, distance: usize, mut len: usize) -> Result<(), InflateError> {
        self.context.check(distance, self.out.len())?;
        self.reserve(len)?;
        // What lies before this message is in the history, at its end.
        let back = distance.saturating_sub(self.out.len());
        if back > 0 {
            let history = self.context.history;
            let part = history
                .get(history.len().saturating_sub(back)..)
                .unwrap_or_default();
            let part = part.get(..len.min(back)).unwrap_or_default();
            self.out.extend_from_slice(part);
            len = len.saturating_sub(part.len());
        }
        let start = self.out.len().saturating_sub(distance);
        while len > 0 {
            // A copy that reaches into what it makes repeats it: twice as much each time.
            let part = len.min(self.out.len().saturating_sub(start));
            if part == 0 {
                return Err(InflateError::Distance);
            }
            self.out
                .extend_from_within(start..start.saturating_add(part));
            len = len.saturating_sub(part);
        }
        Ok(())
    }
}
