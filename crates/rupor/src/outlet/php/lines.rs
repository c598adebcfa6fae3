//! Lines that the site writes to the handlers themselves (`php.lines`). They go to the first worker, in their order; what it
//! replies goes back to the writer.
//!
//! A writer whose lines find no room is not read meanwhile, so nothing is lost but at the end of the program.

use super::wire::EventKind;
use super::{Order, Php};
use crate::inlet::lines::Acceptor;
use crate::inlet::listener::{Inlet, Listener};
use crate::outlet::limits::Full;
use crate::system::UnixListener;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;
use tracing::Instrument as _;

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Writers at a time; at it new ones wait in the listen backlog.
const WRITERS_MAX: usize = 1024;
/// Replies that wait for a writer to read.
const REPLIES_MAX: usize = 1024;
/// How long replies are waited for after the last line.
const REPLY_MAX: Duration = Duration::from_secs(1);
/// How long a line waits before it is tried again.
const FULL_WAIT: Duration = Duration::from_millis(10);
/// How long is waited after an accept that failed: without descriptors it would fail in a loop.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);
/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// Those who write lines.
#[derive(Debug, Default)]
pub(super) struct Writers {
    last: AtomicU64,
    replies: Mutex<HashMap<u64, mpsc::Sender<Vec<u8>>>>,
}

impl Writers {
    fn replies(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<Vec<u8>>>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self) -> (u64, mpsc::Receiver<Vec<u8>>) {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = mpsc::channel(REPLIES_MAX);
        self.replies().insert(number, sender);
        (number, receiver)
    }

    fn leave(&self, number: u64) {
        self.replies().remove(&number);
    }

    /// Replies to a writer. False: it does not read what it has already. One that is gone makes it void.
    pub(super) fn reply(&self, number: u64, line: &[u8]) -> bool {
        let sender = self.replies().get(&number).cloned();
        let line = [line, b"\n"].concat();
        sender.is_none_or(|sender| {
            !matches!(
                sender.try_send(line),
                Err(mpsc::error::TrySendError::Full(_))
            )
        })
    }
}

/// Accepts writers until the processes are to end.
pub(super) async fn serve(inlet: Inlet, php: Arc<Php>, mut order: watch::Receiver<Order>) {
    let accepting = async {
        let failed = match inlet.listener {
            Listener::Tcp(listener) => match TcpListener::from_std(listener) {
                Ok(listener) => return accept(listener, php).await,
                Err(error) => error,
            },
            Listener::Unix(listener, file) => match UnixListener::from_std(listener) {
                Ok(listener) => return accept((listener, file), php).await,
                Err(error) => error,
            },
        };
        tracing::error!(error = %failed, "lines for the handlers are not taken");
    };
    tokio::select! {
        () = accepting => {}
        _ = order.wait_for(|order| order.stop) => {}
    }
}

async fn accept<A: Acceptor>(acceptor: A, php: Arc<Php>)
where
    A::Stream: AsyncRead + AsyncWrite + Unpin,
{
    let places = Arc::new(Semaphore::new(WRITERS_MAX));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match acceptor.accept().await {
            Ok(stream) => {
                let php = Arc::clone(&php);
                let served = async move {
                    one_writer(&php, stream).await;
                    drop(place);
                };
                tokio::spawn(served.in_current_span());
            }
            Err(error) => {
                tracing::warn!(%error, "a writer of lines for the handlers is not accepted");
                sleep(ACCEPT_WAIT).await;
            }
        }
    }
}

/// Serves one writer to its end.
async fn one_writer(php: &Php, stream: impl AsyncRead + AsyncWrite) {
    let (number, mut replies) = php.writers.join();
    let (reader, mut writer) = split(stream);
    let lines = async {
        read_lines(php, number, reader).await;
        sleep(REPLY_MAX).await;
    };
    let answers = async {
        while let Some(line) = replies.recv().await {
            if writer.write_all(&line).await.is_err() {
                break;
            }
        }
        // It does not read any more, but its lines still count.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = lines => {}
        () = answers => {}
    }
    php.writers.leave(number);
}

/// Hands lines to the first worker; an empty one is none.
async fn read_lines(php: &Php, number: u64, mut reader: impl AsyncRead + Unpin) {
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(READ_BYTES);
        let from = bytes.len();
        let ended = !matches!(reader.read_buf(&mut bytes).await, Ok(1..));
        if ended && !bytes.is_empty() {
            bytes.push(b'\n');
        }
        let mut begin = 0;
        while let Some(end) =
            memchr::memchr(b'\n', bytes.get(from.max(begin)..).unwrap_or_default())
        {
            let end = from.max(begin) + end;
            let line = bytes.get(begin..end).unwrap_or_default();
            hand_over(php, number, line.strip_suffix(b"\r").unwrap_or(line)).await;
            begin = end + 1;
        }
        bytes.drain(..begin);
        if ended {
            return;
        }
        if bytes.len() > LINE_BYTES_MAX {
            return tracing::warn!(
                "a line for the handlers is longer than {LINE_BYTES_MAX} bytes: its writer is cut off"
            );
        }
    }
}

async fn hand_over(php: &Php, number: u64, line: &[u8]) {
    let Some(worker) = php.workers.first().filter(|_| !line.is_empty()) else {
        return;
    };
    while worker.change(|queue| queue.push(EventKind::Line, number, line)) == Err(Full) {
        sleep(FULL_WAIT).await;
    }
}
