//! [`RefusedUpgrade`]: another answer than 101, and what can be read out of it.

use std::fmt;

/// Characters of a text of the server's that are shown.
const TEXT_SHOWN_MAX: usize = 200;

/// What a server answered in the place of 101.
///
/// Its texts are escaped and cut where it is shown, and the place has no query there: servers put
/// what they were sent into it, tokens too.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedUpgrade {
    /// The HTTP status.
    pub status: u16,
    /// Where it would be, if the server says so. It is not followed: a program that trusts the place
    /// can connect there.
    pub location: Option<String>,
    /// The begin of the body as text, 3 KiB at least if there was so much.
    pub body: String,
}

impl RefusedUpgrade {
    /// Of an answer, as far as it was read.
    pub(super) fn read(status: u16, bytes: &[u8]) -> Self {
        let (head, body) = head_and_body(bytes).unwrap_or_default();
        let chunked = header(head, "transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"));
        let body = if chunked {
            without_chunks(body)
        } else {
            body.to_vec()
        };
        Self {
            status,
            location: header(head, "location").map(str::to_owned),
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// What helps, where the status tells.
    fn what_helps(&self) -> &'static str {
        match self.status {
            200..=299 => ", so there is no WebSocket at that path",
            401 => ", so it wants to know who connects, by a header perhaps",
            _ => "",
        }
    }
}

impl fmt::Display for RefusedUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        if let Some(location) = &self.location {
            let place = shown(location.split(['?', '#']).next().unwrap_or_default());
            return write!(f, ", a redirect to {place}, which is not followed");
        }
        f.write_str(self.what_helps())?;
        let line = self.body.lines().next().unwrap_or_default().trim();
        if line.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", shown(line))
    }
}

/// The begin of a text of the server's, which can do nothing to a terminal or a log.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(TEXT_SHOWN_MAX) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

impl fmt::Debug for RefusedUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefusedUpgrade({self})")
    }
}

/// Bytes of the whole answer, if its head says.
pub(super) fn announced_bytes(bytes: &[u8]) -> Option<usize> {
    let (head, _) = head_and_body(bytes)?;
    let body = header(head, "content-length")?.parse::<usize>().ok()?;
    head.len().checked_add(4)?.checked_add(body)
}

/// A head without its empty line, as far as it is text, and what is behind.
fn head_and_body(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let (head, body) = bytes.split_at_checked(end)?;
    Some((std::str::from_utf8(head).ok()?, body.get(4..)?))
}

/// The first header of that name, trimmed.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// What is in the chunks (RFC 9112 §7.1), up to where they end or make no sense.
fn without_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|it| it == b"\r\n") {
        let line = rest
            .get(..end)
            .and_then(|line| std::str::from_utf8(line).ok());
        let digits = line.and_then(|line| line.split(';').next());
        let size = digits.and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok());
        let data = rest.get(end + 2..).unwrap_or_default();
        let Some(size @ 1..) = size else { break };
        body.extend_from_slice(data.get(..size).unwrap_or(data));
        // Behind the data, the end of its line.
        rest = size
            .checked_add(2)
            .and_then(|next| data.get(next..))
            .unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_as_far_as_they_make_sense() {
        for (chunked, body) in [
            ("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "abcde"),
            ("A\r\n0123456789\r\n0\r\nX: y\r\n\r\n", "0123456789"),
            ("5\r\nab", "ab"),
            ("2\r\nab\r\n", "ab"),
            ("2\r\nab\r\nx\r\ncd", "ab"),
            ("ffffffffffffffff\r\nab", "ab"),
            ("fffffffffffffffff\r\nab", ""),
            ("-1\r\nab", ""),
            ("", ""),
            ("3", ""),
        ] {
            assert_eq!(
                without_chunks(chunked.as_bytes()),
                body.as_bytes(),
                "{chunked:?}"
            );
        }
    }

    #[test]
    fn refusal_is_shown_without_what_was_sent() {
        let read = |answer: &str| RefusedUpgrade::read(302, answer.as_bytes());
        let moved = read("HTTP/1.1 302 Found\r\nLocation: wss://b/c?token=secret#secret\r\n\r\n");
        assert_eq!(
            moved.location.as_deref(),
            Some("wss://b/c?token=secret#secret")
        );
        let shown = format!("{moved} {moved:?}");
        assert!(
            shown.contains("wss://b/c,") && !shown.contains("secret"),
            "{shown}"
        );
        let long = format!("HTTP/1.1 404 No\r\n\r\n{}", "x".repeat(10_000));
        assert!(format!("{}", read(&long)).len() < 300);
    }
}
