//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455 §4.1, §4.2.2).

use alloc::string::String;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

/// Appended to the key before it is hashed (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key that says `nonce`.
pub(super) fn encode(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether it is 16 bytes in base64, in its canonical form.
pub(super) fn is_valid(key: &[u8]) -> bool {
    // Room for what 24 characters may decode to; longer ones do not fit.
    let mut nonce = [0; 18];
    STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

/// What the server answers to this key.
pub(super) fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    /// The example of RFC 6455 §1.3.
    #[test]
    fn example_of_the_rfc() {
        assert_eq!(
            super::encode(*b"the sample nonce"),
            "dGhlIHNhbXBsZSBub25jZQ=="
        );
        assert_eq!(
            super::accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
