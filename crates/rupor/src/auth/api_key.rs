//! The HTTP API's key, compared in constant time.
//!
//! Two texts of unequal length, or that differ early, must not take less time to compare (A-TM). So not the keys are
//! compared but their HMACs under a key of this process: equally long, and nothing that a caller sends can be steered to
//! share a begin with the right one. Those are compared by `subtle`.

use crate::config::Secret;
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use std::fmt;
use subtle::ConstantTimeEq;

/// The key that a caller of the API must show.
pub(crate) struct ApiKey {
    mac_key: EncodingKey,
    mac: String,
}

/// That this machine gives no random numbers, or cannot compute an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoCrypto;

impl fmt::Display for NoCrypto {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the system gives no random numbers")
    }
}

impl std::error::Error for NoCrypto {}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(…)")
    }
}

impl ApiKey {
    /// Takes the key in.
    ///
    /// # Errors
    /// See [`NoCrypto`].
    pub(crate) fn new(key: &Secret) -> Result<Self, NoCrypto> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| NoCrypto)?;
        let mac_key = EncodingKey::from_secret(&random);
        let mac = sign(key.expose(), &mac_key, Algorithm::HS256).map_err(|_| NoCrypto)?;
        Ok(Self { mac_key, mac })
    }

    /// Whether `shown` is the key.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        sign(shown, &self.mac_key, Algorithm::HS256)
            .is_ok_and(|mac| bool::from(mac.as_bytes().ct_eq(self.mac.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::ApiKey;
    use crate::config::Secret;

    #[test]
    fn only_the_key_is_the_key() {
        let key = ApiKey::new(&Secret::new("0f9e8d7c6b5a49382716")).expect("random numbers");
        assert!(key.is(b"0f9e8d7c6b5a49382716"));
        for wrong in [
            "",
            "0",
            "0f9e8d7c6b5a4938271",
            "0f9e8d7c6b5a493827160",
            "0F9E8D7C6B5A49382716",
            " 0f9e8d7c6b5a49382716",
            "0f9e8d7c6b5a49382716\0",
        ] {
            assert!(!key.is(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(!format!("{key:?}").contains("0f9e"));
    }
}
