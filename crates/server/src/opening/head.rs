//! Reading a request head, with its deadlines: absolute, and for those that dribble.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use rupor_proto::handshake::{HandshakeError, HeadProgress, RequestHead, Upgrade};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::client_address::Proxies;
use super::request::Extent;
use super::stream::READ_BYTES;
use crate::admit::UpgradeRequest;
use crate::limits::Limits;

/// What stands at the front of a connection.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A correct upgrade, and what came behind it.
    Upgrade {
        upgrade: Upgrade,
        request: Box<UpgradeRequest>,
        rest: Vec<u8>,
    },
    /// Another request: all the bytes so far, and how far it reaches.
    Http {
        received: Vec<u8>,
        extent: Extent,
        remote: SocketAddr,
    },
}

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum HeadError {
    /// It is wrong; there is an answer to that.
    Refused(HandshakeError),
    /// A trusted proxy does not say who its client is.
    Proxy,
    /// It did not come in time, or too slowly.
    Slow,
    /// The peer left, or the connection broke.
    Gone,
}

impl From<HandshakeError> for HeadError {
    fn from(error: HandshakeError) -> Self {
        Self::Refused(error)
    }
}

/// Reads a head until `deadline`; `bytes` are what there is of it already.
pub(crate) async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    mut bytes: Vec<u8>,
    peer: SocketAddr,
    proxies: &Proxies,
    secure: bool,
    limits: &Limits,
    deadline: Instant,
) -> Result<Opened, HeadError> {
    let mut progress = HeadProgress::default();
    let mut first = (!bytes.is_empty()).then(Instant::now);
    loop {
        let parsed = progress.parse_request(&bytes, &limits.head);
        let Some((head, used)) = parsed.inspect_err(|_| {
            proxies.not_a_request(peer, &bytes);
        })?
        else {
            let until = slowest(first, bytes.len(), limits).map_or(deadline, |at| at.min(deadline));
            match timeout_at(until, read_some(stream, &mut bytes, limits)).await {
                Err(_) => return Err(HeadError::Slow),
                Ok(Err(_) | Ok(0)) => return Err(HeadError::Gone),
                Ok(Ok(_)) => {}
            }
            first.get_or_insert_with(Instant::now);
            continue;
        };
        let remote = proxies.client(peer, |name| head.header(name));
        let remote = remote.map_err(|_| HeadError::Proxy)?;
        if !head.is_upgrade() {
            let extent = Extent::new(&head, used)?;
            return Ok(Opened::Http {
                received: bytes,
                extent,
                remote,
            });
        }
        let upgrade = head.upgrade()?;
        let request = Box::new(request(&head, &upgrade, remote, secure)?);
        let rest = bytes.get(used..).unwrap_or_default().to_vec();
        return Ok(Opened::Upgrade {
            upgrade,
            request,
            rest,
        });
    }
}

/// Bytes that are read of a head at most: one more than it may have, then the parser says so.
pub(super) fn head_room(limits: &Limits) -> usize {
    limits.head.head_bytes_max.saturating_add(1)
}

/// Reads what is there, as far as there is room and at most [`READ_BYTES`]. Holds no buffer while it
/// waits.
pub(crate) async fn read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &mut Vec<u8>,
    limits: &Limits,
) -> io::Result<usize> {
    let room = head_room(limits).saturating_sub(bytes.len());
    poll_fn(|context| {
        let mut buffer = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut buffer);
        let mut read = buffer.take(room);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
        bytes.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    })
    .await
}

/// When a head of so many bytes, begun at `first`, has become too slow.
fn slowest(first: Option<Instant>, count: usize, limits: &Limits) -> Option<Instant> {
    let per_second = u64::from(limits.head_bytes_per_second_min);
    let paid_ms = (count as u64)
        .saturating_mul(1000)
        .checked_div(per_second)?;
    Some(first? + Duration::from_millis(u64::from(limits.head_grace_ms) + paid_ms))
}

fn request(
    head: &RequestHead<'_>,
    upgrade: &Upgrade,
    remote: SocketAddr,
    secure: bool,
) -> Result<UpgradeRequest, HandshakeError> {
    let mut headers = HeaderMap::with_capacity(head.headers().count());
    for (name, value) in head.headers() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(HandshakeError::Malformed);
        };
        headers.append(name, value);
    }
    Ok(UpgradeRequest {
        target: origin_form(head.target()).to_owned(),
        headers,
        subprotocols: upgrade.subprotocols.clone(),
        remote,
        secure,
    })
}

/// The path and query of a target that passed the checks of an upgrade: it may come with a scheme
/// and host in front (RFC 9112 §3.2.2).
pub(crate) fn origin_form(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => rest
            .find(['/', '?'])
            .and_then(|at| rest.get(at..))
            .unwrap_or("/"),
        _ => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lose_scheme_and_host() {
        assert_eq!(origin_form("/a?b"), "/a?b");
        assert_eq!(origin_form("/?u=http://x/y"), "/?u=http://x/y");
        assert_eq!(origin_form("ws://host:1/a?b"), "/a?b");
        assert_eq!(origin_form("ws://host?b"), "?b");
        assert_eq!(origin_form("ws://host"), "/");
    }

    #[test]
    fn slowness_counts_from_the_first_byte() {
        let limits = Limits::default();
        assert_eq!(slowest(None, 0, &limits), None);
        let first = Instant::now();
        let after = |count| slowest(Some(first), count, &limits).map(|at| (at - first).as_millis());
        assert_eq!(after(1), Some(2003));
        assert_eq!(after(256), Some(3000));
        let off = Limits {
            head_bytes_per_second_min: 0,
            ..limits
        };
        assert_eq!(slowest(Some(first), 1, &off), None);
    }
}
