//! UTF-8 that comes in pieces (RFC 6455 §8.1): each piece is checked as it arrives, up to the first
//! bad byte, wherever it was cut.

/// The text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

/// Where the check stands between two pieces: the bytes of a character that has not ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    pending: [u8; 4],
    pending_len: u8,
}

/// What the bytes of one character so far are.
enum Prefix<'b> {
    Complete(&'b str),
    Unfinished,
}

/// Whether `bytes`, which hold at most one character, are one, or can still become one. The
/// standard library tells a cut apart from an error at the first byte that decides it.
fn prefix(bytes: &[u8]) -> Result<Prefix<'_>, NotUtf8> {
    match core::str::from_utf8(bytes) {
        Ok(text) => Ok(Prefix::Complete(text)),
        Err(error) if error.error_len().is_none() => Ok(Prefix::Unfinished),
        Err(_) => Err(NotUtf8),
    }
}

impl Utf8 {
    /// Checks the next piece; hands all characters that are complete now to `sink`, in order.
    pub(crate) fn push(
        &mut self,
        mut piece: &[u8],
        mut sink: impl FnMut(&str),
    ) -> Result<(), NotUtf8> {
        while self.pending_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else {
                return Ok(());
            };
            piece = rest;
            let len = usize::from(self.pending_len);
            if let Some(slot) = self.pending.get_mut(len) {
                *slot = byte;
            }
            let bytes = self.pending.get(..=len).ok_or(NotUtf8)?;
            match prefix(bytes)? {
                Prefix::Complete(text) => {
                    sink(text);
                    self.pending_len = 0;
                }
                Prefix::Unfinished => self.pending_len = self.pending_len.saturating_add(1),
            }
        }
        let (whole, tail) = piece.split_at(piece.len().saturating_sub(unfinished_tail(piece)));
        if !whole.is_empty() {
            sink(simdutf8::basic::from_utf8(whole).map_err(|_| NotUtf8)?);
        }
        if !tail.is_empty() {
            prefix(tail)?;
            for (slot, byte) in self.pending.iter_mut().zip(tail) {
                *slot = *byte;
            }
            self.pending_len = u8::try_from(tail.len()).map_err(|_| NotUtf8)?;
        }
        Ok(())
    }

    /// Whether the text may end here.
    pub(crate) const fn is_complete(&self) -> bool {
        self.pending_len == 0
    }

    /// Bytes of the character that has not ended.
    pub(crate) fn pending_len(&self) -> usize {
        usize::from(self.pending_len)
    }
}

/// How many of the last bytes begin a character that needs more bytes than there are. Whether they
/// are allowed at all is not asked here.
fn unfinished_tail(bytes: &[u8]) -> usize {
    for (index, byte) in bytes.iter().rev().take(3).enumerate() {
        let width = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        let there = index.saturating_add(1);
        return if width > there { there } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::{string::String, vec::Vec};

    use super::{NotUtf8, Utf8};

    /// Feeds the pieces; the text, or how many pieces were taken before the bad one.
    fn feed<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<(String, bool), usize> {
        let (mut utf8, mut text) = (Utf8::default(), String::new());
        for (index, piece) in pieces.into_iter().enumerate() {
            utf8.push(piece, |part| text.push_str(part))
                .map_err(|NotUtf8| index)?;
        }
        Ok((text, utf8.is_complete()))
    }

    /// W-U1. Each is bad at exactly its last byte, and is reported there, one byte at a time.
    #[test]
    fn first_bad_byte() {
        let bad: &[&[u8]] = &[
            b"\x80",
            b"\xbf",
            b"\xc0",
            b"\xc1",
            b"\xf5",
            b"\xff",
            b"\xc2\x20",
            b"\xc2\xc2",
            b"\xe0\x9f",
            b"\xed\xa0",
            b"\xe2\x82\x28",
            b"\xf0\x8f",
            b"\xf4\x90",
            b"\xf0\x9f\x98\x41",
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90",
        ];
        for bytes in bad {
            assert_eq!(feed(bytes.chunks(1)), Err(bytes.len() - 1), "{bytes:02x?}");
            assert_eq!(feed([*bytes]), Err(0), "{bytes:02x?}");
        }
    }

    /// Bytes near UTF-8: fragments of characters, with some noise.
    fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            8 => any::<char>().prop_map(|c| c.encode_utf8(&mut [0; 4]).as_bytes().to_vec()),
            4 => "[a-z]{0,80}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..4),
            1 => any::<char>().prop_map(|c| {
                let mut bytes = c.encode_utf8(&mut [0; 4]).as_bytes().to_vec();
                bytes.pop();
                bytes
            }),
        ];
        prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// W-U1: the same verdict as the standard library, wherever the bytes are cut, and never
        /// later than in the piece that holds the first bad byte.
        #[test]
        fn same_as_std(bytes in nearly_text(), sizes in prop::collection::vec(1..9_usize, 1..64)) {
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            match (std::str::from_utf8(&bytes), feed(pieces.iter().copied())) {
                (Ok(text), fed) => prop_assert_eq!(fed, Ok((text.into(), true))),
                (Err(error), Ok((text, complete))) => {
                    prop_assert!(error.error_len().is_none());
                    prop_assert!(!complete);
                    prop_assert_eq!(text.len(), error.valid_up_to());
                }
                (Err(error), Err(index)) => {
                    let before: usize = pieces[..index].iter().map(|piece| piece.len()).sum();
                    let bad_byte = error.valid_up_to() + error.error_len().unwrap();
                    let until = before + pieces[index].len();
                    // error_len counts the good bytes of the broken character: the bad one is at
                    // its end or right behind it.
                    prop_assert!(before <= bad_byte && error.valid_up_to() < until);
                    prop_assert!(std::str::from_utf8(&bytes[..before])
                        .map_or_else(|e| e.error_len().is_none(), |_| true));
                }
            }
        }
    }
}
