//! The same through rustls, on the same loop.

use mio::net::TcpStream;
use rustls::ServerConnection;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::sync::Arc;

pub(crate) type Config = Arc<rustls::ServerConfig>;

/// Reads a certificate and its key.
pub(crate) fn config(cert: &str, key: &str) -> Result<Config, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Shared by all connections.
pub(crate) struct Buffers {
    pub(crate) cipher: Vec<u8>,
    pub(crate) plain: Vec<u8>,
}

pub(crate) struct Tls(ServerConnection);

impl Tls {
    pub(crate) fn new(config: &Config) -> Result<Self, rustls::Error> {
        let mut connection = ServerConnection::new(Arc::clone(config))?;
        // What is echoed is bounded by what one read takes in.
        connection.set_buffer_limit(None);
        Ok(Self(connection))
    }

    /// Reads what there is, sends it back, and writes as much as the system takes. Ciphertext is read into a buffer of
    /// its own, a large one: left alone, rustls reads four kilobytes at a time.
    ///
    /// # Errors
    /// The connection is over.
    pub(crate) fn echo(&mut self, stream: &mut TcpStream, buffers: &mut Buffers) -> io::Result<()> {
        self.write(stream)?;
        while !self.0.wants_write() {
            let count = match stream.read(&mut buffers.cipher) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let mut rest = &buffers.cipher[..count];
            while !rest.is_empty() {
                self.0.read_tls(&mut rest)?;
                self.0.process_new_packets().map_err(io::Error::other)?;
                self.take(&mut buffers.plain)?;
            }
            self.write(stream)?;
            if count < buffers.cipher.len() {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, plain: &mut [u8]) -> io::Result<()> {
        loop {
            match self.0.reader().read(plain) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.0.writer().write_all(&plain[..count])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
