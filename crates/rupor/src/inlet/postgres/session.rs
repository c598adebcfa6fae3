//! One connection to a PostgreSQL server, which listens while it is asked.
//!
//! Invariants: nothing waits longer than [`ANSWER_MAX`] for the server; no error shows a password or what a query was given.

use crate::cause::{NAME_AUTHORITY, is_unknown_issuer};
use std::error::Error as _;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Config, Connection, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long connecting, or an answer, may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why a database does not answer as it should, or not at all.
#[derive(Debug)]
pub(crate) struct Failed(pub(in crate::inlet) String);

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(told) = error.as_db_error() {
            // Its detail may show what is in a row.
            let fix = match *told.code() {
                SqlState::UNDEFINED_TABLE => {
                    ". Fix: `rupor outbox install` prints the SQL that makes it"
                }
                SqlState::INSUFFICIENT_PRIVILEGE => {
                    ". Fix: GRANT its user what it lacks; for the outbox's table `rupor outbox install` prints how"
                }
                _ => "",
            };
            return Self(format!("{}: {}{fix}", told.severity(), told.message()));
        }
        let Some(cause) = error.source() else {
            return Self(error.to_string());
        };
        let told = format!("{error}: {cause}");
        if is_unknown_issuer(cause) {
            return Self(format!("{told}. Fix: {NAME_AUTHORITY}"));
        }
        Self(told)
    }
}

/// A connection.
pub(in crate::inlet) struct Session {
    client: Client,
    connection: Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
}

/// The side of it that asks.
pub(in crate::inlet) struct Client(tokio_postgres::Client);

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// Why not.
    pub(in crate::inlet) async fn open(server: &Config) -> Result<Self, Failed> {
        let tls = MakeRustlsConnect::new(tls(server.get_ssl_mode())?);
        let connect = timeout(ANSWER_MAX, server.connect(tls));
        let (client, connection) = connect.await.map_err(|_| late())??;
        Ok(Self {
            client: Client(client),
            connection,
        })
    }

    /// Does `work` on the connection while `hear` is told what is notified. Ends with the work, or with the connection.
    ///
    /// # Errors
    /// The work's, or why the connection ended; then the work is cut off where it waited.
    pub(in crate::inlet) async fn drive<'a, T, W>(
        &'a mut self,
        mut hear: impl FnMut(&str),
        work: impl FnOnce(&'a Client) -> W,
    ) -> Result<T, Failed>
    where
        W: Future<Output = Result<T, Failed>>,
    {
        let Self { client, connection } = self;
        let mut work = pin!(work(client));
        loop {
            tokio::select! {
                message = poll_fn(|context| connection.poll_message(context)) => match message {
                    Some(Ok(AsyncMessage::Notification(notification))) => hear(notification.payload()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Failed("the server closed the connection".to_owned())),
                },
                done = &mut work => return done,
            }
        }
    }
}

impl Client {
    /// Runs statements that answer nothing of interest.
    ///
    /// # Errors
    /// What the server says, or that it does not answer in time.
    pub(in crate::inlet) async fn run(&self, statements: &str) -> Result<(), Failed> {
        let run = timeout(ANSWER_MAX, self.0.batch_execute(statements));
        Ok(run.await.map_err(|_| late())??)
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// What the server says, or that it does not answer in time.
    pub(in crate::inlet) async fn query(
        &self,
        query: &str,
        given: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Failed> {
        let query = timeout(ANSWER_MAX, self.0.query_typed(query, given));
        Ok(query.await.map_err(|_| late())??)
    }
}

fn late() -> Failed {
    let seconds = ANSWER_MAX.as_secs();
    Failed(format!("the server does not answer within {seconds} s"))
}

/// The system's authorities are believed. They are read for each connection, so that new ones are known, but for none
/// without TLS.
fn tls(mode: SslMode) -> Result<rustls::ClientConfig, Failed> {
    let mut authorities = rustls::RootCertStore::empty();
    if mode != SslMode::Disable {
        // A malformed one among them is no reason not to believe the others.
        authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| Failed(error.to_string()))?;
    Ok(builder
        .with_root_certificates(authorities)
        .with_no_client_auth())
}

/// Where a server is, for the log.
pub(in crate::inlet) fn address(server: &Config) -> String {
    let hosts = server.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    });
    let hosts: Vec<_> = hosts.collect();
    let port = server.get_ports().first().copied().unwrap_or(5432);
    let database = server.get_dbname().unwrap_or_default();
    format!("{}:{port}/{database}", hosts.join(","))
}

/// A name as it stands in a statement.
pub(in crate::inlet) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_an_address_without_a_password() {
        let config: Config = "postgres://rupor:hush@db.example:5433/site"
            .parse()
            .unwrap();
        assert_eq!(address(&config), "db.example:5433/site");
        let config: Config = "postgres://rupor:hush@%2Frun%2Fpostgresql/site"
            .parse()
            .unwrap();
        assert_eq!(address(&config), "/run/postgresql:5432/site");
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(
            quoted(r#"a"; DROP TABLE b; --"#),
            r#""a""; DROP TABLE b; --""#
        );
    }
}
