//! Whether PostgreSQL can be reached, lets us in, has the outbox's table, and has our time.

use super::findings::Findings;
use super::{Subject, clock};
use crate::config::Database;
use crate::inlet::postgres::look;

const FIX: &str =
    "start PostgreSQL, or correct the url; who may connect from where stands in its pg_hba.conf";

/// Looks at the server that notifies and at the outbox's, where the configuration has them.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    if let Some(postgres) = &subject.config.postgres {
        one("postgres", &postgres.server, None, findings).await;
    }
    // One in MySQL is not looked at.
    if let Some(outbox) = &subject.config.outbox
        && let Database::Postgres(server) = &outbox.database
    {
        let table = Some(outbox.table.as_str());
        one("outbox", server, table, findings).await;
    }
}

async fn one(
    check: &'static str,
    server: &tokio_postgres::Config,
    table: Option<&str>,
    findings: &mut Findings,
) {
    match look(server, table).await {
        Ok(time) => {
            let with = table.map_or(String::new(), |table| format!(", with the table {table}"));
            findings.ok(check, format!("PostgreSQL answers{with}"));
            clock::compare("PostgreSQL", time, findings);
        }
        Err(error) => match error.split_once(". Fix: ") {
            Some((what, fix)) => findings.problem(check, what, fix),
            None => findings.problem(check, error, FIX),
        },
    }
}
