//! The keys that verify tokens, checked before the first token comes.
//!
//! A key is bound to one algorithm. A secret that is short or that everybody knows, a private key where the public one
//! belongs, or a key of another kind than its algorithm is refused here, at start, and not found out by an attacker.

use crate::config::{JwtAlgorithm, JwtKey};
use jsonwebtoken::{Algorithm, DecodingKey};
use std::fmt;

/// Shortest HMAC secret in bytes.
pub(crate) const SECRET_BYTES_MIN: usize = 32;
/// Fewest different bytes in an HMAC secret: 32 random hexadecimal digits have fewer with a chance below 10⁻⁶.
const SECRET_DISTINCT_BYTES_MIN: usize = 8;
/// Shortest RSA public key in bytes of PKCS#1 DER: a modulus of 2048 bits and what surrounds it.
const RSA_DER_BYTES_MIN: usize = 256 + 2;
/// Texts that a secret must not contain, in lower case: what tutorials and sample files write there.
const WELL_KNOWN: &[&str] = &[
    "changeme",
    "change-me",
    "change_me",
    "change me",
    "changethis",
    "change-this",
    "change_this",
    "replaceme",
    "replace-me",
    "replace_me",
    "your-256-bit-secret",
    "your-secret",
    "your_secret",
    "my-secret",
    "my_secret",
    "mysecret",
    "secretsecret",
    "secretkey",
    "secret-key",
    "secret_key",
    "supersecret",
    "super-secret",
    "super_secret",
    "password",
    "placeholder",
    "example",
    "insecure",
    "0123456789",
    "1234567890",
    "qwerty",
];

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// No key at all.
    NoKeys,
    /// An HMAC secret below [`SECRET_BYTES_MIN`].
    ShortSecret,
    /// An HMAC secret that can be guessed.
    WellKnownSecret,
    /// PEM text where an HMAC secret belongs: with it, the *public* key would sign tokens.
    PemAsSecret,
    /// A private key where the public key belongs.
    PrivateKey,
    /// Not a PEM public key of the kind that the algorithm needs.
    WrongKey(JwtAlgorithm),
    /// An RSA key below 2048 bits.
    ShortRsaKey,
    /// Several keys, and one of them without a `kid`, or two with the same.
    AmbiguousIds,
}

impl fmt::Display for KeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeys => formatter.write_str("JWT needs at least one key"),
            Self::ShortSecret => write!(
                formatter,
                "the secret is shorter than {SECRET_BYTES_MIN} bytes: make one with `openssl rand -hex 32`"
            ),
            Self::WellKnownSecret => formatter.write_str(
                "the secret can be guessed: make a random one with `openssl rand -hex 32`",
            ),
            Self::PemAsSecret => formatter.write_str(
                "this is a PEM key, not a secret: with a public key the algorithm is RS256, PS256, ES256 or EdDSA",
            ),
            Self::PrivateKey => formatter.write_str(
                "this is a private key: rupor only verifies, give it the public key (-----BEGIN PUBLIC KEY-----)",
            ),
            Self::WrongKey(algorithm) => {
                write!(formatter, "this is not a PEM public key for {}", algorithm.name())
            }
            Self::ShortRsaKey => formatter.write_str("an RSA key must have at least 2048 bits"),
            Self::AmbiguousIds => {
                formatter.write_str("with several keys each needs an id (`kid`) of its own")
            }
        }
    }
}

impl std::error::Error for KeyError {}

impl JwtAlgorithm {
    /// The name as a token's header has it (RFC 7518 §3.1, RFC 8037 §3.1).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Hs384 => Algorithm::HS384,
            Self::Hs512 => Algorithm::HS512,
            Self::Rs256 => Algorithm::RS256,
            Self::Rs384 => Algorithm::RS384,
            Self::Rs512 => Algorithm::RS512,
            Self::Ps256 => Algorithm::PS256,
            Self::Ps384 => Algorithm::PS384,
            Self::Ps512 => Algorithm::PS512,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// A key and the only algorithm that it verifies. Its `Debug` shows nothing of the key.
#[derive(Debug)]
pub(crate) struct VerifyingKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl VerifyingKey {
    /// Checks a key and takes it in.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(settings: &JwtKey) -> Result<Self, KeyError> {
        let bytes = settings.key.expose();
        let key = match settings.algorithm {
            JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512 => {
                check_secret(bytes)?;
                DecodingKey::from_secret(bytes)
            }
            _ => public_key(bytes, settings.algorithm)?,
        };
        Ok(Self {
            id: settings.id.clone(),
            algorithm: settings.algorithm.algorithm(),
            key,
        })
    }
}

/// Whether `secret` is long enough and not one that everybody knows. For the API key too.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_secret(secret: &[u8]) -> Result<(), KeyError> {
    if secret.windows(10).any(|window| window == b"-----BEGIN") {
        return Err(KeyError::PemAsSecret);
    }
    if secret.len() < SECRET_BYTES_MIN {
        return Err(KeyError::ShortSecret);
    }
    let mut seen = [false; 256];
    for byte in secret {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let lower = secret.to_ascii_lowercase();
    let contains = |text: &str| {
        lower
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    if distinct < SECRET_DISTINCT_BYTES_MIN || WELL_KNOWN.iter().any(|text| contains(text)) {
        return Err(KeyError::WellKnownSecret);
    }
    Ok(())
}

fn public_key(pem: &[u8], algorithm: JwtAlgorithm) -> Result<DecodingKey, KeyError> {
    if pem.windows(11).any(|window| window == b"PRIVATE KEY") {
        return Err(KeyError::PrivateKey);
    }
    let wrong = || KeyError::WrongKey(algorithm);
    let key = match algorithm {
        JwtAlgorithm::Es256 | JwtAlgorithm::Es384 => DecodingKey::from_ec_pem(pem),
        JwtAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_rsa_pem(pem),
    }
    .map_err(|_| wrong())?;
    let bytes = key.try_get_as_bytes().map_err(|_| wrong())?.len();
    // The PEM reader checks the family; the curve shows in the length of the point (uncompressed: 1 + 2 coordinates).
    let fits = match algorithm {
        JwtAlgorithm::Es256 => bytes == 65,
        JwtAlgorithm::Es384 => bytes == 97,
        JwtAlgorithm::EdDsa => bytes == 32,
        _ => true,
    };
    if !fits {
        return Err(wrong());
    }
    let rsa = !matches!(
        algorithm,
        JwtAlgorithm::Es256 | JwtAlgorithm::Es384 | JwtAlgorithm::EdDsa
    );
    if rsa && bytes < RSA_DER_BYTES_MIN {
        return Err(KeyError::ShortRsaKey);
    }
    Ok(key)
}
