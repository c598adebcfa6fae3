//! Laravel's encrypted cookie: which session it names, if one of the app's keys sealed it.
//!
//! `APP_KEY` seals a value by AES-256-CBC and HMAC-SHA256 (encrypt, then authenticate), or by AES-256-GCM. What is sealed of
//! a cookie is `HMAC-SHA1(name + "v2", key)|session`, so that no other value that the app sealed can stand for it.
//!
//! Invariants: nothing is decrypted before its HMAC is right; both are compared in constant time; no key, cookie or session
//! is in any `Debug` output.

use super::envelope::{Envelope, from_digits};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use std::fmt;

/// Bytes of an `APP_KEY` for AES-256.
pub(crate) const APP_KEY_BYTES: usize = 32;

/// Which of the two ways `app.cipher` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// `AES-256-CBC`, with HMAC-SHA256.
    Cbc,
    /// `AES-256-GCM`.
    Gcm,
}

/// Why a sealed value is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SealError {
    /// Not what Laravel's encrypter makes.
    Malformed,
    /// None of the keys sealed it.
    WrongKey,
    /// It was sealed for something else.
    Foreign,
}

/// The app's keys: the one that seals, and those that did before.
#[derive(Clone)]
pub(super) struct Opener {
    keys: Vec<Key>,
    cipher: Cipher,
}

#[derive(Clone)]
struct Key([u8; APP_KEY_BYTES]);

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Opener(…)")
    }
}

impl Opener {
    /// Takes the keys in.
    pub(super) fn new(keys: &[[u8; APP_KEY_BYTES]], cipher: Cipher) -> Self {
        Self {
            keys: keys.iter().copied().map(Key).collect(),
            cipher,
        }
    }

    /// What is sealed in the cookie of that name.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(super) fn cookie(&self, name: &str, cookie: &str) -> Result<String, SealError> {
        let (key, plain) = self.open_by(cookie.as_bytes())?;
        let (prefix, value) = plain
            .iter()
            .position(|byte| *byte == b'|')
            .and_then(|place| Some((plain.get(..place)?, plain.get(place + 1..)?)))
            .ok_or(SealError::Foreign)?;
        let digits = str::from_utf8(prefix).ok().and_then(from_digits);
        let mac = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key.0);
        let named = format!("{name}v2");
        digits
            .and_then(|digits| hmac::verify(&mac, named.as_bytes(), &digits).ok())
            .ok_or(SealError::Foreign)?;
        String::from_utf8(value.to_vec()).map_err(|_| SealError::Foreign)
    }

    /// What is sealed in a session that the app encrypts (`session.encrypt`).
    ///
    /// # Errors
    /// Why it is not believed.
    pub(super) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.open_by(sealed).map(|(_, plain)| plain)
    }

    fn open_by(&self, sealed: &[u8]) -> Result<(&Key, Vec<u8>), SealError> {
        let envelope = Envelope::read(sealed).ok_or(SealError::Malformed)?;
        let open = |key: &Key| match self.cipher {
            Cipher::Cbc => key.open_cbc(&envelope),
            Cipher::Gcm => key.open_gcm(&envelope),
        };
        let opened = self.keys.iter().find_map(|key| Some((key, open(key)?)));
        opened.ok_or(SealError::WrongKey)
    }
}

impl Key {
    fn open_cbc(&self, envelope: &Envelope) -> Option<Vec<u8>> {
        if !envelope.tag.is_empty() {
            return None;
        }
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let signed = [&*envelope.iv_text, &*envelope.value_text].concat();
        hmac::verify(&mac, signed.as_bytes(), &envelope.mac).ok()?;
        let iv: [u8; 16] = envelope.iv.as_slice().try_into().ok()?;
        let key = UnboundCipherKey::new(&AES_256, &self.0).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let mut bytes = envelope.value.clone();
        let plain = key
            .decrypt(&mut bytes, DecryptionContext::Iv128(iv.into()))
            .ok()?;
        Some(plain.to_vec())
    }

    fn open_gcm(&self, envelope: &Envelope) -> Option<Vec<u8>> {
        // A shorter tag could be guessed.
        if envelope.tag.len() != AES_256_GCM.tag_len() {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(&envelope.iv).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).ok()?);
        let mut bytes = [envelope.value.as_slice(), &envelope.tag].concat();
        let plain = key.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests;
