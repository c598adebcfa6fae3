//! Who is accepted, and how serving ends.

use super::connection::Connection;
use super::stats::Stats;
use super::stream::{Acceptor, Stream};
use super::{Publisher, Shared};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

/// The first and the longest wait after an accept that failed; they double. Without descriptors it would fail in a loop.
const ACCEPT_WAITS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Failing accepts are logged at most this often.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How long connections may take to end after the stop.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// Accepts on one inlet.
#[derive(Debug)]
pub(super) struct Accept<P> {
    shared: Arc<Shared<P>>,
    permits: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    connections: JoinSet<()>,
}

impl<P: Publisher> Accept<P> {
    pub(super) fn new(
        shared: Arc<Shared<P>>,
        permits: Arc<Semaphore>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            shared,
            permits,
            stop,
            connections: JoinSet::new(),
        }
    }

    /// Accepts until the stop, and returns when every connection has ended.
    pub(super) async fn run<A: Acceptor>(mut self, acceptor: A) {
        self.until_stop(&acceptor).await;
        // Who has connected by now has perhaps written and closed already. There are at most as many as wait in the
        // listen backlog.
        while let Ok(stream) = acceptor.accept_now() {
            self.spawn(stream, None);
        }
        drop(acceptor);
        let ended = async { while self.connections.join_next().await.is_some() {} };
        if timeout(END_DEADLINE, ended).await.is_err() {
            warn!("line inlet connections were torn down: they did not end in time");
        }
    }

    async fn until_stop<A: Acceptor>(&mut self, acceptor: &A) {
        let mut stop = self.stop.clone();
        let stopped = async move {
            // An error says that nobody is left to stop us: the same.
            let _ = stop.wait_for(|stopped| *stopped).await;
        };
        let mut stopped = std::pin::pin!(stopped);
        let mut failures = Failures::default();
        loop {
            let accepting = async {
                // A place first: whoever cannot be served waits in the backlog, where nothing of his is lost.
                let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
                (acceptor.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                biased;
                () = &mut stopped => return,
                Some(_) = self.connections.join_next(), if !self.connections.is_empty() => continue,
                accepted = accepting => accepted,
            };
            match accepted {
                Ok(stream) => {
                    failures = Failures::default();
                    self.spawn(stream, permit);
                }
                Err(error) => {
                    drop(permit);
                    let wait = failures.next(&error);
                    tokio::select! {
                        () = &mut stopped => return,
                        () = sleep(wait) => {}
                    }
                }
            }
        }
    }

    fn spawn<S: Stream>(&mut self, stream: S, permit: Option<OwnedSemaphorePermit>) {
        let counted = Counted::new(&self.shared.stats);
        let connection = Connection::new(stream, Arc::clone(&self.shared), self.stop.clone());
        self.connections.spawn(async move {
            connection.run().await;
            drop((counted, permit));
        });
    }
}

/// Counts a connection as open as long as it lives, however it ends.
#[derive(Debug)]
struct Counted(Arc<Stats>);

impl Counted {
    fn new(stats: &Arc<Stats>) -> Self {
        stats.opened();
        Self(Arc::clone(stats))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// Accepts that failed in a row.
#[derive(Debug, Default)]
struct Failures {
    wait: Duration,
    logged: Option<Instant>,
}

impl Failures {
    /// How long to wait now.
    fn next(&mut self, error: &io::Error) -> Duration {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            debug!("a writer went away before it was accepted");
            return Duration::ZERO;
        }
        let (first, longest) = ACCEPT_WAITS;
        self.wait = (self.wait * 2).clamp(first, longest);
        let now = Instant::now();
        if self
            .logged
            .is_none_or(|logged| now - logged >= ACCEPT_LOG_INTERVAL)
        {
            self.logged = Some(now);
            warn!(%error, "the line inlet cannot accept connections: trying again");
        }
        self.wait
    }
}
