//! The byte stream of a connection on the opening side, with TLS or without, and its way to a
//! worker.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::tls::HTTP2;
use crate::worker::Socket;

/// Bytes that one read takes at most, on the stack: who waits for a request holds no buffer.
pub(super) const READ_BYTES: usize = 1024;

/// An accepted connection, its TLS handshake done.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether ALPN chose HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(HTTP2),
        }
    }

    /// What has arrived already, at most so many bytes, without waiting for the poller to say so.
    /// Nothing with TLS, which has to be asked another way.
    pub(super) fn read_now(&self, bytes_max: usize) -> Vec<u8> {
        let Self::Plain(tcp) = self else {
            return Vec::new();
        };
        let mut buffer = [0; READ_BYTES];
        let room = buffer.get_mut(..bytes_max.min(READ_BYTES));
        let room = room.unwrap_or_default();
        // An end or an error shows again when it is waited for.
        let count = (&*SockRef::from(tcp)).read(room).unwrap_or(0);
        room.get(..count).unwrap_or_default().to_vec()
    }

    /// Takes the socket out of the opening side's poller, and out of tokio's TLS.
    pub(crate) fn into_socket(self) -> io::Result<Socket> {
        let to_mio = |tcp: TcpStream| tcp.into_std().map(mio::net::TcpStream::from_std);
        match self {
            Self::Plain(tcp) => Ok(Socket::Plain(to_mio(tcp)?)),
            Self::Tls(stream) => {
                let (tcp, tls) = stream.into_inner();
                Ok(Socket::tls(to_mio(tcp)?, tls))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
