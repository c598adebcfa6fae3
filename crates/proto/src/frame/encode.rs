//! Frames out.

use alloc::vec::Vec;

use super::{Opcode, header::HEADER_BYTES_MAX, mask};

/// RSV1: the payload is compressed (RFC 7692 §6).
const COMPRESSED: u8 = 0x40;

/// Appends a whole frame to `out`, masked if there is a key.
#[inline(always)]
pub(crate) fn frame(
    out: &mut Vec<u8>,
    fin: bool,
    opcode: Opcode,
    payload: &[u8],
    masking_key: Option<[u8; 4]>,
) {
    let fin = if fin { 0x80 } else { 0 };
    any_frame(out, fin | opcode.bits(), payload, masking_key);
}

/// Appends a message frame whose payload permessage-deflate has made.
pub(crate) fn compressed_frame(
    out: &mut Vec<u8>,
    opcode: Opcode,
    payload: &[u8],
    masking_key: Option<[u8; 4]>,
) {
    any_frame(out, 0x80 | COMPRESSED | opcode.bits(), payload, masking_key);
}

/// Appends the header of a whole, unmasked message frame.
pub(crate) fn frame_header(out: &mut Vec<u8>, opcode: Opcode, payload_len: usize) {
    header(out, 0x80 | opcode.bits(), payload_len, None);
}

#[inline(always)]
fn any_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], masking_key: Option<[u8; 4]>) {
    out.reserve(HEADER_BYTES_MAX.saturating_add(payload.len()));
    header(out, first, payload.len(), masking_key);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = masking_key
        && let Some(payload) = out.get_mut(start..)
    {
        mask::apply(payload, key);
    }
}

/// Appends a frame header to `out`; the length takes as few bytes as it can (RFC 6455 §5.2).
#[inline(always)]
fn header(out: &mut Vec<u8>, first: u8, payload_len: usize, masking_key: Option<[u8; 4]>) {
    let mask_bit = if masking_key.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload_len), u16::try_from(payload_len)) {
        (Ok(len @ ..=125), _) => out.extend_from_slice(&[first, mask_bit | len]),
        (_, Ok(len)) => {
            let [high, low] = len.to_be_bytes();
            out.extend_from_slice(&[first, mask_bit | 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, mask_bit | 127]);
            // usize has at most 64 bits on every platform of Rust.
            let len = u64::try_from(payload_len).unwrap_or(u64::MAX);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
    if let Some(key) = masking_key {
        out.extend_from_slice(&key);
    }
}
