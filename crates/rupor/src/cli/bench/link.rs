//! The bytes under one WebSocket: TCP, or TLS over it. Never blocks.

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use std::io::{self, Read, Write};
use std::net::Shutdown;

/// A connection, encrypted or not.
#[derive(Debug)]
pub(super) enum Link {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<(ClientConnection, TcpStream)>),
}

impl Link {
    /// Whether it may have more to read although less came than there was room for: TLS gives one record at a time.
    pub(super) fn reads_short(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether TLS is still being agreed on.
    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.0.is_handshaking(),
        }
    }

    /// Registers it for everything.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream_mut()
            .register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Why connecting failed, if it did; `None` as long as nobody knows.
    pub(super) fn connected(&self) -> io::Result<Option<()>> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &tls.1,
        };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => stream.set_nodelay(true).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn end(&mut self) {
        if let Self::Tls(tls) = self {
            tls.0.send_close_notify();
            // Only a courtesy.
            let _ = tls.0.write_tls(&mut tls.1);
        }
        // It is dropped right after this, whatever comes of it.
        let _ = self.stream_mut().shutdown(Shutdown::Write);
    }

    fn stream_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &mut tls.1,
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(tls) => rustls::Stream::new(&mut tls.0, &mut tls.1).read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(tls) => rustls::Stream::new(&mut tls.0, &mut tls.1).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => {
                while tls.0.wants_write() {
                    tls.0.write_tls(&mut tls.1)?;
                }
                Ok(())
            }
        }
    }
}
