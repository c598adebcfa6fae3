//! Lists of addresses in a request's head, walked from the right.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::handshake::syntax::{is_token, is_token_byte, trim};

/// Proxies in a row that are walked past, at most.
pub const PROXIES_MAX: usize = 32;

/// What the proxies say of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// There is no header.
    NotNamed,
    /// The nearest proxy says that it does not know, or does not tell (RFC 7239 §6.2, §6.3).
    Hidden,
    /// Its address; if every address is a trusted proxy's, the first of them. The port is 0 if none is
    /// named, as is usual.
    At(SocketAddr),
}

/// What was looked at of the header is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedError {
    /// An element is no address, or is not written as RFC 7239 §4 has it.
    Malformed,
    /// More than [`PROXIES_MAX`] trusted proxies in a row.
    TooMany,
}

impl fmt::Display for ForwardedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => formatter.write_str("an element of it is malformed"),
            Self::TooMany => write!(formatter, "it names over {PROXIES_MAX} trusted proxies"),
        }
    }
}

impl core::error::Error for ForwardedError {}

/// Finds the client in the `X-Forwarded-For` lines of a request, given in their order:
/// `203.0.113.9, 10.0.0.2`. An address may have a port, `203.0.113.9:4711`, `[2001:db8::1]:4711`; a
/// proxy that does not tell writes `unknown`.
///
/// # Errors
/// [`ForwardedError`].
pub fn client_in_x_forwarded_for<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: impl Fn(IpAddr) -> bool,
) -> Result<Client, ForwardedError> {
    walk(lines, trusted, |element| {
        if element.eq_ignore_ascii_case(UNKNOWN) {
            return Ok(None);
        }
        let address = address(element).ok_or(ForwardedError::Malformed)?;
        Ok(Some(address))
    })
}

/// Finds the client in the `Forwarded` lines of a request, given in their order:
/// `for=203.0.113.9;proto=https, for="[2001:db8::1]:4711"` (RFC 7239 §4).
///
/// A quoted string may not hold a comma, a semicolon or a quotation mark: no address, host or
/// scheme does. So an element ends at a comma whatever stands before it, and a client that sends
/// half of a quoted string cannot swallow what its proxy appends.
///
/// # Errors
/// [`ForwardedError`].
pub fn client_in_forwarded<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: impl Fn(IpAddr) -> bool,
) -> Result<Client, ForwardedError> {
    walk(lines, trusted, element)
}

/// What a proxy writes that does not know, or does not tell (RFC 7239 §6.2).
const UNKNOWN: &[u8] = b"unknown";

/// One element of a list; `None`: hidden.
type Hop = Option<SocketAddr>;

fn walk<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: impl Fn(IpAddr) -> bool,
    parse: impl Fn(&[u8]) -> Result<Hop, ForwardedError>,
) -> Result<Client, ForwardedError> {
    let mut client = Client::NotNamed;
    let elements = lines
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','));
    for (walked, element) in elements.enumerate() {
        if walked > PROXIES_MAX {
            return Err(ForwardedError::TooMany);
        }
        let Some(address) = parse(trim(element))? else {
            // The nearest one that we cannot see past.
            return Ok(match client {
                Client::NotNamed => Client::Hidden,
                named => named,
            });
        };
        client = Client::At(address);
        if !trusted(address.ip()) {
            break;
        }
    }
    Ok(client)
}

/// An address, perhaps with a port. An IPv4 address in an IPv6 one is taken out of it.
fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let text = core::str::from_utf8(bytes).ok()?;
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = if let Some(inside) = bracketed {
        SocketAddr::new(inside.parse::<Ipv6Addr>().ok()?.into(), 0)
    } else if let Ok(address) = text.parse::<IpAddr>() {
        SocketAddr::new(address, 0)
    } else if text.contains('%') {
        // A zone is of the machine that wrote it.
        return None;
    } else {
        text.parse().ok()?
    };
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// One element of `Forwarded`: pairs with semicolons between them, `for` once.
fn element(bytes: &[u8]) -> Result<Hop, ForwardedError> {
    let mut node = None;
    for pair in bytes.split(|byte| *byte == b';') {
        let at = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = at
            .and_then(|at| pair.split_at_checked(at))
            .ok_or(ForwardedError::Malformed)?;
        let value = value.get(1..).unwrap_or_default();
        let value = unquoted(value).ok_or(ForwardedError::Malformed)?;
        if !is_token(name) {
            return Err(ForwardedError::Malformed);
        }
        if name.eq_ignore_ascii_case(b"for") && node.replace(value).is_some() {
            return Err(ForwardedError::Malformed);
        }
    }
    let node = node.ok_or(ForwardedError::Malformed)?;
    if is_hidden(node) {
        return Ok(None);
    }
    // An IPv6 address stands in brackets here (RFC 7239 §6).
    let bare_ipv6 =
        node.iter().filter(|byte| **byte == b':').count() > 1 && !node.starts_with(b"[");
    match address(node) {
        Some(address) if !bare_ipv6 => Ok(Some(address)),
        _ => Err(ForwardedError::Malformed),
    }
}

/// `unknown`, or a name that only the proxy understands (RFC 7239 §6.2, §6.3), perhaps with a port.
fn is_hidden(node: &[u8]) -> bool {
    let name = node.split(|byte| *byte == b':').next().unwrap_or_default();
    let obfuscated = name.strip_prefix(b"_").is_some_and(|rest| {
        let allowed =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        !rest.is_empty() && rest.iter().all(allowed)
    });
    obfuscated || name.eq_ignore_ascii_case(UNKNOWN)
}

/// A token, or what stands in a quoted string without escapes.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let inside = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    match inside {
        Some(inside) => {
            let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            inside.iter().all(plain).then_some(inside)
        }
        // A colon is no byte of a token, but half of the world's proxies write host:port bare.
        None => (!value.is_empty()
            && value
                .iter()
                .all(|byte| is_token_byte(*byte) || *byte == b':'))
        .then_some(value),
    }
}
