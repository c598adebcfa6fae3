//! Addresses that the site signed for a user: `?user=…&expires=…&signature=…`.
//!
//! The signature is the HMAC-SHA256, in hexadecimal digits, of `expires`, a full stop and the user's name, both as they are
//! without percent-encoding. `expires` is digits only, so no two pairs are signed as one text. It is compared in constant time.

use crate::auth::is_user_name;
use crate::auth::signer::Signer;
use crate::config::Secret;
use std::fmt;
use std::time::Duration;

/// The parameters of the query.
const USER: &str = "user";
const EXPIRES: &str = "expires";
const SIGNATURE: &str = "signature";
/// Most digits of `expires`: every number of 64 bits fits.
const DIGITS_MAX: usize = 19;

/// Why a signed address is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignedUrlError {
    /// A parameter is missing, came twice, or is none.
    Malformed,
    /// `expires` is over.
    Expired,
    /// The signature is not the key's.
    WrongSignature,
}

impl fmt::Display for SignedUrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Malformed => {
                "a signed address has `user`, `expires` (seconds since 1970) and `signature`, each once"
            }
            Self::Expired => "the signed address has expired",
            Self::WrongSignature => "the signature of the address is wrong",
        })
    }
}

/// Verifies signed addresses.
#[derive(Debug)]
pub(crate) struct SignedUrls {
    signer: Signer,
}

impl SignedUrls {
    /// Takes the key in.
    pub(crate) fn new(key: &Secret) -> Self {
        Self {
            signer: Signer::new(key),
        }
    }

    /// The user that a query names, and until when in seconds since 1970; `None`: it has no `signature`. `now`: time since
    /// 1970.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(crate) fn verify(
        &self,
        query: &str,
        now: Duration,
    ) -> Result<Option<(String, u64)>, SignedUrlError> {
        let [mut user, mut expires, mut signature] = [None, None, None];
        let mut twice = false;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                USER => &mut user,
                EXPIRES => &mut expires,
                SIGNATURE => &mut signature,
                _ => continue,
            };
            twice |= place.replace(value).is_some();
        }
        let Some(signature) = signature else {
            return Ok(None);
        };
        let (Some(user), Some(expires), false) = (user, expires, twice) else {
            return Err(SignedUrlError::Malformed);
        };
        let ends = ends(&expires).ok_or(SignedUrlError::Malformed)?;
        if !is_user_name(&user) {
            return Err(SignedUrlError::Malformed);
        }
        let signed = format!("{expires}.{user}");
        if !self.signer.verifies(signed.as_bytes(), &signature) {
            return Err(SignedUrlError::WrongSignature);
        }
        if now.as_secs() >= ends {
            return Err(SignedUrlError::Expired);
        }
        Ok(Some((user.into_owned(), ends)))
    }
}

fn ends(expires: &str) -> Option<u64> {
    let is_number =
        expires.len() <= DIGITS_MAX && expires.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| expires.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_address_is_believed_until_it_expires() {
        let urls = SignedUrls::new(&Secret::new(*b"key"));
        // printf '2000000000.anna' | openssl dgst -sha256 -hmac key
        let good = "b17160cdf04c3865c92becc4aff89d5d39517d0db99b95e4a5c5fa25735bd272";
        let verify = |query: &str, now| urls.verify(query, Duration::from_secs(now));
        let address = |user: &str, expires: &str, signature: &str| {
            format!("user={user}&expires={expires}&signature={signature}")
        };
        let query = address("anna", "2000000000", good);
        let anna = Ok(Some(("anna".to_owned(), 2_000_000_000)));
        assert_eq!(verify(&query, 1_999_999_999), anna);
        assert_eq!(verify(&query, 2_000_000_000), Err(SignedUrlError::Expired));
        assert_eq!(verify("user=anna&expires=2000000000", 0), Ok(None));
        for wrong in [
            address("boris", "2000000000", good),
            address("anna", "2000000001", good),
            address("anna", "2000000000", &good[1..]),
            address("anna", "2000000000", &good.to_uppercase()),
            address("anna", "2000000000", ""),
        ] {
            assert_eq!(
                verify(&wrong, 0),
                Err(SignedUrlError::WrongSignature),
                "{wrong}"
            );
        }
        for malformed in [
            format!("{query}&user=boris"),
            format!("user=boris&{query}"),
            format!("{query}&signature={good}"),
            address("", "2000000000", good),
            address("anna", "", good),
            address("anna", "+2000000000", good),
            address("anna", "20000000000000000000", good),
            format!("user=anna&signature={good}"),
        ] {
            assert_eq!(
                verify(&malformed, 0),
                Err(SignedUrlError::Malformed),
                "{malformed}"
            );
        }
        assert!(!format!("{urls:?}").contains("key"));
    }
}
