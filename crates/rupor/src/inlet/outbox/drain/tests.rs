//! The reader over a table that the test made up, and a real server without connections.

use super::*;
use crate::auth::Auth;
use crate::config;
use crate::gateway::{Settings, WorkerHandler};
use rupor_server::{Running, Server};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// A table whose reader is stopped when nothing is left to be read.
struct Made {
    /// Payloads and errors, by number.
    rows: Mutex<BTreeMap<i64, (String, Option<String>)>>,
    /// So many times it cannot be told what became of rows.
    failures: AtomicU32,
    stop: watch::Sender<bool>,
}

impl Made {
    fn of(payloads: &[&str], failures: u32) -> Self {
        let rows = (1..).zip(payloads.iter().map(|payload| ((*payload).to_owned(), None)));
        Self {
            rows: Mutex::new(rows.collect()),
            failures: AtomicU32::new(failures),
            stop: watch::Sender::new(false),
        }
    }

    fn left(&self) -> Vec<(i64, Option<String>)> {
        let rows = self.rows.lock().unwrap();
        let row = |(id, (_, error)): (&i64, &(String, Option<String>))| (*id, error.clone());
        rows.iter().map(row).collect()
    }
}

impl Table for Made {
    async fn check(&self) -> Result<(), Failed> {
        Ok(())
    }

    async fn lead(&self) -> Result<bool, Failed> {
        Ok(true)
    }

    async fn ids(&self, most: usize) -> Result<Vec<i64>, Failed> {
        let rows = self.rows.lock().unwrap();
        let live = rows.iter().filter(|(_, (_, error))| error.is_none());
        Ok(live.map(|(id, _)| *id).take(most).collect())
    }

    async fn rows(&self, ids: &[i64], _: usize) -> Result<Vec<Row>, Failed> {
        let rows = self.rows.lock().unwrap();
        let row = |id: &i64| Row {
            id: *id,
            payload: Some(rows[id].0.clone().into_bytes()),
            payload_bytes: 0,
            publication: None,
        };
        Ok(ids.iter().map(row).collect())
    }

    async fn settle(&self, settled: &Settled) -> Result<(), Failed> {
        let less = |left: u32| left.checked_sub(1);
        let fails = self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if fails.is_ok() {
            return Err(Failed("away".to_owned()));
        }
        let mut rows = self.rows.lock().unwrap();
        rows.retain(|id, _| !settled.done().contains(id));
        for (id, wrong) in &settled.dead {
            rows.get_mut(id).unwrap().1 = Some(wrong.text().to_owned());
        }
        Ok(())
    }

    async fn dead_letters(&self) -> Result<u64, Failed> {
        Ok(0)
    }

    async fn woken(&self) {
        self.stop.send_replace(true);
        std::future::pending().await
    }
}

/// A reader of the table, without patience for those who are not there, and what it publishes through.
fn reader(table: &Made) -> (Drain, Arc<Gateway>, Running) {
    let gateway = Gateway::new(Settings::default());
    let auth = Arc::new(Auth::new(&config::Auth::none()).unwrap());
    let for_workers = Arc::clone(&gateway);
    let server = Server::new(move |_, handle| {
        WorkerHandler::new(Arc::clone(&for_workers), Arc::clone(&auth), handle)
    });
    let admission = crate::gateway::Admission::new(
        Arc::clone(&gateway),
        Arc::new(Auth::new(&config::Auth::none()).unwrap()),
        crate::auth::origin::Origins::new(&config::Origins::Loopback).unwrap(),
    );
    let running = server.admit(admission).workers(2).listen("127.0.0.1:0");
    let running = running.unwrap().start().unwrap();
    gateway.attach(running.handle().clone());
    let stats = Arc::new(Stats::default());
    let stop = table.stop.subscribe();
    let drain = Drain::new(Arc::clone(&gateway), Duration::ZERO, 1000, &stats, stop);
    (drain, gateway, running)
}

/// To a connection that is gone, which nobody waits for.
const TAKEN: &str = r#"{"connection":"00c0ffee00000001","message":"test"}"#;
const FOR_NOBODY: &str = r#"{"user":"anna","message":"test"}"#;

#[tokio::test]
async fn rows_are_published_or_unheard_and_dead_letters_hold_nobody_up() {
    let table = Made::of(
        &[
            TAKEN,
            "no JSON",
            FOR_NOBODY,
            r#"{"channel":"not a name","message":1}"#,
            TAKEN,
        ],
        0,
    );
    let (mut drain, gateway, _running) = reader(&table);
    drain.run(&table, "a test").await.unwrap();
    let left = table.left();
    let ids: Vec<_> = left.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [2, 4]);
    for ((_, error), why) in left.iter().zip(["not JSON", "a channel's name"]) {
        assert!(error.as_ref().unwrap().contains(why), "{error:?}");
    }
    let counts = drain.stats.counts();
    assert_eq!(counts.rows, [("published", 2), ("unheard", 1), ("dead", 2)]);
    assert_eq!(gateway.counts().publications, 2);
}

#[tokio::test]
async fn a_lost_connection_to_the_database_makes_no_repeats() {
    let table = Made::of(&[TAKEN, "no JSON", TAKEN], 2);
    let (mut drain, gateway, _running) = reader(&table);
    for _ in 0..2 {
        drain.run(&table, "a test").await.unwrap_err();
    }
    assert_eq!(table.left().len(), 3);
    drain.run(&table, "a test").await.unwrap();
    assert_eq!(table.left().len(), 1);
    assert_eq!(gateway.counts().publications, 2);
    assert_eq!(drain.stats.counts().rows[0], ("published", 2));
}

#[tokio::test]
async fn more_rows_than_a_batch_has_are_all_published() {
    let table = Made::of(&[TAKEN; 2 * BATCH_ROWS_MAX + 1], 0);
    let (mut drain, gateway, _running) = reader(&table);
    drain.run(&table, "a test").await.unwrap();
    assert_eq!(table.left(), []);
    assert_eq!(gateway.counts().publications, 2 * BATCH_ROWS_MAX as u64 + 1);
}
