//! Canonical Huffman codes (RFC 1951 §3.2.2) and the bits that they are read from.

use super::inflate::InflateError;

/// Bits of the longest code.
const CODE_BITS_MAX: usize = 15;
/// What a sender cuts off every message (RFC 7692 §7.2.1); it is read as if it were there.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The bits of a compressed message, least significant first, and of the tail that was cut off.
pub(super) struct Bits<'m> {
    rest: &'m [u8],
    tail_taken: bool,
    /// The next bits. Above `have` there may be more, which will be read from `rest` again.
    buffer: u64,
    have: u32,
}

impl<'m> Bits<'m> {
    pub(super) fn new(message: &'m [u8]) -> Self {
        Self {
            rest: message,
            tail_taken: false,
            buffer: 0,
            have: 0,
        }
    }

    /// Makes at least 56 bits ready, or all that there are: enough for a length, a distance and
    /// the extra bits of both.
    #[inline]
    pub(super) fn refill(&mut self) {
        if let Some((word, _)) = self.rest.split_first_chunk::<8>() {
            self.buffer |= u64::from_le_bytes(*word) << self.have;
            let bytes = (63_u32.wrapping_sub(self.have)) >> 3;
            self.rest = self.rest.get(bytes as usize..).unwrap_or_default();
            self.have = self.have.wrapping_add(bytes << 3);
        } else {
            self.refill_at_end();
        }
    }

    #[cold]
    fn refill_at_end(&mut self) {
        while self.have < 56 {
            let Some((byte, rest)) = self.rest.split_first() else {
                if self.tail_taken {
                    return;
                }
                self.tail_taken = true;
                self.rest = &TAIL;
                continue;
            };
            self.buffer |= u64::from(*byte) << self.have;
            self.rest = rest;
            self.have = self.have.wrapping_add(8);
        }
    }

    /// Takes `count` bits, at most 16. They must have been made ready.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Result<u16, InflateError> {
        let bits = self.buffer & (1_u64 << count).wrapping_sub(1);
        self.skip(count)?;
        u16::try_from(bits).map_err(|_| InflateError::Invalid)
    }

    #[inline]
    fn skip(&mut self, count: u32) -> Result<(), InflateError> {
        self.have = self.have.checked_sub(count).ok_or(InflateError::Invalid)?;
        self.buffer >>= count;
        Ok(())
    }

    /// Drops what is left of a byte that has begun.
    pub(super) fn align(&mut self) {
        let begun = self.have & 7;
        self.buffer >>= begun;
        self.have = self.have.wrapping_sub(begun);
    }

    /// At a byte's end: takes at most `len` bytes and hands them to `sink`, in one or more pieces.
    pub(super) fn take_bytes(
        &mut self,
        mut len: usize,
        mut sink: impl FnMut(&[u8]) -> Result<(), InflateError>,
    ) -> Result<(), InflateError> {
        while len > 0 && self.have >= 8 {
            let [byte, ..] = self.buffer.to_le_bytes();
            sink(&[byte])?;
            self.skip(8)?;
            len = len.saturating_sub(1);
        }
        if len > 0 {
            // What was looked at beyond `have` is now taken from `rest`.
            self.buffer = 0;
            let (piece, rest) = self
                .rest
                .split_at_checked(len)
                .ok_or(InflateError::Invalid)?;
            sink(piece)?;
            self.rest = rest;
        }
        Ok(())
    }

    /// Whether everything, tail included, has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.tail_taken && self.rest.is_empty() && self.have == 0
    }

    /// Whether all but the tail has been taken.
    pub(super) fn is_at_tail(&self) -> bool {
        let ready = (self.have / 8) as usize;
        let left = self.rest.len().saturating_add(ready);
        left == if self.tail_taken { TAIL.len() } else { 0 }
    }
}

/// The codes of one alphabet. `FAST` entries, a power of two, are looked up at once; longer codes
/// are found bit by bit.
pub(super) struct Codes<const FAST: usize, const SYMBOLS: usize> {
    /// By the next bits: symbol and, in the low four bits, the length of its code. 0: longer.
    fast: [u16; FAST],
    /// The symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
    /// How many codes have each length.
    counts: [u16; CODE_BITS_MAX + 1],
}

impl<const FAST: usize, const SYMBOLS: usize> Codes<FAST, SYMBOLS> {
    const FAST_BITS: u32 = FAST.trailing_zeros();

    pub(super) const fn new() -> Self {
        Self {
            fast: [0; FAST],
            symbols: [0; SYMBOLS],
            counts: [0; CODE_BITS_MAX + 1],
        }
    }

    /// Builds the codes from the length of each symbol's code, 0 to 15; 0: it has none.
    ///
    /// Too many codes are refused, and so are too few, but for none at all or a single one of one
    /// bit, as zlib has it (RFC 1951 §3.2.7); a code that is missing is refused where it is used.
    /// (zlib refuses the single one among code lengths; no valid block can follow it anyway.)
    pub(super) fn build(&mut self, lengths: &[u8]) -> Result<(), InflateError> {
        self.counts = [0; CODE_BITS_MAX + 1];
        for len in lengths {
            let count = self
                .counts
                .get_mut(usize::from(*len))
                .ok_or(InflateError::Invalid)?;
            *count = count.wrapping_add(1);
        }
        self.counts[0] = 0;
        let mut room = 1_i32;
        let mut longest = 0;
        let mut starts = [0_u16; CODE_BITS_MAX + 2];
        let mut start = 0_u16;
        for (len, (count, slot)) in self.counts.iter().zip(&mut starts).enumerate() {
            room = room
                .wrapping_mul(if len == 0 { 1 } else { 2 })
                .wrapping_sub((*count).into());
            if room < 0 {
                return Err(InflateError::Invalid);
            }
            if *count > 0 {
                longest = len;
            }
            *slot = start;
            start = start.wrapping_add(*count);
        }
        if room > 0 && longest > 1 {
            return Err(InflateError::Invalid);
        }
        for (symbol, len) in (0_u16..).zip(lengths) {
            if *len == 0 {
                continue;
            }
            let next = starts
                .get_mut(usize::from(*len))
                .ok_or(InflateError::Invalid)?;
            let slot = self
                .symbols
                .get_mut(usize::from(*next))
                .ok_or(InflateError::Invalid)?;
            *slot = symbol;
            *next = next.wrapping_add(1);
        }
        self.fill_fast();
        Ok(())
    }

    /// Codes come most significant bit first, so that all entries that end in a reversed code are
    /// its own.
    fn fill_fast(&mut self) {
        self.fast.fill(0);
        let mut symbols = self.symbols.iter();
        let mut code = 0_u16;
        for (len, count) in (0_u16..).zip(&self.counts) {
            if u32::from(len) > Self::FAST_BITS {
                return;
            }
            code <<= 1;
            for symbol in symbols.by_ref().take((*count).into()) {
                let first = code.reverse_bits() >> (16_u16.wrapping_sub(len) & 15);
                let entries = self.fast.iter_mut().skip(first.into()).step_by(1 << len);
                entries.for_each(|entry| *entry = *symbol << 4 | len);
                code = code.wrapping_add(1);
            }
        }
    }

    /// Takes one symbol. At least 15 bits must have been made ready, or all that there are.
    #[inline]
    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> Result<u16, InflateError> {
        let index = bits.buffer & (FAST as u64).wrapping_sub(1);
        let entry = usize::try_from(index)
            .ok()
            .and_then(|index| self.fast.get(index));
        match entry {
            Some(entry) if *entry != 0 => {
                bits.skip(u32::from(*entry & 15))?;
                Ok(*entry >> 4)
            }
            _ => self.decode_long(bits),
        }
    }

    /// Compares the code so far with the first one of each length.
    #[cold]
    fn decode_long(&self, bits: &mut Bits<'_>) -> Result<u16, InflateError> {
        let (mut code, mut first, mut index) = (0_u32, 0_u32, 0_u32);
        for (len, count) in (0_u32..).zip(&self.counts).skip(1) {
            let count = u32::from(*count);
            let bit = (bits.buffer >> len.wrapping_sub(1)) & 1;
            code = code << 1 | u32::from(bit == 1);
            if let Some(offset) = code.checked_sub(first)
                && offset < count
            {
                bits.skip(len)?;
                let symbol = self.symbols.get(index.wrapping_add(offset) as usize);
                return symbol.copied().ok_or(InflateError::Invalid);
            }
            index = index.wrapping_add(count);
            first = first.wrapping_add(count) << 1;
        }
        Err(InflateError::Invalid)
    }
}
