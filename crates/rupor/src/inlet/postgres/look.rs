//! A look at a server, for `rupor doctor`.

use super::session::{Client, Failed, Session};
use std::time::Duration;
use tokio_postgres::Config;

/// Connects and runs `statements`: the time there, since 1970.
///
/// # Errors
/// Why not, perhaps with what to do behind `Fix:`.
pub(crate) async fn look(server: &Config, statements: &[String]) -> Result<Duration, Failed> {
    let mut session = Session::open(server).await?;
    let work = |client| ask(client, statements);
    session.drive(|_| {}, work).await
}

async fn ask(client: &Client, statements: &[String]) -> Result<Duration, Failed> {
    for statement in statements {
        client.run(statement).await?;
    }
    let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let rows = client.query(query, &[]).await?;
    let first = rows.first().map(|row| row.try_get(0)).transpose()?;
    let milliseconds: i64 = first.unwrap_or_default();
    Ok(Duration::from_millis(
        milliseconds.try_into().unwrap_or_default(),
    ))
}
