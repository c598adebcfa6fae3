//! Signatures by a secret that the site has, too: of calls to its webhook, of addresses that it hands out.

use crate::config::Secret;
use aws_lc_rs::hmac;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// Signs by HMAC-SHA256. The key as the library keeps it has more than a thousand bytes.
pub(crate) struct Signer(Box<hmac::Key>);

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signer(…)")
    }
}

impl Signer {
    /// Takes the secret in.
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.expose())))
    }

    /// The signature in lower-case hexadecimal digits, as PHP's `hash_hmac` gives it.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        let mac = hmac::sign(&self.0, message);
        mac.as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether these are the digits of a message's signature, compared in constant time.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let expected = self.sign(message);
        expected.as_bytes().ct_eq(signature.as_bytes()).into()
    }
}
