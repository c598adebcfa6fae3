//! A TCP connection to a host: its addresses are tried in turn.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::error::ReachError;

/// Addresses of one host that are tried. What more there are is left out.
const ADDRESSES_MAX: usize = 16;

/// Connects to a host by the time that it may take, lookup included.
pub(super) async fn reach(
    host: &str,
    port: u16,
    within: Duration,
) -> Result<TcpStream, ReachError> {
    let until = Instant::now() + within;
    let addresses = match timeout_at(until, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect::<Vec<_>>(),
        Ok(Err(source)) => {
            let host = host.to_owned();
            return Err(ReachError::Lookup { host, source });
        }
        Err(_) => return Err(timed_out(host)),
    };
    reach_any(host, &addresses, until).await
}

/// Tries one address after the other, in the order of the system. Each has an equal share of the
/// time that is left, so one that leads nowhere does not use up the others'.
async fn reach_any(
    host: &str,
    addresses: &[SocketAddr],
    until: Instant,
) -> Result<TcpStream, ReachError> {
    let mut failure = ReachError::NoAddress {
        host: host.to_owned(),
    };
    for (tried, &address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A stream that does not have it is no reason to have none.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(source)) => failure = ReachError::Tcp { address, source },
            Err(_) => failure = timed_out(host),
        }
    }
    Err(failure)
}

fn timed_out(host: &str) -> ReachError {
    ReachError::TimedOut {
        host: host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address where nobody listens: its listener is gone.
    fn dead() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn every_address_is_tried_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listener.local_addr().unwrap();
        let addresses = [dead(), dead(), alive, dead()];
        let stream = reach_any("a", &addresses, soon()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn last_failure_is_told() {
        let last = dead();
        match reach_any("a", &[dead(), last], soon()).await {
            Err(ReachError::Tcp { address, .. }) => assert_eq!(address, last),
            other => panic!("{other:?}"),
        }
        match reach_any("a", &[], soon()).await {
            Err(ReachError::NoAddress { host }) => assert_eq!(host, "a"),
            other => panic!("{other:?}"),
        }
        match reach_any("a", &[last], Instant::now()).await {
            Err(ReachError::TimedOut { .. } | ReachError::Tcp { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}
