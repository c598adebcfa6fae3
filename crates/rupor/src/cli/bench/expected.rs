//! What a connection should bring, and what it does bring.
//!
//! Invariants:
//! - as long as what arrives is what was expected, a read costs one comparison, however many messages it holds;
//! - every byte is looked at: a reply is counted when it is whole and equal to the expected one, byte by byte;
//! - control frames (RFC 6455 §5.5) may stand between messages; anything else is an error.
//!
//! Start at [`Intake::take`].

mod learner;

pub(super) use learner::Learner;
use std::fmt;

/// Longest control frame of a server: two bytes of header and 125 of payload (RFC 6455 §5.5).
const CONTROL_BYTES_MAX: usize = 127;

/// The same unit of bytes (a frame, a line) again and again.
#[derive(Debug)]
pub(super) struct Pattern {
    bytes: Vec<u8>,
    unit: usize,
}

impl Pattern {
    /// Of `unit`, which is not empty, so long that `span` bytes can be taken from any offset in the first unit.
    pub(super) fn new(unit: &[u8], span: usize) -> Self {
        let times = span.div_ceil(unit.len().max(1)).saturating_add(1);
        Self {
            bytes: unit.repeat(times),
            unit: unit.len().max(1),
        }
    }

    /// Up to `bytes_max` bytes from `offset` bytes into a unit.
    pub(super) fn from(&self, offset: usize, bytes_max: usize) -> &[u8] {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        rest.get(..bytes_max).unwrap_or(rest)
    }

    /// Moves an offset on by `bytes`, and says how many units were finished by that.
    pub(super) fn advance(&self, offset: &mut usize, bytes: usize) -> u64 {
        let end = *offset + bytes;
        *offset = end % self.unit;
        (end / self.unit) as u64
    }

    /// Bytes of one unit.
    pub(super) fn unit_bytes(&self) -> usize {
        self.unit
    }
}

/// Why a connection is given up: what came was not what should come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unexpected {
    /// A message, or another one than was expected.
    Differs,
    /// A control frame that is none (RFC 6455 §5.5).
    Malformed,
    /// The server closes, with this code.
    Closed(Option<u16>),
}

impl fmt::Display for Unexpected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs => formatter.write_str(
                "the server sent something else than the message in one unmasked, uncompressed frame",
            ),
            Self::Malformed => formatter.write_str("the server sent a malformed control frame"),
            Self::Closed(Some(code)) => write!(formatter, "the server closed with code {code}"),
            Self::Closed(None) => formatter.write_str("the server closed without a code"),
        }
    }
}

/// Where in the expected bytes a connection is.
#[derive(Debug, Default)]
pub(super) struct Intake {
    offset: usize,
    /// A control frame that is not whole yet; while idle, any frame's header.
    control: Vec<u8>,
    /// While idle: bytes of a message that are still to come.
    skipped: u64,
}

impl Intake {
    /// Takes what was read, at most the pattern's span, and says how many expected units became whole. `on_ping` gets the
    /// payload of each ping.
    ///
    /// # Errors
    /// See [`Unexpected`]; the connection is of no use then.
    pub(super) fn take(
        &mut self,
        pattern: &Pattern,
        bytes: &[u8],
        mut on_ping: impl FnMut(&[u8]),
    ) -> Result<u64, Unexpected> {
        if self.control.is_empty() && bytes == pattern.from(self.offset, bytes.len()) {
            return Ok(pattern.advance(&mut self.offset, bytes.len()));
        }
        let (mut rest, mut units) = (bytes, 0);
        while let Some(first) = rest.first() {
            // The opcodes of control frames have the highest of their four bits set (RFC 6455 §5.2).
            let is_control = self.offset == 0 && first & 0x08 != 0;
            if !self.control.is_empty() || is_control {
                rest = self.take_control(rest, &mut on_ping)?;
                continue;
            }
            let left = pattern.unit_bytes() - self.offset;
            let (unit, after) = rest.split_at(left.min(rest.len()));
            if unit != pattern.from(self.offset, unit.len()) {
                return Err(Unexpected::Differs);
            }
            units += pattern.advance(&mut self.offset, unit.len());
            rest = after;
        }
        Ok(units)
    }

    /// Takes what was read on a connection of which nothing is expected: messages are passed over. `on_ping` as above.
    ///
    /// # Errors
    /// See [`Unexpected`].
    pub(super) fn take_any(
        &mut self,
        bytes: &[u8],
        mut on_ping: impl FnMut(&[u8]),
    ) -> Result<(), Unexpected> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if self.skipped > 0 {
                let passed =
                    usize::try_from(self.skipped).map_or(rest.len(), |n| n.min(rest.len()));
                self.skipped -= passed as u64;
                rest = rest.get(passed..).unwrap_or_default();
            } else if self.control.first().unwrap_or(first) & 0x08 != 0 {
                rest = self.take_control(rest, &mut on_ping)?;
            } else {
                self.control.push(*first);
                rest = rest.get(1..).unwrap_or_default();
                if let Some(payload_bytes) = payload_bytes(&self.control) {
                    self.skipped = payload_bytes;
                    self.control.clear();
                }
            }
        }
        Ok(())
    }

    /// Takes what belongs to one control frame.
    fn take_control<'a>(
        &mut self,
        bytes: &'a [u8],
        on_ping: &mut impl FnMut(&[u8]),
    ) -> Result<&'a [u8], Unexpected> {
        let whole = |head: &[u8]| head.get(1).map_or(2, |len| 2 + usize::from(*len));
        let mut rest = bytes;
        while self.control.len() < whole(&self.control) {
            let Some((byte, after)) = rest.split_first() else {
                return Ok(rest);
            };
            self.control.push(*byte);
            rest = after;
            if whole(&self.control) > CONTROL_BYTES_MAX {
                return Err(Unexpected::Malformed);
            }
        }
        let frame = std::mem::take(&mut self.control);
        let payload = frame.get(2..).unwrap_or_default();
        match frame.first() {
            Some(0x89) => on_ping(payload),
            Some(0x8a) => {}
            Some(0x88) => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                return Err(Unexpected::Closed(code));
            }
            _ => return Err(Unexpected::Malformed),
        }
        Ok(rest)
    }
}

/// The payload's length in a server's frame header (RFC 6455 §5.2), once the header is whole.
fn payload_bytes(header: &[u8]) -> Option<u64> {
    let (len, more) = header.get(1..)?.split_first()?;
    match len {
        127 => Some(u64::from_be_bytes(*more.first_chunk()?)),
        126 => Some(u16::from_be_bytes(*more.first_chunk()?).into()),
        len => Some((*len).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Intake, Pattern, Unexpected};

    const FRAME: &[u8] = b"\x81\x04test";

    fn take_in_pieces(bytes: &[u8], piece: usize) -> (Result<u64, Unexpected>, Vec<Vec<u8>>) {
        let pattern = Pattern::new(FRAME, bytes.len());
        let (mut intake, mut units, mut pings) = (Intake::default(), 0, Vec::new());
        for piece in bytes.chunks(piece) {
            match intake.take(&pattern, piece, |ping| pings.push(ping.to_vec())) {
                Ok(more) => units += more,
                Err(error) => return (Err(error), pings),
            }
        }
        (Ok(units), pings)
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let mut bytes = FRAME.repeat(5);
        bytes.extend(b"\x89\x02hi");
        bytes.extend(FRAME);
        bytes.extend(b"\x8a\x00\x89\x00");
        bytes.extend(FRAME.repeat(2));
        for piece in 1..=bytes.len() {
            let (units, pings) = take_in_pieces(&bytes, piece);
            assert_eq!(units, Ok(8), "{piece}");
            assert_eq!(pings, [b"hi".to_vec(), Vec::new()], "{piece}");
        }
    }

    #[test]
    fn an_unfinished_message_is_not_counted() {
        for cut in 1..FRAME.len() {
            let bytes = [FRAME, &FRAME[..cut]].concat();
            assert_eq!(take_in_pieces(&bytes, 100).0, Ok(1), "{cut}");
        }
    }

    #[test]
    fn an_idle_connection_may_receive_anything() {
        let long = [&b"\x82\x7e\x01\x00"[..], &[0x88; 256]].concat();
        let huge = [
            &b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"[..],
            &[0x88; 65_536],
        ]
        .concat();
        let bytes = [FRAME, b"\x89\x01a", &long, b"\x81\x00", &huge, b"\x89\x01b"].concat();
        for piece in [1, 2, 7, 1000, 1 << 20] {
            let (mut intake, mut pings) = (Intake::default(), Vec::<u8>::new());
            for piece in bytes.chunks(piece) {
                intake.take_any(piece, |ping| pings.extend(ping)).unwrap();
            }
            assert_eq!(pings, b"ab", "{piece}");
            let close = intake.take_any(b"\x88\x02\x03\xe8", |_| {});
            assert_eq!(close, Err(Unexpected::Closed(Some(1000))));
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for (bytes, error) in [
            (&b"\x81\x04tesT"[..], Unexpected::Differs),
            (b"\x82\x04test", Unexpected::Differs),
            (b"\x81\x05testt", Unexpected::Differs),
            (b"\x81\x04te\x89\x00st", Unexpected::Differs),
            (b"\x88\x02\x03\xe9", Unexpected::Closed(Some(1001))),
            (b"\x88\x00", Unexpected::Closed(None)),
            (b"\x89\x7e\x00\x80", Unexpected::Malformed),
            (b"\x8b\x00", Unexpected::Malformed),
            (b"\xc9\x00", Unexpected::Malformed),
        ] {
            for piece in [1, 3, 100] {
                let bytes = [FRAME, bytes].concat();
                let (taken, _) = take_in_pieces(&bytes, piece);
                assert_eq!(
                    taken,
                    Err(match &error {
                        Unexpected::Differs => Unexpected::Differs,
                        Unexpected::Malformed => Unexpected::Malformed,
                        Unexpected::Closed(code) => Unexpected::Closed(*code),
                    }),
                    "{bytes:?} by {piece}"
                );
            }
        }
    }
}
