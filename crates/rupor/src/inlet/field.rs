//! The names of a request's fields, and which of them a request may have.

use std::fmt;

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// A user.
    User,
    /// Several.
    Users,
    /// A connection.
    Connection,
    /// A channel.
    Channel,
    /// Everybody.
    All,
    /// A user, as the article's library spells it.
    UserId,
    /// A connection, as the article's library spells it.
    ClientId,
    /// The cookie that connections came with, as the article's library spells it.
    PhpSessId,
    /// What is sent.
    Message,
    /// A connection that is left out.
    Exclude,
    /// Whether it may be compressed.
    Compress,
    /// What it is the newest state of.
    Key,
    /// What the answer repeats.
    Id,
    /// A close code.
    Code,
    /// A close reason.
    Reason,
}

impl Field {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Reason as usize + 1;

    /// Those of which a request has exactly one.
    pub(crate) const TARGETS: &'static [Self] = &[
        Self::User,
        Self::Users,
        Self::Connection,
        Self::Channel,
        Self::All,
        Self::UserId,
        Self::ClientId,
        Self::PhpSessId,
    ];

    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Users => "users",
            Self::Connection => "connection",
            Self::Channel => "channel",
            Self::All => "all",
            Self::UserId => "userId",
            Self::ClientId => "clientId",
            Self::PhpSessId => "PHPSESSID",
            Self::Message => "message",
            Self::Exclude => "exclude",
            Self::Compress => "compress",
            Self::Key => "key",
            Self::Id => "id",
            Self::Code => "code",
            Self::Reason => "reason",
        }
    }
}

/// What a request is for, which says what fields it may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Something to be sent.
    Publish,
    /// Connections to be closed.
    Disconnect,
}

impl fmt::Debug for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Publish => "Publish",
            Self::Disconnect => "Disconnect",
        })
    }
}

/// Names that differ in more places than this do not look alike.
const DISTANCE_MAX: usize = 2;
/// A longer name is not compared: no valid one comes near.
const NAME_BYTES_MAX: usize = 16;

impl Shape {
    /// The fields that it may have.
    pub(crate) fn fields(self) -> &'static [Field] {
        use Field::{
            All, Channel, ClientId, Code, Compress, Connection, Exclude, Id, Key, Message,
            PhpSessId, Reason, User, UserId, Users,
        };
        match self {
            Self::Publish => &[
                User, Users, Connection, Channel, All, UserId, ClientId, PhpSessId, Message,
                Exclude, Compress, Key, Id,
            ],
            Self::Disconnect => &[
                User, Users, Connection, Channel, All, UserId, ClientId, PhpSessId, Code, Reason,
                Id,
            ],
        }
    }

    /// The field of that name.
    pub(crate) fn field(self, name: &str) -> Option<Field> {
        self.fields()
            .iter()
            .copied()
            .find(|field| field.name() == name)
    }

    /// The valid name that looks most like `name`, if one does.
    pub(crate) fn nearest(self, name: &str) -> Option<&'static str> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        // user_id, user-id and USERID are userId.
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let plain = plain.to_ascii_lowercase();
        self.fields()
            .iter()
            .map(|field| {
                (
                    distance(&plain, &field.name().to_ascii_lowercase()),
                    field.name(),
                )
            })
            // Of a short name everything is two changes away.
            .filter(|(distance, valid)| *distance <= DISTANCE_MAX.min(valid.len() / 2))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, valid)| valid)
    }
}

/// How many single-character changes make `left` into `right` (Levenshtein). Both are short.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (place, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for (column, to) in right.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = change.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::{Field, Shape, distance};

    #[test]
    fn every_field_has_its_own_place_and_name() {
        let mut seen = [false; Field::COUNT];
        for shape in [Shape::Publish, Shape::Disconnect] {
            for field in shape.fields() {
                assert_eq!(shape.field(field.name()), Some(*field));
                seen[*field as usize] = true;
            }
        }
        assert_eq!(seen, [true; Field::COUNT]);
        assert_eq!(Shape::Publish.field("code"), None);
        assert_eq!(Shape::Disconnect.field("message"), None);
    }

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("user", "usre", 2),
            ("mesage", "message", 1),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn a_near_name_is_found() {
        for (name, expected) in [
            ("mesage", Some("message")),
            ("Message", Some("message")),
            ("msg", None),
            ("usr", Some("user")),
            ("user_id", Some("userId")),
            ("client-id", Some("clientId")),
            ("phpsessid", Some("PHPSESSID")),
            ("chanel", Some("channel")),
            ("ALL", Some("all")),
            ("conection", Some("connection")),
            ("excludes", Some("exclude")),
            ("to", None),
            ("x", None),
            ("", None),
            ("payload", None),
            ("messagemessagemessage", None),
        ] {
            assert_eq!(Shape::Publish.nearest(name), expected, "{name}");
        }
    }
}
