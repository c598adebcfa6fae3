//! Whether what rupor listens on is free: or rupor listens there already.

use super::Subject;
use super::findings::Findings;
use crate::auth::probe::PROBE_HEADER;
use crate::cli::url::{Address, TlsArgs};
use crate::config::InletAddress;
use rupor_server::ClientAddress;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

const CHECK: &str = "port";
/// How long whoever listens may take to say who he is.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
/// Bytes of his answer that are read.
const ANSWER_BYTES_MAX: usize = 4096;

/// Tries each address of browsers and of lines.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let mut is_running = false;
    for address in &subject.config.listen {
        match bind(*address) {
            Ok(()) => findings.ok(CHECK, format!("{address} is free")),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if subject.config.tls.is_some() && wants_proxy_header(subject, address.ip()) {
                    let what = format!(
                        "somebody listens on {address}, and behind the PROXY protocol and TLS cannot be asked whether he is rupor"
                    );
                    findings.warning(CHECK, what, None);
                } else if is_rupor(subject, *address).await {
                    is_running = true;
                    findings.ok(CHECK, format!("rupor listens on {address} already"));
                } else {
                    taken(address, "--listen", findings);
                }
            }
            Err(error) => refused(*address, "--listen", &error, findings),
        }
    }
    for inlet in &subject.config.inlet {
        match inlet {
            // Who is there on the lines' port is not asked: whatever is written to it may be carried out.
            InletAddress::Tcp(_) if is_running => {}
            InletAddress::Tcp(address) => match bind(*address) {
                Ok(()) => findings.ok(CHECK, format!("{address} is free, for lines")),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    taken(address, "--inlet", findings);
                }
                Err(error) => refused(*address, "--inlet", &error, findings),
            },
            InletAddress::Unix(path) => folder_of(path, findings),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

fn taken(address: &SocketAddr, flag: &str, findings: &mut Findings) {
    let port = address.port();
    let fix =
        format!("`ss -ltnp 'sport = :{port}'` shows it: stop it, or take another port with {flag}");
    findings.problem(CHECK, format!("another program listens on {address}"), &fix);
}

fn refused(address: SocketAddr, flag: &str, error: &io::Error, findings: &mut Findings) {
    let fix = match error.kind() {
        ErrorKind::PermissionDenied => {
            "ports below 1024 are for root: the unit file has AmbientCapabilities=CAP_NET_BIND_SERVICE, \
             a socket unit opens them for you, or put rupor behind a proxy"
                .to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            format!("this machine does not have that address: `ip address` shows those that it has; {flag} 0.0.0.0:{} is all of them", address.port())
        }
        _ => format!("take another address with {flag}"),
    };
    findings.problem(
        CHECK,
        format!("{address} cannot be listened on: {error}"),
        &fix,
    );
}

/// A Unix socket needs a folder.
fn folder_of(path: &Path, findings: &mut Findings) {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    if folder.is_dir() {
        return findings.ok(CHECK, format!("{} has a folder", path.display()));
    }
    let fix = format!(
        "make it, for the user that runs rupor; in systemd RuntimeDirectory= does: `mkdir {}`",
        folder.display()
    );
    findings.problem(
        CHECK,
        format!("there is no folder for {}", path.display()),
        &fix,
    );
}

/// Whether rupor takes us for a proxy that says whose each connection is.
fn wants_proxy_header(subject: &Subject<'_>, ours: IpAddr) -> bool {
    let mut trusted = subject.config.trusted_proxies.iter();
    subject.config.client_address == ClientAddress::ProxyProtocol
        && trusted.any(|range| range.contains(ours))
}

/// Asks whoever listens there.
async fn is_rupor(subject: &Subject<'_>, address: SocketAddr) -> bool {
    match timeout(ANSWER_DEADLINE, answer(subject, address)).await {
        Ok(Ok(answer)) => {
            let answer = answer.to_ascii_lowercase();
            let is_healthy = answer.starts_with("http/1.1 200") && answer.ends_with("\r\n\r\nok\n");
            is_healthy || answer.contains(&format!("\r\n{PROBE_HEADER}: "))
        }
        _ => false,
    }
}

async fn answer(subject: &Subject<'_>, address: SocketAddr) -> io::Result<String> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let secure = subject.config.tls.is_some();
    let (host, port) = (ip.to_string(), address.port());
    let address = Address {
        secure,
        host,
        port,
        host_header: SocketAddr::new(ip, port).to_string(),
        target: "/healthz".to_owned(),
    };
    let mut stream = address
        .connect(&TlsArgs::believing_any())
        .await
        .map_err(|error| io::Error::other(error.to_string()))?;
    let question = subject.probes.as_ref().and_then(|probes| probes.question());
    let question = question.map(|question| format!("{PROBE_HEADER}: {question}\r\n"));
    // From whom rupor trusts it wants a header of the PROXY protocol first; this one says nothing.
    if wants_proxy_header(subject, ip) {
        stream.write_all(b"PROXY UNKNOWN\r\n").await?;
    }
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}\r\n",
        address.host_header,
        question.unwrap_or_default()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX && stream.read_buf(&mut bytes).await? > 0 {}
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
