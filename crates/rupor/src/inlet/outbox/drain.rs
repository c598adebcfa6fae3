//! Reads the outbox: rows come, publications go, and the table is told what became of them.

use super::hold::{Claimed, Hold, LOOK_INTERVAL};
use super::stats::Outcome;
use super::{BATCH_ROWS_MAX, Failed, POLL_INTERVAL, Row, Settled, Stats, Table, Wrong};
use crate::gateway::{Gateway, PublishError, Target};
use crate::inlet::quiet::Quiet;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// How often it is asked for the lock while another gateway has it.
const LEAD_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait for a worker that has no room.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// How long workers may take to write what they were handed before it is asked whether the program ends.
const WRITTEN_WAIT: Duration = Duration::from_secs(2);

/// The reader of a table. Outlives the connection to it.
pub(super) struct Drain {
    gateway: Arc<Gateway>,
    hold_for: Duration,
    /// Longest payload, in bytes.
    bytes_max: usize,
    stats: Arc<Stats>,
    stop: watch::Receiver<bool>,
    /// What the table was not told yet. Kept when the connection is lost, so that this makes no repeats.
    settled: Settled,
    hold: Hold,
    /// To be published now.
    ready: VecDeque<Claimed>,
    /// When dead letters were counted last.
    counted: Instant,
    log: Quiet,
}

impl Drain {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        hold_for: Duration,
        bytes_max: usize,
        stats: &Arc<Stats>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            gateway,
            hold_for,
            bytes_max,
            stats: Arc::clone(stats),
            stop,
            settled: Settled::default(),
            hold: Hold::default(),
            ready: VecDeque::new(),
            counted: Instant::now(),
            log: Quiet::default(),
        }
    }

    /// Publishes what is in the table until the program ends.
    ///
    /// # Errors
    /// Why the table cannot be read any more.
    pub(super) async fn run(&mut self, table: &impl Table, address: &str) -> Result<(), Failed> {
        // Another gateway may have read them meanwhile. Those that are there still are read again.
        self.hold = Hold::default();
        self.ready.clear();
        table.check().await?;
        let mut leads = table.lead().await?;
        self.stats.connected(true);
        if !leads {
            info!(%address, "another gateway reads the outbox; waiting for it to end");
        }
        while !leads {
            if self.pause(LEAD_INTERVAL).await {
                return Ok(());
            }
            leads = table.lead().await?;
        }
        self.stats.reading(true);
        let dead_letters = self.count_dead(table).await?;
        info!(%address, dead_letters, "reading the outbox");
        // When the table was looked into last and had nothing new; `None`: it may have.
        let mut empty_since = None;
        loop {
            self.settle(table).await?;
            if *self.stop.borrow() {
                return Ok(());
            }
            if self.ready.is_empty() {
                let rows = match empty_since {
                    None => self.claim(table).await?,
                    Some(_) => Vec::new(),
                };
                let is_empty = rows.is_empty();
                self.take(rows);
                if is_empty && self.ready.is_empty() && self.settled.is_empty() {
                    let since = *empty_since.get_or_insert_with(Instant::now);
                    if self.wait(table, since).await {
                        empty_since = None;
                    }
                }
            }
            self.publish().await;
        }
    }

    /// Tells the table what became of rows.
    async fn settle(&mut self, table: &impl Table) -> Result<(), Failed> {
        if self.settled.is_empty() {
            return Ok(());
        }
        table.settle(&self.settled).await?;
        let settled = std::mem::take(&mut self.settled);
        self.stats
            .count(Outcome::Published, settled.published.len());
        self.stats.count(Outcome::Unheard, settled.unheard.len());
        self.stats.count(Outcome::Dead, settled.dead.len());
        if !settled.dead.is_empty() {
            self.count_dead(table).await?;
        }
        Ok(())
    }

    async fn count_dead(&mut self, table: &impl Table) -> Result<u64, Failed> {
        let dead_letters = table.dead_letters().await?;
        self.stats.dead_letters(dead_letters);
        self.counted = Instant::now();
        Ok(dead_letters)
    }

    /// Rows that were not read before. What is held is in the table still, before them and among them.
    async fn claim(&mut self, table: &impl Table) -> Result<Vec<Row>, Failed> {
        // Somebody may have looked after them.
        if self.counted.elapsed() >= POLL_INTERVAL {
            self.count_dead(table).await?;
        }
        let known: HashSet<i64> = self.hold.ids().collect();
        let ids = table.ids(known.len() + BATCH_ROWS_MAX).await?;
        let new = ids.into_iter().filter(|id| !known.contains(id));
        let new: Vec<_> = new.take(BATCH_ROWS_MAX).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        table.rows(&new, self.bytes_max).await
    }

    /// Reads what rows say, and sorts out what can be published now.
    fn take(&mut self, rows: Vec<Row>) {
        let now = Instant::now();
        let mut fresh = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row.id;
            match row.read(self.bytes_max) {
                Ok(publish) => fresh.push(Claimed {
                    id,
                    publish,
                    until: now + self.hold_for,
                }),
                Err(wrong) => self.bury(id, wrong),
            }
        }
        // A connection that is gone never comes back.
        let is_heard = |target: &Target| {
            matches!(target, Target::Connection(_)) || self.gateway.is_heard(target)
        };
        let released = self.hold.pass(fresh, now, is_heard);
        self.ready.extend(released.ready);
        self.settled.unheard.extend(released.unheard);
        self.stats.held(self.hold.len());
    }

    /// Makes a dead letter of a row.
    fn bury(&mut self, id: i64, wrong: Wrong) {
        self.log.log(|unsaid| {
            warn!(id, error = %wrong, unsaid, "a row of the outbox is no publication; it stays there, with the error");
        });
        self.settled.dead.push((id, wrong));
    }

    /// Publishes what is ready, as far as there is room.
    async fn publish(&mut self) {
        let batch = self.ready.iter().take(BATCH_ROWS_MAX);
        let batch: Vec<_> = batch.map(|row| row.publish.clone()).collect();
        if batch.is_empty() {
            return;
        }
        let (mut published, mut has_room) = (Vec::with_capacity(batch.len()), true);
        for receipt in self.gateway.publish(&batch).await {
            // Behind one that there is no room for there are only such.
            has_room = !matches!(
                receipt,
                Err(PublishError::Overloaded | PublishError::Unavailable)
            );
            if !has_room {
                break;
            }
            let Some(row) = self.ready.pop_front() else {
                break;
            };
            match receipt {
                Ok(_) => published.push(row.id),
                Err(error) => self.bury(row.id, Wrong::new(&error)),
            }
        }
        if !published.is_empty() && self.written().await {
            self.settled.published.append(&mut published);
        }
        if !has_room {
            self.pause(ROOM_WAIT).await;
        }
    }

    /// Waits until the workers have written what they were handed; false: the program ends before.
    async fn written(&self) -> bool {
        loop {
            match timeout(WRITTEN_WAIT, self.gateway.written()).await {
                Ok(Ok(())) => return true,
                _ if *self.stop.borrow() => return false,
                Ok(Err(_)) => sleep(ROOM_WAIT).await,
                Err(_) => {}
            }
        }
    }

    /// Waits until there may be something to do; whether the table is to be looked into.
    async fn wait(&mut self, table: &impl Table, since: Instant) -> bool {
        let look = if self.hold.len() == 0 {
            POLL_INTERVAL
        } else {
            LOOK_INTERVAL
        };
        tokio::select! {
            () = table.woken() => true,
            () = sleep(look) => since.elapsed() >= POLL_INTERVAL,
            _ = self.stop.wait_for(|stop| *stop) => false,
        }
    }

    /// Waits; whether the program ends.
    async fn pause(&mut self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => false,
            _ = self.stop.wait_for(|stop| *stop) => true,
        }
    }
}

#[cfg(test)]
mod tests;
