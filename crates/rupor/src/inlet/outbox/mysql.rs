//! The outbox in MySQL 8, MariaDB 10.3 and newer. Nothing wakes its reader: it looks again and again.

use super::row::PUBLICATION_BYTES_MAX;
use super::{BATCH_BYTES_MAX, DEAD_LETTERS_MAX, Drain, Failed, Row, Settled, Table, number};
use mysql_async::prelude::{FromRow, Queryable as _};
use mysql_async::{Conn, Opts};
use std::fmt::Write as _;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

/// How long connecting, or an answer, may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether there are new rows.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The server's number for a table that is not there.
const NO_SUCH_TABLE: u16 = 1146;
/// The server's numbers for a table that we may not do this with, and for a database none of whose tables we may look at.
const DENIED: [u16; 2] = [1142, 1044];

impl From<mysql_async::Error> for Failed {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(told) => {
                let fix = match told.code {
                    NO_SUCH_TABLE => {
                        ". Fix: `rupor outbox install mysql` prints the SQL that makes it"
                    }
                    code if DENIED.contains(&code) => {
                        ". Fix: GRANT its user what it lacks; `rupor outbox install mysql` prints how"
                    }
                    _ => "",
                };
                Self(format!("ERROR {}: {}{fix}", told.code, told.message))
            }
            other => Self(other.to_string()),
        }
    }
}

/// Where a server is, for the log.
pub(super) fn address(server: &Opts) -> String {
    let database = server.db_name().unwrap_or_default();
    match server.socket() {
        Some(socket) => format!("{socket}/{database}"),
        None => format!(
            "{}:{}/{database}",
            server.ip_or_hostname(),
            server.tcp_port()
        ),
    }
}

/// A table's name as it stands in a statement.
fn quoted(name: &str) -> String {
    let parts: Vec<_> = name.split('.').map(|part| format!("`{part}`")).collect();
    parts.join(".")
}

/// Connects, and does with no row of the table what is done with its rows: the time there, since 1970.
pub(super) async fn look(server: &Opts, name: &str) -> Result<Duration, Failed> {
    let mut connection = in_time(Conn::new(server.clone())).await?;
    for statement in super::tried(&quoted(name)) {
        in_time(connection.query_drop(statement)).await?;
    }
    let now = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED)";
    let now: Option<u64> = in_time(connection.query_first(now)).await?;
    Ok(Duration::from_millis(now.unwrap_or_default()))
}

/// Reads the table until the program ends.
pub(super) async fn run(
    server: &Opts,
    name: &str,
    address: &str,
    drain: &mut Drain,
) -> Result<(), Failed> {
    let connection = in_time(Conn::new(server.clone())).await?;
    let table = MyTable {
        connection: Mutex::new(connection),
        name: quoted(name),
        plain: name.to_owned(),
        looks: Looks(std::sync::Mutex::new(Instant::now())),
    };
    // Each look has to see what was committed by then. If this machine is gone, its lock should not stay for hours.
    let begin = "SET autocommit = 1, SESSION wait_timeout = 60, SESSION transaction_isolation = 'READ-COMMITTED'";
    // MariaDB before 11.1 calls it by its old name.
    let older =
        "SET autocommit = 1, SESSION wait_timeout = 60, SESSION tx_isolation = 'READ-COMMITTED'";
    if table.run(begin).await.is_err() {
        table.run(older).await?;
    }
    drain.run(&table, address).await
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, mysql_async::Error>>,
) -> Result<T, Failed> {
    let late = |_| {
        let seconds = ANSWER_MAX.as_secs();
        Failed(format!("the server does not answer within {seconds} s"))
    };
    Ok(timeout(ANSWER_MAX, answer).await.map_err(late)??)
}

/// The table, by one connection.
struct MyTable {
    connection: Mutex<Conn>,
    /// In quotes.
    name: String,
    /// Without.
    plain: String,
    looks: Looks,
}

/// When it is time to look again: an interval after the last look, however often one begins to wait for it.
struct Looks(std::sync::Mutex<Instant>);

impl Looks {
    fn done(&self) {
        *self.last() = Instant::now();
    }

    fn due(&self) -> Instant {
        *self.last() + LOOK_INTERVAL
    }

    fn last(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MyTable {
    async fn run(&self, statement: &str) -> Result<(), Failed> {
        let mut connection = self.connection.lock().await;
        in_time(connection.query_drop(statement)).await
    }

    async fn query<T: FromRow + Send + 'static>(&self, query: &str) -> Result<Vec<T>, Failed> {
        let mut connection = self.connection.lock().await;
        in_time(connection.query(query)).await
    }
}

/// Numbers, as they stand in a list.
fn list(ids: &[i64]) -> String {
    let mut list = String::with_capacity(ids.len() * 8);
    for id in ids {
        let comma = if list.is_empty() { "" } else { "," };
        // Writing into a String does not fail.
        let _ = write!(list, "{comma}{id}");
    }
    list
}

impl Table for MyTable {
    async fn check(&self) -> Result<(), Failed> {
        for statement in super::tried(&self.name) {
            self.run(&statement).await?;
        }
        Ok(())
    }

    async fn lead(&self) -> Result<bool, Failed> {
        let plain = &self.plain;
        let whole = if plain.contains('.') {
            format!("'{plain}'")
        } else {
            format!("CONCAT(DATABASE(), '.{plain}')")
        };
        // A lock's name is the server's, and has at most 64 characters.
        let lock = format!("SELECT GET_LOCK(CONCAT('rupor.', MD5({whole})), 0)");
        let rows: Vec<Option<i64>> = self.query(&lock).await?;
        Ok(rows.first().copied().flatten() == Some(1))
    }

    async fn ids(&self, most: usize) -> Result<Vec<i64>, Failed> {
        let name = &self.name;
        let query = format!("SELECT id FROM {name} WHERE error IS NULL ORDER BY id LIMIT {most}");
        let ids = self.query(&query).await;
        self.looks.done();
        ids
    }

    async fn rows(&self, ids: &[i64], payload_bytes_max: usize) -> Result<Vec<Row>, Failed> {
        let (name, some, ids) = (&self.name, PUBLICATION_BYTES_MAX + 1, list(ids));
        let bytes = |column: &str| format!("CAST(CONVERT({column} USING utf8mb4) AS BINARY)");
        let (payload, publication) = (
            bytes("payload"),
            bytes(&format!("LEFT(publication, {some})")),
        );
        let query = format!(
            "SELECT id, IF(bytes <= {payload_bytes_max}, {payload}, NULL), bytes, {publication} \
             FROM (SELECT id, payload, publication, OCTET_LENGTH(payload) AS bytes, \
                          SUM(OCTET_LENGTH(payload)) OVER (ORDER BY id) AS total \
                   FROM {name} WHERE id IN ({ids}) AND error IS NULL) AS claimed \
             WHERE total - bytes < {} ORDER BY id",
            number(BATCH_BYTES_MAX)
        );
        let rows = self.query::<(i64, Option<Vec<u8>>, i64, Option<Vec<u8>>)>(&query);
        let rows = rows.await?.into_iter();
        let row = |(id, payload, payload_bytes, publication)| Row {
            id,
            payload,
            payload_bytes,
            publication,
        };
        Ok(rows.map(row).collect())
    }

    async fn settle(&self, settled: &Settled) -> Result<(), Failed> {
        let name = &self.name;
        self.run("START TRANSACTION").await?;
        let done = settled.done();
        if !done.is_empty() {
            self.run(&format!("DELETE FROM {name} WHERE id IN ({})", list(&done)))
                .await?;
        }
        for (id, wrong) in &settled.dead {
            let mut connection = self.connection.lock().await;
            let statement = format!("UPDATE {name} SET error = ? WHERE id = ?");
            in_time(connection.exec_drop(statement, (wrong.text(), id))).await?;
        }
        self.run("COMMIT").await
    }

    async fn dead_letters(&self) -> Result<u64, Failed> {
        let name = &self.name;
        let query = format!(
            "SELECT COUNT(*) FROM (SELECT id FROM {name} WHERE error IS NOT NULL LIMIT {DEAD_LETTERS_MAX}) AS dead"
        );
        let rows: Vec<u64> = self.query(&query).await?;
        Ok(rows.first().copied().unwrap_or(0))
    }

    async fn woken(&self) {
        sleep_until(self.looks.due()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_an_address_without_a_password() {
        let server = Opts::from_url("mysql://rupor:hush@db.example:3307/site").unwrap();
        assert_eq!(address(&server), "db.example:3307/site");
        let server =
            Opts::from_url("mysql://rupor:hush@localhost/site?socket=/run/m.sock").unwrap();
        assert_eq!(address(&server), "/run/m.sock/site");
    }

    /// Held rows make the reader begin to wait anew five times a second, which must not put off new rows.
    #[test]
    fn waiting_anew_does_not_put_off_the_next_look() {
        let before = Instant::now() - Duration::from_secs(1);
        let looks = Looks(std::sync::Mutex::new(before));
        assert_eq!(looks.due(), before + LOOK_INTERVAL);
        assert_eq!(looks.due(), before + LOOK_INTERVAL);
        looks.done();
        assert!(looks.due() > before + LOOK_INTERVAL);
    }

    #[test]
    fn numbers_stand_in_a_list() {
        assert_eq!(list(&[1, -2, 3]), "1,-2,3");
    }
}
