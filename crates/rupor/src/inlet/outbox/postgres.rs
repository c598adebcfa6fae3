//! The outbox in PostgreSQL 12 and newer.

use super::row::PUBLICATION_BYTES_MAX;
use super::{BATCH_BYTES_MAX, DEAD_LETTERS_MAX, Drain, Failed, Row, Settled, Table, number};
use crate::inlet::postgres;
use crate::inlet::postgres::session::{self, Client, Session};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_postgres::Config;
use tokio_postgres::types::{ToSql, Type};

/// The upper half of the lock's number, `rupo`; the lower is the table's own.
const LOCK: i64 = 0x7275_706f;

/// A table's name as it stands in a statement.
fn quoted(name: &str) -> String {
    let parts: Vec<_> = name.split('.').map(session::quoted).collect();
    parts.join(".")
}

/// Connects, and does with no row of the table what is done with its rows: the time there, since 1970.
pub(super) async fn look(server: &Config, name: &str) -> Result<Duration, Failed> {
    postgres::look(server, &super::tried(&quoted(name))).await
}

/// Reads the table until the program ends.
pub(super) async fn run(
    server: &Config,
    name: &str,
    address: &str,
    drain: &mut Drain,
) -> Result<(), Failed> {
    let mut session = Session::open(server).await?;
    let wake = &Notify::new();
    // If this machine is gone, its lock should not stay for hours.
    let begin = format!(
        "SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; LISTEN {}",
        session::quoted(name)
    );
    let wake_up = |_: &str| wake.notify_one();
    session
        .drive(wake_up, |client| async move {
            client.run(&begin).await?;
            drain.run(&PgTable::new(client, wake, name), address).await
        })
        .await
}

/// The table, by one connection.
struct PgTable<'a> {
    client: &'a Client,
    wake: &'a Notify,
    /// In quotes.
    name: String,
}

impl<'a> PgTable<'a> {
    fn new(client: &'a Client, wake: &'a Notify, name: &str) -> Self {
        Self {
            client,
            wake,
            name: quoted(name),
        }
    }
}

impl Table for PgTable<'_> {
    async fn check(&self) -> Result<(), Failed> {
        for statement in super::tried(&self.name) {
            self.client.run(&statement).await?;
        }
        Ok(())
    }

    async fn lead(&self) -> Result<bool, Failed> {
        let name = &self.name;
        // Its number is that of the table, so it is the table's whatever it is called.
        let lock = format!(
            "SELECT pg_try_advisory_lock(({LOCK}::bigint << 32) | '{name}'::regclass::oid::bigint)"
        );
        let rows = self.client.query(&lock, &[]).await?;
        let first = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(first.unwrap_or(false))
    }

    async fn ids(&self, most: usize) -> Result<Vec<i64>, Failed> {
        let name = &self.name;
        let query = format!("SELECT id FROM {name} WHERE error IS NULL ORDER BY id LIMIT $1");
        let most = number(most);
        let rows = self.client.query(&query, &[(&most, Type::INT8)]).await?;
        let ids = rows.into_iter().map(|row| row.try_get(0));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    async fn rows(&self, ids: &[i64], payload_bytes_max: usize) -> Result<Vec<Row>, Failed> {
        let (name, some) = (&self.name, PUBLICATION_BYTES_MAX + 1);
        // As bytes. A database in SQL_ASCII may hold what is not UTF-8, at which a conversion to it would fail for all of them.
        let bytes = |text: &str| {
            format!(
                "convert_to({text}, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)"
            )
        };
        let (payload, publication) = (
            bytes("payload"),
            bytes(&format!("left(publication, {some})")),
        );
        let query = format!(
            "SELECT id, CASE WHEN bytes <= $2 THEN {payload} END, bytes, {publication} \
             FROM (SELECT id, payload, publication, octet_length(payload)::bigint AS bytes, \
                          sum(octet_length(payload)) OVER (ORDER BY id) AS total \
                   FROM {name} WHERE id = ANY ($1) AND error IS NULL) AS claimed \
             WHERE total - bytes < $3 ORDER BY id"
        );
        let (longest, most) = (number(payload_bytes_max), number(BATCH_BYTES_MAX));
        let given: [(&(dyn ToSql + Sync), Type); 3] = [
            (&ids, Type::INT8_ARRAY),
            (&longest, Type::INT8),
            (&most, Type::INT8),
        ];
        let mut read = Vec::with_capacity(ids.len());
        for row in self.client.query(&query, &given).await? {
            read.push(Row {
                id: row.try_get(0)?,
                payload: row.try_get(1)?,
                payload_bytes: row.try_get(2)?,
                publication: row.try_get(3)?,
            });
        }
        Ok(read)
    }

    async fn settle(&self, settled: &Settled) -> Result<(), Failed> {
        let name = &self.name;
        let query = format!(
            "WITH done AS (DELETE FROM {name} WHERE id = ANY ($1)) \
             UPDATE {name} AS outbox SET error = wrong.error FROM unnest($2, $3) AS wrong (id, error) WHERE outbox.id = wrong.id"
        );
        let wrong = settled.dead.iter();
        let (ids, errors): (Vec<i64>, Vec<&str>) =
            wrong.map(|(id, wrong)| (*id, wrong.text())).unzip();
        self.client
            .query(
                &query,
                &[
                    (&settled.done(), Type::INT8_ARRAY),
                    (&ids, Type::INT8_ARRAY),
                    (&errors, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }

    async fn dead_letters(&self) -> Result<u64, Failed> {
        let name = &self.name;
        let query = format!(
            "SELECT count(*) FROM (SELECT FROM {name} WHERE error IS NOT NULL LIMIT {DEAD_LETTERS_MAX}) AS dead"
        );
        let rows = self.client.query(&query, &[]).await?;
        let count: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(count.and_then(|count| count.try_into().ok()).unwrap_or(0))
    }

    async fn woken(&self) {
        self.wake.notified().await;
    }
}
