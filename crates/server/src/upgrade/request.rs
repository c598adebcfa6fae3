//! [`WebSocketUpgrade`]: a checked request, what is agreed to, and the two ways to go on.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rupor_proto::handshake::{
    HandshakeError, HttpVersion, Upgrade, connect_response, select_subprotocol,
};
use rupor_proto::{DeflateAgreement, DeflateConfig};

use crate::admit::Refusal;
use crate::socket::{WebSocket, WebSocketLimits};

/// The stream below a [`WebSocket`] that was an HTTP request.
pub type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// An HTTP request that may become a [`WebSocket`]: it passed every rule of RFC 6455 §4.2.1.
///
/// Make one of a request of hyper's with [`from_request`](Self::from_request); with the feature
/// `axum` it is an extractor. Then say what is agreed to, and go on with
/// [`on_upgrade`](Self::on_upgrade), or with [`accept`](Self::accept) to spawn yourself:
///
/// ```
/// # use rupor_server::{DeflateConfig, WebSocketUpgrade};
/// # fn of(upgrade: WebSocketUpgrade) -> http::Response<String> {
/// upgrade
///     .origins(["https://example.org"])
///     .subprotocols(["chat.v2", "chat.v1"])
///     .deflate(&DeflateConfig::default())
///     .on_upgrade(|mut socket| async move {
///         while let Some(message) = socket.recv().await {
///             if socket.send(&message).await.is_err() {
///                 break;
///             }
///         }
///     })
/// # }
/// ```
///
/// # Say whose pages may connect
///
/// Browsers let the page of *any* site open a WebSocket to yours, with your users' cookies. If you
/// know users by cookies, or by where they are, then [`origins`](Self::origins) is what stops a
/// foreign page from acting as them (cross-site WebSocket hijacking).
///
/// # What hyper does before
///
/// hyper reads the request head. It refuses folded lines, spaces before colons and control
/// characters as rupor does, but takes lines that end with a bare LF, and has limits of its own.
/// And the task that comes out is the program's: a graceful shutdown of hyper or axum does not
/// wait for it.
pub struct WebSocketUpgrade {
    upgrade: Upgrade,
    on_upgrade: OnUpgrade,
    user_agent: Option<String>,
    subprotocol: Option<String>,
    deflate: Option<DeflateAgreement>,
    limits: WebSocketLimits,
    headers: Vec<(String, String)>,
    foreign: bool,
}

impl WebSocketUpgrade {
    /// Checks a request and takes out of it what the upgrade needs.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] with the status and reason to answer with
    /// ([`into_response`](Refusal::into_response)): the request does not ask for a WebSocket as RFC
    /// 6455 wants it, or the server does not let it be upgraded (500).
    pub fn from_request<B>(request: &mut Request<B>) -> Result<Self, Refusal> {
        let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
        Self::new(
            request.method(),
            request.uri(),
            request.version(),
            request.headers(),
            on_upgrade,
        )
    }

    /// [`from_request`](Self::from_request) for a request whose body was taken off.
    ///
    /// # Errors
    ///
    /// Those of [`from_request`](Self::from_request).
    pub fn from_parts(parts: &mut Parts) -> Result<Self, Refusal> {
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        Self::new(
            &parts.method,
            &parts.uri,
            parts.version,
            &parts.headers,
            on_upgrade,
        )
    }

    fn new(
        method: &http::Method,
        uri: &http::Uri,
        version: Version,
        headers: &http::HeaderMap,
        on_upgrade: Option<OnUpgrade>,
    ) -> Result<Self, Refusal> {
        let upgrade = check(method, uri, version, headers).map_err(|error| match error {
            // Who asks for a page is told what is here.
            HandshakeError::NotWebSocket => Refusal {
                headers: vec![("Upgrade".to_owned(), "websocket".to_owned())],
                ..Refusal::new(426, "this is a WebSocket")
            },
            error => (&error).into(),
        })?;
        let on_upgrade = on_upgrade.ok_or_else(|| {
            tracing::error!(
                "a WebSocket was asked for where the HTTP server lets nothing be upgraded"
            );
            Refusal::new(500, "the server cannot upgrade this connection")
        })?;
        let user_agent = headers.get(header::USER_AGENT);
        Ok(Self {
            upgrade,
            on_upgrade,
            user_agent: user_agent.map(|value| String::from_utf8_lossy(value.as_bytes()).into()),
            subprotocol: None,
            deflate: None,
            limits: WebSocketLimits::default(),
            headers: Vec::new(),
            foreign: false,
        })
    }

    /// The `Host` of the request.
    pub fn host(&self) -> &str {
        &self.upgrade.host
    }

    /// The `Origin` of the request: of which site the page is that asks (RFC 6455 §10.2).
    pub fn origin(&self) -> Option<&str> {
        self.upgrade.origin.as_deref()
    }

    /// The subprotocols that the client offers, in its order.
    pub fn offered_subprotocols(&self) -> &[String] {
        &self.upgrade.subprotocols
    }

    /// Lets pages of these origins connect and no others, which get 403. Each is what a browser
    /// sends: scheme, host in its `xn--` form, and the port unless it is the scheme's own, such as
    /// `https://example.org` or `http://localhost:3000`. `null` is one only if it is listed.
    ///
    /// A request without `Origin` passes: no page sent it, since browsers always say, and any other
    /// program could say what it likes.
    #[must_use]
    pub fn origins<O: AsRef<str>>(mut self, allowed: impl IntoIterator<Item = O>) -> Self {
        self.foreign = self.origin().is_some_and(|origin| {
            !allowed
                .into_iter()
                .any(|allowed| allowed.as_ref().eq_ignore_ascii_case(origin))
        });
        self
    }

    /// Agrees to the first of these that the client offers, in the client's order. If it offers
    /// none, the connection has no subprotocol; browsers then close it, if they offered some.
    #[must_use]
    pub fn subprotocols<N: AsRef<str>>(mut self, known: impl IntoIterator<Item = N>) -> Self {
        let known: Vec<N> = known.into_iter().collect();
        self.subprotocol = select_subprotocol(&self.upgrade.subprotocols, &known).map(Into::into);
        self
    }

    /// Agrees to permessage-deflate, if the client offers it (RFC 7692). Read about secrets at
    /// [`DeflateConfig`] before.
    #[must_use]
    pub fn deflate(mut self, config: &DeflateConfig) -> Self {
        self.deflate = config.accept(&self.upgrade.deflate_offers, self.user_agent.as_deref());
        self
    }

    /// Limits other than the default ones.
    #[must_use]
    pub fn limits(mut self, limits: &WebSocketLimits) -> Self {
        self.limits = limits.clone();
        self
    }

    /// Adds a header to the `101`, such as `Set-Cookie`. One that the handshake writes itself, or
    /// that is no header, makes the upgrade fail with 500.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The subprotocol that was agreed to.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Whether permessage-deflate was agreed to.
    pub fn has_deflate(&self) -> bool {
        self.deflate.is_some()
    }

    /// Answers with `101`, and gives the WebSocket to `serve` on a task of its own. Where the
    /// upgrade is refused the answer says so, and `serve` is not called.
    ///
    /// # Panics
    ///
    /// Outside of tokio.
    pub fn on_upgrade<F, Fut>(self, serve: F) -> Response<String>
    where
        F: FnOnce(WebSocket<Upgraded>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (response, upgrading) = match self.accept() {
            Ok(accepted) => accepted,
            Err(refusal) => return refusal.into_response(),
        };
        tokio::spawn(async move {
            // Who is gone before his 101 has left needs nobody.
            if let Ok(socket) = upgrading.await {
                serve(socket).await;
            }
        });
        response
    }

    /// The `101` to answer with, and what becomes the WebSocket once it has left.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: 403 for a page of a foreign origin, 500 for a [`header`](Self::header) that no
    /// `101` can carry.
    pub fn accept(self) -> Result<(Response<String>, Upgrading), Refusal> {
        if self.foreign {
            return Err(Refusal::new(403, "pages of this origin may not connect"));
        }
        let response = self.response().ok_or_else(|| {
            tracing::error!("an upgrade was accepted with what no 101 can carry");
            Refusal::new(500, "the server could not answer")
        })?;
        let upgrading = Upgrading {
            on_upgrade: self.on_upgrade,
            subprotocol: self.subprotocol,
            deflate: self.deflate,
            limits: self.limits,
        };
        Ok((response, upgrading))
    }

    fn response(&self) -> Option<Response<String>> {
        let more: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let subprotocol = self.subprotocol.as_deref();
        let agreed = connect_response(&self.upgrade, subprotocol, self.deflate.as_ref(), &more);
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let accept = HeaderValue::from_str(&self.upgrade.accept_key()).ok()?;
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        for (name, value) in agreed.ok()? {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
        Some(response)
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("upgrade", &self.upgrade)
            .finish_non_exhaustive()
    }
}

/// Holds a request to RFC 6455 §4.2.1.
fn check(
    method: &http::Method,
    uri: &http::Uri,
    version: Version,
    headers: &http::HeaderMap,
) -> Result<Upgrade, HandshakeError> {
    let version = match version {
        Version::HTTP_11 => HttpVersion::Http11,
        Version::HTTP_09 | Version::HTTP_10 => HttpVersion::Http10,
        _ => return Err(HandshakeError::HttpVersionUnsupported),
    };
    let headers = headers.iter();
    Upgrade::from_parts(
        method.as_str(),
        &uri.to_string(),
        version,
        headers.map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

/// An upgrade whose `101` is on its way: awaiting it gives the [`WebSocket`].
pub struct Upgrading {
    on_upgrade: OnUpgrade,
    subprotocol: Option<String>,
    deflate: Option<DeflateAgreement>,
    limits: WebSocketLimits,
}

impl Future for Upgrading {
    /// An error: the client was gone before its 101 had left, or the answer was not sent.
    type Output = io::Result<WebSocket<Upgraded>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = ready!(Pin::new(&mut self.on_upgrade).poll(cx)).map_err(io::Error::other)?;
        // What came behind the request is inside of it.
        let socket = WebSocket::server(TokioIo::new(upgraded), Vec::new(), &self.limits);
        let socket = socket.with_subprotocol(self.subprotocol.as_deref());
        Poll::Ready(Ok(match &self.deflate {
            Some(agreed) => socket.with_deflate(agreed),
            None => socket,
        }))
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading").finish_non_exhaustive()
    }
}
