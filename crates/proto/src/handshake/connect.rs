//! What an extended CONNECT must have to open a WebSocket over HTTP/2 (RFC 8441 §4, §5).
//!
//! RFC 6455 keeps its say but for what HTTP/2 replaces: `:protocol` stands for `Upgrade`,
//! `Connection`, the key and the accept; `:authority` for `Host`.

use super::{
    HandshakeError, Upgrade,
    syntax::is_visible,
    upgrade::{Gathered, One, is_host},
};

/// The pseudo-headers of a CONNECT request, as HTTP/2 brought them; `None` for one that is not
/// there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectRequest<'r> {
    /// `:protocol`.
    pub protocol: Option<&'r str>,
    /// `:scheme`.
    pub scheme: Option<&'r str>,
    /// `:authority`.
    pub authority: Option<&'r str>,
    /// `:path`.
    pub path: Option<&'r str>,
}

/// Headers about a connection of HTTP/1.1; a request that has one is malformed (RFC 9113 §8.2.2).
const CONNECTION_HEADERS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

impl Upgrade {
    /// Checks all that RFC 8441 and RFC 6455 ask of a CONNECT request that is to become a
    /// WebSocket. Names of headers may be in any case.
    ///
    /// A `Sec-WebSocket-Key` is not looked at: RFC 8441 §5 has no use for it.
    ///
    /// # Errors
    ///
    /// [`ConnectWithoutProtocol`](HandshakeError::ConnectWithoutProtocol) and
    /// [`ProtocolUnknown`](HandshakeError::ProtocolUnknown) for what asks for no WebSocket;
    /// [`MissingPseudoHeader`](HandshakeError::MissingPseudoHeader),
    /// [`ConnectionHeader`](HandshakeError::ConnectionHeader), and those of
    /// [`from_parts`](Self::from_parts) that still apply. Where several do, an earlier one.
    /// [`http2_status`](HandshakeError::http2_status) is what to refuse with.
    pub fn from_connect<'h>(
        request: &ConnectRequest<'_>,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Self, HandshakeError> {
        match request.protocol {
            None => return Err(HandshakeError::ConnectWithoutProtocol),
            Some("websocket") => {}
            Some(_) => return Err(HandshakeError::ProtocolUnknown),
        }
        let (Some(scheme), Some(authority), Some(path)) =
            (request.scheme, request.authority, request.path)
        else {
            return Err(HandshakeError::MissingPseudoHeader);
        };
        let mut gathered = Gathered::default();
        for (name, value) in headers {
            if CONNECTION_HEADERS
                .iter()
                .any(|other| other.eq_ignore_ascii_case(name))
            {
                return Err(HandshakeError::ConnectionHeader);
            }
            gathered.add(name, value);
        }
        // "https" for wss, "http" for ws (RFC 8441 §5).
        let scheme_fits = matches!(scheme, "https" | "http");
        if !scheme_fits
            || !path.starts_with('/')
            || path.contains('#')
            || !is_visible(path.as_bytes())
        {
            return Err(HandshakeError::BadTarget);
        }
        // A Host beside the authority must not name another one (RFC 9113 §8.3.1).
        let same_host = match &gathered.hosts {
            One::None => true,
            hosts => hosts
                .value(|_| true)
                .is_some_and(|host| host.eq_ignore_ascii_case(authority)),
        };
        if !is_host(authority.as_bytes()) || !same_host {
            return Err(HandshakeError::BadHost);
        }
        if gathered.body {
            return Err(HandshakeError::BodyNotAllowed);
        }
        gathered.check_version()?;
        gathered.into_upgrade("", authority)
    }
}
