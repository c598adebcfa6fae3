//! A request that is no upgrade: where it ends, and whether another may follow it (RFC 9112 §6, §9.3).
//!
//! What could be read in two ways is refused: with a proxy in front that reads it in the other one,
//! a part of a body would be a request of somebody else's.

use rupor_proto::handshake::{HandshakeError, HttpVersion, RequestHead};

/// What a head says of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// How many bytes it has, head and body; `u64::MAX` if only the body itself says so.
    pub(crate) len: u64,
    /// Whether another request may follow.
    pub(crate) may_stay: bool,
}

impl Extent {
    /// Judges a head of so many bytes.
    pub(crate) fn new(head: &RequestHead<'_>, head_len: usize) -> Result<Self, HandshakeError> {
        let body = body(head)?;
        let hosts = head.header("host").count();
        let is_current = head.version() == HttpVersion::Http11;
        if hosts > 1 || (is_current && hosts == 0) {
            return Err(HandshakeError::BadHost);
        }
        let mut connection = head
            .header("connection")
            .flat_map(|value| value.split(|byte| *byte == b','));
        let closes = connection.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
        let (len, ends) = match body {
            Body::Bytes(count) => ((head_len as u64).saturating_add(count), true),
            Body::Chunks => (u64::MAX, false),
        };
        Ok(Self {
            len,
            may_stay: is_current && ends && !closes,
        })
    }
}

/// What follows a head.
enum Body {
    Bytes(u64),
    /// As many as the chunks say.
    Chunks,
}

fn body(head: &RequestHead<'_>) -> Result<Body, HandshakeError> {
    let mut codings = head.header("transfer-encoding");
    let mut lengths = head.header("content-length");
    let found = (codings.next(), lengths.next());
    if codings.next().is_some() || lengths.next().is_some() {
        return Err(HandshakeError::Malformed);
    }
    match found {
        (None, None) => Ok(Body::Bytes(0)),
        (None, Some(length)) => length_of(length).map(Body::Bytes),
        (Some(coding), None)
            if coding.eq_ignore_ascii_case(b"chunked") && head.version() == HttpVersion::Http11 =>
        {
            Ok(Body::Chunks)
        }
        (Some(_), _) => Err(HandshakeError::Malformed),
    }
}

/// Digits and nothing else: no sign, no list.
fn length_of(value: &[u8]) -> Result<u64, HandshakeError> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok())
        .ok_or(HandshakeError::Malformed)
}

#[cfg(test)]
mod tests {
    use rupor_proto::handshake::{HeadLimits, parse_request};

    use super::*;

    fn judge(version: &str, headers: &str) -> Result<(u64, bool), HandshakeError> {
        let text = format!("POST / HTTP/{version}\r\n{headers}\r\n");
        let limits = HeadLimits::default();
        let (head, used) = parse_request(text.as_bytes(), &limits).unwrap().unwrap();
        assert_eq!(used, text.len());
        Extent::new(&head, used).map(|it| {
            let body = if it.len == u64::MAX {
                it.len
            } else {
                it.len - used as u64
            };
            (body, it.may_stay)
        })
    }

    #[test]
    fn where_a_request_ends_is_never_in_doubt() {
        use HandshakeError::{BadHost, Malformed};
        for (version, headers, expected) in [
            ("1.1", "Host: x\r\n", Ok((0, true))),
            ("1.1", "Host: x\r\nContent-Length: 7\r\n", Ok((7, true))),
            ("1.1", "Host: x\r\nConnection: a, Close\r\n", Ok((0, false))),
            (
                "1.1",
                "Host: x\r\nTransfer-Encoding: Chunked\r\n",
                Ok((u64::MAX, false)),
            ),
            ("1.0", "", Ok((0, false))),
            ("1.0", "Content-Length: 7\r\n", Ok((7, false))),
            ("1.1", "", Err(BadHost)),
            ("1.1", "Host: x\r\nHost: x\r\n", Err(BadHost)),
            ("1.0", "Host: x\r\nHost: x\r\n", Err(BadHost)),
            ("1.1", "Host: x\r\nContent-Length: +7\r\n", Err(Malformed)),
            ("1.1", "Host: x\r\nContent-Length: 7, 7\r\n", Err(Malformed)),
            ("1.1", "Host: x\r\nContent-Length:\r\n", Err(Malformed)),
            (
                "1.1",
                "Host: x\r\nContent-Length: 7\r\nContent-Length: 7\r\n",
                Err(Malformed),
            ),
            (
                "1.1",
                "Host: x\r\nContent-Length: 99999999999999999999\r\n",
                Err(Malformed),
            ),
            (
                "1.1",
                "Host: x\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n",
                Err(Malformed),
            ),
            (
                "1.1",
                "Host: x\r\nTransfer-Encoding: gzip, chunked\r\n",
                Err(Malformed),
            ),
            (
                "1.1",
                "Host: x\r\nTransfer-Encoding: identity\r\n",
                Err(Malformed),
            ),
            (
                "1.1",
                "Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Err(Malformed),
            ),
            (
                "1.0",
                "Host: x\r\nTransfer-Encoding: chunked\r\n",
                Err(Malformed),
            ),
        ] {
            assert_eq!(judge(version, headers), expected, "{version} {headers}");
        }
    }
}
