//! The outbox: a table in the site's own database. An `INSERT` in a transaction of the site is the push.
//!
//! Who holds the table's lock reads its rows in the order of their numbers, publishes them, and deletes exactly those that
//! the workers have written ([`drain`]). Numbers are given when a row is inserted and rows are seen when their transaction
//! is committed, so a lower number may show up later: what is read is always what is visible, never what is behind a mark.
//!
//! Invariants:
//! - a row is deleted after it was written, never before: it comes at least once, and again if the gateway ended in
//!   between; its number, or the site's id for it, goes along, so that a client can leave a repeat out;
//! - what is for one user is published in the order of the rows, among those that are visible;
//! - a row for nobody waits for a while ([`hold`]);
//! - a row that is no publication stays as a dead letter, with the reason, and holds nobody up;
//! - what workers have no room for waits, and with it everything behind it; nothing is lost for that;
//! - while the database is away the gateway runs on.
//!
//! What the database is asked: `postgres`, `mysql`. The table itself: `install`. Start at [`serve`]; `rupor doctor` at [`look`].

mod drain;
mod hold;
pub(crate) mod install;
mod mysql;
mod postgres;
mod row;
mod stats;

pub(crate) use stats::{Counts, Stats};

use super::backoff::Backoff;
use super::postgres::session::{self, Failed};
use crate::config::{Database, OutboxConfig};
use crate::gateway::Gateway;
use drain::Drain;
use row::{Row, Wrong};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// The table, as its reader asks for it.
trait Table: Sync {
    /// Does with no row what is done with rows: a table that is not there and a right that is lacking are told before a row is
    /// published that could not be deleted.
    fn check(&self) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Takes the lock that makes this gateway the one that reads; false: another has it.
    fn lead(&self) -> impl Future<Output = Result<bool, Failed>> + Send;

    /// The lowest numbers of rows that are no dead letters, in order.
    fn ids(&self, most: usize) -> impl Future<Output = Result<Vec<i64>, Failed>> + Send;

    /// These rows in order, as many from the first on as have a bounded number of bytes; without the payload of those that
    /// are longer than `payload_bytes_max`.
    fn rows(
        &self,
        ids: &[i64],
        payload_bytes_max: usize,
    ) -> impl Future<Output = Result<Vec<Row>, Failed>> + Send;

    /// Deletes what is done, and makes dead letters of what is wrong; all or nothing. Doing it twice changes nothing.
    fn settle(&self, settled: &Settled) -> impl Future<Output = Result<(), Failed>> + Send;

    /// How many dead letters there are, counted up to [`DEAD_LETTERS_MAX`].
    fn dead_letters(&self) -> impl Future<Output = Result<u64, Failed>> + Send;

    /// Ends when there may be new rows; at [`POLL_INTERVAL`] the table is looked into in any case.
    fn woken(&self) -> impl Future<Output = ()> + Send;
}

/// Up to here dead letters are counted.
const DEAD_LETTERS_MAX: usize = 10_000;
/// How often the table is looked into when nothing wakes the reader.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Most rows that are read at a time.
const BATCH_ROWS_MAX: usize = 500;
/// Most bytes of payloads that are read at a time, but for the last row's.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What became of rows, as the table is to be told.
#[derive(Debug, Default)]
struct Settled {
    published: Vec<i64>,
    unheard: Vec<i64>,
    dead: Vec<(i64, Wrong)>,
}

impl Settled {
    fn is_empty(&self) -> bool {
        self.published.is_empty() && self.unheard.is_empty() && self.dead.is_empty()
    }

    /// The rows to be deleted.
    fn done(&self) -> Vec<i64> {
        let done = self.published.iter().chain(&self.unheard);
        done.copied().collect()
    }
}

/// A count as databases have it.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Looks at the table for `rupor doctor`: the time there, since 1970.
///
/// # Errors
/// What keeps its rows from being published, perhaps with what to do behind `Fix:`.
pub(crate) async fn look(config: &OutboxConfig) -> Result<Duration, String> {
    let table = config.table.as_str();
    let looked = match &config.database {
        Database::Postgres(server) => postgres::look(server, table).await,
        Database::MySql(server) => mysql::look(server, table).await,
    };
    looked.map_err(|error| error.to_string())
}

/// What is done with rows, done with none: it shows whether the table is there, and whether we may. `table` is in quotes.
fn tried(table: &str) -> [String; 3] {
    [
        format!("SELECT id FROM {table} LIMIT 0"),
        format!("UPDATE {table} SET error = error WHERE 1 = 0"),
        format!("DELETE FROM {table} WHERE 1 = 0"),
    ]
}

/// Publishes the rows of a table until `stop` becomes true (or its sender is gone). What is not published by then stays in
/// the table.
pub(crate) async fn serve(
    config: OutboxConfig,
    gateway: Arc<Gateway>,
    bytes_max: usize,
    stats: Arc<Stats>,
    stop: watch::Receiver<bool>,
) {
    let address = match &config.database {
        Database::Postgres(server) => session::address(server),
        Database::MySql(server) => mysql::address(server),
    };
    let table = config.table.as_str();
    let mut drain = Drain::new(gateway, config.hold, bytes_max, &stats, stop.clone());
    let mut backoff = Backoff::new();
    loop {
        let since = Instant::now();
        let ended = match &config.database {
            Database::Postgres(server) => postgres::run(server, table, &address, &mut drain).await,
            Database::MySql(server) => mysql::run(server, table, &address, &mut drain).await,
        };
        let was_connected = stats.counts().connected;
        stats.ended();
        let Err(error) = ended else { return };
        if was_connected {
            stats.lost();
            warn!(%address, %error, "the outbox's database is lost, and is tried again; rows wait in it");
            backoff.lost(since.elapsed());
        } else if backoff.is_news() {
            warn!(%address, %error, "the outbox cannot be read, and is tried again; rows wait in it");
        }
        let mut stop = stop.clone();
        tokio::select! {
            () = sleep(backoff.next()) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
