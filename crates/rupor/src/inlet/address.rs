//! Where lines come in, as text: `tcp://127.0.0.1:1234`, `unix:///run/rupor.sock`.
//!
//! Names are not looked up: an inlet takes orders from whoever reaches it, so where it listens must be plain to read.
//! `localhost` is the one exception and means 127.0.0.1.

use crate::config::InletAddress;
use crate::system::{HAS_UNIX_SOCKETS, UNIX_PATH_BYTES_MAX};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What is wrong with the text of an inlet's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InletAddressError {
    /// Neither `tcp://` nor `unix://`.
    UnknownScheme,
    /// After `tcp://` there is no address and port.
    BadSocketAddress,
    /// After `unix://` there is no path.
    NoPath,
    /// `unix://run/rupor.sock`: two slashes where three were meant, or a path that depends on where one stands.
    RelativePath,
    /// Longer than [`UNIX_PATH_BYTES_MAX`].
    PathTooLong,
    /// The path holds a zero byte.
    PathWithZero,
    /// This system has no Unix sockets.
    NoUnixSockets,
}

impl fmt::Display for InletAddressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownScheme => formatter.write_str(
                "an inlet is tcp://ADDRESS:PORT or unix:///PATH, as in tcp://127.0.0.1:1234",
            ),
            Self::BadSocketAddress => formatter.write_str(
                "after tcp:// comes an IP address (or localhost) and a port, as in tcp://127.0.0.1:1234 or tcp://[::1]:1234",
            ),
            Self::NoPath => {
                formatter.write_str("after unix:// comes a path, as in unix:///run/rupor.sock")
            }
            Self::RelativePath => formatter.write_str(
                "the path after unix:// must be absolute: three slashes, as in unix:///run/rupor.sock",
            ),
            Self::PathTooLong => write!(
                formatter,
                "the path of a Unix socket is at most {UNIX_PATH_BYTES_MAX} bytes long"
            ),
            Self::PathWithZero => formatter.write_str("a path cannot hold a zero byte"),
            Self::NoUnixSockets => formatter.write_str(
                "tcp://127.0.0.1:1234, since this system has no Unix sockets",
            ),
        }
    }
}

impl std::error::Error for InletAddressError {}

impl FromStr for InletAddress {
    type Err = InletAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("tcp://") {
            return parse_tcp(rest).map(Self::Tcp);
        }
        let Some(path) = text.strip_prefix("unix://") else {
            return Err(InletAddressError::UnknownScheme);
        };
        if !HAS_UNIX_SOCKETS {
            return Err(InletAddressError::NoUnixSockets);
        }
        if path.is_empty() || path == "/" {
            return Err(InletAddressError::NoPath);
        }
        if !Path::new(path).is_absolute() {
            return Err(InletAddressError::RelativePath);
        }
        if path.len() > UNIX_PATH_BYTES_MAX {
            return Err(InletAddressError::PathTooLong);
        }
        if path.contains('\0') {
            return Err(InletAddressError::PathWithZero);
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }
}

impl fmt::Display for InletAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "tcp://{address}"),
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
        }
    }
}

impl InletAddress {
    /// Whether only this machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

fn parse_tcp(text: &str) -> Result<SocketAddr, InletAddressError> {
    if let Some(port) = text.strip_prefix("localhost:") {
        // u16's own parser would take a sign: "+80".
        if port.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(port) = port.parse()
        {
            return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        }
        return Err(InletAddressError::BadSocketAddress);
    }
    text.parse()
        .map_err(|_| InletAddressError::BadSocketAddress)
}

#[cfg(test)]
mod tests {
    use super::{InletAddressError, UNIX_PATH_BYTES_MAX};
    use crate::config::InletAddress;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in [
            "tcp://127.0.0.1:1234",
            "tcp://[::1]:0",
            "tcp://0.0.0.0:65535",
            "unix:///run/rupor.sock",
            "unix:///tmp/with space/ы.sock",
        ] {
            let address: InletAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        let address: InletAddress = "tcp://localhost:1234".parse().expect("localhost");
        assert_eq!(address.to_string(), "tcp://127.0.0.1:1234");
    }

    #[test]
    fn wrong_addresses_are_told_what_to_write() {
        use InletAddressError::{
            BadSocketAddress, NoPath, PathTooLong, PathWithZero, RelativePath, UnknownScheme,
        };
        let long = format!("unix:///{}", "p".repeat(UNIX_PATH_BYTES_MAX));
        for (text, expected) in [
            ("", UnknownScheme),
            ("127.0.0.1:1234", UnknownScheme),
            ("1234", UnknownScheme),
            ("/run/rupor.sock", UnknownScheme),
            ("udp://127.0.0.1:1", UnknownScheme),
            ("TCP://127.0.0.1:1", UnknownScheme),
            ("tcp://", BadSocketAddress),
            ("tcp://127.0.0.1", BadSocketAddress),
            ("tcp://127.0.0.1:", BadSocketAddress),
            ("tcp://127.0.0.1:65536", BadSocketAddress),
            ("tcp://localhost:+80", BadSocketAddress),
            ("tcp://localhost:", BadSocketAddress),
            ("tcp://example.org:80", BadSocketAddress),
            ("tcp://::1:80", BadSocketAddress),
            ("tcp://127.0.0.1:1/", BadSocketAddress),
            ("unix://", NoPath),
            ("unix:///", NoPath),
            ("unix://run/rupor.sock", RelativePath),
            ("unix://./rupor.sock", RelativePath),
            ("unix:///a\0b", PathWithZero),
            (&long, PathTooLong),
        ] {
            assert_eq!(text.parse::<InletAddress>(), Err(expected), "{text:?}");
        }
        let longest = format!("unix:///{}", "p".repeat(UNIX_PATH_BYTES_MAX - 1));
        assert!(longest.parse::<InletAddress>().is_ok());
    }

    #[test]
    fn only_loopback_and_unix_are_local() {
        for (text, local) in [
            ("tcp://127.0.0.1:1", true),
            ("tcp://127.8.8.8:1", true),
            ("tcp://[::1]:1", true),
            ("unix:///a", true),
            ("tcp://0.0.0.0:1", false),
            ("tcp://[::]:1", false),
            ("tcp://192.168.0.1:1", false),
        ] {
            let address: InletAddress = text.parse().expect(text);
            assert_eq!(address.is_local(), local, "{text}");
        }
    }
}
