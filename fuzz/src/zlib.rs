//! The C zlib as the other side of permessage-deflate, made to check every distance.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What a sender cuts off (RFC 7692 §7.2.1).
pub const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not DEFLATE, not all of it, or a distance that is too far.
    Invalid,
    /// More than was allowed comes out.
    TooBig,
}

/// What comes out of a message behind `history`.
///
/// zlib checks a distance against what it has kept and what it made in the same call, so it is
/// given room for one byte at a time: then the window is exact.
pub fn inflate(
    history: &[u8],
    window_bits: u8,
    bytes_max: usize,
    message: &[u8],
) -> Result<Vec<u8>, Refused> {
    if message.is_empty() {
        return Ok(Vec::new());
    }
    let input = [message, &TAIL].concat();
    let mut all = history.to_vec();
    let mut at = 0;
    loop {
        let (used, ended) = stream(
            &mut all,
            window_bits,
            history.len() + bytes_max,
            &input[at..],
        )?;
        at += used;
        if !ended || at == input.len() {
            break;
        }
        // Behind a final block, which is legal (RFC 7692 §7.2.3.4), the next stream begins. A
        // sender that has nothing to say in it may leave it out.
        if at == message.len() {
            break;
        }
    }
    Ok(all.split_off(history.len()))
}

/// One stream, to its final block or the end of the input, which must be the end of a block.
fn stream(
    all: &mut Vec<u8>,
    window_bits: u8,
    len_max: usize,
    input: &[u8],
) -> Result<(usize, bool), Refused> {
    let start = all.len();
    let status = run(all, window_bits, len_max, input)?;
    if let Some(used) = status {
        return Ok((used, true));
    }
    // Only between two blocks are both of these a final block that is empty.
    let endings: [&[u8]; 2] = [&[1, 0, 0, 0xff, 0xff], &[3, 0]];
    for ending in endings {
        let mut again = all[..start].to_vec();
        let extended = [input, ending].concat();
        let ended = run(&mut again, window_bits, len_max, &extended);
        if ended != Ok(Some(extended.len())) || again != *all {
            return Err(Refused::Invalid);
        }
    }
    Ok((input.len(), false))
}

/// Appends what comes out, and says how much was used if a final block ended it.
fn run(
    all: &mut Vec<u8>,
    window_bits: u8,
    len_max: usize,
    input: &[u8],
) -> Result<Option<usize>, Refused> {
    let mut stream = Decompress::new_with_window_bits(false, window_bits);
    let window = 1 << window_bits;
    let kept = &all[all.len().saturating_sub(window)..];
    if !kept.is_empty() && stream.set_dictionary(kept).is_err() {
        return Err(Refused::Invalid);
    }
    loop {
        let used = stream.total_in() as usize;
        let made = stream.total_out();
        let mut byte = [0];
        let status = stream.decompress(&input[used..], &mut byte, FlushDecompress::Sync);
        if stream.total_out() > made {
            all.push(byte[0]);
            if all.len() > len_max {
                return Err(Refused::TooBig);
            }
        }
        match status {
            Err(_) => return Err(Refused::Invalid),
            Ok(Status::StreamEnd) => return Ok(Some(stream.total_in() as usize)),
            Ok(Status::Ok | Status::BufError) => {
                let moved = stream.total_in() as usize > used || stream.total_out() > made;
                if !moved {
                    return Ok(None);
                }
            }
        }
    }
}

/// A message as zlib compresses it behind `history`.
pub fn compress(history: &[u8], window_bits: u8, level: u32, payload: &[u8]) -> Vec<u8> {
    let level = Compression::new(level.min(9));
    let mut stream = Compress::new_with_window_bits(level, false, window_bits);
    let window = 1 << window_bits;
    let kept = &history[history.len().saturating_sub(window)..];
    if !kept.is_empty() {
        let _ = stream.set_dictionary(kept);
    }
    let mut out = vec![0; payload.len() * 2 + 1000];
    let _ = stream.compress(payload, &mut out, FlushCompress::Sync);
    out.truncate(stream.total_out() as usize);
    if out.ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
    }
    out
}
