//! Who a connection is by the site's own session: the cookie names it, and one key of what PHP wrote into it names the user.
//!
//! Start at [`Sessions::find`]. `cookie`: the cookie's value; `id`: what may be a session's id; `laravel`, `envelope`: the
//! sealed cookie of Laravel; `store`: where sessions lie; `serialized`: the one value in them; `watch`: sessions of open
//! connections, which are looked at again.
//!
//! Invariants: a session is only read, and never locked; an id is checked before it is a part of a path or a key; nothing of
//! a session, a cookie or a key is in any log, error or `Debug` output.

mod cookie;
mod envelope;
mod id;
mod laravel;
mod serialized;
mod store;
mod watch;

pub(crate) use id::SessionId;
pub(crate) use laravel::{APP_KEY_BYTES, Cipher};
pub(crate) use serialized::{Format, Path};
pub(crate) use watch::{Watch, Watched};

use crate::config;
use crate::log;
use http::{HeaderMap, HeaderValue, header};
use laravel::{Opener, SealError};
use serialized::{SerializedError, Value, find, unwrap_text};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};
use tokio::time::sleep;

/// Waits before a session is read again that may be half written.
const READ_AGAIN: [Duration; 3] = [
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(90),
];
/// Longest value of the cookie, in bytes.
const COOKIE_BYTES_MAX: usize = 4096;
/// How a value begins that Laravel's encrypter made: base64 of `{"iv":`.
const SEALED: &[u8] = b"eyJ";

/// Log lines about stores a second; over it they are logged at `debug`.
static STORES: log::Sparing = log::Sparing::new(1);

/// Why a session is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// The cookie's value is no session's id, or not sealed as Laravel seals it.
    BadCookie,
    /// None of the app's keys sealed it.
    WrongKey,
    /// What it holds cannot be read.
    Unreadable(SerializedError),
    /// It is over [`store::SESSION_BYTES_MAX`].
    TooLong,
    /// What stands under the key is no user's name.
    BadUser,
    /// The store cannot be asked; the log says why.
    Unavailable,
}

impl fmt::Display for SessionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCookie => formatter.write_str("the cookie names no session"),
            Self::WrongKey => formatter.write_str(
                "no key of session.app_key opens the cookie: it is forged, or the app has another APP_KEY or cipher",
            ),
            Self::Unreadable(error) => write!(formatter, "the session cannot be read: {error}"),
            Self::TooLong => write!(
                formatter,
                "the session is longer than {} bytes",
                store::SESSION_BYTES_MAX
            ),
            Self::BadUser => formatter.write_str(
                "what stands under session.user is no whole number and no text of 1 to 200 bytes without control characters",
            ),
            Self::Unavailable => formatter.write_str("sessions cannot be read at the moment"),
        }
    }
}

impl SessionError {
    /// What metrics call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::BadCookie => "bad_cookie",
            Self::WrongKey => "wrong_key",
            Self::Unreadable(SerializedError::Truncated) => "truncated",
            Self::Unreadable(SerializedError::Malformed) => "malformed",
            Self::Unreadable(SerializedError::TooDeep) => "too_deep",
            Self::Unreadable(SerializedError::TooMany) => "too_many",
            Self::Unreadable(SerializedError::Ambiguous) => "ambiguous",
            Self::TooLong => "too_long",
            Self::BadUser => "bad_user",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why a session says of nobody that he is signed in, where nothing is wrong: the next way is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The request has no such cookie.
    Cookie,
    /// There is no session of that id.
    Session,
    /// There is one, and no user in it.
    User,
}

impl fmt::Display for Absence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cookie => {
                "the browser sent no cookie with the name session.cookie: it does so to the site's own host only, or where the cookie is for the whole domain"
            }
            Self::Session => {
                "there is no session of this cookie: it is over, or the site keeps sessions elsewhere than session.files or session.redis says"
            }
            Self::User => {
                "nobody is signed in in this session: nothing stands under the key that session.user names"
            }
        })
    }
}

/// A session that says who a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Which.
    pub(super) id: SessionId,
    /// Whose it was.
    pub(super) user: Arc<str>,
}

impl Ticket {
    /// The session's id, by which the site finds its connections. It is in no log.
    pub(crate) fn expose(&self) -> &str {
        self.id.expose()
    }
}

/// The site's sessions. Made from [`config::Session`].
#[derive(Debug)]
pub(crate) struct Sessions {
    cookie: String,
    path: Path,
    format: Format,
    /// Laravel's cookies are sealed; others are ids.
    opener: Option<Opener>,
    store: Store,
    /// How often those of open connections are looked at again.
    pub(super) recheck: Duration,
    /// Those of open connections.
    pub(crate) watched: Arc<Watched>,
}

impl Sessions {
    /// Takes the settings in. Nothing is read yet.
    pub(crate) fn new(settings: &config::Session) -> Self {
        let opener = settings.laravel.as_ref();
        Self {
            cookie: settings.cookie.clone(),
            path: settings.user.clone(),
            format: settings.format,
            opener: opener.map(|laravel| Opener::new(laravel.keys.expose(), laravel.cipher)),
            store: Store::new(&settings.place, settings.lifetime),
            recheck: settings.recheck,
            watched: Arc::default(),
        }
    }

    /// Whether there is an answer where sessions lie, asked for one that is none.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        match self.store.probe().await {
            Ok(()) | Err(StoreError::TooLong) => Ok(()),
            Err(StoreError::Unavailable(why)) => Err(why),
        }
    }

    /// The cookie that a request has; not empty.
    pub(super) fn shown(&self, headers: &HeaderMap) -> Option<String> {
        let lines = headers.get_all(header::COOKIE).iter();
        let shown = cookie::value(lines.map(HeaderValue::as_bytes), &self.cookie)?;
        (!shown.is_empty()).then_some(shown)
    }

    /// Whose session a cookie that was [shown](Self::shown) names, or why it is nobody's.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(super) async fn find(&self, shown: &str) -> Result<Result<Ticket, Absence>, SessionError> {
        let id = self.id(shown)?;
        let user = self.user(&id).await?;
        Ok(user.map(|user| Ticket { id, user }))
    }

    fn id(&self, shown: &str) -> Result<SessionId, SessionError> {
        if shown.len() > COOKIE_BYTES_MAX {
            return Err(SessionError::BadCookie);
        }
        let id = match &self.opener {
            None => SessionId::of_php(shown),
            Some(opener) => SessionId::of_laravel(&opener.cookie(&self.cookie, shown)?),
        };
        id.ok_or(SessionError::BadCookie)
    }

    /// Whose a session is now, or why it is nobody's.
    ///
    /// # Errors
    /// Why it cannot be said.
    pub(super) async fn user(
        &self,
        id: &SessionId,
    ) -> Result<Result<Arc<str>, Absence>, SessionError> {
        let mut said = self.read(id).await;
        if self.store.may_be_torn() {
            for wait in READ_AGAIN {
                if !said.is_perhaps_torn() {
                    break;
                }
                sleep(wait).await;
                said = self.read(id).await;
            }
        }
        match said {
            Said::User(user) => Ok(Ok(user)),
            Said::Nobody(absence) => Ok(Err(absence)),
            Said::Empty => Ok(Err(Absence::User)),
            Said::Wrong(error) => Err(error),
        }
    }

    async fn read(&self, id: &SessionId) -> Said {
        let session = match self.store.read(id).await {
            Ok(Some(session)) => session,
            Ok(None) => return Said::Nobody(Absence::Session),
            Err(StoreError::TooLong) => return Said::Wrong(SessionError::TooLong),
            Err(StoreError::Unavailable(why)) => {
                STORES.log(|| format!("a session cannot be read: {why}"));
                return Said::Wrong(SessionError::Unavailable);
            }
        };
        if session.is_empty() {
            return Said::Empty;
        }
        match self.user_in(&session) {
            Ok(Some(user)) => Said::User(user),
            Ok(None) => Said::Nobody(Absence::User),
            Err(error) => Said::Wrong(error),
        }
    }

    fn user_in(&self, session: &[u8]) -> Result<Option<Arc<str>>, SessionError> {
        let session = match &self.opener {
            None => Cow::Borrowed(session),
            Some(opener) => unsealed(opener, session)?,
        };
        let user = match find(&session, self.format, &self.path)? {
            // What PHP calls empty is nobody.
            Value::Nothing | Value::Integer(0) | Value::Text(b"" | b"0") => return Ok(None),
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => str::from_utf8(text)
                .map_err(|_| SessionError::BadUser)?
                .to_owned(),
            Value::Other => return Err(SessionError::BadUser),
        };
        if !super::is_user_name(&user) {
            return Err(SessionError::BadUser);
        }
        Ok(Some(user.into()))
    }
}

/// What Laravel's session holds: its cache wraps it into a string, `session.encrypt` seals that.
fn unsealed<'a>(opener: &Opener, session: &'a [u8]) -> Result<Cow<'a, [u8]>, SessionError> {
    let session = unwrap_text(session)?.unwrap_or(session);
    if !session.starts_with(SEALED) {
        return Ok(Cow::Borrowed(session));
    }
    let opened = opener.open(session)?;
    Ok(Cow::Owned(match unwrap_text(&opened)? {
        Some(session) => session.to_vec(),
        None => opened,
    }))
}

/// What one look at a session says.
enum Said {
    User(Arc<str>),
    /// There is none, or nobody in it.
    Nobody(Absence),
    /// It is there and has no byte: a new one, or one that is being written.
    Empty,
    Wrong(SessionError),
}

impl Said {
    fn is_perhaps_torn(&self) -> bool {
        matches!(self, Self::Empty | Self::Wrong(SessionError::Unreadable(_)))
    }
}

impl From<SerializedError> for SessionError {
    fn from(error: SerializedError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<SealError> for SessionError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Malformed | SealError::Foreign => Self::BadCookie,
            SealError::WrongKey => Self::WrongKey,
        }
    }
}

#[cfg(test)]
mod tests;
