//! A look at a server, for `rupor doctor`.

use super::session::{Failed, Session, quoted};
use std::time::Duration;
use tokio_postgres::Config;

/// Connects, and reads nothing of `table` if one is named: the time there, since 1970.
///
/// # Errors
/// Why not, perhaps with what to do behind `Fix:`.
pub(crate) async fn look(server: &Config, table: Option<&str>) -> Result<Duration, String> {
    let looked = async {
        let mut session = Session::open(server).await?;
        let work = |client| ask(client, table);
        session.drive(|_| {}, work).await
    };
    looked.await.map_err(|error: Failed| error.to_string())
}

async fn ask(client: &super::session::Client, table: Option<&str>) -> Result<Duration, Failed> {
    if let Some(table) = table {
        let parts: Vec<_> = table.split('.').map(quoted).collect();
        let query = format!("SELECT 1 FROM {} LIMIT 0", parts.join("."));
        client.run(&query).await?;
    }
    let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let rows = client.query(query, &[]).await?;
    let first = rows.first().map(|row| row.try_get(0)).transpose()?;
    let milliseconds: i64 = first.unwrap_or_default();
    Ok(Duration::from_millis(
        milliseconds.try_into().unwrap_or_default(),
    ))
}
