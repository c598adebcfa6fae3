//! The hub's language: what can be asked of it and what it answers.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

/// One WebSocket. The number is given by whoever owns the connection; as text it is 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What [`ConnectionId::from_str`] says of text that is not 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAConnectionId;

impl fmt::Display for NotAConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a connection id is 16 hexadecimal digits")
    }
}

impl std::error::Error for NotAConnectionId {}

impl From<ParseIntError> for NotAConnectionId {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for ConnectionId {
    type Err = NotAConnectionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // from_str_radix would take a sign too.
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAConnectionId);
        }
        Ok(Self(u64::from_str_radix(text, 16)?))
    }
}

/// Connections of one kind are sent the same bytes (they speak the same dialect). Below [`Kind::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub u8);

impl Kind {
    /// How many kinds there can be: each channel counts its subscribers by kind.
    pub const COUNT: usize = 8;

    /// All of them, in order.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take(Self::COUNT)
    }
}

/// What is sent: the text as the site gave it, shared by all who receive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The text.
    pub text: Arc<str>,
    /// Whether it may be compressed on the way.
    pub compress: bool,
    /// What it is the newest state of, for those who get only the newest.
    pub key: Option<Arc<str>>,
    /// The same each time that it is sent, so that a receiver can tell a repeat.
    pub id: Option<Arc<str>>,
}

/// Whom a publication or a disconnect is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// All connections of one user.
    User(Arc<str>),
    /// All connections of several users; each connection once.
    Users(Vec<Arc<str>>),
    /// One connection.
    Connection(ConnectionId),
    /// All connections that came with this value of the site's cookie.
    Cookie(Arc<str>),
    /// All connections subscribed to a channel.
    Channel(Arc<str>),
    /// Everybody.
    All,
}

/// What can be asked of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A connection came.
    Open {
        /// Its number; not in use.
        connection: ConnectionId,
        /// Which bytes it is sent.
        kind: Kind,
        /// Who it is, when that is known already.
        user: Option<Arc<str>>,
        /// The value of the site's cookie that it came with.
        cookie: Option<Arc<str>>,
    },
    /// A connection said who it is. Saying the same again changes nothing.
    Identify {
        /// Which.
        connection: ConnectionId,
        /// Who.
        user: Arc<str>,
    },
    /// A connection is gone.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// A connection wants what is published in a channel. Doing it twice changes nothing.
    Subscribe {
        /// Which.
        connection: ConnectionId,
        /// The channel's name.
        channel: Arc<str>,
    },
    /// A connection wants it no longer. Unsubscribing from what it never had changes nothing.
    Unsubscribe {
        /// Which.
        connection: ConnectionId,
        /// The channel's name.
        channel: Arc<str>,
    },
    /// Something is to be sent.
    Publish {
        /// To whom.
        target: Target,
        /// Except to this connection.
        exclude: Option<ConnectionId>,
        /// What.
        publication: Publication,
    },
    /// Connections are to be closed. They leave the hub when they are gone, by [`Command::Close`].
    Disconnect {
        /// Whose.
        target: Target,
        /// The close code (RFC 6455 §7.4) that they are told.
        code: u16,
        /// The reason that they are told.
        reason: Arc<str>,
    },
}

/// What the hub's owner has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send to these connections, all of one kind.
    Deliver {
        /// To whom; each once.
        connections: Vec<ConnectionId>,
        /// Their kind.
        kind: Kind,
        /// The one user that was named, if one was.
        user: Option<Arc<str>>,
        /// What.
        publication: Publication,
    },
    /// Send to everybody of this kind who is subscribed to the channel.
    Publish {
        /// The channel.
        channel: Arc<str>,
        /// Whose bytes.
        kind: Kind,
        /// Except to this connection.
        exclude: Option<ConnectionId>,
        /// What.
        publication: Publication,
    },
    /// Send to everybody of this kind.
    Broadcast {
        /// Whose bytes.
        kind: Kind,
        /// Except to this connection.
        exclude: Option<ConnectionId>,
        /// What.
        publication: Publication,
    },
    /// From now on this connection receives what is published in the channel for its kind.
    Subscribe {
        /// Which.
        connection: ConnectionId,
        /// Its kind.
        kind: Kind,
        /// The channel.
        channel: Arc<str>,
    },
    /// From now on it does not.
    Unsubscribe {
        /// Which.
        connection: ConnectionId,
        /// Its kind.
        kind: Kind,
        /// The channel.
        channel: Arc<str>,
    },
    /// Close these connections.
    Disconnect {
        /// Which; each once.
        connections: Vec<ConnectionId>,
        /// With this close code.
        code: u16,
        /// And this reason.
        reason: Arc<str>,
    },
}

/// What a command that was carried out came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many connections it concerned: receivers of a publication, connections to be closed; for subscribe and
    /// unsubscribe 1, or 0 when nothing changed.
    pub connections: usize,
}

/// Why the hub did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such connection (it may have closed a moment ago).
    UnknownConnection,
    /// The connection's number is in use.
    ConnectionExists,
    /// The kind is not below [`Kind::COUNT`].
    UnknownKind,
    /// Not a channel's name: see [`is_channel_name`](crate::is_channel_name).
    BadChannelName,
    /// Not a user's name: see [`is_user_name`](crate::is_user_name).
    BadUserName,
    /// The connection is another user's already.
    AnotherUser,
    /// [`Limits::connections_per_user_max`](crate::Limits::connections_per_user_max).
    TooManyConnections,
    /// [`Limits::subscriptions_per_connection_max`](crate::Limits::subscriptions_per_connection_max).
    TooManySubscriptions,
    /// [`Limits::channels_max`](crate::Limits::channels_max).
    TooManyChannels,
    /// [`Limits::users_per_publication_max`](crate::Limits::users_per_publication_max).
    TooManyUsers,
}

impl Refused {
    /// A word for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownConnection => "unknown_connection",
            Self::ConnectionExists => "connection_exists",
            Self::UnknownKind => "unknown_kind",
            Self::BadChannelName => "bad_channel_name",
            Self::BadUserName => "bad_user_name",
            Self::AnotherUser => "another_user",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::TooManyChannels => "too_many_channels",
            Self::TooManyUsers => "too_many_users",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UnknownConnection => "there is no such connection",
            Self::ConnectionExists => "there is such a connection already",
            Self::UnknownKind => "there is no such kind of receiver",
            Self::BadChannelName => {
                "a channel's name is 1 to 200 characters of A-Z a-z 0-9 _ - = @ , . ; :"
            }
            Self::BadUserName => "a user's name is 1 to 200 bytes without control characters",
            Self::AnotherUser => "the connection is another user's already",
            Self::TooManyConnections => "this user has as many connections as one user may",
            Self::TooManySubscriptions => {
                "this connection has as many subscriptions as one may: unsubscribe first"
            }
            Self::TooManyChannels => "this node has as many channels as it may",
            Self::TooManyUsers => "one publication may not name so many users: send several",
        })
    }
}

impl std::error::Error for Refused {}
