//! Why there is no WebSocket: an enum for each stage on the way to it, and one over them.
//!
//! Each says what is wrong and, where that is known, what helps. None shows a header that was sent, a
//! proxy's user or password, or a URL's query.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use rupor_proto::ApiMisuse;
use rupor_proto::handshake::{HandshakeError, ResponseError};

use super::refusal::RefusedUpgrade;

/// Why [`Client::connect`](crate::Client::connect) gave no WebSocket: the stage, and what was wrong
/// there.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL.
    Url(UrlError),
    /// A header or a subprotocol that cannot be sent.
    Request(ApiMisuse),
    /// The proxy: which it is, reaching it, or what it answered.
    Proxy(ProxyError),
    /// The server cannot be reached.
    Reach(ReachError),
    /// TLS with the server.
    Tls(ClientTlsError),
    /// The opening handshake.
    Open(OpenError),
}

/// What is wrong with a URL. RFC 6455 §3 says what is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It is no URL with a host.
    Malformed,
    /// It is not `ws://` or `wss://`.
    Scheme,
    /// It has a user or a password, which have no place in it; they are sent as a header.
    UserInfo,
    /// It has a fragment (`#`), which RFC 6455 §3 forbids.
    Fragment,
    /// It has letters that URLs do not have (RFC 3986 §2).
    NotAscii,
}

/// Why a host cannot be reached.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReachError {
    /// Its name could not be looked up.
    Lookup {
        /// The host.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// Its name has no address.
    NoAddress {
        /// The host.
        host: String,
    },
    /// No address of it answered in time
    /// ([`ClientTimeouts::connect_ms`](crate::ClientTimeouts::connect_ms)).
    TimedOut {
        /// The host.
        host: String,
    },
    /// No address of it takes a connection.
    Tcp {
        /// The last one that was tried.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// What is wrong about a proxy. `named_by` is the environment's variable that names it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// It is no URL of a proxy.
    BadUrl {
        /// What names the proxy.
        named_by: &'static str,
    },
    /// It is a SOCKS proxy, and only proxies that take CONNECT are known.
    Socks {
        /// What names the proxy.
        named_by: &'static str,
    },
    /// It is a proxy that is spoken to over TLS, which is not known.
    Https {
        /// What names the proxy.
        named_by: &'static str,
    },
    /// It cannot be reached.
    Reach(ReachError),
    /// It did not answer in time ([`ClientTimeouts::proxy_ms`](crate::ClientTimeouts::proxy_ms)).
    TimedOut,
    /// It closed without an answer.
    Closed,
    /// The connection to it broke.
    Broken(io::Error),
    /// Its answer is not HTTP/1, or out of all proportion.
    NotHttp,
    /// It does not connect us.
    Refused {
        /// The HTTP status; 407: it wants a user and a password, or others.
        status: u16,
    },
}

/// Why there is no TLS.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientTlsError {
    /// The system has no certificate authorities, and none were given.
    NoAuthorities,
    /// An authority that was given cannot be used.
    Authority(rustls::Error),
    /// The host is nothing that a certificate could be for.
    Name {
        /// The host.
        host: String,
    },
    /// No TLS in time ([`ClientTimeouts::tls_ms`](crate::ClientTimeouts::tls_ms)).
    TimedOut,
    /// The handshake failed: the server's certificate, most often.
    Handshake(io::Error),
}

/// Why the server did not open a WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// It did not answer in time ([`ClientTimeouts::open_ms`](crate::ClientTimeouts::open_ms)).
    TimedOut,
    /// It closed without a whole answer.
    Closed,
    /// The connection broke, or the system has no random bytes for the request.
    Broken(io::Error),
    /// Its answer breaks a rule or a limit (RFC 6455 §4.1).
    Answer(HandshakeError),
    /// It answered with another status than 101.
    Refused(Box<RefusedUpgrade>),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "the URL {error}"),
            Self::Request(error) => write!(f, "the request cannot be sent: {error}"),
            Self::Proxy(error) => error.fmt(f),
            Self::Reach(error) => error.fmt(f),
            Self::Tls(error) => write!(f, "no TLS: {error}"),
            Self::Open(error) => write!(f, "not opened: {error}"),
        }
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is none, or has no host; right is wss://example.org/path",
            Self::Scheme => "should begin with ws:// or wss://",
            Self::UserInfo => {
                "must not have a user or a password; the header Authorization is for them"
            }
            Self::NotAscii => {
                "has letters outside ASCII; in a name they are written in Punycode, elsewhere as %C3%BC"
            }
            Self::Fragment => "must not have a fragment; a # that belongs to it is written %23",
        })
    }
}

impl fmt::Display for ReachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup { host, source } => write!(f, "{host}: {source}"),
            Self::NoAddress { host } => write!(f, "{host} has no address"),
            Self::TimedOut { host } => {
                write!(f, "{host} did not answer within the time for connecting")
            }
            Self::Tcp { address, source } => write!(f, "{address}: {source}"),
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl { named_by } => {
                write!(f, "{named_by}: no URL of a proxy, such as http://host:3128")
            }
            Self::Socks { named_by } => {
                write!(f, "{named_by}: a SOCKS proxy, and only HTTP ones are known; no_proxy names exceptions")
            }
            Self::Https { named_by } => write!(
                f,
                "{named_by}: a proxy over TLS, and only those with http:// are known; no_proxy names exceptions"
            ),
            Self::Reach(error) => write!(f, "the proxy cannot be reached: {error}"),
            Self::TimedOut => f.write_str("the proxy did not answer within its time"),
            Self::Closed => f.write_str("the proxy closed without an answer"),
            Self::Broken(error) => write!(f, "the connection to the proxy broke: {error}"),
            Self::NotHttp => f.write_str("the proxy does not answer in HTTP; is it one, at that port?"),
            Self::Refused { status: 407 } => {
                f.write_str("the proxy wants a user and password, or others (status 407); its URL has them: http://user:password@host:port")
            }
            Self::Refused { status } => write!(f, "the proxy does not connect to the server (status {status})"),
        }
    }
}

impl fmt::Display for ClientTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAuthorities => f.write_str(
                "this system has no certificate authorities; the client can be given some",
            ),
            Self::Authority(error) => write!(f, "an authority cannot be used: {error}"),
            Self::Name { host } => write!(f, "no certificate can be for {host}"),
            Self::TimedOut => f.write_str("the server did not answer within the time for TLS"),
            Self::Handshake(error) => write!(f, "{error}{}", what_helps(error)),
        }
    }
}

/// What helps against the commonest failures of TLS.
fn what_helps(error: &io::Error) -> &'static str {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer,
    };
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    match error {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            UnknownIssuer => {
                "; nobody who is believed vouches for the server, and the client can be given more authorities"
            }
            NotValidForName | NotValidForNameContext { .. } => {
                "; the certificate is for another name than the URL's"
            }
            Expired | ExpiredContext { .. } => {
                "; the server needs a new one, or the clock is wrong"
            }
            _ => "",
        },
        Some(rustls::Error::InvalidMessage(_)) => "; does the server speak TLS at that port?",
        _ => "",
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => {
                f.write_str("the server did not answer within the time for the opening handshake")
            }
            Self::Closed => {
                f.write_str("the server closed without an answer; does it speak TLS (wss://)?")
            }
            Self::Broken(error) => error.fmt(f),
            Self::Answer(HandshakeError::HeadTooLarge | HandshakeError::TargetTooLong) => {
                f.write_str("the head of the server's answer is too large")
            }
            Self::Answer(HandshakeError::TooManyHeaders) => {
                f.write_str("the server's answer has too many headers")
            }
            Self::Answer(error @ HandshakeError::Response(ResponseError::Malformed)) => {
                write!(f, "{error}; does the server speak HTTP, and without TLS?")
            }
            Self::Answer(error) => error.fmt(f),
            Self::Refused(refused) => refused.fmt(f),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            Self::Url(error) => error,
            Self::Request(error) => error,
            Self::Proxy(error) => error,
            Self::Reach(error) => error,
            Self::Tls(error) => error,
            Self::Open(error) => error,
        })
    }
}

impl Error for UrlError {}

impl Error for ReachError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lookup { source, .. } | Self::Tcp { source, .. } => Some(source),
            Self::NoAddress { .. } | Self::TimedOut { .. } => None,
        }
    }
}

impl Error for ProxyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Reach(error) => Some(error),
            Self::Broken(error) => Some(error),
            _ => None,
        }
    }
}

impl Error for ClientTlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Authority(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::NoAuthorities | Self::Name { .. } | Self::TimedOut => None,
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::Answer(error) => Some(error),
            Self::TimedOut | Self::Closed | Self::Refused(_) => None,
        }
    }
}

impl From<HandshakeError> for OpenError {
    fn from(error: HandshakeError) -> Self {
        Self::Answer(error)
    }
}

impl From<UrlError> for ConnectError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl From<ApiMisuse> for ConnectError {
    fn from(error: ApiMisuse) -> Self {
        Self::Request(error)
    }
}

impl From<ProxyError> for ConnectError {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}

impl From<ReachError> for ConnectError {
    fn from(error: ReachError) -> Self {
        Self::Reach(error)
    }
}

impl From<ClientTlsError> for ConnectError {
    fn from(error: ClientTlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<OpenError> for ConnectError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}
