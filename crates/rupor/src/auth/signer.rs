//! Signatures by a secret that the site has, too: of calls to its webhook, of addresses that it hands out.

use crate::config::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use std::fmt;

/// Signs by HMAC-SHA256.
pub(crate) struct Signer(EncodingKey);

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signer(…)")
    }
}

impl Signer {
    /// Takes the secret in.
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(EncodingKey::from_secret(secret.expose()))
    }

    /// The signature in lower-case hexadecimal digits, as PHP's `hash_hmac` gives it; `None`: the library cannot.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<String> {
        // The library gives it as tokens have it, in base64.
        let mac = sign(message, &self.0, Algorithm::HS256).ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        Some(mac.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
