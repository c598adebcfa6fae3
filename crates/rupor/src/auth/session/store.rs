//! Where sessions lie: in files, or in a Redis. They are only read, and no lock is taken: PHP keeps a session locked for as
//! long as a request takes.

use super::id::SessionId;
use crate::config::{Secret, SessionPlace};
use crate::system::{is_foreign, open_without_links as open};
use ::redis::aio::MultiplexedConnection;
use std::fmt;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Longest session that is read, in bytes.
pub(crate) const SESSION_BYTES_MAX: usize = 1024 * 1024;
/// How long a session may take to be read. Shorter than `limits.admit_timeout_ms` by default.
const READ_MAX: Duration = Duration::from_secs(3);

/// Where sessions lie.
pub(super) enum Store {
    /// A file for each.
    Files(Files),
    /// A key for each.
    Redis(Redis),
}

/// Why a session was not read. The text names no session.
#[derive(Debug)]
pub(super) enum StoreError {
    /// It is over [`SESSION_BYTES_MAX`].
    TooLong,
    /// The store cannot be asked.
    Unavailable(String),
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Files(_) => "Files(…)",
            Self::Redis(_) => "Redis(…)",
        })
    }
}

impl Store {
    /// The sessions at this place; it is looked at when the first is read.
    pub(super) fn new(place: &SessionPlace, lifetime: Option<Duration>) -> Self {
        match place {
            SessionPlace::Files {
                folder,
                levels,
                prefix,
            } => Self::Files(Files {
                folder: folder.clone(),
                levels: *levels,
                prefix,
                lifetime,
            }),
            SessionPlace::Redis { url, prefix } => Self::Redis(Redis {
                url: url.clone(),
                prefix: prefix.clone(),
                connection: Mutex::default(),
            }),
        }
    }

    /// Whether what is read may be half written.
    pub(super) fn may_be_torn(&self) -> bool {
        matches!(self, Self::Files(_))
    }

    /// Asks for a session that is none.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        if let Self::Files(files) = self {
            let unseen = |error: io::Error| {
                let folder = files.folder.display();
                StoreError::Unavailable(format!("{folder} cannot be looked into: {}", error.kind()))
            };
            let folder = std::fs::metadata(&files.folder).map_err(unseen)?;
            if !folder.is_dir() {
                return Err(unseen(ErrorKind::NotADirectory.into()));
            }
        }
        self.read(&SessionId::none()).await.map(drop)
    }

    /// What a session holds; `None`: there is none.
    pub(super) async fn read(&self, id: &SessionId) -> Result<Option<Vec<u8>>, StoreError> {
        let read = async {
            match self {
                Self::Files(files) => files.read(id).await,
                Self::Redis(redis) => redis.read(id).await,
            }
        };
        timeout(READ_MAX, read).await.unwrap_or_else(|_| {
            let seconds = READ_MAX.as_secs();
            Err(StoreError::Unavailable(format!(
                "no answer within {seconds} s"
            )))
        })
    }
}

/// Files as PHP's `files` and Laravel's `file` write them.
pub(super) struct Files {
    folder: PathBuf,
    /// Folders in one another that the first characters of an id name.
    levels: usize,
    prefix: &'static str,
    /// One that was not written for so long is none.
    lifetime: Option<Duration>,
}

impl Files {
    fn path(&self, id: &SessionId) -> PathBuf {
        let id = id.expose();
        let mut path = self.folder.clone();
        // An id is ASCII, and longer than any number of levels.
        path.extend((0..self.levels).filter_map(|level| id.get(level..=level)));
        path.push(format!("{}{id}", self.prefix));
        path
    }

    async fn read(&self, id: &SessionId) -> Result<Option<Vec<u8>>, StoreError> {
        let (path, lifetime) = (self.path(id), self.lifetime);
        let read = tokio::task::spawn_blocking(move || read_file(&path, lifetime));
        read.await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the reading failed".to_owned())))
    }
}

fn read_file(path: &Path, lifetime: Option<Duration>) -> Result<Option<Vec<u8>>, StoreError> {
    match try_read(path, lifetime) {
        Ok(session) => session,
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Ok(None),
            // The path is not shown: an id stands in it.
            ErrorKind::PermissionDenied => Err(StoreError::Unavailable(
                "the file may not be read. Fix: run rupor as the user that PHP runs as, or let PHP write files that a group reads"
                    .to_owned(),
            )),
            kind => Err(StoreError::Unavailable(format!("the file cannot be read: {kind}"))),
        },
    }
}

fn try_read(
    path: &Path,
    lifetime: Option<Duration>,
) -> io::Result<Result<Option<Vec<u8>>, StoreError>> {
    let file = open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Ok(Err(StoreError::Unavailable("it is no file".to_owned())));
    }
    if is_foreign(path, &found)? {
        let why = "the file is another user's, and lies where everybody may put one. \
            Fix: run rupor as the user that PHP runs as, or give PHP a session.save_path that only it writes to";
        return Ok(Err(StoreError::Unavailable(why.to_owned())));
    }
    let written = found.modified().ok();
    let age = written.and_then(|written| SystemTime::now().duration_since(written).ok());
    if let (Some(age), Some(lifetime)) = (age, lifetime)
        && age > lifetime
    {
        return Ok(Ok(None));
    }
    let mut bytes = Vec::new();
    let most = SESSION_BYTES_MAX as u64 + 1;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(if bytes.len() > SESSION_BYTES_MAX {
        Err(StoreError::TooLong)
    } else {
        Ok(Some(bytes))
    })
}

/// Keys as phpredis and Laravel write them.
pub(super) struct Redis {
    url: Secret,
    prefix: String,
    /// Made when it is needed; gone after an error.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    async fn read(&self, id: &SessionId) -> Result<Option<Vec<u8>>, StoreError> {
        let key = format!("{}{}", self.prefix, id.expose());
        let mut connection = self.connection().await?;
        // GET would bring whatever is there, however long.
        let mut command = ::redis::cmd("GETRANGE");
        command.arg(key).arg(0).arg(SESSION_BYTES_MAX);
        let bytes: Vec<u8> = match command.query_async(&mut connection).await {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.is_unrecoverable_error() || error.is_io_error() {
                    self.connection.lock().await.take();
                }
                return Err(unread(&error));
            }
        };
        if bytes.len() > SESSION_BYTES_MAX {
            return Err(StoreError::TooLong);
        }
        // A key that is not there reads as an empty one, which holds nobody either.
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    async fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let url = String::from_utf8_lossy(self.url.expose());
        let client = ::redis::Client::open(&*url).map_err(|error| unavailable(&error))?;
        let made = client.get_multiplexed_async_connection().await;
        let made = made.map_err(|error| unavailable(&error))?;
        *connection = Some(made.clone());
        Ok(made)
    }
}

fn unavailable(error: &::redis::RedisError) -> StoreError {
    StoreError::Unavailable(format!("Redis: {error}"))
}

/// What it says when it was asked for a session; in words of its own it may repeat the key, and an id stands in that.
fn unread(error: &::redis::RedisError) -> StoreError {
    if error.is_io_error() {
        return unavailable(error);
    }
    let said = error.code().unwrap_or(error.category());
    StoreError::Unavailable(format!("Redis: {said}"))
}

#[cfg(test)]
mod tests;
