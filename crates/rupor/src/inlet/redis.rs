//! Messages of a Redis: publish objects on channels of its own, and what Laravel broadcasts.
//!
//! One task holds the subscription and [hears](super::heard); another publishes.
//!
//! Invariants:
//! - Redis keeps nothing for who is away: what is published while there is no connection is lost, and the log says so;
//! - no password reaches the log: of the URL only the address is shown.
//!
//! What a message says: `message`. Start at [`serve`].

mod message;

use super::backoff::Backoff;
use super::heard::{self, Heard, Stats};
use crate::config::RedisConfig;
use crate::gateway::Gateway;
use ::redis::{Client, Msg, RedisError, aio::PubSubSink, aio::PubSubStream};
use futures_util::StreamExt as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// How long connecting and subscribing, or an answer to a ping, may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How often a connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Publishes what comes from a Redis until `stop` becomes true (or its sender is gone), and then what had come by then.
pub(crate) async fn serve(
    client: Client,
    config: RedisConfig,
    gateway: Arc<Gateway>,
    bytes_max: usize,
    stats: Arc<Stats>,
    stop: watch::Receiver<bool>,
) {
    let inlet_stats = Arc::clone(&stats);
    let hear = |heard| async move {
        let mut inlet = Inlet {
            client,
            config,
            stats: inlet_stats,
            heard,
        };
        inlet.run().await;
    };
    heard::serve("Redis", bytes_max, &stats, &gateway, stop, hear).await;
}

struct Inlet {
    client: Client,
    config: RedisConfig,
    stats: Arc<Stats>,
    heard: Heard,
}

impl Inlet {
    /// Subscribes, again and again. Does not end.
    async fn run(&mut self) {
        let address = self.client.get_connection_info().addr().to_string();
        let mut backoff = Backoff::new();
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
                    backoff.lost(since.elapsed());
                }
                Err(error) if backoff.is_news() => {
                    warn!(%address, %error, "Redis cannot be subscribed to, and is tried again");
                }
                Err(_) => {}
            }
            sleep(backoff.next()).await;
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

    fn take(&mut self, message: &Msg) {
        let channel = message.get_channel_name();
        self.heard.take(message.get_payload_bytes(), |payload| {
            if message.from_pattern() {
                message::laravel(&self.config, channel, payload)
            } else {
                heard::object(payload)
            }
        });
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
