//! Who a connection is, and whether its page may connect.
//!
//! Start at [`Auth`]: it finds the token (or in demo mode the name) in an upgrade request or in the first message and
//! turns it into an [`Identity`].
//!
//! - `api_key`: the HTTP API's key;
//! - `jwt`: what a token says and whether it is believed;
//! - `key`: the keys, checked at start;
//! - `signed_url`: addresses that the site signed for a user; `signer`, their signature, which calls of a webhook have, too;
//! - `origin`: which pages may connect, which `Host` a request may name.
//!
//! A token is in no log, no error and no `Debug` output; whoever logs a request logs its path and never its query.

pub(crate) mod api_key;
pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod origin;
mod signed_url;
pub(crate) mod signer;

use crate::config;
pub(crate) use jwt::ChannelGrant;
use jwt::{TokenError, Verifier};
use key::KeyError;
use rupor_server::UpgradeRequest;
use signed_url::{SignedUrlError, SignedUrls};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How a subprotocol that carries a token begins: `rupor.jwt.eyJhbGciOi…`. A page offers it beside the subprotocol that
/// it wants to speak, `new WebSocket(url, ["rupor.v1", "rupor.jwt." + token])`; it is never selected.
pub(crate) const SUBPROTOCOL_TOKEN_PREFIX: &str = "rupor.jwt.";

/// The query parameter that names the user where nobody proves anything.
const USER_PARAMETER: &str = "user";

/// Who a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user; `None`: nobody in particular.
    pub(crate) user: Option<Arc<str>>,
    /// When that ends, in seconds since 1970; `None`: never.
    pub(crate) expires_at: Option<u64>,
}

/// What is known after an upgrade request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identified {
    /// Who it is.
    Known(Identity),
    /// The first message will say.
    FirstMessage,
}

/// Why somebody is not let in. Answer [`AuthError::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// No token where one is looked for.
    NoToken,
    /// A token where none is looked at.
    NotAsked,
    /// A token in more than one place.
    SeveralTokens,
    /// `?user=` is not a user's name, or came twice.
    BadUser,
    /// The signed address is not believed.
    SignedUrl(SignedUrlError),
    /// The token is not believed.
    Token(TokenError),
}

impl AuthError {
    /// The HTTP status that refuses the upgrade.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::BadUser | Self::SeveralTokens | Self::SignedUrl(SignedUrlError::Malformed) => 400,
            Self::NoToken | Self::NotAsked | Self::SignedUrl(_) | Self::Token(_) => 401,
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => formatter.write_str("a token is needed here"),
            Self::NotAsked => formatter
                .write_str("no token is looked at here: none is needed, or not in a message"),
            Self::SeveralTokens => formatter.write_str("more than one token"),
            Self::BadUser => formatter.write_str(
                "`user` is given once, as 1 to 200 bytes of text without control characters",
            ),
            Self::SignedUrl(error) => error.fmt(formatter),
            Self::Token(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for AuthError {}

/// How connections prove who they are. Made from [`config::Auth`], shared by all of them.
#[derive(Debug)]
pub(crate) struct Auth {
    /// In their order.
    ways: Vec<config::Way>,
    tokens: Option<TokenReader>,
    signed_urls: Option<SignedUrls>,
}

/// Finds tokens and verifies them.
#[derive(Debug)]
struct TokenReader {
    verifier: Verifier,
    sources: config::JwtSources,
    query_parameter: String,
}

impl Auth {
    /// Takes the settings in and checks the keys.
    ///
    /// # Errors
    /// The first key that cannot be used, with its place in the list.
    pub(crate) fn new(settings: &config::Auth) -> Result<Self, (usize, KeyError)> {
        let reader = |jwt: &config::Jwt| {
            Ok(TokenReader {
                verifier: Verifier::new(jwt)?,
                sources: jwt.sources,
                query_parameter: jwt.query_parameter.clone(),
            })
        };
        Ok(Self {
            ways: settings.ways.clone(),
            tokens: settings.jwt.as_ref().map(reader).transpose()?,
            signed_urls: settings.signed_url_key.as_ref().map(SignedUrls::new),
        })
    }

    /// Who an upgrade request comes from.
    ///
    /// # Errors
    /// Why the upgrade is to be refused.
    pub(crate) fn at_upgrade(&self, request: &UpgradeRequest) -> Result<Identified, AuthError> {
        self.identify(
            request.query(),
            request.subprotocols.iter().map(String::as_str),
        )
    }

    /// Who an upgrade request with this query (what follows `?`, still encoded) and these offered subprotocols is.
    fn identify<'a>(
        &self,
        query: Option<&'a str>,
        subprotocols: impl IntoIterator<Item = &'a str>,
    ) -> Result<Identified, AuthError> {
        let query = query.unwrap_or_default();
        let mut subprotocols = subprotocols.into_iter();
        for way in &self.ways {
            match way {
                config::Way::None => return claimed_user(query).map(Identified::Known),
                config::Way::SignedUrl => {
                    if let Some(urls) = &self.signed_urls
                        && let Some((user, ends)) =
                            urls.verify(query, now()).map_err(AuthError::SignedUrl)?
                    {
                        return Ok(Identified::Known(Identity {
                            user: Some(user.into()),
                            expires_at: Some(ends),
                        }));
                    }
                }
                config::Way::Jwt => {
                    if let Some(reader) = &self.tokens
                        && let Some(token) = reader.find(query, &mut subprotocols)?
                    {
                        return reader.verify(&token).map(Identified::Known);
                    }
                }
            }
        }
        if self.first_message_reader().is_some() {
            return Ok(Identified::FirstMessage);
        }
        Err(AuthError::NoToken)
    }

    /// Who a connection is that was to say so by its first message: a token, or `{"token":"…"}`.
    ///
    /// # Errors
    /// Why it is not believed; the connection is to be closed.
    pub(crate) fn first_message(&self, text: &str) -> Result<Identity, AuthError> {
        let reader = self.first_message_reader().ok_or(AuthError::NotAsked)?;
        reader.verify(&token_in_message(text)?)
    }

    /// Which channel a token opens.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(crate) fn channel_token(&self, token: &str) -> Result<ChannelGrant, AuthError> {
        let reader = self.tokens.as_ref().ok_or(AuthError::NotAsked)?;
        reader
            .verifier
            .verify_channel(token, now())
            .map_err(AuthError::Token)
    }

    /// What reads tokens in first messages, where they are looked for there.
    fn first_message_reader(&self) -> Option<&TokenReader> {
        let is_jwt = |way: &config::Way| matches!(way, config::Way::Jwt);
        let reader = self.tokens.as_ref()?;
        (reader.sources.first_message && self.ways.iter().any(is_jwt)).then_some(reader)
    }
}

impl TokenReader {
    /// The one token of an upgrade request.
    fn find<'a>(
        &self,
        query: &'a str,
        subprotocols: &mut dyn Iterator<Item = &'a str>,
    ) -> Result<Option<Cow<'a, str>>, AuthError> {
        let mut tokens = Tokens::default();
        if self.sources.query {
            form_urlencoded::parse(query.as_bytes())
                .filter(|(name, _)| *name == self.query_parameter)
                .for_each(|(_, token)| tokens.found(token));
        }
        if self.sources.subprotocol {
            subprotocols
                .filter_map(|offered| offered.strip_prefix(SUBPROTOCOL_TOKEN_PREFIX))
                .for_each(|token| tokens.found(Cow::Borrowed(token)));
        }
        tokens.only()
    }

    fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        let verified = self
            .verifier
            .verify(token, now())
            .map_err(AuthError::Token)?;
        Ok(Identity {
            user: Some(verified.user),
            expires_at: Some(verified.expires_at),
        })
    }
}

/// Whether an offered subprotocol carries a token and so must be neither selected, echoed nor logged.
pub(crate) fn is_token_subprotocol(offered: &str) -> bool {
    offered.starts_with(SUBPROTOCOL_TOKEN_PREFIX)
}

/// Whether `name` may name a user, by the hub's rule.
pub(crate) fn is_user_name(name: &str) -> bool {
    rupor_hub::is_user_name(name, rupor_hub::Limits::default().user_name_bytes_max)
}

/// The tokens found so far. Its `Debug` is not derived: it would print them.
#[derive(Default)]
struct Tokens<'a> {
    first: Option<Cow<'a, str>>,
    several: bool,
}

impl<'a> Tokens<'a> {
    fn found(&mut self, token: Cow<'a, str>) {
        self.several |= self.first.is_some();
        self.first.get_or_insert(token);
    }

    fn only(self) -> Result<Option<Cow<'a, str>>, AuthError> {
        if self.several {
            Err(AuthError::SeveralTokens)
        } else {
            Ok(self.first)
        }
    }
}

fn claimed_user(query: &str) -> Result<Identity, AuthError> {
    let mut names = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == USER_PARAMETER)
        .map(|(_, user)| user);
    let user = match (names.next(), names.next()) {
        (None, _) => None,
        // A page that puts an empty box into its URL is a page without a user.
        (Some(user), None) if user.is_empty() => None,
        (Some(user), None) if is_user_name(&user) => Some(Arc::from(user.as_ref())),
        _ => return Err(AuthError::BadUser),
    };
    Ok(Identity {
        user,
        expires_at: None,
    })
}

fn token_in_message(text: &str) -> Result<Cow<'_, str>, AuthError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TokenMessage<'a> {
        #[serde(borrow)]
        token: Cow<'a, str>,
    }
    let text = text.trim_ascii();
    if !text.starts_with('{') {
        return Ok(Cow::Borrowed(text));
    }
    // Escapes may double the length, a name and braces come on top; more than that holds no token.
    if text.len() > 2 * jwt::TOKEN_BYTES_MAX + 64 {
        return Err(AuthError::Token(TokenError::TooLong));
    }
    let message: TokenMessage<'_> =
        serde_json::from_str(text).map_err(|_| AuthError::Token(TokenError::Malformed))?;
    Ok(message.token)
}

/// The time since 1970.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests;
