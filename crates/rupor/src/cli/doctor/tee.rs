//! A stream that keeps a copy of the first bytes that come: the head of an answer, which a client does not give out.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are kept.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// What came first, to be looked at later.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// The header of that name, of the first answer.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        let (head, _) = text.split_once("\r\n\r\n")?;
        let headers = head.lines().filter_map(|line| line.split_once(':'));
        let mut found = headers.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned())
    }
}

/// A stream and a copy of what comes.
#[derive(Debug)]
pub(super) struct Tee<S> {
    stream: S,
    kept: Kept,
}

impl<S> Tee<S> {
    pub(super) fn new(stream: S, kept: Kept) -> Self {
        Self { stream, kept }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tee<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        self.kept
            .keep(into.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tee<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_kept_and_no_more() {
        let kept = Kept::default();
        kept.keep(b"HTTP/1.1 101 \r\nRupor-Probe:  a=b \r\n\r\nrupor-probe: c");
        kept.keep(&vec![b'x'; KEPT_BYTES_MAX]);
        kept.keep(b"x");
        assert_eq!(kept.0.lock().unwrap().len(), KEPT_BYTES_MAX);
        assert_eq!(kept.header("rupor-probe").as_deref(), Some("a=b"));
        assert_eq!(kept.header("date"), None);
    }
}
