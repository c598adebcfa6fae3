//! Asks a rupor that runs on this machine, by the addresses of its own configuration.

use super::url::{Address, TlsArgs};
use crate::auth::probe::{PROBE_HEADER, Probes};
use crate::config::{self, Config};
use rupor_server::ClientAddress;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long it may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
/// Bytes of its answer that are read.
const ANSWER_BYTES_MAX: usize = 4096;

/// Whether it takes new connections (`/readyz`).
///
/// # Errors
/// What it answered instead, or why it did not.
pub(super) fn is_ready(config: &Config) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let Some(address) = config.listen.first() else {
        return Err("there is no address to listen on".to_owned());
    };
    let answer = runtime.block_on(ask(config, *address, "/readyz", None));
    let answer = answer.map_err(|error| format!("{address}: {error}"))?;
    match answer.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        _ => {
            let line = answer.lines().last().unwrap_or_default();
            Err(format!("{address} answers: {}", crate::log::peer(line)))
        }
    }
}

/// Asks whoever listens there for `target`: his answer, head and body.
///
/// # Errors
/// Nobody does, or does not answer in time.
pub(super) async fn ask(
    config: &Config,
    listen: SocketAddr,
    target: &str,
    probes: Option<&Probes>,
) -> io::Result<String> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let answer = timeout(ANSWER_DEADLINE, answer(config, listen, target, probes));
    answer.await.map_err(late)?
}

/// Whether it takes us for a proxy that says whose each connection is.
fn wants_proxy_header(config: &Config, ours: IpAddr) -> bool {
    let mut trusted = config.trusted_proxies.iter();
    config.client_address == ClientAddress::ProxyProtocol
        && trusted.any(|range| range.contains(ours))
}

async fn answer(
    config: &Config,
    listen: SocketAddr,
    target: &str,
    probes: Option<&Probes>,
) -> io::Result<String> {
    let ip = config::reachable(listen.ip());
    let address = Address {
        secure: config.tls.is_some(),
        host: ip.to_string(),
        port: listen.port(),
        host_header: SocketAddr::new(ip, listen.port()).to_string(),
        target: target.to_owned(),
    };
    // From whom rupor trusts it wants a header of the PROXY protocol first; this one says nothing.
    let before: &[u8] = if wants_proxy_header(config, ip) {
        b"PROXY UNKNOWN\r\n"
    } else {
        b""
    };
    let mut stream = address
        .connect_after(before, &TlsArgs::believing_any())
        .await
        .map_err(|error| io::Error::other(error.to_string()))?;
    let question = probes.map(Probes::question);
    let question = question.map(|question| format!("{PROBE_HEADER}: {question}\r\n"));
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}\r\n",
        address.host_header,
        question.unwrap_or_default()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX && stream.read_buf(&mut bytes).await? > 0 {}
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
