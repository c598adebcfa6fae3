//! A session's id: as good as a password while the session lasts, and a part of a file's name.

use std::fmt;

/// Shortest and longest id, in bytes: `session.sid_length` of PHP.
const LENGTHS: std::ops::RangeInclusive<usize> = 22..=256;
/// Length of Laravel's ids.
const LARAVEL_LENGTH: usize = 40;

/// An id that may stand in a path or in a key. It is in no log: its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(Box<str>);

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(…)")
    }
}

impl SessionId {
    /// One of PHP's: letters, digits, `,` and `-`.
    pub(super) fn of_php(text: &str) -> Option<Self> {
        let is_of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'-');
        let is_id = LENGTHS.contains(&text.len()) && text.bytes().all(is_of_alphabet);
        is_id.then(|| Self(text.into()))
    }

    /// One of Laravel's: 40 letters and digits.
    pub(super) fn of_laravel(text: &str) -> Option<Self> {
        let is_of_alphabet = |byte: u8| byte.is_ascii_alphanumeric();
        let is_id = text.len() == LARAVEL_LENGTH && text.bytes().all(is_of_alphabet);
        is_id.then(|| Self(text.into()))
    }

    /// One that nobody has.
    pub(super) fn none() -> Self {
        Self("0".repeat(LARAVEL_LENGTH).into())
    }

    /// The text, for a path or a key.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::SessionId;

    #[test]
    fn ids_hold_no_path_and_are_of_their_length() {
        let php = |text: &str| SessionId::of_php(text).is_some();
        let laravel = |text: &str| SessionId::of_laravel(text).is_some();
        assert!(php("abcXYZ019,-abcXYZ019,-"));
        assert!(php(&"a".repeat(256)) && !php(&"a".repeat(257)) && !php(&"a".repeat(21)));
        assert!(
            laravel(&"aZ09".repeat(10)) && !laravel(&"a".repeat(39)) && !laravel(&"a".repeat(41))
        );
        for bad in ["/", "\\", ".", "\0", "%", "_", ":", "*", " ", "\n", "é"] {
            let text = "a".repeat(40 - bad.len()) + bad;
            assert!(!php(&text) && !laravel(&text), "{bad:?}");
        }
        assert!(!laravel(&("a".repeat(39) + "-")));
        assert_eq!(
            format!("{:?}", SessionId::of_php(&"s".repeat(30))),
            "Some(SessionId(…))"
        );
    }
}
