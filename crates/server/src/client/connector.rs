//! [`Client`]: what is asked for, and the way through the stages.

use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rupor_proto::DeflateConfig;
use rupor_proto::handshake::ClientHandshake;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::{ConnectError, OpenError, ProxyError};
use super::opening::open;
use super::proxy::ProxyChoice;
use super::reach::reach;
use super::stream::ClientStream;
use super::tls::Trust;
use super::tunnel::tunnel;
use super::url::Address;
use crate::socket::{WebSocket, WebSocketLimits};

/// Opens a WebSocket as [`Client::default`] does.
///
/// ```no_run
/// # async fn hear() -> Result<(), rupor_server::ConnectError> {
/// let mut socket = rupor_server::connect("wss://example.org/news").await?;
/// while let Some(message) = socket.recv().await {
///     println!("{}", message.as_text().unwrap_or("(bytes)"));
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`ConnectError`] names the stage.
pub async fn connect(url: &str) -> Result<WebSocket<ClientStream>, ConnectError> {
    static DEFAULT: LazyLock<Client> = LazyLock::new(Client::default);
    DEFAULT.connect(url).await
}

/// A client of WebSocket servers: what is sent, whom it believes, by which way, how long.
///
/// ```no_run
/// # use rupor_server::{Client, ConnectError, DeflateConfig};
/// # async fn hear() -> Result<(), ConnectError> {
/// # let token = "";
/// let client = Client::new()
///     .header("Authorization", format!("Bearer {token}"))
///     .subprotocols(["chat.v2", "chat.v1"])
///     .deflate(&DeflateConfig::default());
/// let mut socket = client.connect("wss://example.org/chat").await?;
/// # let _ = socket.send("hello").await;
/// # Ok(())
/// # }
/// ```
///
/// * **TLS** (`wss`): the system's certificate authorities are believed, read once for each client,
///   and those of [`trust`](Self::trust); or a configuration of one's own ([`tls`](Self::tls)).
/// * **Proxies** are those of the environment: `https_proxy` (`HTTPS_PROXY`) for `wss`, `http_proxy` for
///   `ws`, else `all_proxy` (`ALL_PROXY`), but not for what `no_proxy` (`NO_PROXY`) names, as curl has
///   it. They are asked to CONNECT. See [`proxy`](Self::proxy), [`without_proxy`](Self::without_proxy).
/// * **Every stage has its time** ([`ClientTimeouts`]) and its error ([`ConnectError`]).
/// * **Redirects are not followed**: what was sent, tokens above all, is for the server that was
///   named. [`RefusedUpgrade`](crate::RefusedUpgrade) has the place.
/// * A future that is dropped ends what it began.
///
/// Keep one and connect with it again: it remembers the authorities and TLS's resumption. Clones
/// share them.
#[derive(Clone, Default)]
pub struct Client {
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    deflate: Option<DeflateConfig>,
    limits: WebSocketLimits,
    timeouts: ClientTimeouts,
    trust: Trust,
    proxy: ProxyChoice,
}

/// How long each stage of connecting may take, in milliseconds. Default: 10 s each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// Looking the name up and connecting, all its addresses together; of the proxy, if there is
    /// one.
    pub connect_ms: u32,
    /// The proxy's answer.
    pub proxy_ms: u32,
    /// The TLS handshake; the first time with reading the system's authorities.
    pub tls_ms: u32,
    /// The server's answer to the upgrade request. The body of a refusal has one second more.
    pub open_ms: u32,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            connect_ms: 10_000,
            proxy_ms: 10_000,
            tls_ms: 10_000,
            open_ms: 10_000,
        }
    }
}

impl Client {
    /// A client that sends nothing but the plain upgrade request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a header, such as `Authorization`, `Cookie` or `Origin`. One that the handshake writes
    /// itself, or that is no header, makes connecting fail with [`ConnectError::Request`].
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers subprotocols, the preferred one first. The server may choose none:
    /// [`WebSocket::subprotocol`] says.
    #[must_use]
    pub fn subprotocols<N: Into<String>>(mut self, offered: impl IntoIterator<Item = N>) -> Self {
        self.subprotocols = offered.into_iter().map(Into::into).collect();
        self
    }

    /// Offers permessage-deflate (RFC 7692). Read about secrets at [`DeflateConfig`] before.
    #[must_use]
    pub fn deflate(mut self, config: &DeflateConfig) -> Self {
        self.deflate = Some(config.clone());
        self
    }

    /// Limits of the WebSocket other than the default ones.
    #[must_use]
    pub fn limits(mut self, limits: &WebSocketLimits) -> Self {
        self.limits = limits.clone();
        self
    }

    /// Other times for the stages.
    #[must_use]
    pub fn timeouts(mut self, timeouts: ClientTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Believes these certificate authorities beside the system's.
    /// [`CertificateDer::pem_file_iter`](rustls::pki_types::pem::PemObject::pem_file_iter) reads them
    /// from a file.
    #[must_use]
    pub fn trust(mut self, more: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.trust = self.trust.and(more);
        self
    }

    /// Speaks TLS by this configuration: other authorities, client certificates, versions. It decides
    /// alone; [`trust`](Self::trust) behind it would begin anew. It must not offer `h2` by ALPN: this
    /// client speaks HTTP/1.1.
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.trust = Trust::of(config);
        self
    }

    /// Connects by this proxy whatever the environment says: `http://user:password@host:3128`, what
    /// is special in user and password percent-encoded. Port 80 if none is there.
    ///
    /// # Errors
    ///
    /// [`ProxyError`]: it is no URL of a proxy, or of one by SOCKS or over TLS.
    pub fn proxy(mut self, url: &str) -> Result<Self, ProxyError> {
        self.proxy = ProxyChoice::given(url)?;
        Ok(self)
    }

    /// Connects without a proxy whatever the environment says.
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::Direct;
        self
    }

    /// Opens a WebSocket: `wss://host/path?query`, or `ws://` where nobody can listen in.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] names the stage.
    pub async fn connect(&self, url: &str) -> Result<WebSocket<ClientStream>, ConnectError> {
        let address = Address::parse(url)?;
        let handshake = self.handshake(&address)?;
        let connect_within = within(self.timeouts.connect_ms);
        let tcp = match self.proxy.of(&address)? {
            None => reach(&address.host, address.port, connect_within).await?,
            Some(proxy) => {
                let reaching = reach(&proxy.host, proxy.port, connect_within);
                let tcp = reaching.await.map_err(ProxyError::Reach)?;
                tunnel(tcp, &proxy, &address, within(self.timeouts.proxy_ms)).await?
            }
        };
        let stream = if address.secure {
            let tls_within = within(self.timeouts.tls_ms);
            let handshake = self.trust.handshake(&address.host, tcp, tls_within);
            ClientStream::tls(handshake.await?)
        } else {
            ClientStream::plain(tcp)
        };
        self.open(stream, handshake).await
    }

    /// Opens a WebSocket over a stream that leads to the server already: a Unix socket, a SOCKS
    /// proxy's, TLS of another library. The URL says `Host` and what is asked for.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Url`], [`ConnectError::Request`] and [`ConnectError::Open`].
    pub async fn connect_over<S>(&self, url: &str, stream: S) -> Result<WebSocket<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = self.handshake(&Address::parse(url)?)?;
        self.open(stream, handshake).await
    }

    fn handshake(&self, address: &Address) -> Result<ClientHandshake, ConnectError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|error| OpenError::Broken(io::Error::other(error.to_string())))?;
        let subprotocols: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let handshake = ClientHandshake::new(
            &address.host_header,
            &address.target,
            nonce,
            &subprotocols,
            &headers,
        )?;
        Ok(match &self.deflate {
            Some(config) => handshake.offer_deflate(config),
            None => handshake,
        })
    }

    async fn open<S>(
        &self,
        mut stream: S,
        handshake: ClientHandshake,
    ) -> Result<WebSocket<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let opening = open(&mut stream, handshake, within(self.timeouts.open_ms));
        let (accepted, received) = opening.await?;
        let socket = WebSocket::client(stream, received, &self.limits);
        let socket = socket.with_subprotocol(accepted.subprotocol.as_deref());
        Ok(match &accepted.deflate {
            Some(agreed) => socket.with_deflate(agreed),
            None => socket,
        })
    }
}

impl fmt::Debug for Client {
    /// Without headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("timeouts", &self.timeouts)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

fn within(milliseconds: u32) -> Duration {
    Duration::from_millis(milliseconds.into())
}
