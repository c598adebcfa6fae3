//! Messages of a Redis: publish objects on channels of its own, and what Laravel broadcasts.
//!
//! One task holds the subscription and puts what comes into a bounded queue; one publishes out of it, in order, and waits
//! for workers that have too much to do. The queue is there because Redis cuts off whoever reads slowly, and with that
//! everything is lost; here it is what has no room in [`QUEUE_BYTES_MAX`], and is counted.
//!
//! Invariants:
//! - Redis keeps nothing for who is away: what is published while there is no connection is lost, and the log says so;
//! - what a message says that is no publication is counted and logged, the log at most once a [`LOG_INTERVAL`];
//! - no password reaches the log: of the URL only the address is shown.
//!
//! What a message says: `message`. What is counted: `stats`. Start at [`serve`].

mod message;
mod stats;

pub(crate) use stats::{Counts, Stats};

use crate::config::RedisConfig;
use crate::gateway::{Gateway, Publish, patience};
use ::redis::{Client, Msg, RedisError, aio::PubSubSink, aio::PubSubStream};
use futures_util::StreamExt as _;
use message::Meaning;
use stats::Outcome;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// Most bytes of messages that wait to be published; one over it is dropped.
const QUEUE_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// What a message costs in the queue beside its bytes: so an empty one is not free.
const MESSAGE_COST: usize = 256;
/// The first and the longest wait before Redis is tried again; they double.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long connecting and subscribing, or an answer to a ping, may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How often a connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// At most so often a message that was not published is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// A message and its place in the queue.
type Queued = (Publish, OwnedSemaphorePermit);

/// Publishes what comes from a Redis until `stop` becomes true (or its sender is gone), and then what had come by then.
pub(crate) async fn serve(
    client: Client,
    config: RedisConfig,
    gateway: Arc<Gateway>,
    bytes_max: usize,
    stats: Arc<Stats>,
    mut stop: watch::Receiver<bool>,
) {
    // Bounded by the permits that each message holds.
    let (queue, waiting) = mpsc::unbounded_channel();
    let mut inlet = Inlet {
        client,
        config,
        bytes_max,
        stats: Arc::clone(&stats),
        room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX as usize)),
        queue,
        log: Quiet::default(),
    };
    let hear = async move {
        tokio::select! {
            () = inlet.run() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        inlet.stats.connected(false);
        // With the inlet the queue's sender goes, which ends the publishing when the queue is empty.
    };
    tokio::join!(hear, publish(waiting, &gateway, &stats));
}

async fn publish(mut waiting: mpsc::UnboundedReceiver<Queued>, gateway: &Gateway, stats: &Stats) {
    let mut log = Quiet::default();
    while let Some((publication, _room)) = waiting.recv().await {
        match patience::publish(gateway, publication).await {
            Ok(()) => stats.count(Outcome::Published),
            Err(error) => {
                stats.count(Outcome::Refused);
                log.warn(&error);
            }
        }
    }
}

/// Logs what went wrong with messages, but not each.
#[derive(Debug, Default)]
struct Quiet {
    last: Option<Instant>,
    unsaid: u64,
}

impl Quiet {
    fn warn(&mut self, error: &dyn std::fmt::Display) {
        if self.last.is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            self.unsaid += 1;
            return;
        }
        self.last = Some(Instant::now());
        let unsaid = std::mem::take(&mut self.unsaid);
        warn!(%error, unsaid, "a message from Redis was not published");
    }
}

struct Inlet {
    client: Client,
    config: RedisConfig,
    /// Longest message, in bytes.
    bytes_max: usize,
    stats: Arc<Stats>,
    /// Bytes that there is room for in the queue.
    room: Arc<Semaphore>,
    queue: mpsc::UnboundedSender<Queued>,
    log: Quiet,
}

impl Inlet {
    /// Subscribes, again and again. Does not end.
    async fn run(&mut self) {
        let address = self.client.get_connection_info().addr().to_string();
        let mut wait = WAITS.0;
        let mut is_told = false;
        loop {
            match self.subscribe().await {
                Ok((sink, stream)) => {
                    info!(%address, "subscribed to Redis");
                    self.stats.connected(true);
                    let since = Instant::now();
                    self.hear(sink, stream).await;
                    self.stats.connected(false);
                    self.stats.lost();
                    warn!(
                        %address,
                        "the connection to Redis is lost, and is tried again; what is published meanwhile is lost: Redis does not keep it"
                    );
                    is_told = true;
                    // One that is cut off again and again, because it reads too slowly, has to wait, too.
                    if since.elapsed() > WAITS.1 {
                        wait = WAITS.0;
                    }
                }
                Err(error) => {
                    // Once, not every five seconds: what is told stays true until the line that it is subscribed to.
                    if !is_told {
                        warn!(%address, %error, "Redis cannot be subscribed to, and is tried again");
                        is_told = true;
                    }
                }
            }
            sleep(wait).await;
            wait = (wait * 2).min(WAITS.1);
        }
    }

    async fn subscribe(&self) -> Result<(PubSubSink, PubSubStream), RedisError> {
        let subscribe = async {
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            if !self.config.channels.is_empty() {
                sink.subscribe(&self.config.channels).await?;
            }
            if let Some(prefix) = &self.config.laravel_prefix {
                sink.psubscribe(message::pattern(prefix)).await?;
            }
            Ok((sink, stream))
        };
        let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        timeout(ANSWER_MAX, subscribe).await.map_err(|_| late())?
    }

    /// Takes in what comes, until the connection is lost.
    async fn hear(&mut self, sink: PubSubSink, mut stream: PubSubStream) {
        let mut silent = pin!(until_silent(sink));
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => self.take(&message),
                    None => return,
                },
                () = &mut silent => return,
            }
        }
    }

    /// Puts one message into the queue.
    fn take(&mut self, message: &Msg) {
        let payload = message.get_payload_bytes();
        let cost = payload.len().saturating_add(MESSAGE_COST);
        if payload.len() > self.bytes_max {
            self.stats.count(Outcome::TooLong);
            let limit = self.bytes_max;
            let length = payload.len();
            let error = format!("{length} bytes, over limits.publish_bytes_max of {limit}");
            return self.log.warn(&error);
        }
        let meaning = if message.from_pattern() {
            message::laravel(&self.config, message.get_channel_name(), payload)
        } else {
            message::own(payload)
        };
        let publication = match meaning {
            Meaning::Publication(publication) => publication,
            Meaning::HeardElsewhere => return,
            Meaning::Wrong(error) => {
                self.stats.count(Outcome::Wrong);
                return self.log.warn(&error);
            }
        };
        // One that is longer than all the room never fits.
        let room = u32::try_from(cost)
            .ok()
            .and_then(|cost| Arc::clone(&self.room).try_acquire_many_owned(cost).ok());
        let Some(room) = room else {
            self.stats.count(Outcome::Dropped);
            let error = "too many messages wait, because workers have too much to do";
            return self.log.warn(&error);
        };
        // The receiver is there for as long as the sender.
        let _ = self.queue.send((publication, room));
    }
}

/// Asks now and then whether Redis is still there; ends when it does not answer.
async fn until_silent(mut sink: PubSubSink) {
    loop {
        sleep(PING_INTERVAL).await;
        let ping = sink.ping::<::redis::Value>();
        if !matches!(timeout(ANSWER_MAX, ping).await, Ok(Ok(_))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
