//! A stream to php-fpm: a request is written at once when it is whole, an answer is read in large pieces, and how much of it is
//! bounded. The FastCGI client writes and reads each part of a record by itself, which would be a dozen system calls more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// What waits for the flush is written earlier when it is longer than this, in bytes.
const UNSENT_BYTES: usize = 64 * 1024;

/// The connection itself.
#[derive(Debug)]
pub(super) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    fn read(&mut self) -> Pin<&mut (dyn AsyncRead + Send + Unpin)> {
        match self {
            Self::Unix(stream) => Pin::new(stream),
            Self::Tcp(stream) => Pin::new(stream),
        }
    }

    fn write(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match self {
            Self::Unix(stream) => Pin::new(stream),
            Self::Tcp(stream) => Pin::new(stream),
        }
    }
}

/// What is known of a stream from outside.
#[derive(Debug)]
pub(super) struct Seen {
    /// Most bytes of one answer.
    answer_bytes_max: usize,
    /// How many of them may still be read.
    left: AtomicUsize,
    /// Bytes that came and that nobody has read.
    unread: AtomicUsize,
}

impl Seen {
    /// What is read from now on is an answer.
    pub(super) fn begin(&self) {
        self.left.store(self.answer_bytes_max, Ordering::Relaxed);
    }

    /// Whether nothing of the answer was read.
    pub(super) fn has_nothing(&self) -> bool {
        self.left.load(Ordering::Relaxed) == self.answer_bytes_max
    }

    /// Whether more came than was read.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed) > 0
    }
}

/// The stream, as the FastCGI client has it.
#[derive(Debug)]
pub(super) struct Stream {
    connection: Connection,
    seen: Arc<Seen>,
    /// What came; up to `read` it was read.
    came: Vec<u8>,
    read: usize,
    /// What waits; up to `sent` it is written.
    unsent: Vec<u8>,
    sent: usize,
}

impl Stream {
    /// A stream of which nothing may be read before an answer [begins](Seen::begin).
    pub(super) fn new(connection: Connection, answer_bytes_max: usize) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen {
            answer_bytes_max,
            left: AtomicUsize::new(0),
            unread: AtomicUsize::new(0),
        });
        let stream = Self {
            connection,
            seen: Arc::clone(&seen),
            came: Vec::with_capacity(READ_BYTES),
            read: 0,
            unsent: Vec::new(),
            sent: 0,
        };
        (stream, seen)
    }

    /// Waits for bytes, unless there are some.
    fn poll_come(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.read < self.came.len() {
            return Poll::Ready(Ok(()));
        }
        self.read = 0;
        self.came.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut self.came);
        let polled = self.connection.read().poll_read(context, &mut buffer);
        let came = buffer.filled().len();
        self.came.truncate(came);
        polled
    }

    /// Writes what waits.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(self.connection.write().poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        self.sent = 0;
        self.unsent.clear();
        self.unsent.shrink_to(UNSENT_BYTES);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_come(context))?;
        let came = self.came.get(self.read..).unwrap_or_default();
        let taken = came.get(..buffer.remaining()).unwrap_or(came);
        let left = self.seen.left.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(taken.len()) else {
            let most = self.seen.answer_bytes_max;
            let error = format!("the answer is longer than {most} bytes");
            return Poll::Ready(Err(io::Error::other(error)));
        };
        buffer.put_slice(taken);
        let (taken, rest) = (taken.len(), came.len() - taken.len());
        self.seen.left.store(left, Ordering::Relaxed);
        self.seen.unread.store(rest, Ordering::Relaxed);
        self.read += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.unsent.len() > UNSENT_BYTES {
            ready!(self.poll_send(context))?;
        }
        let room = UNSENT_BYTES.min(bytes.len());
        self.unsent
            .extend_from_slice(bytes.get(..room).unwrap_or_default());
        Poll::Ready(Ok(room))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        self.connection.write().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        self.connection.write().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{Connection, READ_BYTES, Seen, Stream, UNSENT_BYTES};
    use futures_util::FutureExt as _;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    fn pair(answer_bytes_max: usize) -> (Stream, Arc<Seen>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (stream, seen) = Stream::new(Connection::Unix(ours), answer_bytes_max);
        (stream, seen, theirs)
    }

    #[tokio::test]
    async fn what_is_written_in_pieces_is_sent_whole_at_the_flush() {
        let (mut stream, _, mut theirs) = pair(0);
        stream.write_all(b"one").await.unwrap();
        stream.write_all(b"two").await.unwrap();
        let mut came = [0; 16];
        assert!(
            theirs.read(&mut came).now_or_never().is_none(),
            "nothing is sent before"
        );
        stream.flush().await.unwrap();
        assert_eq!(theirs.read(&mut came).await.unwrap(), 6);
        assert_eq!(&came[..6], b"onetwo");
    }

    #[tokio::test]
    async fn a_long_request_is_sent_while_it_is_written_and_arrives_whole() {
        let (mut stream, _, mut theirs) = pair(0);
        let long: Vec<u8> = (0..251).cycle().take(10 * UNSENT_BYTES).collect();
        let write = async {
            stream.write_all(&long).await.unwrap();
            assert!(stream.unsent.len() <= 2 * UNSENT_BYTES);
            stream.flush().await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let mut came = Vec::new();
        let (_, read) = tokio::join!(write, theirs.read_to_end(&mut came));
        read.unwrap();
        assert!(came == long);
    }

    #[tokio::test]
    async fn no_more_is_read_than_was_allowed_and_what_is_left_over_is_seen() {
        let (mut stream, seen, mut theirs) = pair(6);
        seen.begin();
        theirs.write_all(b"answer and more").await.unwrap();
        let mut some = [0; 6];
        stream.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"answer");
        assert!(seen.has_unread() && !seen.has_nothing());
        let error = stream.read_exact(&mut some[..1]).await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is longer than 6 bytes");
        seen.begin();
        assert!(seen.has_nothing());
        stream.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b" and m");
        seen.begin();
        stream.read_exact(&mut some[..3]).await.unwrap();
        assert!(!seen.has_unread());
        // The end is an end.
        drop(theirs);
        assert_eq!(stream.read(&mut some).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_long_answer_comes_in_pieces() {
        let (mut stream, seen, mut theirs) = pair(5 * READ_BYTES + 7);
        let long: Vec<u8> = (0..253).cycle().take(5 * READ_BYTES + 7).collect();
        seen.begin();
        let mut came = vec![0; long.len()];
        let (written, read) = tokio::join!(theirs.write_all(&long), stream.read_exact(&mut came));
        written.unwrap();
        read.unwrap();
        assert!(came == long);
        theirs.write_all(b"x").await.unwrap();
        stream.read_exact(&mut came[..1]).await.unwrap_err();
    }
}
