//! Whether PostgreSQL can be reached, lets us in, and has our time.

use super::findings::Findings;
use super::{Subject, clock};
use crate::inlet::postgres::look;

const CHECK: &str = "postgres";
const FIX: &str =
    "start PostgreSQL, or correct the url; who may connect from where stands in its pg_hba.conf";

/// Looks at the server that notifies, where the configuration has one.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(postgres) = &subject.config.postgres else {
        return;
    };
    match look(&postgres.server, &[]).await {
        Ok(time) => {
            findings.ok(CHECK, "PostgreSQL answers");
            clock::compare("PostgreSQL", time, findings);
        }
        Err(error) => findings.failed(CHECK, &error.to_string(), FIX),
    }
}
