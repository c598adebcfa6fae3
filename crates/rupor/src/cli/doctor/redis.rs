//! Whether Redis can be reached, lets us in, and has our time.

use super::findings::Findings;
use super::{Subject, clock, reach};
use ::redis::{Client, ErrorKind, RedisError};
use std::io;
use std::time::Duration;
use tokio::time::timeout;

const CHECK: &str = "redis";

/// Looks where the configuration has a Redis.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(redis) = &subject.config.redis else {
        return;
    };
    let url = String::from_utf8_lossy(redis.url.expose());
    let late = || RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
    let asked = timeout(reach::DEADLINE, time(&url)).await;
    match asked.unwrap_or_else(|_| Err(late())) {
        Ok(time) => {
            findings.ok(CHECK, "Redis answers");
            clock::compare("Redis", time, findings);
        }
        Err(error) => {
            findings.problem(CHECK, error.to_string(), fix(&error));
        }
    }
}

/// The time there, since 1970.
async fn time(url: &str) -> Result<Duration, RedisError> {
    let mut connection = Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    let (seconds, microseconds): (u64, u64) =
        ::redis::cmd("TIME").query_async(&mut connection).await?;
    Ok(Duration::from_secs(seconds) + Duration::from_micros(microseconds))
}

fn fix(error: &RedisError) -> &'static str {
    match error.code() {
        Some("NOAUTH" | "WRONGPASS") => {
            "give its password: redis.url = \"redis://:PASSWORD@HOST:PORT/DB\""
        }
        Some("NOPERM") => {
            "let the user of redis.url subscribe: ACL SETUSER … +subscribe +psubscribe"
        }
        _ if error.kind() == ErrorKind::AuthenticationFailed => "correct the password in redis.url",
        _ => {
            "start Redis, or correct redis.url; Redis itself listens on 127.0.0.1 unless `bind` says otherwise"
        }
    }
}
