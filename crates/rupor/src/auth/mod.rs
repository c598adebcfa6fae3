//! Who a connection is, and whether its page may connect.
//!
//! Start at [`Auth`]: it finds the token (or in demo mode the name) in an upgrade request or in the first message and
//! turns it into an [`Identity`].
//!
//! - `api_key`: the HTTP API's key;
//! - `jwt`: what a token says and whether it is believed;
//! - `key`: the keys, checked at start;
//! - `signed_url`: addresses that the site signed for a user; `signer`, their signature, which calls of a webhook have, too;
//! - `session`: the site's own sessions, that a cookie names;
//! - `webhook`: what the site says when it is asked; `post`, how it is, which the webhook of handlers shares;
//! - `tally`: what is counted of each way;
//! - `origin`: which pages may connect, which `Host` a request may name;
//! - `probe`: test connections of `rupor doctor`.
//!
//! A token is in no log, no error and no `Debug` output; whoever logs a request logs its path and never its query.

pub(crate) mod api_key;
pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod origin;
pub(crate) mod post;
pub(crate) mod probe;
pub(crate) mod session;
mod signed_url;
pub(crate) mod signer;
mod tally;
pub(crate) mod webhook;

use crate::config::{self, Way};
use crate::gateway::ConnectionId;
use crate::log;
use http::HeaderMap;
pub(crate) use jwt::ChannelGrant;
use jwt::{TokenError, Verifier};
use key::KeyError;
use origin::{OriginRefused, Origins};
use rupor_server::UpgradeRequest;
use session::{Absence, SessionError, Sessions, Ticket, Watch};
use signed_url::{SignedUrlError, SignedUrls};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
pub(crate) use tally::Counts as WayCounts;
use tally::{Outcome, Tally};
use webhook::{AskError, Asker};

/// How a subprotocol that carries a token begins: `rupor.jwt.eyJhbGciOi…`. A page offers it beside the subprotocol that
/// it wants to speak, `new WebSocket(url, ["rupor.v1", "rupor.jwt." + token])`; it is never selected.
pub(crate) const SUBPROTOCOL_TOKEN_PREFIX: &str = "rupor.jwt.";

/// The query parameter that names the user where nobody proves anything.
const USER_PARAMETER: &str = "user";

/// Log lines about refusals a second; over it they are logged at `debug`. A peer chooses how many there are.
const REFUSALS_LOGGED_PER_SECOND: u32 = 10;

static REFUSALS: log::Sparing = log::Sparing::new(REFUSALS_LOGGED_PER_SECOND);

/// Who a connection is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user; `None`: nobody in particular.
    pub(crate) user: Option<Arc<str>>,
    /// When that ends, in seconds since 1970; `None`: never.
    pub(crate) expires_at: Option<u64>,
    /// The site's session that says so, which is looked at again.
    pub(crate) ticket: Option<Ticket>,
    /// Channels that the site, which was asked, subscribes it to.
    pub(crate) channels: Vec<String>,
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
    /// No session says who it is, and no other way knows.
    NoSession(Absence),
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
    /// The session is not believed.
    Session(SessionError),
    /// The site, which was asked, does not say who it is.
    Webhook(AskError),
    /// A cookie says who it is, and the page is not one of the site's.
    CookieOrigin(OriginRefused),
}

impl AuthError {
    /// The HTTP status that refuses the upgrade.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::BadUser | Self::SeveralTokens | Self::SignedUrl(SignedUrlError::Malformed) => 400,
            Self::Session(SessionError::Unavailable) => 503,
            Self::Webhook(AskError::Refused(status)) => status,
            Self::Webhook(_) => 503,
            Self::NoToken
            | Self::NoSession(_)
            | Self::NotAsked
            | Self::SignedUrl(_)
            | Self::Token(_)
            | Self::Session(_) => 401,
            Self::CookieOrigin(_) => 403,
        }
    }

    /// Whether nothing is wrong with what the client showed: it cannot be asked about now.
    fn is_failure(self) -> bool {
        match self {
            Self::Session(error) => error == SessionError::Unavailable,
            Self::Webhook(error) => error.is_failure(),
            _ => false,
        }
    }

    /// What metrics call it.
    fn label(self) -> &'static str {
        match self {
            Self::NoToken | Self::NoSession(_) | Self::NotAsked => "none",
            Self::SeveralTokens => "several_tokens",
            Self::BadUser => "bad_user",
            Self::SignedUrl(SignedUrlError::Expired) | Self::Token(TokenError::Expired) => {
                "expired"
            }
            Self::SignedUrl(SignedUrlError::WrongSignature)
            | Self::Token(TokenError::WrongSignature) => "wrong_signature",
            Self::SignedUrl(SignedUrlError::Malformed)
            | Self::Token(TokenError::Malformed | TokenError::TooLong) => "malformed",
            Self::Token(_) => "not_for_this",
            Self::Session(error) => error.label(),
            Self::Webhook(error) => error.label(),
            Self::CookieOrigin(_) => "origin",
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => formatter.write_str("a token is needed here"),
            Self::NoSession(absence) => absence.fmt(formatter),
            Self::NotAsked => formatter
                .write_str("no token is looked at here: none is needed, or not in a message"),
            Self::SeveralTokens => formatter.write_str("more than one token"),
            Self::BadUser => formatter.write_str(
                "`user` is given once, as 1 to 200 bytes of text without control characters",
            ),
            Self::SignedUrl(error) => error.fmt(formatter),
            Self::Token(error) => error.fmt(formatter),
            Self::Session(error) => error.fmt(formatter),
            Self::Webhook(error) => error.fmt(formatter),
            Self::CookieOrigin(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for AuthError {}

/// That an upgrade is refused, and by which way; `None`: no way found what it looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) way: Option<Way>,
    pub(crate) error: AuthError,
}

/// How connections prove who they are. Made from [`config::Auth`], shared by all of them.
#[derive(Debug)]
pub(crate) struct Auth {
    /// In their order.
    ways: Vec<Way>,
    tokens: Option<TokenReader>,
    signed_urls: Option<SignedUrls>,
    sessions: Option<Arc<Sessions>>,
    asker: Option<Arc<Asker>>,
    tally: Tally,
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
            sessions: settings.session.as_ref().map(Sessions::new).map(Arc::new),
            asker: settings.webhook.as_ref().map(Asker::new).map(Arc::new),
            tally: Tally::new(&settings.ways),
        })
    }

    /// How often each way knew who a connection is, and why it did not.
    pub(crate) fn counts(&self) -> WayCounts {
        self.tally.counts()
    }

    /// The site's sessions, if they say who a connection is.
    pub(crate) fn sessions(&self) -> Option<&Arc<Sessions>> {
        self.sessions.as_ref()
    }

    /// What asks the site, if anything does.
    pub(crate) fn asker(&self) -> Option<&Arc<Asker>> {
        self.asker.as_ref()
    }

    /// Looks after the session that says who an open connection is, until what is returned is dropped.
    pub(crate) fn watch(&self, ticket: &Ticket, connection: ConnectionId) -> Option<Box<Watch>> {
        let sessions = self.sessions.as_ref()?;
        Some(sessions.watch(ticket, connection))
    }

    /// Who an upgrade request comes from. `origins`: the pages whose cookies are believed.
    ///
    /// # Errors
    /// Why the upgrade is to be refused.
    pub(crate) async fn at_upgrade(
        &self,
        request: &UpgradeRequest,
        origins: &Origins,
    ) -> Result<Identified, Refused> {
        let mut nobody = AuthError::NoToken;
        for way in self.ways.iter().copied() {
            let found = match way {
                Way::Session => match self.by_session(request, origins).await {
                    Ok(Ok(identity)) => Ok(Some(identity)),
                    Ok(Err(absence)) => {
                        nobody = AuthError::NoSession(absence);
                        Ok(None)
                    }
                    Err(error) => Err(error),
                },
                Way::Webhook => self.by_webhook(request, origins).await,
                way => {
                    let offered = request.subprotocols.iter().map(String::as_str);
                    self.by(way, request.query().unwrap_or_default(), offered)
                }
            };
            if let Some(identity) = self.counted(way, found)? {
                return Ok(Identified::Known(identity));
            }
        }
        if self.first_message_reader().is_some() {
            return Ok(Identified::FirstMessage);
        }
        Err(self.refused(None, nobody))
    }

    /// Who it is by a way that needs nothing but the query (what follows `?`, still encoded) and the offered subprotocols;
    /// `None`: it does not find what it looks for.
    fn by<'a>(
        &self,
        way: Way,
        query: &'a str,
        mut subprotocols: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Identity>, AuthError> {
        match (way, &self.signed_urls, &self.tokens) {
            (Way::None, ..) => claimed_user(query).map(Some),
            (Way::Guest, ..) => Ok(Some(Identity::default())),
            (Way::SignedUrl, Some(urls), _) => {
                let signed = urls.verify(query, now()).map_err(AuthError::SignedUrl)?;
                Ok(signed.map(|(user, ends)| Identity {
                    user: Some(user.into()),
                    expires_at: Some(ends),
                    ..Identity::default()
                }))
            }
            (Way::Jwt, _, Some(reader)) => match reader.find(query, &mut subprotocols)? {
                Some(token) => reader.verify(&token).map(Some),
                None => Ok(None),
            },
            (Way::SignedUrl | Way::Jwt | Way::Session | Way::Webhook, ..) => Ok(None),
        }
    }

    async fn by_session(
        &self,
        request: &UpgradeRequest,
        origins: &Origins,
    ) -> Result<Result<Identity, Absence>, AuthError> {
        let headers: &HeaderMap = &request.headers;
        let shown = self.sessions.as_ref().map(|all| (all, all.shown(headers)));
        let Some((sessions, Some(cookie))) = shown else {
            return Ok(Err(Absence::Cookie));
        };
        // Browsers send a cookie whichever page asks, so before it is believed the page is to be one of the site's.
        origins
            .check_for_cookie(headers, request.secure)
            .map_err(AuthError::CookieOrigin)?;
        let ticket = sessions.find(&cookie).await.map_err(AuthError::Session)?;
        Ok(ticket.map(|ticket| Identity {
            user: Some(Arc::clone(&ticket.user)),
            ticket: Some(ticket),
            ..Identity::default()
        }))
    }

    async fn by_webhook(
        &self,
        request: &UpgradeRequest,
        origins: &Origins,
    ) -> Result<Option<Identity>, AuthError> {
        let Some(asker) = &self.asker else {
            return Ok(None);
        };
        if asker.goes_by_cookie(&request.headers) {
            origins
                .check_for_cookie(&request.headers, request.secure)
                .map_err(AuthError::CookieOrigin)?;
        }
        let known = asker.who(request).await.map_err(AuthError::Webhook)?;
        Ok(known.map(|known| Identity {
            user: Some(known.user.into()),
            expires_at: known.expires_at,
            channels: known.channels,
            ticket: None,
        }))
    }

    fn counted(
        &self,
        way: Way,
        found: Result<Option<Identity>, AuthError>,
    ) -> Result<Option<Identity>, Refused> {
        let outcome = match &found {
            Ok(Some(_)) => Outcome::Accepted,
            Ok(None) => Outcome::Absent,
            Err(error) => Outcome::Refused(*error),
        };
        self.tally.count(way, outcome);
        found.map_err(|error| self.refused(Some(way), error))
    }

    fn refused(&self, way: Option<Way>, error: AuthError) -> Refused {
        let refused = Refused { way, error };
        REFUSALS.log(|| format!("an upgrade is refused: {}", self.explained(refused)));
        refused
    }

    /// Why, with the way that refuses.
    pub(crate) fn explained(&self, refused: Refused) -> String {
        let Refused { way, error } = refused;
        match way {
            Some(way) => format!("auth = \"{}\": {error}", way.name()),
            None => {
                let ways: Vec<_> = self.ways.iter().map(|way| way.name()).collect();
                let none = format!(
                    "none of auth = \"{}\" found what it looks for",
                    ways.join("\", \"")
                );
                // Only tokens are asked for by name, and only where they are looked for.
                if error == AuthError::NoToken && !self.ways.contains(&Way::Jwt) {
                    none
                } else {
                    format!("{error}; {none}")
                }
            }
        }
    }

    /// Who a connection is that was to say so by its first message: a token, or `{"token":"…"}`.
    ///
    /// # Errors
    /// Why it is not believed; the connection is to be closed.
    pub(crate) fn first_message(&self, text: &str) -> Result<Identity, AuthError> {
        let reader = self.first_message_reader().ok_or(AuthError::NotAsked)?;
        let identity = token_in_message(text).and_then(|token| reader.verify(&token));
        let outcome = match &identity {
            Ok(_) => Outcome::Accepted,
            Err(error) => Outcome::Refused(*error),
        };
        self.tally.count(Way::Jwt, outcome);
        identity
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
        let reader = self.tokens.as_ref()?;
        (reader.sources.first_message && self.ways.contains(&Way::Jwt)).then_some(reader)
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
            ..Identity::default()
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
        ..Identity::default()
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
