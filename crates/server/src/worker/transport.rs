//! What a worker reads from and writes to: a socket, with TLS or without, or a stream of an HTTP/2
//! connection; anything else in tests.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;
#[cfg(target_os = "linux")]
use socket2::SockRef;

use super::pipe::Pipe;

/// A byte stream that never blocks. `flush` is `WouldBlock` while something that was written waits
/// below it.
pub(crate) trait Transport: Read + Write + 'static {
    /// `on_open` has run, so the peer may hear that it is open. Said once, before the first byte.
    /// Answers whether something may be there already whose readiness is not announced.
    fn opened(&mut self) -> bool {
        true
    }

    /// From now on the system takes no more while it has so many bytes that it has not sent.
    fn keep_unsent(&mut self, bytes_max: u32) {
        let _ = bytes_max;
    }

    /// Says to the peer that nothing more will come.
    fn shutdown(&mut self);
}

/// Ciphertext that may wait in a TLS connection, in bytes.
const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// The socket of an opened connection, or what stands for one.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsSocket>),
    Stream(Box<Pipe>),
}

/// A socket whose bytes go through rustls on the worker's own thread.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    tcp: TcpStream,
    tls: ServerConnection,
}

impl Socket {
    /// Takes over a socket whose TLS handshake is done.
    pub(crate) fn tls(tcp: TcpStream, mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        Self::Tls(Box::new(TlsSocket { tcp, tls }))
    }

    /// Has its readiness announced under `token`, when it changes (edge-triggered), so one
    /// registration serves for the connection's life.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(socket) => &mut socket.tcp,
            Self::Stream(pipe) => {
                pipe.attach(token.0);
                return Ok(());
            }
        };
        registry.register(tcp, token, Interest::READABLE | Interest::WRITABLE)
    }
}

impl TlsSocket {
    /// Hands waiting ciphertext to the system; `WouldBlock` while some is left.
    fn push(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.tcp) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn plaintext(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.tls.reader().read(into) {
            // The peer cut TCP without close_notify. WebSocket has its own goodbye
            // (RFC 6455 §7.1.1), so this is an end like any other.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

impl Read for TlsSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            let rest = into.get_mut(filled..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(filled);
            }
            match self.plaintext(rest) {
                Ok(0) => return Ok(filled),
                Ok(count) => {
                    filled += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return if filled > 0 { Ok(filled) } else { Err(error) },
            }
            match self.tls.read_tls(&mut self.tcp) {
                // At the end of TCP the next `plaintext` says so.
                Ok(_) => {
                    let state = self.tls.process_new_packets();
                    // Whatever the state, an alert or a key update may want to leave.
                    if let Err(error) = self.push()
                        && error.kind() != ErrorKind::WouldBlock
                    {
                        return Err(error);
                    }
                    if let Err(error) = state {
                        return Err(io::Error::new(ErrorKind::InvalidData, error));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if filled > 0 && error.kind() == ErrorKind::WouldBlock => {
                    return Ok(filled);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for TlsSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // Nothing more is encrypted while something waits, so the buffer always has room.
        self.push()?;
        let taken = self.tls.writer().write_vectored(slices)?;
        match self.push() {
            // What was taken is encrypted and will leave; `flush` says when.
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(into),
            Self::Tls(socket) => socket.read(into),
            Self::Stream(pipe) => pipe.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(socket) => socket.write(bytes),
            Self::Stream(pipe) => pipe.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write_vectored(slices),
            Self::Tls(socket) => socket.write_vectored(slices),
            Self::Stream(pipe) => pipe.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(socket) => socket.flush(),
            Self::Stream(pipe) => pipe.flush(),
        }
    }
}

impl Transport for Socket {
    fn opened(&mut self) -> bool {
        match self {
            // It was registered a moment ago: what came before that is announced.
            Self::Plain(_) => false,
            Self::Tls(_) => true,
            Self::Stream(pipe) => pipe.opened(),
        }
    }

    #[cfg(target_os = "linux")]
    fn keep_unsent(&mut self, bytes_max: u32) {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(socket) => &socket.tcp,
            // What a stream may have unsent is small anyway.
            Self::Stream(_) => return,
        };
        // Without it, only more is out of reach.
        let _ = SockRef::from(tcp).set_tcp_notsent_lowat(bytes_max);
    }

    fn shutdown(&mut self) {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(socket) => {
                socket.tls.send_close_notify();
                // What cannot leave now never will: this is a farewell, not a message.
                let _ = socket.push();
                &socket.tcp
            }
            Self::Stream(pipe) => return pipe.shutdown(),
        };
        let _ = tcp.shutdown(Shutdown::Write);
    }
}
