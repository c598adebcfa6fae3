//! What a connection of lines needs of its socket, TCP or Unix.

use crate::inlet::listener::SocketFile;
use crate::system::{UnixListener, UnixStream};
use socket2::SockRef;
use std::io::{self, Read as _};
use std::net::Shutdown;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

/// A connected socket that does not block.
pub(crate) trait Stream: Send + Sync + 'static {
    /// Waits until it is ready for what is asked.
    fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<()>> + Send;

    /// Reads what is there, up to the buffer's spare capacity.
    fn try_read_buf(&self, buffer: &mut Vec<u8>) -> io::Result<usize>;

    /// Writes as much as there is room for.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// The socket itself.
    fn socket(&self) -> SockRef<'_>;

    /// Acknowledges what was read now and not when it is convenient. Only for speed of the peer: may fail.
    fn acknowledge(&self);

    /// Asks the system whether there is something to read, which may know more than the runtime has heard of.
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.socket()).read(buffer)
    }

    /// Says that nothing more will be written.
    fn end_writing(&self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }
}

impl Stream for TcpStream {
    async fn ready(&self, interest: Interest) -> io::Result<()> {
        TcpStream::ready(self, interest).await.map(|_| ())
    }

    fn try_read_buf(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        TcpStream::try_read_buf(self, buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, bytes)
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }

    fn acknowledge(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = self.socket().set_tcp_quickack(true);
    }
}

#[cfg(unix)]
impl Stream for UnixStream {
    async fn ready(&self, interest: Interest) -> io::Result<()> {
        UnixStream::ready(self, interest).await.map(|_| ())
    }

    fn try_read_buf(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        UnixStream::try_read_buf(self, buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        UnixStream::try_write(self, bytes)
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }

    fn acknowledge(&self) {}
}

/// A listening socket.
pub(crate) trait Acceptor: Send + Sync + 'static {
    /// What it accepts.
    type Stream: Stream;

    /// The next connection. May be given up and asked again without losing one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The next one of those who wait already, asked of the system itself, which may know more than the runtime has
    /// heard of.
    ///
    /// # Errors
    /// Nobody waits (`WouldBlock`), or the system's error.
    fn accept_now(&self) -> io::Result<Self::Stream>;
}

impl Acceptor for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Answers are written in whole batches: waiting for more to send would only be late.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn accept_now(&self) -> io::Result<TcpStream> {
        let (socket, _) = SockRef::from(self).accept()?;
        socket.set_nonblocking(true)?;
        TcpStream::from_std(socket.into())
    }
}

/// The file is removed when nobody is accepted on it any more.
impl Acceptor for (UnixListener, SocketFile) {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.0.accept().await?;
        Ok(stream)
    }

    fn accept_now(&self) -> io::Result<UnixStream> {
        let (socket, _) = SockRef::from(&self.0).accept()?;
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket.into())
    }
}
