//! Frame headers in: decoding, and every rule that a header alone can break (RFC 6455 §5.2-5.5).

use super::Opcode;
use crate::{Kind, PeerError};

/// Bytes of the longest header: two, a 64-bit length, a masking key.
pub(crate) const HEADER_BYTES_MAX: usize = 14;
/// Payload bytes that a control frame may have (RFC 6455 §5.5).
pub(crate) const CONTROL_BYTES_MAX: u64 = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// RSV1: the message is compressed (RFC 7692 §6).
const COMPRESSED: u8 = 0x40;
const MASK: u8 = 0x80;

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    /// Of a message's first frame: the message is compressed.
    pub(crate) compressed: bool,
    pub(crate) payload_len: u64,
    pub(crate) masking_key: Option<[u8; 4]>,
}

/// What a header is judged by, besides itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether frames must be masked (from a client) or must not be (from a server).
    pub(crate) masked: bool,
    /// Whether a fragmented message is unfinished.
    pub(crate) message_open: bool,
    /// Whether permessage-deflate was negotiated.
    pub(crate) deflate: bool,
}

/// Decodes the header at the front of `bytes` and says how many of them it takes. `None`: more
/// bytes are needed.
///
/// Rules are checked in the order of the bytes that they concern, as soon as those are there, so
/// that which rule is reported does not depend on how the bytes were cut.
pub(crate) fn decode(bytes: &[u8], rules: Rules) -> Result<Option<(Header, usize)>, PeerError> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (fin, opcode) = first_byte(first, rules)?;
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    let masked = second & MASK != 0;
    if masked != rules.masked {
        return Err(if masked {
            PeerError::Masked
        } else {
            PeerError::Unmasked
        });
    }
    let short_len = second & !MASK;
    if opcode.is_control() && u64::from(short_len) > CONTROL_BYTES_MAX {
        return Err(PeerError::ControlTooLong);
    }
    let Some((payload_len, rest)) = length(short_len, rest)? else {
        return Ok(None);
    };
    let (masking_key, rest) = if masked {
        let Some((key, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        (Some(*key), rest)
    } else {
        (None, rest)
    };
    let used = bytes.len().saturating_sub(rest.len());
    Ok(Some((
        Header {
            fin,
            opcode,
            compressed: first & COMPRESSED != 0,
            payload_len,
            masking_key,
        },
        used,
    )))
}

/// The header of a message in one frame that is neither compressed nor longer than 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlainHeader {
    pub(crate) kind: Kind,
    pub(crate) header_len: usize,
    pub(crate) payload_len: usize,
    pub(crate) masking_key: Option<[u8; 4]>,
}

/// What [`decode`] does, for the most frequent header alone, where no fragmented message is
/// unfinished. `None`: look there.
#[inline(always)]
pub(crate) fn decode_plain(bytes: &[u8], masked: bool) -> Option<PlainHeader> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let kind = match first {
        0x81 => Kind::Text,
        0x82 => Kind::Binary,
        _ => return None,
    };
    if (second & MASK != 0) != masked {
        return None;
    }
    let (payload_len, rest) = match second & !MASK {
        126 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            let len = u16::from_be_bytes(*len);
            (len >= 126).then_some((usize::from(len), rest))?
        }
        127 => return None,
        len => (usize::from(len), rest),
    };
    let (masking_key, rest) = if masked {
        let (key, rest) = rest.split_first_chunk::<4>()?;
        (Some(*key), rest)
    } else {
        (None, rest)
    };
    Some(PlainHeader {
        kind,
        header_len: bytes.len().saturating_sub(rest.len()),
        payload_len,
        masking_key,
    })
}

fn first_byte(byte: u8, rules: Rules) -> Result<(bool, Opcode), PeerError> {
    let allowed = if rules.deflate { COMPRESSED } else { 0 };
    if byte & RESERVED & !allowed != 0 {
        return Err(PeerError::ReservedBits);
    }
    let Some(opcode) = Opcode::from_bits(byte) else {
        return Err(PeerError::ReservedOpcode(byte & 0x0f));
    };
    // Only the first frame of a message says whether it is compressed (RFC 7692 §6.1).
    if byte & COMPRESSED != 0 && opcode.kind().is_none() {
        return Err(PeerError::ReservedBits);
    }
    let fin = byte & FIN != 0;
    match opcode {
        Opcode::Continuation if !rules.message_open => Err(PeerError::ContinuationWithoutStart),
        Opcode::Text | Opcode::Binary if rules.message_open => Err(PeerError::MessageInsideMessage),
        Opcode::Close | Opcode::Ping | Opcode::Pong if !fin => Err(PeerError::ControlFragmented),
        _ => Ok((fin, opcode)),
    }
}

/// The payload length, from its seven bits and the bytes behind them, and what follows.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, PeerError> {
    match short {
        126 => {
            let Some((len, rest)) = rest.split_first_chunk::<2>() else {
                return Ok(None);
            };
            let len = u64::from(u16::from_be_bytes(*len));
            if len < 126 {
                return Err(PeerError::LengthNotMinimal);
            }
            Ok(Some((len, rest)))
        }
        127 => {
            let Some((len, rest)) = rest.split_first_chunk::<8>() else {
                return Ok(None);
            };
            let len = u64::from_be_bytes(*len);
            if len <= u64::from(u16::MAX) {
                return Err(PeerError::LengthNotMinimal);
            }
            if len > i64::MAX.unsigned_abs() {
                return Err(PeerError::LengthTopBit);
            }
            Ok(Some((len, rest)))
        }
        _ => Ok(Some((u64::from(short), rest))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec::Vec;

    use super::{Header, Opcode, Rules, decode, decode_plain};

    fn as_any(bytes: &[u8], masked: bool) -> Option<(Header, usize)> {
        let plain = decode_plain(bytes, masked)?;
        let header = Header {
            fin: true,
            opcode: Opcode::from(plain.kind),
            compressed: false,
            payload_len: plain.payload_len as u64,
            masking_key: plain.masking_key,
        };
        Some((header, plain.header_len))
    }

    proptest! {
        #[test]
        fn the_plain_header_is_what_any_header_is(
            first in prop_oneof![Just(0x81), Just(0x82), any::<u8>()],
            second: u8,
            rest: Vec<u8>,
            masked: bool,
        ) {
            let mut bytes = std::vec![first, second];
            bytes.extend(rest);
            let rules = Rules { masked, message_open: false, deflate: true };
            let any = decode(&bytes, rules).ok().flatten();
            let plain = as_any(&bytes, masked);
            if plain.is_some() {
                prop_assert_eq!(plain, any);
            } else if let Some((header, _)) = any {
                let message = header.fin && header.opcode.kind().is_some() && !header.compressed;
                prop_assert!(!message || header.payload_len > u64::from(u16::MAX));
            }
        }
    }
}
