//! The same over TLS.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rupor_server::{Tls, TlsError};
use rupor_testkit::{Event, Link};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::*;

/// A certificate for localhost, and its key, as files.
pub(crate) struct Pair {
    folder: TempDir,
    pub(crate) certificate: CertificateDer<'static>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Self::write(&folder);
        Self {
            folder,
            certificate,
        }
    }

    fn write(folder: &TempDir) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(
            folder.path().join("key.pem"),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
        made.cert.der().clone()
    }

    /// Puts a new certificate into the files.
    pub(crate) fn renew(&mut self) {
        self.certificate = Self::write(&self.folder);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn tls(&self) -> Result<Tls, TlsError> {
        Tls::from_files(self.path("cert.pem"), self.path("key.pem"))
    }
}

fn secure(tls: &Tls, limits: Limits) -> Up {
    let server = server(limits)
        .tls(tls.clone())
        .listen("127.0.0.1:0")
        .unwrap();
    Up::of(server.start().unwrap())
}

pub(crate) fn client_config(
    trusted: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn client_connection(trusted: &CertificateDer<'static>, alpn: &[&[u8]]) -> ClientConnection {
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(client_config(trusted, alpn), name).unwrap()
}

/// A TLS stream as the test client takes it.
struct Secured(StreamOwned<ClientConnection, TcpStream>);

impl Read for Secured {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Link for Secured {
    fn limit_read(&mut self, wait: Duration) {
        let wait = wait.max(Duration::from_millis(1));
        self.0.sock.set_read_timeout(Some(wait)).unwrap();
    }
}

pub(crate) fn link(up: &Up, trusted: &CertificateDer<'static>) -> impl Link + 'static {
    link_over(up.tcp(), trusted)
}

pub(crate) fn link_over(tcp: TcpStream, trusted: &CertificateDer<'static>) -> impl Link + 'static {
    let connection = client_connection(trusted, &[b"http/1.1"]);
    Secured(StreamOwned::new(connection, tcp))
}

#[test]
fn messages_of_all_sizes_pass() {
    let pair = Pair::new();
    let limits = Limits {
        messages_per_second: 0,
        bytes_per_second: 0,
        ..Limits::default()
    };
    let up = secure(&pair.tls().unwrap(), limits);
    let early = rupor_testkit::Frame::new(rupor_testkit::opcode::TEXT, "early").encode();
    let mut client = up
        .opening("/")
        .early(&early)
        .open_over(link(&up, &pair.certificate));
    client.expect_text("early");
    for length in [0, 1, 1000, 16_384, 16_385, 65_536] {
        let payload = vec![9; length];
        client.send_binary(&payload);
        assert_eq!(client.receive(), Event::Binary(payload));
    }
    // More than any buffer on the way holds, asked for before any of it is read.
    for _ in 0..40 {
        client.send_text("flood 600000");
    }
    for _ in 0..40 {
        assert_eq!(client.receive_text().len(), 600_000);
    }
    assert_eq!(client.close(1000, "").0, 1000);
}

#[test]
fn http_and_a_later_upgrade_pass() {
    let pair = Pair::new();
    let up = secure(&pair.tls().unwrap(), Limits::default());
    let mut stream = link(&up, &pair.certificate);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 426");
}

#[test]
fn client_hello_may_come_byte_by_byte() {
    let pair = Pair::new();
    let up = secure(&pair.tls().unwrap(), Limits::default());
    let mut connection = client_connection(&pair.certificate, &[]);
    let mut stream = up.tcp();
    stream.set_nodelay(true).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    for byte in hello {
        stream.write_all(&[byte]).unwrap();
    }
    let link = Secured(StreamOwned::new(connection, stream));
    let mut client = up.opening("/").open_over(link);
    client.send_text("hello");
    client.expect_text("hello");
}

#[test]
fn without_http2_a_client_that_speaks_only_that_gets_an_alert() {
    let pair = Pair::new();
    let server = server(Limits::default()).tls(pair.tls().unwrap());
    let server = server.http2(false).listen("127.0.0.1:0").unwrap();
    let up = Up::of(server.start().unwrap());
    let connection = client_connection(&pair.certificate, &[b"h2"]);
    let mut stream = StreamOwned::new(connection, up.tcp());
    let error = stream.write_all(b"x").unwrap_err();
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
    rupor_testkit::wait_until("it is counted", || up.refused("tls") == 1);
}

#[test]
fn handshake_has_a_deadline() {
    let pair = Pair::new();
    let up = secure(
        &pair.tls().unwrap(),
        Limits {
            opening_timeout_ms: 100,
            ..Limits::default()
        },
    );
    let mut stream = up.tcp();
    stream.write_all(&[0x16, 0x03, 0x01]).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    assert!(bytes.is_empty());
    rupor_testkit::wait_until("it is counted", || up.refused("slow") == 1);
}

#[test]
fn reload_gives_new_connections_the_new_pair() {
    let pair = Pair::new();
    let tls = pair.tls().unwrap();
    let up = secure(&tls, Limits::default());
    let mut old = up.opening("/").open_over(link(&up, &pair.certificate));
    let renewed = Pair::write(&pair.folder);
    tls.reload().unwrap();
    let mut new = up.opening("/").open_over(link(&up, &renewed));
    for client in [&mut old, &mut new] {
        client.send_text("here");
        client.expect_text("here");
    }
    let mut refused = link(&up, &pair.certificate);
    assert!(
        refused.write_all(b"x").is_err(),
        "the old certificate is not used any more"
    );
}

#[test]
fn bad_new_pair_leaves_the_old_in_use() {
    let pair = Pair::new();
    let tls = pair.tls().unwrap();
    let up = secure(&tls, Limits::default());
    let foreign = Pair::new();
    fs::copy(foreign.path("key.pem"), pair.path("key.pem")).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Mismatch { .. })));
    fs::write(pair.path("cert.pem"), "nothing").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::NoCertificate { .. })));
    let mut client = up.opening("/").open_over(link(&up, &pair.certificate));
    client.send_text("here");
    client.expect_text("here");
}

#[test]
fn errors_name_the_files() {
    let [pair, other] = [Pair::new(), Pair::new()];
    let error = |certificate: PathBuf, key: PathBuf| {
        Tls::from_files(certificate, key).unwrap_err().to_string()
    };
    let text = error(pair.path("cert.pem"), other.path("key.pem"));
    for path in [pair.path("cert.pem"), other.path("key.pem")] {
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }
    let missing = pair.path("missing.pem");
    assert!(error(missing.clone(), pair.path("key.pem")).contains(missing.to_str().unwrap()));
    let text = error(pair.path("cert.pem"), pair.path("cert.pem"));
    assert!(text.contains("holds no key"), "{text}");
}
