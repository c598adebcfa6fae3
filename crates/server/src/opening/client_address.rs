//! Whose address a connection has: the peer's, or, behind a trusted proxy, what that proxy says.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use rupor_proto::proxied::{
    Client, PROXY_HEADER_BYTES_MAX, ProxyHeaderError, begins_proxy_header, client_in_forwarded,
    client_in_x_forwarded_for, parse_proxy_header,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::AddressRange;
use super::log_line::LogLine;
use crate::stats::{OpeningCounters, RefusalReason};

const UNTRUSTED: &str = "the address is not in `trusted_proxy`";

/// What names the client of a connection that a trusted proxy makes
/// ([`Server::trusted_proxies`](crate::Server::trusted_proxies)). From everybody else nothing is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAddress {
    /// `X-Forwarded-For`: the last address in it that is no trusted proxy's.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), likewise.
    Forwarded,
    /// A header of the PROXY protocol, version 1 or 2, in front of the connection. A trusted proxy
    /// has to send one.
    ProxyProtocol,
    /// Nothing: a connection has the address that it comes from.
    Peer,
}

impl ClientAddress {
    fn header(self) -> Option<&'static str> {
        match self {
            Self::XForwardedFor => Some("x-forwarded-for"),
            Self::Forwarded => Some("forwarded"),
            Self::Peer | Self::ProxyProtocol => None,
        }
    }
}

/// A header that a proxy sends is missing, malformed, late, or not for the one who sends it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BadProxyHeader;

/// Why a PROXY protocol header was not read.
#[derive(Debug)]
enum Unread {
    Wrong(ProxyHeaderError),
    /// Nothing came, or the connection broke: nobody is there to blame.
    Gone,
}

/// Who is behind a connection or a request.
pub(crate) struct Proxies {
    source: ClientAddress,
    trusted: Vec<AddressRange>,
    counters: Arc<OpeningCounters>,
    ignored: Mutex<LogLine>,
    bad: Mutex<LogLine>,
}

impl Proxies {
    pub(crate) fn new(
        source: ClientAddress,
        trusted: Vec<AddressRange>,
        counters: Arc<OpeningCounters>,
    ) -> Self {
        Self {
            source,
            trusted,
            counters,
            ignored: Mutex::default(),
            bad: Mutex::default(),
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(address))
    }

    /// The client of a request that `peer` sent; `header` gives the lines of a header by its name.
    pub(crate) fn client<'a, L>(
        &self,
        peer: SocketAddr,
        header: impl FnOnce(&'static str) -> L,
    ) -> Result<SocketAddr, BadProxyHeader>
    where
        L: Iterator<Item = &'a [u8]>,
    {
        let Some(name) = self.source.header() else {
            return Ok(peer);
        };
        // The parser of heads limits how many there are.
        let lines: Vec<&[u8]> = header(name).collect();
        if !self.trusts(peer.ip()) {
            if !lines.is_empty() {
                self.ignored(peer, name, UNTRUSTED);
            }
            return Ok(peer);
        }
        let trusted = |address| self.trusts(address);
        let lines = lines.into_iter();
        let client = match self.source {
            ClientAddress::Forwarded => client_in_forwarded(lines, trusted),
            _ => client_in_x_forwarded_for(lines, trusted),
        };
        match client {
            Ok(Client::At(address)) => Ok(address),
            Ok(Client::NotNamed | Client::Hidden) => Ok(peer),
            Err(error) => Err(self.bad(peer, &format!("{name}: {error}"))),
        }
    }

    /// The client of a connection that was just accepted: reads the PROXY protocol header in front of
    /// it where there has to be one. Where there must be none, the header is noticed here before TLS,
    /// otherwise by the parser of heads.
    pub(crate) async fn greeted(
        &self,
        tcp: &mut TcpStream,
        peer: SocketAddr,
        is_tls: bool,
        deadline: Instant,
    ) -> Result<SocketAddr, BadProxyHeader> {
        if self.source == ClientAddress::ProxyProtocol && self.trusts(peer.ip()) {
            return match Box::pin(timeout_at(deadline, read_header(tcp))).await {
                Ok(Ok(client)) => Ok(client.unwrap_or(peer)),
                Ok(Err(Unread::Gone)) => Err(BadProxyHeader),
                Ok(Err(Unread::Wrong(error))) => Err(self.bad(peer, &error.to_string())),
                Err(_) => {
                    self.counters.refused(RefusalReason::Slow);
                    self.log_bad(peer, "its PROXY protocol header did not come in time");
                    Err(BadProxyHeader)
                }
            };
        }
        if is_tls {
            let mut front = [0; 12];
            // Whoever is slow here is the next one's to judge, who has the same deadline.
            let peeked = timeout_at(deadline, tcp.peek(&mut front));
            let peeked = Box::pin(peeked).await;
            let count = peeked.map_or(0, |count| count.unwrap_or(0));
            if self.not_a_request(peer, front.get(..count).unwrap_or_default()) {
                return Err(BadProxyHeader);
            }
        }
        Ok(peer)
    }

    /// Looks at the first bytes of what is not for a parser of requests, or of TLS: says in the log
    /// when it is a PROXY protocol header that nobody asked for.
    pub(crate) fn not_a_request(&self, peer: SocketAddr, bytes: &[u8]) -> bool {
        let found = begins_proxy_header(bytes);
        if found {
            let why = match self.source {
                ClientAddress::ProxyProtocol => UNTRUSTED,
                _ => "`client_address` is not \"proxy-protocol\"",
            };
            self.ignored(peer, "PROXY protocol", why);
        }
        found
    }

    fn ignored(&self, peer: SocketAddr, what: &str, why: &str) {
        self.counters
            .proxy_headers_ignored
            .fetch_add(1, Ordering::Relaxed);
        if let Some(count) = due(&self.ignored) {
            tracing::warn!(%peer, what, count, "a header that only proxies send is not believed, because {why}");
        }
    }

    fn bad(&self, peer: SocketAddr, why: &str) -> BadProxyHeader {
        self.counters.refused(RefusalReason::ProxyHeader);
        self.log_bad(peer, why);
        BadProxyHeader
    }

    fn log_bad(&self, peer: SocketAddr, why: &str) {
        if let Some(count) = due(&self.bad) {
            tracing::warn!(%peer, count, "a trusted proxy does not say who its client is: {why}");
        }
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proxies")
            .field("source", &self.source)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

/// Reads the header and not one byte more: what follows is for TLS or the parser of heads.
async fn read_header(tcp: &mut TcpStream) -> Result<Option<SocketAddr>, Unread> {
    let mut bytes = Vec::new();
    let mut seen = vec![0; PROXY_HEADER_BYTES_MAX];
    loop {
        let count = tcp.peek(&mut seen).await.map_err(|_| Unread::Gone)?;
        if count == 0 && bytes.is_empty() {
            return Err(Unread::Gone);
        } else if count == 0 {
            return Err(Unread::Wrong(ProxyHeaderError::Malformed));
        }
        let before = bytes.len();
        bytes.extend(seen.iter().take(count));
        let parsed = parse_proxy_header(&bytes).map_err(Unread::Wrong)?;
        let used = parsed.map_or(bytes.len(), |(_, used)| used) - before;
        if let Some(part) = seen.get_mut(..used) {
            tcp.read_exact(part).await.map_err(|_| Unread::Gone)?;
        }
        if let Some((header, _)) = parsed {
            return Ok(header.client);
        }
    }
}

fn due(line: &Mutex<LogLine>) -> Option<u64> {
    let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
    line.due(Instant::now())
}
