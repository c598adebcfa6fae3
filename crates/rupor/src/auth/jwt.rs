//! JSON Web Tokens (RFC 7519, RFC 8725): from a token to who it names.
//!
//! Invariants, all checked before a claim is believed:
//! - the token is at most [`TOKEN_BYTES_MAX`] long; what is longer is not even decoded;
//! - the header's `alg` equals the algorithm that the key is bound to: `none` and HMAC with a public key as its secret
//!   cannot happen (RFC 8725 §3.1);
//! - `kid` only chooses among the configured keys, `jku`, `x5u` and `jwk` are not looked at, `crit` is refused because no
//!   extension is understood (RFC 7515 §4.1.11);
//! - `exp` is there and is a number.
//!
//! The clock is an argument. No error and no `Debug` shows a token or a key.

use super::key::{KeyError, VerifyingKey};
use crate::config;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::decode_header;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Longest token in bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 4096;

/// The claims of a channel's token: which one; for whom only; whether for publishing too.
const CHANNEL_CLAIM: &str = "channel";
const USER_OF_CHANNEL_CLAIM: &str = "sub";
const PUBLISH_CLAIM: &str = "publish";

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// Longer than [`TOKEN_BYTES_MAX`].
    TooLong,
    /// Not three parts of base64url with JSON in them.
    Malformed,
    /// The header's `alg` is not the key's.
    WrongAlgorithm,
    /// The header's `kid` names no key, or is missing where there are several.
    UnknownKey,
    /// The header demands an extension (`crit`).
    CriticalExtension,
    /// The signature is not the key's.
    WrongSignature,
    /// No `exp`, or not a number.
    NoExpiry,
    /// `exp` is over.
    Expired,
    /// `nbf` is to come, or not a number.
    NotYetValid,
    /// `iss` is not the configured one.
    WrongIssuer,
    /// The configured audience is not in `aud`.
    WrongAudience,
    /// The claim that names the user is missing, or not a user's name.
    NoUser,
    /// It opens a channel (`channel`), and says of nobody who he is.
    OfChannel,
    /// It opens no channel: `channel` is missing, or not a text.
    NoChannel,
}

impl fmt::Display for TokenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooLong => "the token is longer than 4096 bytes",
            Self::Malformed => "the token is not a JSON Web Token that is understood here",
            Self::WrongAlgorithm => "the token is signed by another algorithm than its key is for",
            Self::UnknownKey => "the token's `kid` names no key that is configured here",
            Self::CriticalExtension => "the token demands an extension (`crit`)",
            Self::WrongSignature => "the token's signature is wrong",
            Self::NoExpiry => "the token has no `exp`, or it is not a number",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet (`nbf`)",
            Self::WrongIssuer => "the token's `iss` is another",
            Self::WrongAudience => "the token's `aud` is another",
            Self::NoUser => "the token does not name a user",
            Self::OfChannel => {
                "the token is for a channel (it has `channel`) and says of nobody who he is"
            }
            Self::NoChannel => {
                "the token is for no channel: it has no `channel`, or it is not a text"
            }
        })
    }
}

impl std::error::Error for TokenError {}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The user.
    pub(crate) user: Arc<str>,
    /// When the token is no longer believed: `exp` and the leeway, in seconds since 1970, rounded up.
    pub(crate) expires_at: u64,
}

/// What a verified token of a channel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelGrant {
    /// `channel`: the name, or a pattern as rules have it.
    pub(crate) channel: String,
    /// `sub`: only for this user.
    pub(crate) user: Option<String>,
    /// `publish`: it is for publishing too.
    pub(crate) publish: bool,
}

/// Verifies tokens by the configured keys.
#[derive(Debug)]
pub(crate) struct Verifier {
    keys: Vec<VerifyingKey>,
    user_claim: String,
    issuer: Option<String>,
    audience: Option<String>,
    leeway: Duration,
}

impl Verifier {
    /// Takes the keys in.
    ///
    /// # Errors
    /// The first key that cannot be used, with its place in the list.
    pub(crate) fn new(settings: &config::Jwt) -> Result<Self, (usize, KeyError)> {
        let keys = settings
            .keys
            .iter()
            .enumerate()
            .map(|(place, key)| VerifyingKey::new(key).map_err(|error| (place, error)))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err((0, KeyError::NoKeys));
        }
        if keys.len() > 1 {
            for (place, key) in keys.iter().enumerate() {
                if key.id.is_none() || keys[..place].iter().any(|other| other.id == key.id) {
                    return Err((place, KeyError::AmbiguousIds));
                }
            }
        }
        Ok(Self {
            keys,
            user_claim: settings.user_claim.clone(),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway: settings.leeway,
        })
    }

    /// Who `token` says its bearer is. `now`: time since 1970.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(crate) fn verify(&self, token: &str, now: Duration) -> Result<Verified, TokenError> {
        let (claims, expires) = self.claims(token, now)?;
        // RFC 8725 §3.12: a token of one kind is none of the other. Whoever was given a channel's is not let in by it.
        if claims.contains_key(CHANNEL_CLAIM) {
            return Err(TokenError::OfChannel);
        }
        let user: Arc<str> = user_in(&claims, &self.user_claim)
            .ok_or(TokenError::NoUser)?
            .into();
        Ok(Verified {
            user,
            expires_at: expires
                .as_secs()
                .saturating_add(u64::from(expires.subsec_nanos() > 0)),
        })
    }

    /// Which channel `token` opens. `now`: time since 1970.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(crate) fn verify_channel(
        &self,
        token: &str,
        now: Duration,
    ) -> Result<ChannelGrant, TokenError> {
        let (claims, _) = self.claims(token, now)?;
        let Some(Value::String(channel)) = claims.get(CHANNEL_CLAIM) else {
            return Err(TokenError::NoChannel);
        };
        let user = match claims.get(USER_OF_CHANNEL_CLAIM) {
            None | Some(Value::Null) => None,
            Some(_) => Some(user_in(&claims, USER_OF_CHANNEL_CLAIM).ok_or(TokenError::NoUser)?),
        };
        Ok(ChannelGrant {
            channel: channel.clone(),
            user,
            publish: claims.get(PUBLISH_CLAIM) == Some(&Value::Bool(true)),
        })
    }

    /// The claims of a token that is signed by one of the keys, holds now, and is for us; and until when, with the leeway.
    fn claims(
        &self,
        token: &str,
        now: Duration,
    ) -> Result<(Map<String, Value>, Duration), TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        // An algorithm that the library does not know, `none` above all, does not get past this line.
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::CriticalExtension);
        }
        let key = self.key(header.kid.as_deref())?;
        if header.alg != key.algorithm {
            return Err(TokenError::WrongAlgorithm);
        }
        let claims = verified_claims(token, key)?;
        let expires = self.check_claims(&claims, now)?;
        Ok((claims, expires))
    }

    fn key(&self, id: Option<&str>) -> Result<&VerifyingKey, TokenError> {
        match self.keys.as_slice() {
            [only] if only.id.is_none() || id.is_none() => Ok(only),
            keys => keys
                .iter()
                .find(|key| id.is_some() && key.id.as_deref() == id)
                .ok_or(TokenError::UnknownKey),
        }
    }

    /// Whether they hold now and are for us; until when, with the leeway.
    fn check_claims(
        &self,
        claims: &Map<String, Value>,
        now: Duration,
    ) -> Result<Duration, TokenError> {
        let expires = claims
            .get("exp")
            .and_then(numeric_date)
            .ok_or(TokenError::NoExpiry)?
            .saturating_add(self.leeway);
        // RFC 7519 §4.1.4: not on or after this time.
        if now >= expires {
            return Err(TokenError::Expired);
        }
        if let Some(not_before) = claims.get("nbf") {
            let not_before = numeric_date(not_before).ok_or(TokenError::NotYetValid)?;
            if now.saturating_add(self.leeway) < not_before {
                return Err(TokenError::NotYetValid);
            }
        }
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenError::WrongIssuer);
        }
        if let Some(audience) = &self.audience
            && !names_audience(claims.get("aud"), audience)
        {
            return Err(TokenError::WrongAudience);
        }
        Ok(expires)
    }
}

/// The user's name in a claim.
fn user_in(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    let user = match claims.get(claim)? {
        Value::String(text) => text.clone(),
        // 42 is a name; 4.2e1 is a mistake.
        Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        _ => return None,
    };
    super::is_user_name(&user).then_some(user)
}

/// The claims, once the signature is right. The library verifies; dates and names are checked here, so that `exp` as
/// integer and as float are one.
fn verified_claims(token: &str, key: &VerifyingKey) -> Result<Map<String, Value>, TokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (_, claims) = message.split_once('.').ok_or(TokenError::Malformed)?;
    match verify(signature, message.as_bytes(), &key.key, key.algorithm) {
        Ok(true) => {}
        Ok(false) | Err(_) => return Err(TokenError::WrongSignature),
    }
    let claims = URL_SAFE_NO_PAD
        .decode(claims)
        .map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed)
}

/// RFC 7519 §2, NumericDate: seconds, perhaps with a fraction. Before 1970 is 1970, beyond the end of time is its end.
fn numeric_date(value: &Value) -> Option<Duration> {
    let Value::Number(number) = value else {
        return None;
    };
    if let Some(seconds) = number.as_u64() {
        return Some(Duration::from_secs(seconds));
    }
    let seconds = number.as_f64()?;
    if seconds < 0.0 {
        return Some(Duration::ZERO);
    }
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// RFC 7519 §4.1.3: one text or an array of them.
fn names_audience(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
