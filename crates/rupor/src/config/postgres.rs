//! `[postgres]`: what a PostgreSQL server notifies of, as options, and what they come to.

use super::build::Values;
use super::definition::{Default, Definition, Shape, option};
use super::error::{ConfigError, Problem};
use std::net::IpAddr;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};

/// Heading that they stand under.
const POSTGRES: &str = "Notifications of PostgreSQL";
/// Longest name of a channel, in bytes (PostgreSQL's `NAMEDATALEN` less one): what is over it would be cut off silently.
pub(super) const NAME_BYTES_MAX: usize = 63;
/// How soon a connection whose other side is gone is noticed: asked after so long, so often, so many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);

/// A PostgreSQL server that is listened to.
#[derive(Debug, Clone)]
pub(crate) struct PostgresConfig {
    /// Where it is, perhaps with a password, which is not shown.
    pub(crate) server: tokio_postgres::Config,
    /// Its channels with publish objects.
    pub(crate) channels: Vec<String>,
}

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// What is listened to; `None`: nothing.
pub(super) fn postgres(values: &Values<'_>) -> Result<Option<PostgresConfig>, ConfigError> {
    let channels = values.each("postgres.channel", channel)?;
    let Some(url) = values.located("postgres.url") else {
        return Ok(None);
    };
    if channels.is_empty() {
        let what = "there is nothing to be heard from this PostgreSQL";
        let fix = "give --postgres-channel NAME";
        return Err(Problem::new(what, fix).at(&url.origin));
    }
    Ok(Some(PostgresConfig {
        server: url.parse(server)?,
        channels,
    }))
}

fn channel(name: &str) -> Result<String, Problem> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\0') {
        return Ok(name.to_owned());
    }
    let what = format!("{} is no channel of PostgreSQL", super::parse::shown(name));
    Err(Problem::new(what, "take a name of 1 to 63 bytes"))
}

/// The address. What is wrong with it is told without it: there may be a password in it.
pub(super) fn server(text: &str) -> Result<tokio_postgres::Config, Problem> {
    let problem = || {
        Problem::new(
            "this is no address of a PostgreSQL",
            "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or postgres://USER@%2FRUN%2FPOSTGRESQL/DATABASE for the folder \
             of its socket; of a password's characters, those that are not letters and digits as %XX; behind it at most \
             ?sslmode=disable, or ?sslmode=require, which looks at the certificate",
        )
    };
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    // Behind the `@` of a password its rest would be taken for a host, and a host is logged.
    if !is_url || text.matches('@').count() > 1 {
        return Err(problem());
    }
    let mut server: tokio_postgres::Config = text.parse().map_err(|_| problem())?;
    if server.get_hosts().is_empty() || server.get_dbname().is_none() {
        return Err(problem());
    }
    // `prefer`, which is what an address without the parameter says, would take whatever somebody in between lets through.
    if server.get_ssl_mode() == SslMode::Prefer {
        let is_local = server.get_hosts().iter().all(is_local);
        server.ssl_mode(if is_local {
            SslMode::Disable
        } else {
            SslMode::Require
        });
    }
    let (idle, interval, retries) = KEEPALIVE;
    server
        .keepalives_idle(idle)
        .keepalives_interval(interval)
        .keepalives_retries(retries)
        .tcp_user_timeout(idle + interval * retries);
    if server.get_application_name().is_none() {
        server.application_name("rupor");
    }
    Ok(server)
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

static OPTIONS: &[Definition] = &[
    option(
        POSTGRES,
        "postgres.url",
        Shape::Secret,
        "postgres://USER@HOST/DB",
        Default::Explained("no PostgreSQL is listened to"),
        "The PostgreSQL in which the site says NOTIFY (docs/howto/postgresql.md), perhaps with a password. TLS is used, and the \
         certificate looked at, but for this machine; `?sslmode=disable` or `require` says it. There is no flag for it, \
         because other users can read a command line",
    ).example("url = \"postgres://rupor:PASSWORD@127.0.0.1/site\""),
    option(
        POSTGRES,
        "postgres.channel",
        Shape::List,
        "NAME",
        Default::Value("rupor"),
        "The channel of NOTIFY with publish objects, one in each notification, as in a line. Repeatable",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mode, source};

    fn loaded(file: &str) -> Result<Option<PostgresConfig>, String> {
        let layer = source::of_text(Mode::Serve, file).map_err(|error| error.to_string())?;
        postgres(&Values::new(&layer)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_and_every_option() {
        assert!(loaded("").unwrap().is_none());
        let config = loaded("[postgres]\nurl = \"postgres://a@127.0.0.1/site\"").unwrap();
        assert_eq!(config.unwrap().channels, ["rupor"]);
        let all = "[postgres]\nurl = \"postgresql://a@%2Frun/site\"\nchannel = [\"a\", \"b\"]";
        assert_eq!(loaded(all).unwrap().unwrap().channels, ["a", "b"]);
    }

    #[test]
    fn tls_is_needed_but_on_this_machine() {
        for (address, mode) in [
            ("postgres://a@127.0.0.1/s", SslMode::Disable),
            ("postgres://a@localhost/s", SslMode::Disable),
            ("postgres://a@[::1]/s", SslMode::Disable),
            ("postgres://a@%2Frun/s", SslMode::Disable),
            ("postgres://a@db.example/s", SslMode::Require),
            ("postgres://a@localhost,db.example/s", SslMode::Require),
            ("postgres://a@db.example/s?sslmode=prefer", SslMode::Require),
            (
                "postgres://a@db.example/s?sslmode=disable",
                SslMode::Disable,
            ),
            ("postgres://a@127.0.0.1/s?sslmode=require", SslMode::Require),
        ] {
            assert_eq!(server(address).unwrap().get_ssl_mode(), mode, "{address}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let config = loaded("[postgres]\nurl = \"postgres://a:hush@127.0.0.1/s\"").unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        for bad in [
            "http://a:hush@127.0.0.1/s",
            "postgres://a:hush@127.0.0.1:x/s",
            "postgres://a:hush@127.0.0.1",
            "postgres:///s?password=hush",
            "postgres://a:no@hush@127.0.0.1/s",
            "postgres://a:hush@127.0.0.1/s?sslmode=verify-full",
            "host=127.0.0.1 password=hush",
        ] {
            let error = loaded(&format!("[postgres]\nurl = \"{bad}\"")).unwrap_err();
            let right = error.contains("postgres://USER") && !error.contains("hush");
            assert!(right, "{error}");
        }
    }

    #[test]
    fn there_is_something_to_be_heard_and_names_are_not_cut() {
        let listen = |channel: &str| {
            loaded(&format!(
                "[postgres]\nurl = \"postgres://a@127.0.0.1/s\"\nchannel = [{channel}]"
            ))
        };
        assert!(listen("").unwrap_err().contains("--postgres-channel"));
        assert!(listen(&format!("\"{}\"", "x".repeat(63))).is_ok());
        let error = listen(&format!("\"{}\"", "x".repeat(64))).unwrap_err();
        assert!(error.contains("1 to 63 bytes"), "{error}");
    }
}
