//! Notifications of PostgreSQL: `NOTIFY rupor, '{"user":"tester01","message":"test"}'`.
//!
//! A notification is sent when the transaction that wrote it is committed, and to those only who listen at that moment. One
//! task holds the connection and [hears](super::heard); another publishes: PostgreSQL keeps notifications for who reads
//! slowly, and when there is no room for more, every `NOTIFY` of the site fails.
//!
//! Invariant: what is notified while there is no connection is lost, and the log says so. What must not be lost goes
//! through the [outbox](super::outbox).
//!
//! The connection itself, which the outbox has such a one of, too: `session`. `look`: for `rupor doctor`. Start at [`serve`].

mod look;
pub(super) mod session;

pub(crate) use look::look;

use super::backoff::Backoff;
use super::heard::{self, Heard, Stats};
use crate::config::PostgresConfig;
use crate::gateway::Gateway;
use session::{Failed, Session, quoted};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// How often a connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Publishes what PostgreSQL notifies of until `stop` becomes true (or its sender is gone), and then what had come by then.
pub(crate) async fn serve(
    config: PostgresConfig,
    gateway: Arc<Gateway>,
    bytes_max: usize,
    stats: Arc<Stats>,
    stop: watch::Receiver<bool>,
) {
    let inlet_stats = Arc::clone(&stats);
    let hear = |heard| async move {
        let mut inlet = Inlet {
            config,
            stats: inlet_stats,
            heard,
        };
        inlet.run().await;
    };
    heard::serve("PostgreSQL", bytes_max, &stats, &gateway, stop, hear).await;
}

struct Inlet {
    config: PostgresConfig,
    stats: Arc<Stats>,
    heard: Heard,
}

impl Inlet {
    /// Listens, again and again. Does not end.
    async fn run(&mut self) {
        let address = session::address(&self.config.server);
        let mut backoff = Backoff::new();
        loop {
            let since = Instant::now();
            let error = self.listen(&address).await;
            if self.stats.counts().connected {
                self.stats.connected(false);
                self.stats.lost();
                warn!(
                    %address, %error,
                    "the connection to PostgreSQL is lost, and is tried again; what is notified meanwhile is lost: use the outbox for what must arrive"
                );
                backoff.lost(since.elapsed());
            } else if backoff.is_news() {
                warn!(%address, %error, "PostgreSQL cannot be listened to, and is tried again");
            }
            sleep(backoff.next()).await;
        }
    }

    /// Listens until it fails; why it did.
    async fn listen(&mut self, address: &str) -> Failed {
        let mut session = match Session::open(&self.config.server).await {
            Ok(session) => session,
            Err(failed) => return failed,
        };
        let channels = self.config.channels.iter();
        let listen: String = channels
            .map(|channel| format!("LISTEN {};", quoted(channel)))
            .collect();
        let stats = Arc::clone(&self.stats);
        let heard = &mut self.heard;
        let hear = |payload: &str| heard.take(payload.as_bytes(), heard::object);
        let listen = session.drive(hear, |client| async move {
            client.run(&listen).await?;
            info!(%address, "listening to PostgreSQL");
            stats.connected(true);
            loop {
                sleep(PING_INTERVAL).await;
                client.run("").await?;
            }
        });
        let ended: Result<Infallible, Failed> = listen.await;
        match ended {
            Err(failed) => failed,
        }
    }
}
