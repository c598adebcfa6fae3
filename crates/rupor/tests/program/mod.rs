//! What the tests of the real program share: starting it, certificates, the tools that a newcomer has.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses a part of it; a failure here is the failure of the test that called"
)]

use rupor_testkit::{Link, Process};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Starts the program in an empty folder of its own, so that no `rupor.toml` is found.
pub(crate) fn start(arguments: &[&str]) -> Process {
    start_with(arguments, &[])
}

/// The same with environment variables.
pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rupor"));
    let folder = std::env::temp_dir();
    assert!(
        !folder.join("rupor.toml").exists(),
        "{} holds a rupor.toml",
        folder.display()
    );
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(folder);
    Process::spawn(command)
}

/// Flags for a drain that a test can wait for.
pub(crate) fn fast_drain() -> &'static [&'static str] {
    &["--drain", "300ms"]
}

/// A self-signed certificate for 127.0.0.1 with its key, in files.
pub(crate) struct Pair {
    cert: PathBuf,
    key: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Pair {
    /// Makes a new pair and writes it to `cert.pem` and `key.pem` in `folder`.
    pub(crate) fn write(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let certificate = CertificateDer::from_pem_file(&cert).unwrap();
        Self {
            cert,
            key,
            certificate,
        }
    }

    /// The certificate's file, as a flag takes it.
    pub(crate) fn cert_path(&self) -> String {
        self.cert.display().to_string()
    }

    /// The key's file.
    pub(crate) fn key_path(&self) -> String {
        self.key.display().to_string()
    }
}

/// A TLS stream as the test client takes it.
pub(crate) struct TlsLink(StreamOwned<ClientConnection, TcpStream>);

impl std::io::Read for TlsLink {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for TlsLink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Link for TlsLink {
    fn limit_read(&mut self, wait: Duration) {
        let wait = wait.max(Duration::from_millis(1));
        self.0.sock.set_read_timeout(Some(wait)).unwrap();
    }
}

/// A TLS stream to `address` that trusts this certificate and no other; the handshake is done.
pub(crate) fn tls_link(address: SocketAddr, trusted: &Pair) -> std::io::Result<TlsLink> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(rupor_testkit::DEADLINE))?;
    let mut stream = StreamOwned::new(connection, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(TlsLink(stream))
}

/// Whether a tool is installed. With `RUPOR_TEST_FULL=1` (`make test`) it must be.
pub(crate) fn has(tool: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {tool}")])
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    let full = std::env::var_os("RUPOR_TEST_FULL").is_some_and(|value| value == "1");
    assert!(
        found || !full,
        "{tool} is needed for the full tests and is not installed"
    );
    found
}
