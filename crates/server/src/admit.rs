//! Who gets in: the request that asks to become a WebSocket, and the answer to it.
//!
//! [`Admit`] runs on the opening side (tokio), may await, and decides before any worker hears of
//! the connection.

use std::future::Future;
use std::net::SocketAddr;

use http::HeaderMap;
use rupor_proto::handshake::HandshakeError;

use crate::opening::Answer;

/// Decides about upgrades. Shared by all of them, so `&self`.
///
/// It has [`Limits::admit_timeout_ms`](crate::Limits::admit_timeout_ms) to decide; then the upgrade
/// is refused with
/// 503. What it returns in [`Admitted::admission`] is given to
/// [`Handler::on_open`](crate::Handler::on_open).
pub trait Admit: Send + Sync + 'static {
    /// What was found out about the peer: who it is, what it may do.
    type Admission: Send + 'static;

    /// Lets the upgrade pass, or refuses it with an HTTP status.
    fn admit(
        &self,
        request: UpgradeRequest,
    ) -> impl Future<Output = Result<Admitted<Self::Admission>, Refusal>> + Send;
}

/// Lets everybody in, without a subprotocol; the handler gets the [`UpgradeRequest`].
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAll;

impl Admit for AdmitAll {
    type Admission = UpgradeRequest;

    async fn admit(&self, request: UpgradeRequest) -> Result<Admitted<UpgradeRequest>, Refusal> {
        Ok(Admitted::new(request))
    }
}

/// A request that passed every check of RFC 6455 §4.2.1 and waits to be admitted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UpgradeRequest {
    /// The request target, in origin form: path and query as they were sent.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The subprotocols that the client offers, in its order, each a token, no two the same.
    pub subprotocols: Vec<String>,
    /// The client's address: the peer's, or what a trusted proxy says
    /// ([`ClientAddress`](crate::ClientAddress)); then its port may be 0.
    pub remote: SocketAddr,
    /// Whether it came over TLS of ours.
    pub secure: bool,
}

impl UpgradeRequest {
    /// A request as the server would make it; for tests of an [`Admit`].
    pub fn new(target: impl Into<String>, headers: HeaderMap, remote: SocketAddr) -> Self {
        Self {
            target: target.into(),
            headers,
            subprotocols: Vec::new(),
            remote,
            secure: false,
        }
    }

    /// The target up to the question mark, percent-encoded as it was sent.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The target after the question mark, percent-encoded as it was sent.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first header of that name, if it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `Host` header: the host, and the port if it is not the scheme's own.
    pub fn host(&self) -> Option<&str> {
        self.header("host")
    }

    /// The `Origin` header: of which site the page is that asks (RFC 6455 §10.2). There is never
    /// more than one.
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// The value of the first cookie of that name (RFC 6265 §4.2.1), as it was sent.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all("cookie")
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.trim_matches('"'))
    }
}

/// An upgrade that may pass.
#[derive(Debug, Clone)]
pub struct Admitted<A> {
    /// Given to the handler.
    pub admission: A,
    /// The subprotocol to speak: one of those offered, else the upgrade fails with 500.
    pub subprotocol: Option<String>,
    /// More headers for the 101; names that the handshake writes itself, or line breaks, make the
    /// upgrade fail with 500.
    pub headers: Vec<(String, String)>,
    /// Whether permessage-deflate may be agreed to, if the server has it
    /// ([`Server::deflate`](crate::Server::deflate)) and the client offers it.
    pub deflate: bool,
}

impl<A> Admitted<A> {
    /// Lets pass without a subprotocol or headers.
    pub fn new(admission: A) -> Self {
        Self {
            admission,
            subprotocol: None,
            headers: Vec::new(),
            deflate: true,
        }
    }

    /// Declines permessage-deflate for this connection.
    #[must_use]
    pub fn without_deflate(mut self) -> Self {
        self.deflate = false;
        self
    }

    /// Chooses the subprotocol.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: Option<impl Into<String>>) -> Self {
        self.subprotocol = subprotocol.map(Into::into);
        self
    }
}

/// An upgrade that may not pass. The connection is closed after the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 400 to 599; anything else becomes 500.
    pub status: u16,
    /// The body of the answer, for people.
    pub reason: String,
    /// More headers. One that is no header (line breaks) is left out.
    pub headers: Vec<(String, String)>,
}

impl Refusal {
    /// Refuses with `status` and says why.
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            headers: Vec::new(),
        }
    }

    /// The answer, for programs that speak HTTP with hyper or axum. It ends the connection: what
    /// follows a refused upgrade must not be read as a request.
    pub fn into_response(self) -> http::Response<String> {
        Answer::from(self).to_response()
    }
}

impl From<&HandshakeError> for Refusal {
    fn from(error: &HandshakeError) -> Self {
        let headers = error.headers().iter();
        Self {
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Self::new(error.status(), error.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn request(target: &str, cookie: &str) -> UpgradeRequest {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_str(cookie).unwrap());
        UpgradeRequest::new(target, headers, "192.0.2.1:5".parse().unwrap())
    }

    #[test]
    fn target_splits_at_the_first_question_mark() {
        let with = request("/a/b?user=x?y", "");
        assert_eq!((with.path(), with.query()), ("/a/b", Some("user=x?y")));
        let without = request("/a", "");
        assert_eq!((without.path(), without.query()), ("/a", None));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let request = request("/", "XPHPSESSID=1; PHPSESSID=abc; q=\"x=y\"; empty=");
        assert_eq!(request.cookie("PHPSESSID"), Some("abc"));
        assert_eq!(request.cookie("q"), Some("x=y"));
        assert_eq!(request.cookie("empty"), Some(""));
        assert_eq!(request.cookie("SESSID"), None);
    }
}
