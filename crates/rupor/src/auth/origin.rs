//! Which pages may connect: the `Origin` header against a list (RFC 6455 §4.2.2, §10.2; RFC 6454).
//!
//! A browser tells in `Origin` which site's script opens the connection, and a script cannot forge it. Without this
//! check any page that a user visits could open a WebSocket here with the user's cookies (cross-site WebSocket
//! hijacking). Programs that are not browsers can send anything, so this protects users, not the server.
//!
//! Invariants: an origin is compared as scheme + host + port after a strict parse, never as a piece of text; what does
//! not parse is refused; `null` and `file://` are refused unless they are in the list.
//!
//! A request without `Origin` is accepted where no cookie says who it is: browsers always send it, and what is no browser
//! shows a token. Where a cookie does, it is refused ([`Origins::check_for_cookie`]), and so is `null`, which a frame of any
//! site can have.

use crate::config;
use http::{HeaderMap, HeaderValue, header};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Longest origin that is looked at, in bytes: a scheme, a host name of 253 and a port.
pub(crate) const ORIGIN_BYTES_MAX: usize = 300;

/// One origin, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `null`: a page from disk, a sandboxed frame, a `data:` page. Any site can make its frame have this origin.
    Null,
    /// `file://`: a page from disk, as some embedded browsers say it.
    File,
    /// What RFC 6454 calls the triple.
    Site {
        /// In lower case: `https`.
        scheme: String,
        /// In lower case, an IPv6 address in brackets.
        host: String,
        /// The port, the scheme's own where none is written; `None` for a scheme that has none.
        port: Option<u16>,
    },
}

/// A text that is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAnOrigin;

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "an origin is a scheme, a host and perhaps a port and nothing else, as in https://example.org or \
             http://localhost:3000 (or null); a name with other than ASCII letters is written in its xn-- form",
        )
    }
}

impl std::error::Error for NotAnOrigin {}

/// Why a page may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginRefused {
    /// The header is not one origin.
    Malformed,
    /// The header came twice.
    Several,
    /// Not in the list.
    Foreign,
    /// A cookie says who it is, and there is none, or one that any page can have.
    NotOfSite,
}

impl fmt::Display for OriginRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Malformed => "the Origin header is not an origin",
            Self::Several => "more than one Origin header",
            Self::Foreign => {
                "pages of this origin may not connect: add it to the option `origin` if they should"
            }
            Self::NotOfSite => {
                "a cookie is believed only from a page of the site, so `Origin` has to name one: what is no browser shows a token"
            }
        })
    }
}

impl std::error::Error for OriginRefused {}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "null" => return Ok(Self::Null),
            "file://" => return Ok(Self::File),
            _ => {}
        }
        if text.len() > ORIGIN_BYTES_MAX {
            return Err(NotAnOrigin);
        }
        let (scheme, authority) = text.split_once("://").ok_or(NotAnOrigin)?;
        let scheme_begins = scheme
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic());
        let scheme_rest =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme_begins || !scheme.bytes().all(scheme_rest) || scheme == "file" {
            return Err(NotAnOrigin);
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = parse_authority(authority).ok_or(NotAnOrigin)?;
        let port = port.or_else(|| default_port(&scheme));
        Ok(Self::Site { scheme, host, port })
    }
}

impl Origin {
    /// Whether it is a page of this machine, served by http or https on any port.
    fn is_loopback(&self) -> bool {
        match self {
            Self::Site { scheme, host, .. } => {
                matches!(scheme.as_str(), "http" | "https") && is_loopback_host(host)
            }
            Self::Null | Self::File => false,
        }
    }

    /// Whether a page of this origin asks the host that it came from itself. A page that came by https may ask where the
    /// request itself looks unencrypted (the proxy in front took TLS off); one that came by http may not ask wss://.
    fn is_same_host(&self, request_host: &str, secure: bool) -> bool {
        let Self::Site { scheme, host, port } = self else {
            return false;
        };
        let scheme_fits = scheme == "https" || (scheme == "http" && !secure);
        let Some((request_host, request_port)) = parse_authority(request_host) else {
            return false;
        };
        let request_port = request_port.or_else(|| default_port(scheme));
        scheme_fits && *host == request_host && *port == request_port
    }
}

/// Which origins may connect. Made from [`config::Origins`].
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    allowed: Allowed,
}

#[derive(Debug, Clone)]
enum Allowed {
    Loopback,
    SameHostAnd(Vec<Origin>),
}

impl Origins {
    /// Reads the list.
    ///
    /// # Errors
    /// The first entry that is not an origin, with its place in the list.
    pub(crate) fn new(settings: &config::Origins) -> Result<Self, (usize, NotAnOrigin)> {
        let allowed = match settings {
            config::Origins::Loopback => Allowed::Loopback,
            config::Origins::SameHostAnd(list) => Allowed::SameHostAnd(
                list.iter()
                    .enumerate()
                    .map(|(place, text)| text.parse().map_err(|error| (place, error)))
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Self { allowed })
    }

    /// Whether a request with these headers may go on. `secure`: whether it came over TLS.
    ///
    /// # Errors
    /// Why it may not: answer 403.
    pub(crate) fn check(&self, headers: &HeaderMap, secure: bool) -> Result<(), OriginRefused> {
        let origins = headers
            .get_all(header::ORIGIN)
            .iter()
            .map(HeaderValue::as_bytes);
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        self.check_values(origins, host, secure)
    }

    /// Whether a request with these headers may go on that a cookie says the user of: browsers send cookies along whichever
    /// page asks (cross-site WebSocket hijacking), so the page has to be known.
    ///
    /// # Errors
    /// Why it may not: answer 403.
    pub(crate) fn check_for_cookie(
        &self,
        headers: &HeaderMap,
        secure: bool,
    ) -> Result<(), OriginRefused> {
        self.check(headers, secure)?;
        let origin = headers.get(header::ORIGIN).map(HeaderValue::to_str);
        match origin.and_then(Result::ok).map(Origin::from_str) {
            Some(Ok(Origin::Site { .. })) => Ok(()),
            _ => Err(OriginRefused::NotOfSite),
        }
    }

    /// The same from the values of the headers: every `Origin` (there should be at most one), and `Host`.
    fn check_values<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a [u8]>,
        host: Option<&str>,
        secure: bool,
    ) -> Result<(), OriginRefused> {
        let Some(origin) = origins.next() else {
            return Ok(());
        };
        if origins.next().is_some() {
            return Err(OriginRefused::Several);
        }
        let origin: Origin = str::from_utf8(origin)
            .map_err(|_| OriginRefused::Malformed)?
            .parse()
            .map_err(|NotAnOrigin| OriginRefused::Malformed)?;
        let allowed = match &self.allowed {
            Allowed::Loopback => origin == Origin::Null || origin.is_loopback(),
            Allowed::SameHostAnd(list) => {
                list.contains(&origin) || host.is_some_and(|host| origin.is_same_host(host, secure))
            }
        };
        if allowed {
            Ok(())
        } else {
            Err(OriginRefused::Foreign)
        }
    }
}

/// Which `Host` a request may name. Against DNS rebinding: a foreign name that was made to point at 127.0.0.1 makes a
/// browser treat this server as part of a foreign site; the `Host` header still tells the foreign name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// `localhost` and loopback addresses, any port.
    Loopback,
    /// Any.
    Any,
}

impl Hosts {
    /// Whether a request with this `Host` header is for us; otherwise answer 421 (RFC 9110 §15.5.20).
    pub(crate) fn allow(self, host: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback => host
                .and_then(parse_authority)
                .is_some_and(|(host, _)| is_loopback_host(&host)),
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// `host[:port]` and nothing else; the host in lower case.
fn parse_authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return None,
        };
        // One spelling of an address: ::1 and 0:0:0:0:0:0:0:1 are the same host.
        (format!("[{address}]"), port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let host_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(host_byte) {
            return None;
        }
        (host.to_ascii_lowercase(), port)
    };
    let port = port.map(parse_port).transpose().ok()?;
    Some((host, port))
}

fn parse_port(text: &str) -> Result<u16, NotAnOrigin> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || text.starts_with('0') {
        return Err(NotAnOrigin);
    }
    text.parse().map_err(|_| NotAnOrigin)
}

/// `host` as [`parse_authority`] gives it. `127.1` and `2130706433` are not taken: browsers write addresses out before
/// they send them.
fn is_loopback_host(host: &str) -> bool {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    host == "localhost"
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
        || bracketed
            .and_then(|address| address.parse::<IpAddr>().ok())
            .is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
