//! What a request must have to become a WebSocket (RFC 6455 §4.2.1).

use alloc::{string::String, vec::Vec};
use core::fmt;

use super::{
    HandshakeError, HttpVersion, key,
    syntax::{is_token, is_visible, list},
};
use crate::DeflateOffer;

/// A request that may become a WebSocket: everything that RFC 6455 §4.2.1 asks for was there.
///
/// Of the offered extensions only permessage-deflate is looked at, and only what can be meant: all
/// else is declined by silence (RFC 7692 §7).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgrade {
    /// `Sec-WebSocket-Key`, as it was sent: 24 characters. Empty for a request by HTTP/2, which has
    /// none (RFC 8441 §5).
    pub key: String,
    /// `Host`, or `:authority` by HTTP/2, as it was sent: a name or address, perhaps with a port.
    pub host: String,
    /// `Origin`, as it was sent; `null` is one too.
    pub origin: Option<String>,
    /// The offered subprotocols in the client's order, each a token, no two the same.
    pub subprotocols: Vec<String>,
    /// The well-formed offers of permessage-deflate in the client's order, for
    /// [`DeflateConfig::accept`](crate::DeflateConfig::accept). No more than
    /// [`OFFERS_MAX`](DeflateOffer::OFFERS_MAX) are looked at.
    pub deflate_offers: Vec<DeflateOffer>,
}

/// The headers that matter, while they are gathered.
#[derive(Default)]
pub(super) struct Gathered<'h> {
    pub(super) hosts: One<'h>,
    origins: One<'h>,
    keys: One<'h>,
    versions: One<'h>,
    websocket: bool,
    connection_upgrade: bool,
    pub(super) body: bool,
    subprotocols: Vec<&'h [u8]>,
    bad_subprotocols: bool,
    deflate_offers: Vec<DeflateOffer>,
    /// How many extensions are listed, on all lines together; `None` without a line.
    extensions: Option<usize>,
    bad_extensions: bool,
}

/// A header that may come once.
#[derive(Default)]
pub(super) enum One<'h> {
    #[default]
    None,
    Value(&'h [u8]),
    Several,
}

impl<'h> One<'h> {
    fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::None => Self::Value(value),
            Self::Value(_) | Self::Several => Self::Several,
        };
    }

    /// The value, if there is exactly one and it passes `valid`.
    pub(super) fn value(&self, valid: impl Fn(&[u8]) -> bool) -> Option<&'h str> {
        match self {
            Self::Value(value) if valid(value) => core::str::from_utf8(value).ok(),
            _ => None,
        }
    }
}

impl<'h> Gathered<'h> {
    pub(super) fn add(&mut self, name: &str, value: &'h [u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("host") {
            self.hosts.add(value);
        } else if is("origin") {
            self.origins.add(value);
        } else if is("upgrade") {
            self.websocket |= list::contains(value, "websocket");
        } else if is("connection") {
            self.connection_upgrade |= list::contains(value, "upgrade");
        } else if is("sec-websocket-key") {
            self.keys.add(value);
        } else if is("sec-websocket-version") {
            self.versions.add(value);
        } else if is("sec-websocket-protocol") {
            self.add_subprotocols(value);
        } else if is("sec-websocket-extensions") {
            self.add_extensions(value);
        } else if is("content-length") || is("transfer-encoding") || is("expect") {
            // Who expects a 100 has a body to send (RFC 9110 §10.1.1).
            self.body = true;
        }
    }

    fn add_subprotocols(&mut self, value: &'h [u8]) {
        let before = self.subprotocols.len();
        for name in list::elements(value) {
            if self.subprotocols.len() >= Upgrade::SUBPROTOCOLS_MAX
                || self.subprotocols.contains(&name)
                || !is_token(name)
            {
                self.bad_subprotocols = true;
                return;
            }
            self.subprotocols.push(name);
        }
        self.bad_subprotocols |= self.subprotocols.len() == before;
    }

    fn add_extensions(&mut self, value: &[u8]) {
        let listed = self.extensions.get_or_insert(0);
        match DeflateOffer::gather(value, &mut self.deflate_offers) {
            Ok(count) => *listed = listed.saturating_add(count),
            Err(_) => self.bad_extensions = true,
        }
    }

    /// The version that RFC 6455 §4.2.1 asks for, once.
    pub(super) fn check_version(&self) -> Result<(), HandshakeError> {
        match self.versions.value(|_| true) {
            Some("13") => Ok(()),
            Some(_) => Err(HandshakeError::VersionUnsupported),
            None => Err(HandshakeError::BadVersion),
        }
    }

    /// The last checks, which are the same for every version of HTTP.
    pub(super) fn into_upgrade(self, key: &str, host: &str) -> Result<Upgrade, HandshakeError> {
        let origin = match &self.origins {
            One::None => None,
            origin => Some(origin.value(is_origin).ok_or(HandshakeError::BadOrigin)?),
        };
        if self.bad_subprotocols {
            return Err(HandshakeError::BadSubprotocols);
        }
        if self.bad_extensions || self.extensions == Some(0) {
            return Err(HandshakeError::BadExtensions);
        }
        let subprotocols = self
            .subprotocols
            .iter()
            .filter_map(|name| core::str::from_utf8(name).ok())
            .map(String::from)
            .collect();
        Ok(Upgrade {
            key: key.into(),
            host: host.into(),
            origin: origin.map(String::from),
            subprotocols,
            deflate_offers: self.deflate_offers,
        })
    }
}

impl Upgrade {
    /// Subprotocols that a client may offer.
    pub const SUBPROTOCOLS_MAX: usize = 64;

    /// Checks all that RFC 6455 §4.2.1 asks of an upgrade, of a request that something else
    /// parsed. Names of headers may be in any case.
    ///
    /// # Errors
    ///
    /// One from [`MethodNotGet`](HandshakeError::MethodNotGet) to
    /// [`BadExtensions`](HandshakeError::BadExtensions); where several apply, an earlier one.
    pub fn from_parts<'h>(
        method: &str,
        target: &str,
        version: HttpVersion,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Self, HandshakeError> {
        if method != "GET" {
            return Err(HandshakeError::MethodNotGet);
        }
        if version < HttpVersion::Http11 {
            return Err(HandshakeError::HttpVersionTooOld);
        }
        let mut gathered = Gathered::default();
        for (name, value) in headers {
            gathered.add(name, value);
        }
        let authority = check_target(target)?;
        let host = gathered
            .hosts
            .value(is_host)
            .ok_or(HandshakeError::BadHost)?;
        if authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(host)) {
            return Err(HandshakeError::BadTarget);
        }
        if gathered.body {
            return Err(HandshakeError::BodyNotAllowed);
        }
        if !gathered.websocket {
            return Err(HandshakeError::NotWebSocket);
        }
        if !gathered.connection_upgrade {
            return Err(HandshakeError::NoConnectionUpgrade);
        }
        gathered.check_version()?;
        let key = gathered
            .keys
            .value(key::is_valid)
            .ok_or(HandshakeError::BadKey)?;
        gathered.into_upgrade(key, host)
    }

    /// The value of `Sec-WebSocket-Accept` (RFC 6455 §4.2.2); without use by HTTP/2.
    pub fn accept_key(&self) -> String {
        key::accept(&self.key)
    }
}

impl fmt::Debug for Upgrade {
    /// Without the key and the subprotocols: some clients put a token among the latter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("host", &self.host)
            .field("origin", &self.origin)
            .field("subprotocols", &self.subprotocols.len())
            .finish_non_exhaustive()
    }
}

/// Checks the form of a request target (RFC 9112 §3.2): a path, or a whole URI, whose host it
/// returns. Fragments have no place in either (RFC 6455 §3).
fn check_target(target: &str) -> Result<Option<&str>, HandshakeError> {
    if !is_visible(target.as_bytes()) || target.contains('#') {
        return Err(HandshakeError::BadTarget);
    }
    if target.starts_with('/') {
        return Ok(None);
    }
    let (scheme, rest) = target.split_once("://").ok_or(HandshakeError::BadTarget)?;
    let known = ["http", "https", "ws", "wss"];
    if !known.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(HandshakeError::BadTarget);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    rest.get(..end).map(Some).ok_or(HandshakeError::BadTarget)
}

/// Whether it can be a host with or without a port (RFC 3986 §3.2.2): what the gateway compares
/// with origins and configuration must not hold a path, user or list.
pub(super) fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let (address, rest) = rest.split_at(end);
            let valid = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            if !address.iter().all(valid) {
                return false;
            }
            match rest {
                [b']'] => (address, None),
                [b']', b':', port @ ..] => (address, Some(port)),
                _ => return false,
            }
        }
        _ => match host.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (name, rest) = host.split_at(colon);
                (name, rest.split_first().map(|(_, port)| port))
            }
            None => (host, None),
        },
    };
    let name_byte = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'%')
    };
    !name.is_empty()
        && name.iter().all(name_byte)
        && port.is_none_or(|port| port.len() <= 5 && port.iter().all(u8::is_ascii_digit))
}

/// Whether it can be an `Origin`: one word, or, from old clients, several (RFC 6454 §7).
fn is_origin(origin: &[u8]) -> bool {
    !origin.is_empty() && origin.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The first of the `offered` subprotocols, in the client's order, that is among the `configured`
/// ones (RFC 6455 §4.2.2): never one that was not offered. Case matters.
pub fn select_subprotocol<'a>(
    offered: &'a [String],
    configured: &[impl AsRef<str>],
) -> Option<&'a str> {
    offered
        .iter()
        .map(String::as_str)
        .find(|name| configured.iter().any(|known| known.as_ref() == *name))
}
