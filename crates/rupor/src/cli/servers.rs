//! Inlets that are servers of the site's: Redis, PostgreSQL, the outbox.

use super::start::Failure;
use crate::config::{Config, OutboxConfig, PostgresConfig, RedisConfig};
use crate::gateway::Gateway;
use crate::inlet::{heard, http, outbox, postgres, redis};
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::error;

/// What is heard from whom.
pub(super) struct Servers {
    redis: Option<(::redis::Client, RedisConfig)>,
    postgres: Option<PostgresConfig>,
    outbox: Option<OutboxConfig>,
    bytes_max: usize,
    pub(super) redis_stats: Arc<heard::Stats>,
    pub(super) postgres_stats: Arc<heard::Stats>,
    pub(super) outbox_stats: Arc<outbox::Stats>,
}

/// The tasks, with what their inlets are called.
pub(super) struct ServersRunning(Vec<(&'static str, JoinHandle<()>)>);

impl Servers {
    /// What the configuration says.
    pub(super) fn new(config: &Config) -> Result<Self, Failure> {
        let client = |redis: &RedisConfig| {
            let url = String::from_utf8_lossy(redis.url.expose());
            // The configuration has checked it, so this is the second look; the error might show it.
            let client = ::redis::Client::open(&*url)
                .map_err(|_| Failure::System(std::io::ErrorKind::InvalidInput.into()))?;
            Ok((client, redis.clone()))
        };
        Ok(Self {
            redis: config.redis.as_ref().map(client).transpose()?,
            postgres: config.postgres.clone(),
            outbox: config.outbox.clone(),
            bytes_max: config.publish_bytes_max,
            redis_stats: Arc::default(),
            postgres_stats: Arc::default(),
            outbox_stats: Arc::default(),
        })
    }

    /// Which of them are away.
    pub(super) fn troubles(&self) -> http::Troubles {
        let redis = self.redis.as_ref().map(|_| Arc::clone(&self.redis_stats));
        let postgres = self.postgres.as_ref();
        let postgres = postgres.map(|_| Arc::clone(&self.postgres_stats));
        let outbox = self.outbox.as_ref().map(|_| Arc::clone(&self.outbox_stats));
        Arc::new(move || {
            let mut troubles = Vec::new();
            let is_away = |stats: &Arc<heard::Stats>| !stats.counts().connected;
            if redis.as_ref().is_some_and(is_away) {
                troubles.push("Redis is away");
            }
            if postgres.as_ref().is_some_and(is_away) {
                troubles.push("PostgreSQL is away");
            }
            let outbox = outbox.as_ref();
            if outbox.is_some_and(|stats| !stats.counts().connected) {
                troubles.push("the outbox cannot be read");
            }
            troubles
        })
    }

    /// Begins to hear.
    pub(super) fn start(
        self,
        gateway: &Arc<Gateway>,
        stopping: &watch::Receiver<bool>,
        runtime: &Runtime,
    ) -> ServersRunning {
        let gateway = || Arc::clone(gateway);
        let mut tasks = Vec::new();
        if let Some((client, config)) = self.redis {
            let (stats, stop) = (self.redis_stats, stopping.clone());
            let serve = redis::serve(client, config, gateway(), self.bytes_max, stats, stop);
            tasks.push(("Redis", runtime.spawn(serve)));
        }
        if let Some(config) = self.postgres {
            let (stats, stop) = (self.postgres_stats, stopping.clone());
            let serve = postgres::serve(config, gateway(), self.bytes_max, stats, stop);
            tasks.push(("PostgreSQL", runtime.spawn(serve)));
        }
        if let Some(config) = self.outbox {
            let (stats, stop) = (self.outbox_stats, stopping.clone());
            let serve = outbox::serve(config, gateway(), self.bytes_max, stats, stop);
            tasks.push(("outbox", runtime.spawn(serve)));
        }
        ServersRunning(tasks)
    }
}

impl ServersRunning {
    /// Waits until what had come is published. They end when the program does.
    pub(super) async fn ended(&mut self) {
        for (inlet, task) in self.0.drain(..) {
            if let Err(error) = task.await {
                error!(inlet, %error, "an inlet panicked");
            }
        }
    }
}
