//! Why a handshake failed, and what an HTTP server says about it.

use core::fmt;

/// Why a request head or an upgrade was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Not a request head of HTTP/1.x: a bare LF or CR, a folded line, a space before a colon, a
    /// control character, or no sense at all (RFC 9112 §2.2, §5).
    Malformed,
    /// A version of HTTP other than 1.0 and 1.1.
    HttpVersionUnsupported,
    /// A head over [`HeadLimits::head_bytes_max`](super::HeadLimits::head_bytes_max).
    HeadTooLarge,
    /// More headers than [`HeadLimits::headers_max`](super::HeadLimits::headers_max).
    TooManyHeaders,
    /// A target over [`HeadLimits::target_bytes_max`](super::HeadLimits::target_bytes_max).
    TargetTooLong,
    /// An upgrade by another method than GET (RFC 6455 §4.1).
    MethodNotGet,
    /// An upgrade in HTTP/1.0 (RFC 6455 §4.1).
    HttpVersionTooOld,
    /// A request target that is neither a path nor an absolute `http`, `https`, `ws` or `wss` URI
    /// for the same host, or that has a fragment (RFC 6455 §4.2.1, RFC 9112 §3.2).
    BadTarget,
    /// Not exactly one `Host`, or not a host (RFC 6455 §4.2.1).
    BadHost,
    /// An upgrade with a body: `Content-Length`, `Transfer-Encoding`, or `Expect`, which announces
    /// one.
    BodyNotAllowed,
    /// No `Upgrade: websocket` (RFC 6455 §4.2.1).
    NotWebSocket,
    /// No `Connection: Upgrade` (RFC 6455 §4.2.1).
    NoConnectionUpgrade,
    /// Not exactly one `Sec-WebSocket-Version` (RFC 6455 §4.2.1).
    BadVersion,
    /// A `Sec-WebSocket-Version` other than 13 (RFC 6455 §4.2.2).
    VersionUnsupported,
    /// Not exactly one `Sec-WebSocket-Key` of 16 bytes in base64 (RFC 6455 §4.2.1).
    BadKey,
    /// More than one `Origin` (RFC 6454 §7.3), or one that is not printable ASCII.
    BadOrigin,
    /// `Sec-WebSocket-Protocol` is not a list of different tokens (RFC 6455 §4.1), or is longer
    /// than [`SUBPROTOCOLS_MAX`](super::Upgrade::SUBPROTOCOLS_MAX).
    BadSubprotocols,
    /// `Sec-WebSocket-Extensions` does not conform to its grammar (RFC 6455 §9.1).
    BadExtensions,
    /// HTTP/2: a CONNECT without `:protocol`, which asks for a proxy (RFC 9113 §8.5).
    ConnectWithoutProtocol,
    /// HTTP/2: a `:protocol` other than `websocket` (RFC 8441 §4, §5).
    ProtocolUnknown,
    /// HTTP/2: no `:scheme`, `:path` or `:authority` (RFC 8441 §4).
    MissingPseudoHeader,
    /// HTTP/2: a header that is about an HTTP/1.1 connection: `Connection`, `Upgrade` and the like
    /// (RFC 9113 §8.2.2).
    ConnectionHeader,
    /// Client role: the server's answer is wrong.
    Response(ResponseError),
}

/// Why a client refuses the server's answer (RFC 6455 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// Not a response head of HTTP/1.1.
    Malformed,
    /// Another status than 101.
    Status(u16),
    /// Not `Upgrade: websocket` alone.
    NotWebSocket,
    /// No `Connection: Upgrade`.
    NoConnectionUpgrade,
    /// `Sec-WebSocket-Accept` is not the one that our key asks for.
    BadAccept,
    /// A subprotocol that was not offered, or more than one.
    BadSubprotocol,
    /// An extension that was not offered, or not in this way, or no list of extensions
    /// (RFC 6455 §9.1, RFC 7692 §7.1).
    ExtensionNotOffered,
}

impl HandshakeError {
    /// The HTTP status to refuse with. For the client role 502: what a gateway would say.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed
            | Self::HttpVersionTooOld
            | Self::BadTarget
            | Self::BadHost
            | Self::BodyNotAllowed
            | Self::NotWebSocket
            | Self::NoConnectionUpgrade
            | Self::BadVersion
            | Self::BadKey
            | Self::BadOrigin
            | Self::BadSubprotocols
            | Self::BadExtensions
            | Self::MissingPseudoHeader
            | Self::ConnectionHeader => 400,
            Self::MethodNotGet => 405,
            Self::TargetTooLong => 414,
            Self::VersionUnsupported => 426,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::ConnectWithoutProtocol | Self::ProtocolUnknown => 501,
            Self::HttpVersionUnsupported => 505,
            Self::Response(_) => 502,
        }
    }

    /// The status by HTTP/2: as [`status`](Self::status), but 400 instead of 426. That one must come
    /// with an `Upgrade` header (RFC 9110 §15.5.22), and HTTP/2 has none.
    pub const fn http2_status(&self) -> u16 {
        match self {
            Self::VersionUnsupported => 400,
            _ => self.status(),
        }
    }

    /// Headers that the refusal must carry. Where `Upgrade` is one, it must be among the options of
    /// `Connection` too (RFC 9110 §7.8); HTTP/2 has neither.
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::MethodNotGet => &[("Allow", "GET")],
            Self::VersionUnsupported => {
                &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")]
            }
            _ => &[],
        }
    }

    /// What was wrong, in a few words for people.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed request head",
            Self::HttpVersionUnsupported => "HTTP version not supported",
            Self::HeadTooLarge => "request head too large",
            Self::TooManyHeaders => "too many headers",
            Self::TargetTooLong => "request target too long",
            Self::MethodNotGet => "a WebSocket is opened with GET",
            Self::HttpVersionTooOld => "a WebSocket needs HTTP/1.1",
            Self::BadTarget => "bad request target",
            Self::BadHost => "exactly one valid Host is needed",
            Self::BodyNotAllowed => "a WebSocket upgrade has no body",
            Self::NotWebSocket => "no Upgrade: websocket",
            Self::NoConnectionUpgrade => "no Connection: Upgrade",
            Self::BadVersion => "exactly one Sec-WebSocket-Version is needed",
            Self::VersionUnsupported => "only Sec-WebSocket-Version 13 is supported",
            Self::BadKey => "exactly one Sec-WebSocket-Key of 16 bytes in base64 is needed",
            Self::BadOrigin => "at most one Origin is allowed",
            Self::BadSubprotocols => "Sec-WebSocket-Protocol is not a list of different tokens",
            Self::BadExtensions => "Sec-WebSocket-Extensions is not a list of extensions",
            Self::ConnectWithoutProtocol => "this server is no proxy",
            Self::ProtocolUnknown => "the only known :protocol is websocket",
            Self::MissingPseudoHeader => ":scheme, :authority and :path are needed",
            Self::ConnectionHeader => "a header that HTTP/2 does not have",
            Self::Response(error) => error.as_str(),
        }
    }
}

impl ResponseError {
    /// What was wrong, in a few words for people.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed response head",
            Self::Status(_) => "the server did not switch protocols",
            Self::NotWebSocket => "the response has no Upgrade: websocket",
            Self::NoConnectionUpgrade => "the response has no Connection: Upgrade",
            Self::BadAccept => "wrong Sec-WebSocket-Accept",
            Self::BadSubprotocol => "the server chose a subprotocol that was not offered",
            Self::ExtensionNotOffered => "the server chose an extension that was not offered",
        }
    }
}

impl From<ResponseError> for HandshakeError {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(error) => fmt::Display::fmt(error, f),
            _ => f.write_str(self.as_str()),
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{} (status {status})", self.as_str()),
            _ => f.write_str(self.as_str()),
        }
    }
}

impl core::error::Error for HandshakeError {}
impl core::error::Error for ResponseError {}
