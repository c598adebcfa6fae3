//! The PROXY protocol, versions 1 and 2 (`doc/proxy-protocol.txt` of HAProxy): a header in front of
//! everything else of a connection, TLS too.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A header of version 2 with all that stands behind its addresses (TLVs) has at most so many
/// bytes here. The specification has no limit of its own; a certificate's names fit.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;

/// A line of version 1 with its CR LF (section 2.1).
const LINE_BYTES_MAX: usize = 107;
const LINE_BEGINS: &[u8] = b"PROXY ";
/// How version 2 begins (section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// What a PROXY protocol header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address; `None` where the proxy speaks for itself (`LOCAL`: a health check) or
    /// does not know (`UNKNOWN`, `UNSPEC`, a Unix socket).
    pub client: Option<SocketAddr>,
}

/// It is no PROXY protocol header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaderError {
    /// It begins with something else.
    Missing,
    /// It begins as one and is none.
    Malformed,
    /// It is longer than [`PROXY_HEADER_BYTES_MAX`], or its line than 107 bytes.
    TooLong,
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "there is no PROXY protocol header",
            Self::Malformed => "the PROXY protocol header is malformed",
            Self::TooLong => "the PROXY protocol header is too long",
        })
    }
}

impl core::error::Error for ProxyHeaderError {}

/// Whether a connection that begins with these bytes, six of them or more, begins with a header.
pub fn begins_proxy_header(bytes: &[u8]) -> bool {
    bytes.starts_with(LINE_BEGINS)
        || bytes.starts_with(bytes_at_most(SIGNATURE, bytes.len())) && bytes.len() >= 6
}

fn bytes_at_most(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..count).unwrap_or(bytes)
}

/// Reads the header at the front of a connection: what it says, and how many bytes it has.
/// `None`: all of `bytes` belongs to it, and more has to come.
///
/// # Errors
/// [`ProxyHeaderError`], as soon as the bytes can become no header.
pub fn parse_proxy_header(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let begins = |with: &[u8]| {
        let count = bytes.len().min(with.len());
        bytes_at_most(bytes, count) == bytes_at_most(with, count)
    };
    if begins(LINE_BEGINS) {
        line(bytes)
    } else if begins(SIGNATURE) {
        binary(bytes)
    } else {
        Err(ProxyHeaderError::Missing)
    }
}

/// Version 1: `PROXY TCP4 203.0.113.9 192.0.2.1 56324 443`, CR LF.
fn line(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let end = bytes
        .iter()
        .take(LINE_BYTES_MAX)
        .position(|byte| *byte == b'\n');
    let Some(end) = end else {
        return if bytes.len() < LINE_BYTES_MAX {
            Ok(None)
        } else {
            Err(ProxyHeaderError::TooLong)
        };
    };
    let line = bytes
        .get(LINE_BEGINS.len()..end)
        .and_then(|line| line.strip_suffix(b"\r"))
        .and_then(|line| core::str::from_utf8(line).ok())
        .ok_or(ProxyHeaderError::Malformed)?;
    let client = client_of(line).ok_or(ProxyHeaderError::Malformed)?;
    Ok(Some((ProxyHeader { client }, end + 1)))
}

/// What stands behind `PROXY `.
fn client_of(line: &str) -> Option<Option<SocketAddr>> {
    // Whatever follows is not to be looked at (section 2.1).
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = line.split(' ');
    let mut word = || words.next();
    let (family, source, destination) = (word()?, word()?, word()?);
    let source_port = port(word()?)?;
    port(word()?)?;
    if word().is_some() {
        return None;
    }
    let client = match family {
        "TCP4" => {
            destination.parse::<Ipv4Addr>().ok()?;
            SocketAddr::new(source.parse::<Ipv4Addr>().ok()?.into(), source_port)
        }
        "TCP6" => {
            destination.parse::<Ipv6Addr>().ok()?;
            let source = source.parse::<Ipv6Addr>().ok()?;
            SocketAddr::new(source.to_canonical(), source_port)
        }
        _ => return None,
    };
    Some(Some(client))
}

/// Digits and nothing else, without zeros in front.
fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| digits && shortest)
}

/// Version 2.
fn binary(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return early(bytes);
    };
    let [.., version_and_command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = FIXED_BYTES + length;
    let command = command(version_and_command)?;
    let addresses = addresses_of(command, family)?;
    if whole > PROXY_HEADER_BYTES_MAX {
        return Err(ProxyHeaderError::TooLong);
    }
    if length < addresses.map_or(0, Family::bytes) {
        return Err(ProxyHeaderError::Malformed);
    }
    let Some(rest) = bytes.get(FIXED_BYTES..whole) else {
        return Ok(None);
    };
    let client = addresses.and_then(|family| family.client(rest));
    Ok(Some((ProxyHeader { client }, whole)))
}

/// Judges what there is of a header that has not all of its fixed part.
fn early(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    if let Some(byte) = bytes.get(SIGNATURE.len()) {
        let command = command(*byte)?;
        if let Some(family) = bytes.get(SIGNATURE.len() + 1) {
            addresses_of(command, *family)?;
        }
    }
    Ok(None)
}

/// For whom the proxy speaks.
#[derive(Clone, Copy)]
enum Command {
    Local,
    Proxy,
}

/// Version 2, and a command that there is.
fn command(version_and_command: u8) -> Result<Command, ProxyHeaderError> {
    match version_and_command {
        0x20 => Ok(Command::Local),
        0x21 => Ok(Command::Proxy),
        _ => Err(ProxyHeaderError::Malformed),
    }
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
    Unix,
}

/// The addresses that stand there; `None`: none that are to be looked at.
fn addresses_of(command: Command, family: u8) -> Result<Option<Family>, ProxyHeaderError> {
    match family {
        // It speaks for itself: the rest is not to be looked at, its family neither (section 2.2).
        _ if matches!(command, Command::Local) => Ok(None),
        0x00 => Ok(None),
        0x11 => Ok(Some(Family::V4)),
        0x21 => Ok(Some(Family::V6)),
        0x31 => Ok(Some(Family::Unix)),
        // Datagrams, and what the specification does not know.
        _ => Err(ProxyHeaderError::Malformed),
    }
}

impl Family {
    fn bytes(self) -> usize {
        match self {
            Self::V4 => 12,
            Self::V6 => 36,
            Self::Unix => 216,
        }
    }

    fn client(self, rest: &[u8]) -> Option<SocketAddr> {
        match self {
            Self::V4 => {
                let [a, b, c, d, _, _, _, _, high, low, _, _] = *rest.first_chunk()?;
                let port = u16::from_be_bytes([high, low]);
                Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into())
            }
            Self::V6 => {
                let source = Ipv6Addr::from(*rest.first_chunk::<16>()?);
                let port = u16::from_be_bytes(*rest.get(32..)?.first_chunk()?);
                let address = SocketAddrV6::new(source, port, 0, 0);
                Some(SocketAddr::new(address.ip().to_canonical(), port))
            }
            Self::Unix => None,
        }
    }
}
