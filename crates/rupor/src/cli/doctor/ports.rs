//! Whether what rupor listens on is free: or rupor listens there already.

use super::Subject;
use super::findings::Findings;
use crate::auth::probe::PROBE_HEADER;
use crate::cli::running;
use crate::config::InletAddress;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

const CHECK: &str = "port";

/// Tries each address of browsers and of lines.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let mut is_running = false;
    for address in &subject.config.listen {
        match bind(*address) {
            Ok(()) => findings.ok(CHECK, format!("{address} is free")),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if is_rupor(subject, *address).await {
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

/// Asks whoever listens there.
async fn is_rupor(subject: &Subject<'_>, address: SocketAddr) -> bool {
    match running::ask(subject.config, address, "/healthz", subject.probes.as_ref()).await {
        Ok(answer) => {
            let answer = answer.to_ascii_lowercase();
            let is_healthy = answer.starts_with("http/1.1 200") && answer.ends_with("\r\n\r\nok\n");
            is_healthy || answer.contains(&format!("\r\n{PROBE_HEADER}: "))
        }
        _ => false,
    }
}
