//! A row of the outbox, and what it comes to.

use crate::gateway::Publish;
use crate::inlet::request;
use std::fmt;
use std::sync::Arc;

/// Longest id of a publication, in bytes.
pub(crate) const PUBLICATION_BYTES_MAX: usize = 256;

/// A row as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its number in the table.
    pub(super) id: i64,
    /// A publish object, as it should be; `None`: it is longer than asked for.
    pub(super) payload: Option<Vec<u8>>,
    /// How long that is, in bytes.
    pub(super) payload_bytes: i64,
    /// The id that it is to be told apart by, if the site gave one; its beginning, if it is too long.
    pub(super) publication: Option<Vec<u8>>,
}

/// Why a row is no publication. Has nothing of the payload but a field's name, and is ASCII without control characters: a
/// field may be named by letters that the table's encoding does not have, and a text of PostgreSQL has no zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong(String);

impl Wrong {
    pub(super) fn new(why: &impl fmt::Display) -> Self {
        let mut text = String::new();
        for character in why.to_string().chars() {
            match character {
                ' '..='~' => text.push(character),
                _ => text.extend(character.escape_default()),
            }
        }
        Self(text)
    }

    /// As it stands in the table.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Row {
    /// What is to be published; `bytes_max` is how long a payload may be.
    pub(super) fn read(self, bytes_max: usize) -> Result<Publish, Wrong> {
        let Some(payload) = self.payload else {
            let length = self.payload_bytes;
            let error = format!("{length} bytes, over limits.publish_bytes_max of {bytes_max}");
            return Err(Wrong::new(&error));
        };
        let request = request::publish(&payload);
        let publish = request.outcome.map_err(|error| Wrong::new(&error))?;
        Ok(Publish {
            id: Some(publication(self.id, self.publication)?),
            ..publish
        })
    }
}

/// The id by which clients tell a repeat: the site's, or the row's number.
fn publication(id: i64, given: Option<Vec<u8>>) -> Result<Arc<str>, Wrong> {
    let Some(given) = given else {
        return Ok(id.to_string().into());
    };
    if given.len() > PUBLICATION_BYTES_MAX {
        let error = format!("`publication` is longer than {PUBLICATION_BYTES_MAX} bytes");
        return Err(Wrong::new(&error));
    }
    let text = String::from_utf8(given);
    text.map(Arc::from)
        .map_err(|_| Wrong::new(&"`publication` is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str = r#"{"user":"anna","message":"test"}"#;

    fn row(payload: &[u8], publication: Option<&[u8]>) -> Row {
        Row {
            id: 7,
            payload: Some(payload.to_vec()),
            payload_bytes: payload.len().try_into().unwrap(),
            publication: publication.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn a_row_is_known_by_the_sites_id_or_by_its_number() {
        let publish = row(PAYLOAD.as_bytes(), None).read(100).unwrap();
        assert_eq!(publish.id.as_deref(), Some("7"));
        let longest = [b'x'; PUBLICATION_BYTES_MAX];
        let publish = row(PAYLOAD.as_bytes(), Some(&longest)).read(100).unwrap();
        assert_eq!(publish.id.unwrap().len(), PUBLICATION_BYTES_MAX);
    }

    #[test]
    fn what_is_no_publication_says_why() {
        let too_long = [b'x'; PUBLICATION_BYTES_MAX + 1];
        let unread = Row {
            payload: None,
            payload_bytes: 101,
            ..row(b"", None)
        };
        for (row, why) in [
            (row(b"no JSON", None), "not JSON"),
            (row(b"\xff", None), "not UTF-8"),
            (row(b"[]", None), "an object is expected"),
            (
                row(br#"{"\u043a\u0000\u001b":1}"#, None),
                r"unknown field `\u{43a}\u{0}\u{1b}`",
            ),
            (row(br#"{"message":"test"}"#, None), "to whom?"),
            (
                row(PAYLOAD.as_bytes(), Some(&too_long)),
                "longer than 256 bytes",
            ),
            (row(PAYLOAD.as_bytes(), Some(b"\xff")), "not UTF-8"),
            (unread, "101 bytes, over limits.publish_bytes_max of 100"),
        ] {
            let error = row.read(100).unwrap_err();
            assert!(error.0.contains(why), "{error}");
        }
    }
}
