//! What can go wrong for whom: one enum per party at fault.
//!
//! - [`StartError`]: the machine or the caller, before anything is served.
//! - [`TlsError`]: the certificate and key files.
//! - [`SendError`]: a handler or task that sends where nothing can be sent.
//! - [`InboxFull`]: a worker that is behind; the caller decides whether to wait, drop or refuse.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The text given to `listen` is not an address.
    Address {
        /// The address as it was given.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Something else listens on that address already.
    AddressTaken {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason (rights, no such interface).
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No address was given.
    NoListener,
    /// The number of workers is not between 1 and 256.
    Workers {
        /// The number that was asked for.
        asked: usize,
    },
    /// A thread, a poller or the opening runtime could not be made.
    System {
        /// What was being made.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The function that makes a worker's handler panicked.
    HandlerPanicked,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, source } => {
                write!(f, "\"{address}\" is not an address to listen on: {source}")
            }
            Self::AddressTaken { address } => {
                write!(f, "{address} is taken: another program listens there")
            }
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::NoListener => f.write_str("no address to listen on was given"),
            Self::Workers { asked } => {
                write!(f, "{asked} workers were asked for; from 1 to 256 can run")
            }
            Self::System { what, source } => write!(f, "cannot make {what}: {source}"),
            Self::HandlerPanicked => f.write_str("the function that makes the handler panicked"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { source, .. }
            | Self::Listen { source, .. }
            | Self::System { source, .. } => Some(source),
            Self::AddressTaken { .. }
            | Self::NoListener
            | Self::Workers { .. }
            | Self::HandlerPanicked => None,
        }
    }
}

/// Why a certificate and its key cannot be used. Names the files, never their contents.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate file holds no certificate.
    NoCertificate {
        /// The certificate file.
        certificate: PathBuf,
    },
    /// The key does not belong to the certificate.
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The pair is refused by the TLS library for another reason.
    Refused {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What the TLS library said.
        source: rustls::Error,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::NoCertificate { certificate } => {
                write!(f, "{}: holds no certificate", certificate.display())
            }
            Self::Mismatch { certificate, key } => write!(
                f,
                "the key in {} does not belong to the certificate in {}",
                key.display(),
                certificate.display()
            ),
            Self::Refused {
                certificate,
                key,
                source,
            } => write!(
                f,
                "{} with {} cannot be used: {source}",
                certificate.display(),
                key.display()
            ),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { source, .. } => Some(source),
            Self::File { .. } | Self::NoCertificate { .. } | Self::Mismatch { .. } => None,
        }
    }
}

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The closing handshake has begun (RFC 6455 §5.5.1: no data frame after a close frame).
    Closing,
    /// The peer reads too slowly: its backlog is full, and the connection is being dropped.
    Slow,
    /// There is no room at the moment ([`WebSocket::try_feed`](crate::WebSocket::try_feed) only).
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closing => "the connection is closing",
            Self::Slow => "the peer reads too slowly, its backlog is full",
            Self::Full => "there is no room at the moment",
        })
    }
}

impl std::error::Error for SendError {}

/// A worker's inbox has no room; nothing of what was submitted was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxFull;

impl fmt::Display for InboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worker's inbox is full")
    }
}

impl std::error::Error for InboxFull {}
