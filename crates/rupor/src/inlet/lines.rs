//! Lines on TCP and on a Unix socket: `{"user":"tester01","message":"test"}` and a line end, nothing else needed.
//!
//! A connection is one task that goes round this loop: take in what there is, publish whole batches, and only when
//! nothing more is there write the answers. Reading comes first because of writers that close without reading: an answer
//! that arrives at a closed socket makes the writer's system reset the connection. For the same reason every read is
//! acknowledged at once (`TCP_QUICKACK`): otherwise the writer's system may hold a small second line back until the first
//! is acknowledged (Nagle), and throw it away when the writer closes with an answer unread.
//!
//! Invariants:
//! - every line that was received is published, in order, whatever becomes of its answer;
//! - a line that cannot be published at once because a worker has too much to do is tried again for
//!   [`OVERLOAD_WAIT_MAX`](crate::gateway::patience::OVERLOAD_WAIT_MAX) and meanwhile nothing more is read: the writer is slowed down;
//! - memory of a connection is at most a read buffer, a line, one batch's publications and the answers' bound; an idle
//!   one holds none of them;
//! - above the limit of connections nobody is accepted, so who closed already still waits with its lines.
//!
//! How answers meet a writer that does not read: `answers`. What is cut off as no lines at all: `framing`. Who is accepted
//! and how it ends: `accept`. The loop: `connection`.
//!
//! Start at [`serve`].

mod accept;
mod answers;
mod connection;
mod exchange;
mod framing;
mod kept;
mod stats;
mod stream;

pub(crate) use answers::Limits as AnswerLimits;
pub(crate) use stats::{Counts, Stats};
pub(crate) use stream::Acceptor;

use super::listener::{Inlet, Listener};
use crate::gateway::patience::Patience;
use crate::gateway::{Gateway, Publish, PublishError, Receipt};
use crate::system::UnixListener;
use accept::Accept;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Bounds of the line inlets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Longest line without its end, in bytes.
    pub(crate) line_bytes_max: usize,
    /// Connections at a time, over all inlets.
    pub(crate) connections_max: usize,
    /// Answers that wait.
    pub(crate) answers: AnswerLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes_max: 1024 * 1024,
            connections_max: 1024,
            answers: AnswerLimits::default(),
        }
    }
}

/// Who publications go to.
pub(crate) trait Publisher: Send + Sync + 'static {
    /// Publishes a batch in its order; each result stands at its publication's place.
    fn publish(
        &self,
        batch: &[Publish],
    ) -> impl Future<Output = Vec<Result<Receipt, PublishError>>> + Send;
}

impl Publisher for Gateway {
    fn publish(
        &self,
        batch: &[Publish],
    ) -> impl Future<Output = Vec<Result<Receipt, PublishError>>> + Send {
        Gateway::publish(self, batch)
    }
}

/// Serves the inlets until `stop` becomes true (or its sender is gone). Then whoever has connected by then is heard to
/// the end of what has arrived, and socket files are removed.
///
/// # Errors
/// The runtime does not take a listener; nothing is served then.
pub(crate) async fn serve<P: Publisher>(
    inlets: Vec<Inlet>,
    publisher: Arc<P>,
    limits: Limits,
    stats: Arc<Stats>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(
        limits.connections_max.min(Semaphore::MAX_PERMITS),
    ));
    let shared = Arc::new(Shared {
        publisher,
        limits,
        stats,
    });
    let mut accepting = JoinSet::new();
    for inlet in inlets {
        let accept = Accept::new(Arc::clone(&shared), Arc::clone(&permits), stop.clone());
        match inlet.listener {
            Listener::Tcp(listener) => {
                accepting.spawn(accept.run(TcpListener::from_std(listener)?));
            }
            Listener::Unix(listener, file) => {
                accepting.spawn(accept.run((UnixListener::from_std(listener)?, file)));
            }
        }
    }
    while accepting.join_next().await.is_some() {}
    Ok(())
}

/// What all connections have in common.
#[derive(Debug)]
struct Shared<P> {
    publisher: Arc<P>,
    limits: Limits,
    stats: Arc<Stats>,
}

impl<P: Publisher> Shared<P> {
    /// Publishes a batch; what a worker has no room for now is tried again before it is given up.
    async fn publish(&self, batch: &[Publish]) -> Vec<Result<Receipt, PublishError>> {
        let is_overloaded = |receipt: &Result<_, _>| *receipt == Err(PublishError::Overloaded);
        let mut receipts = self.publisher.publish(batch).await;
        let mut patience = Patience::new();
        // The broker refuses everything behind the first that it has no room for, so the order stays.
        while let Some(first) = receipts.iter().position(is_overloaded)
            && patience.again().await
        {
            receipts.truncate(first);
            receipts.extend(self.publisher.publish(&batch[first..]).await);
        }
        receipts
    }
}

#[cfg(test)]
mod tests;
