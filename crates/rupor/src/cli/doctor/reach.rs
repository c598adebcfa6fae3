//! Connecting to something that the configuration names, with what to do when that fails.

use crate::system::connect_unix;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long connecting may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// Connects by TCP, and says why that does not work.
pub(super) async fn tcp(address: SocketAddr) -> Result<(), io::Error> {
    in_time(TcpStream::connect(address)).await.map(drop)
}

/// Connects to a Unix socket.
pub(super) async fn unix(path: &Path) -> Result<(), io::Error> {
    in_time(connect_unix(path)).await.map(drop)
}

/// What to do about it. `what`: what should be there.
pub(super) fn fix(error: &io::Error, what: &str) -> String {
    match error.kind() {
        ErrorKind::NotFound => {
            format!("start {what}, or name the socket that it has in fpm.address")
        }
        ErrorKind::ConnectionRefused => format!("start {what}: nobody listens there"),
        ErrorKind::PermissionDenied => {
            format!(
                "let the user that runs rupor write to the socket of {what}: listen.group and listen.mode, or a group of both"
            )
        }
        ErrorKind::TimedOut => format!("look at the firewall between rupor and {what}"),
        _ => format!("look whether {what} runs, and at that address"),
    }
}

async fn in_time<T>(connecting: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::from(ErrorKind::TimedOut);
    timeout(DEADLINE, connecting).await.map_err(late)?
}
