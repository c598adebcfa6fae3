//! Where the clients connect to: a URL's parts, and the connection itself, with or without TLS.

use http::Uri;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long connecting may take, TLS included.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Whom to believe about who the server is.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TlsArgs {
    /// Believe the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Believe any certificate: whoever is in between can read and change everything
    #[arg(long)]
    insecure: bool,
}

impl TlsArgs {
    /// Any certificate, for asking a server on this machine who it is.
    pub(crate) fn believing_any() -> Self {
        Self {
            ca: None,
            insecure: true,
        }
    }

    /// Whether it says anything but the usual.
    pub(crate) fn is_given(&self) -> bool {
        self.ca.is_some() || self.insecure
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The URL is not one of ours; what it should be like.
    BadUrl(&'static str),
    /// The name is unknown, or nobody answers.
    Io { place: String, error: io::Error },
    /// No connection in time.
    TimedOut { place: String },
    /// No certificate authorities to believe, or the file of them cannot be read.
    Authorities(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(expected) => write!(formatter, "the URL should be like {expected}"),
            Self::Io { place, error } => write!(formatter, "{place}: {error}"),
            Self::TimedOut { place } => {
                write!(
                    formatter,
                    "{place}: no connection in {} s",
                    CONNECT_DEADLINE.as_secs()
                )
            }
            Self::Authorities(problem) => formatter.write_str(problem),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// A connection, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A URL taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Whether TLS is spoken.
    pub(crate) secure: bool,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As the `Host` header has it: without the scheme's own port.
    pub(crate) host_header: String,
    /// Path and query.
    pub(crate) target: String,
}

impl Address {
    /// Takes a URL apart. `plain`: the scheme without TLS; with an `s` behind it is the one with. `expected`: what to write,
    /// for the error.
    ///
    /// # Errors
    /// It is not a URL, of another scheme, with a user in it or, of a WebSocket, with a fragment.
    pub(crate) fn parse(
        url: &str,
        plain: &str,
        expected: &'static str,
    ) -> Result<Self, ConnectError> {
        let bad = || ConnectError::BadUrl(expected);
        // A fragment never travels, and has no place in the URL of a WebSocket (RFC 6455 §3).
        let url = match url.split_once('#') {
            Some(_) if plain == "ws" => return Err(bad()),
            Some((url, _)) => url,
            None => url,
        };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let scheme = uri.scheme_str().ok_or_else(bad)?.to_ascii_lowercase();
        let secure = match scheme.strip_prefix(plain) {
            Some("") => false,
            Some("s") => true,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        if authority.as_str().contains('@') {
            return Err(bad());
        }
        let host = authority.host();
        if host.is_empty()
            || authority.as_str().len() > host.len() && authority.port_u16().is_none()
        {
            return Err(bad());
        }
        let own_port = if secure { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(own_port);
        let host_header = if port == own_port {
            host.to_owned()
        } else {
            format!("{host}:{port}")
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Self {
            secure,
            host,
            port,
            host_header,
            target,
        })
    }

    /// Connects.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub(crate) async fn connect(&self, tls: &TlsArgs) -> Result<Box<dyn Stream>, ConnectError> {
        self.connect_after(b"", tls).await
    }

    /// Connects, and writes `before` in front of everything, also of TLS.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub(crate) async fn connect_after(
        &self,
        before: &[u8],
        tls: &TlsArgs,
    ) -> Result<Box<dyn Stream>, ConnectError> {
        let place = || self.host_header.clone();
        let config = if self.secure {
            Some(tls_config(tls)?)
        } else {
            None
        };
        let connecting = async {
            let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            stream.write_all(before).await?;
            let Some(config) = config else {
                return Ok(Box::new(stream) as Box<dyn Stream>);
            };
            let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        };
        match timeout(CONNECT_DEADLINE, connecting).await {
            Ok(connected) => connected.map_err(|error| ConnectError::Io {
                place: place(),
                error,
            }),
            Err(_) => Err(ConnectError::TimedOut { place: place() }),
        }
    }
}

/// What a TLS client believes.
///
/// # Errors
/// No certificate authorities, or the file of them cannot be read.
pub(crate) fn tls_config(arguments: &TlsArgs) -> Result<Arc<ClientConfig>, ConnectError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Authorities(error.to_string()))?;
    let config = if arguments.insecure {
        let verifier = Arc::new(AnyCertificate(provider));
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(authorities(arguments)?)
            .with_no_client_auth()
    };
    Ok(Arc::new(config))
}

/// Who is believed.
///
/// # Errors
/// Nobody is, or the file of them cannot be read.
pub(crate) fn authorities(arguments: &TlsArgs) -> Result<RootCertStore, ConnectError> {
    match &arguments.ca {
        Some(file) => authorities_in(file),
        None => authorities_of_system(),
    }
}

fn authorities_in(file: &Path) -> Result<RootCertStore, ConnectError> {
    let problem = |what: &dyn fmt::Display| {
        ConnectError::Authorities(format!("--ca {}: {what}", file.display()))
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| problem(&error))? {
        let certificate = certificate.map_err(|error| problem(&error))?;
        store.add(certificate).map_err(|error| problem(&error))?;
    }
    if store.is_empty() {
        Err(problem(&"no certificate in it"))
    } else {
        Ok(store)
    }
}

fn authorities_of_system() -> Result<RootCertStore, ConnectError> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // Systems have one or the other that is malformed; the rest is good.
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(ConnectError::Authorities(
            "this system has no certificate authorities: give them with --ca FILE".to_owned(),
        ));
    }
    Ok(store)
}

/// Believes any certificate, for `--insecure`. That the other side has the certificate's key is checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn urls_are_taken_apart() {
        for (url, secure, host, port, header, target) in [
            (
                "ws://127.0.0.1:8000/?user=a",
                false,
                "127.0.0.1",
                8000,
                "127.0.0.1:8000",
                "/?user=a",
            ),
            (
                "ws://example.org",
                false,
                "example.org",
                80,
                "example.org",
                "/",
            ),
            (
                "wss://example.org/a/b?c=d",
                true,
                "example.org",
                443,
                "example.org",
                "/a/b?c=d",
            ),
            (
                "wss://example.org:443",
                true,
                "example.org",
                443,
                "example.org",
                "/",
            ),
            (
                "ws://example.org:443",
                false,
                "example.org",
                443,
                "example.org:443",
                "/",
            ),
            ("ws://[::1]:8000/x", false, "::1", 8000, "[::1]:8000", "/x"),
            (
                "ws://localhost?user=a",
                false,
                "localhost",
                80,
                "localhost",
                "/?user=a",
            ),
            ("WS://localhost/", false, "localhost", 80, "localhost", "/"),
        ] {
            let address = Address::parse(url, "ws", "").unwrap_or_else(|_| panic!("{url}"));
            let expected = Address {
                secure,
                host: host.to_string(),
                port,
                host_header: header.to_string(),
                target: target.to_string(),
            };
            assert_eq!(address, expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused() {
        for url in [
            "",
            "localhost:8000",
            "/path",
            "http://localhost",
            "wsx://localhost",
            "ws://",
            "ws://:80",
            "ws://user:password@localhost",
            "ws://local host",
            "ws://localhost:99999",
            "ws://localhost/#a",
            "ws://localhost/a?b#",
            "ws://пример.example/",
        ] {
            assert!(Address::parse(url, "ws", "").is_err(), "{url}");
        }
    }
}
