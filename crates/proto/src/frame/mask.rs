//! Masking (RFC 6455 §5.3): XOR with a key of four bytes, over and over.

/// XORs `payload` with `key`, eight bytes at a time. Twice with the same key is no change.
#[inline]
pub(crate) fn apply(payload: &mut [u8], key: [u8; 4]) {
    // Doubled as a number: byte by byte it takes longer than unmasking a short message.
    let half = u64::from(u32::from_ne_bytes(key));
    let word_key = half << 32 | half;
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ word_key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// The key that continues after `len` bytes.
pub(crate) fn advance(mut key: [u8; 4], len: usize) -> [u8; 4] {
    key.rotate_left(len % 4);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec::Vec;

    use super::{advance, apply};

    proptest! {
        #[test]
        fn twice_is_no_change(payload: Vec<u8>, key: [u8; 4]) {
            let mut masked = payload.clone();
            apply(&mut masked, key);
            apply(&mut masked, key);
            prop_assert_eq!(masked, payload);
        }

        #[test]
        fn same_as_byte_by_byte_at_any_cut(payload: Vec<u8>, key: [u8; 4], cut: usize) {
            let expected: Vec<u8> =
                payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut masked = payload;
            let cut = cut % (masked.len() + 1);
            let (front, back) = masked.split_at_mut(cut);
            apply(front, key);
            apply(back, advance(key, cut));
            prop_assert_eq!(masked, expected);
        }
    }
}
