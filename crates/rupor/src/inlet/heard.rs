//! What is heard from a server that keeps nothing for us: messages of Redis, notifications of PostgreSQL.
//!
//! Who hears puts what comes into a bounded queue at once ([`Heard`]); another task publishes out of it, in order, and waits
//! for workers that have too much to do ([`Waiting`]). The queue is there because those servers cut off, or stop for
//! everybody, when one reads slowly; here only what has no room in [`QUEUE_BYTES_MAX`] is lost, and is counted.
//!
//! Invariant: what is no publication is counted and logged, the log at most once a second.

mod stats;

pub(crate) use stats::{Counts, Stats};

use super::quiet::Quiet;
use super::request;
use crate::gateway::{Gateway, Publish, patience};
use stats::Outcome;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Most bytes of messages that wait to be published; one over it is dropped.
const QUEUE_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// What a message costs in the queue beside its bytes: so an empty one is not free.
const MESSAGE_COST: usize = 256;

/// What a message comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// This.
    Publication(Publish),
    /// It came another way, too, and counts there.
    HeardElsewhere,
    /// Nothing; why.
    Wrong(String),
}

/// A message that is a publish object.
pub(super) fn object(payload: &[u8]) -> Meaning {
    match request::publish(payload).outcome {
        Ok(publication) => Meaning::Publication(publication),
        Err(error) => Meaning::Wrong(error.to_string()),
    }
}

/// A message and its place in the queue.
type Queued = (Publish, OwnedSemaphorePermit);

/// Where what is heard goes.
#[derive(Debug)]
pub(super) struct Heard {
    /// Who sends it, for the log.
    source: &'static str,
    /// Longest message, in bytes.
    bytes_max: usize,
    stats: Arc<Stats>,
    /// Bytes that there is room for in the queue.
    room: Arc<Semaphore>,
    /// Bounded by the permits that each message holds.
    queue: mpsc::UnboundedSender<Queued>,
    log: Quiet,
}

/// What was heard and waits to be published.
#[derive(Debug)]
struct Waiting {
    source: &'static str,
    stats: Arc<Stats>,
    queue: mpsc::UnboundedReceiver<Queued>,
}

/// Publishes what is heard until `stop` becomes true (or its sender is gone), and then what had come by then. `hear` puts it
/// into the queue, and does not end by itself.
pub(super) async fn serve<F: Future<Output = ()>>(
    source: &'static str,
    bytes_max: usize,
    stats: &Arc<Stats>,
    gateway: &Gateway,
    mut stop: watch::Receiver<bool>,
    hear: impl FnOnce(Heard) -> F,
) {
    let (heard, waiting) = queue(source, bytes_max, stats);
    let hearing = async {
        tokio::select! {
            () = hear(heard) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        stats.connected(false);
        // With `hear` the queue's sender is gone, which ends the publishing when the queue is empty.
    };
    tokio::join!(hearing, waiting.publish(gateway));
}

/// Both ends of a queue for messages of at most `bytes_max` bytes.
fn queue(source: &'static str, bytes_max: usize, stats: &Arc<Stats>) -> (Heard, Waiting) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let heard = Heard {
        source,
        bytes_max,
        stats: Arc::clone(stats),
        room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX as usize)),
        queue: sender,
        log: Quiet::default(),
    };
    let waiting = Waiting {
        source,
        stats: Arc::clone(stats),
        queue: receiver,
    };
    (heard, waiting)
}

impl Heard {
    /// Puts one message into the queue; `read` says what it comes to.
    pub(super) fn take(&mut self, payload: &[u8], read: impl FnOnce(&[u8]) -> Meaning) {
        if payload.len() > self.bytes_max {
            let (length, limit) = (payload.len(), self.bytes_max);
            let error = format!("{length} bytes, over limits.publish_bytes_max of {limit}");
            return self.refuse(Outcome::TooLong, &error);
        }
        let publication = match read(payload) {
            Meaning::Publication(publication) => publication,
            Meaning::HeardElsewhere => return,
            Meaning::Wrong(error) => return self.refuse(Outcome::Wrong, &error),
        };
        // One that is longer than all the room never fits.
        let room = u32::try_from(payload.len().saturating_add(MESSAGE_COST))
            .ok()
            .and_then(|cost| Arc::clone(&self.room).try_acquire_many_owned(cost).ok());
        let Some(room) = room else {
            let error = "too many messages wait, because workers have too much to do";
            return self.refuse(Outcome::Dropped, error);
        };
        // Nobody takes it when the program ends.
        let _ = self.queue.send((publication, room));
    }

    fn refuse(&mut self, outcome: Outcome, error: &str) {
        self.stats.count(outcome);
        self.log.not_published(self.source, &error);
    }
}

impl Waiting {
    /// Publishes what waits, until nobody hears any more and the queue is empty.
    async fn publish(mut self, gateway: &Gateway) {
        let mut log = Quiet::default();
        while let Some((publication, _room)) = self.queue.recv().await {
            match patience::publish(gateway, publication).await {
                Ok(()) => self.stats.count(Outcome::Published),
                Err(error) => {
                    self.stats.count(Outcome::Refused);
                    log.not_published(self.source, &error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
