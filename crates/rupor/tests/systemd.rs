//! What systemd does with the program: passes it sockets, restarts it while connections wait, is told how it is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure here is the failure of the test that called"
)]

use rupor_testkit::{DEADLINE, Opening, wait_until};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// Becomes the program with one socket passed, as systemd does: what was standard input is descriptor 3. `LISTEN_PID` is the
/// number of the shell, which the program keeps.
const PASS: &str = r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@""#;

/// A program that is gone with the test.
struct Service(Child);

impl Service {
    /// `rupor serve` in `folder`, with this socket.
    fn start(folder: &Path, socket: impl Into<OwnedFd>, flags: &[&str]) -> Self {
        let child = serve(folder, flags).stdin(socket.into()).spawn().unwrap();
        Self(child)
    }

    fn terminate(mut self) -> ExitStatus {
        signal(&self.0);
        self.0.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(child: &Child) {
    let sent = Command::new("kill").arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
}

fn serve(folder: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUPOR_") {
            command.env_remove(name);
        }
    }
    command
        .args(["-c", PASS, "sh", env!("CARGO_BIN_EXE_rupor"), "serve"])
        .args(["--auth", "none", "--drain", "0s"])
        .args(flags)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_restart_refuses_nobody() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listen = address.to_string();
    let flags = ["--listen", &listen, "--inlet", "tcp://127.0.0.1:0"];
    let start = || Service::start(folder.path(), listener.try_clone().unwrap(), &flags);

    let first = start();
    let mut before = Opening::new(address, "/?user=anna").open();
    assert!(first.terminate().success());
    assert_eq!(before.expect_close().0, 1001);
    // Nobody runs: whoever comes now waits.
    let mut waiting = TcpStream::connect(address).unwrap();
    waiting.set_read_timeout(Some(DEADLINE)).unwrap();
    waiting
        .write_all(&Opening::new(address, "/?user=anna").bytes())
        .unwrap();
    let _second = start();
    let mut line = String::new();
    BufReader::new(waiting).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 101 "), "{line}");
}

#[test]
fn a_unix_socket_of_systemd_stays() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rupor.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let inlet = format!("unix://{}", path.display());
    let flags = ["--listen", "127.0.0.1:0", "--inlet", &inlet];
    for _ in 0..2 {
        // The line is written before there is a program.
        let mut writer = UnixStream::connect(&path).unwrap();
        writer.set_read_timeout(Some(DEADLINE)).unwrap();
        writer
            .write_all(b"{\"all\":true,\"message\":\"a\"}\n")
            .unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
        let service = Service::start(folder.path(), listener.try_clone().unwrap(), &flags);
        let mut answer = String::new();
        BufReader::new(writer).read_line(&mut answer).unwrap();
        assert_eq!(answer, "{\"ok\":true,\"connections\":0}\n");
        assert!(service.terminate().success());
        assert!(path.exists(), "the file is not ours to remove");
    }
}

#[test]
fn a_socket_that_the_configuration_does_not_name_is_refused() {
    let folder = TempDir::new().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = folder.path().join("other.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let named = [
        tcp.local_addr().unwrap().to_string(),
        format!("unix://{}", path.display()),
    ];
    let sockets = [OwnedFd::from(tcp), OwnedFd::from(unix)];
    for (socket, name) in sockets.into_iter().zip(named) {
        let flags = ["--listen", "127.0.0.1:0", "--inlet", "tcp://127.0.0.1:0"];
        let output = serve(folder.path(), &flags).stdin(socket).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains(&name) && text.contains("ListenStream="),
            "{text}"
        );
    }
    // A file is no socket.
    let file = fs::File::create(folder.path().join("file")).unwrap();
    let output = serve(folder.path(), &[]).stdin(file).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("LISTEN_FDS"), "{text}");
}

#[test]
fn systemd_is_told_how_the_program_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let heard = UnixDatagram::bind(&path).unwrap();
    heard.set_read_timeout(Some(DEADLINE)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap().to_string();
    let flags = ["--listen", &listen, "--inlet", "tcp://127.0.0.1:0"];
    let child = serve(folder.path(), &flags)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stdin(OwnedFd::from(listener))
        .spawn();
    let service = Service(child.unwrap());
    let next = || {
        let mut bytes = [0; 100];
        let count = heard.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).trim().to_owned()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!(next(), "WATCHDOG=1");
    assert_eq!(next(), "WATCHDOG=1");
    signal(&service.0);
    wait_until("the program says that it ends", || next() == "STOPPING=1");
}
