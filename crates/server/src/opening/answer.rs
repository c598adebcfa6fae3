//! Saying no in HTTP: a status, a reason that people can read, and the end of the connection.
//!
//! After a refusal nothing of the connection is read as a request again (a second request behind
//! it may be smuggled), but what arrives is read past for a while: a socket that is closed with
//! unread bytes resets the connection, and the peer might never see the answer.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use rupor_proto::handshake::HandshakeError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::admit::Refusal;

/// Bytes that are read past, at most.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// A refusal.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn unavailable(reason: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    /// A trusted proxy that does not say who its client is.
    pub(crate) fn bad_proxy_header() -> Self {
        let reason = "the header in which the proxy names the client is malformed";
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// What becomes of the connection: its end, and no proxy hands on what an `Upgrade` in a 426 says
    /// (RFC 9110 §7.8).
    fn connection(&self) -> &'static str {
        if self.headers.iter().any(|(name, _)| name == header::UPGRADE) {
            "close, upgrade"
        } else {
            "close"
        }
    }

    /// The bytes on the wire.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: {}\r\n",
            self.status.as_str(),
            self.status.canonical_reason().unwrap_or("Refused"),
            self.reason.len() + 1,
            self.connection(),
        )
        .into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.reason.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    /// The answer as hyper sends it: it closes the connection too.
    pub(crate) fn to_response(&self) -> Response<String> {
        let mut response = Response::new(format!("{}\n", self.reason));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        let connection = HeaderValue::from_static(self.connection());
        headers.insert(header::CONNECTION, connection);
        response
    }

    /// Answers and ends the connection.
    pub(crate) async fn send<S>(&self, mut stream: S, linger: Duration)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let until = Instant::now() + linger;
        let bytes = self.to_bytes();
        if let Ok(Ok(())) = timeout_at(until, stream.write_all(&bytes)).await {
            part(stream, until).await;
        }
    }
}

/// Ends a connection: nothing more is sent, and what still comes is read past until `until`.
pub(crate) async fn part<S>(mut stream: S, until: Instant)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !matches!(timeout_at(until, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let mut past = [0; 1024];
    let mut left = LINGER_BYTES_MAX;
    while let Ok(Ok(count @ 1..)) = timeout_at(until, stream.read(&mut past)).await {
        left = left.saturating_sub(count);
        if left == 0 {
            break;
        }
    }
}

impl From<&HandshakeError> for Answer {
    fn from(error: &HandshakeError) -> Self {
        Refusal::from(error).into()
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = refusal
            .headers
            .iter()
            .filter_map(|(name, value)| valid_header(name, value));
        Self {
            status,
            headers: headers.collect(),
            reason: refusal.reason,
        }
    }
}

/// A header that may go into an answer: one that can be written, and that we do not write.
fn valid_header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let ours = [
        "content-length",
        "transfer-encoding",
        "content-type",
        "connection",
    ];
    if ours.contains(&name.as_str()) {
        return None;
    }
    Some((name, HeaderValue::from_str(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_cannot_break_out_of_its_head() {
        let refusal = Refusal {
            status: 403,
            reason: "no\r\nSet-Cookie: a=b".to_owned(),
            headers: vec![
                ("X-Ok".to_owned(), "yes".to_owned()),
                ("X-Bad".to_owned(), "a\r\nSet-Cookie: a=b".to_owned()),
                ("X: y\r\nZ".to_owned(), "a".to_owned()),
                ("Transfer-Encoding".to_owned(), "chunked".to_owned()),
                ("Content-Length".to_owned(), "0".to_owned()),
            ],
        };
        let bytes = Answer::from(refusal).to_bytes();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 20\r\nConnection: close\r\nx-ok: yes"
        );
        assert_eq!(body, "no\r\nSet-Cookie: a=b\n");
    }

    #[test]
    fn refusal_is_never_a_success() {
        for status in [0, 101, 200, 302, 600, 999] {
            assert_eq!(
                Answer::from(Refusal::new(status, "")).status,
                500,
                "{status}"
            );
        }
        assert_eq!(Answer::from(Refusal::new(401, "")).status, 401);
    }
}
