//! Whether the outbox's database can be reached, has the table and lets us read and change it, and has our time.

use super::findings::Findings;
use super::{Subject, clock};
use crate::config::Database;
use crate::inlet::outbox::look;

const CHECK: &str = "outbox";

/// Looks at the table, where the configuration has one.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(outbox) = &subject.config.outbox else {
        return;
    };
    let (name, fix) = match &outbox.database {
        Database::Postgres(_) => (
            "PostgreSQL",
            "start PostgreSQL, or correct outbox.url; who may connect from where stands in its pg_hba.conf",
        ),
        Database::MySql(_) => (
            "MySQL or MariaDB",
            "start MySQL or MariaDB, or correct outbox.url: `bind_address` there says where it listens, CREATE USER who may come from where",
        ),
    };
    match look(outbox).await {
        Ok(time) => {
            let table = outbox.table.as_str();
            findings.ok(CHECK, format!("{name} answers, with the table {table}"));
            clock::compare(name, time, findings);
        }
        Err(error) => findings.failed(CHECK, &error, fix),
    }
}
