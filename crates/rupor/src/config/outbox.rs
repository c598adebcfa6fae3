//! `[outbox]`: a table in the site's database whose rows are published, as options, and what they come to.

use super::build::Values;
use super::definition::{Default, Definition, Shape, option};
use super::error::{ConfigError, Problem};
use super::{parse, postgres};
use mysql_async::{Opts, OptsBuilder};
use std::fmt;
use std::time::Duration;

/// Heading that they stand under.
const OUTBOX: &str = "Outbox";
/// Longest name of a table, in bytes: other names are made from it that may have 63.
const TABLE_BYTES_MAX: usize = 48;
/// Longest time that a row waits for somebody who would hear it.
const HOLD_MAX: Duration = Duration::from_secs(3600);

/// A table whose rows are published.
#[derive(Debug, Clone)]
pub(crate) struct OutboxConfig {
    /// Where it is, perhaps with a password, which is not shown.
    pub(crate) database: Database,
    /// Its name.
    pub(crate) table: TableName,
    /// How long a row waits for somebody who would hear it.
    pub(crate) hold: Duration,
}

/// A database that may have an outbox.
#[derive(Clone)]
pub(crate) enum Database {
    /// PostgreSQL 12 or newer.
    Postgres(Box<tokio_postgres::Config>),
    /// MySQL 8 or MariaDB 10.3 or newer.
    MySql(Opts),
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(server) => server.fmt(formatter),
            // They would show the password.
            Self::MySql(_) => formatter.write_str("MySql(…)"),
        }
    }
}

/// The name of a table, with or without a schema before it: letters, digits and `_`, so that it needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName(String);

impl TableName {
    /// As it is written in a configuration.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// What is published from a table; `None`: there is none.
pub(super) fn outbox(values: &Values<'_>) -> Result<Option<OutboxConfig>, ConfigError> {
    let table_name = values.optional("outbox.table", table)?;
    let hold = values.optional("outbox.hold", |text| {
        parse::duration(text, Duration::ZERO, HOLD_MAX)
    })?;
    let (Some(url), Some(table)) = (values.located("outbox.url"), table_name) else {
        return Ok(None);
    };
    Ok(Some(OutboxConfig {
        database: url.parse(database)?,
        table,
        hold: hold.unwrap_or_default(),
    }))
}

/// The address. What is wrong with it is told without it: there may be a password in it.
fn database(text: &str) -> Result<Database, Problem> {
    if !text.starts_with("mysql://") {
        return postgres::server(text)
            .map(|server| Database::Postgres(Box::new(server)))
            .map_err(|problem| {
                let fix = format!(
                    "{}; or mysql://USER:PASSWORD@HOST:PORT/DATABASE",
                    problem.fix
                );
                Problem::new(
                    "this is no address of a database that may have an outbox",
                    fix,
                )
            });
    }
    let given = Opts::from_url(text).ok();
    // Behind an `@` and a `/` of a password its rest would be taken for a database, which is logged.
    let is_name = |name: &str| !name.is_empty() && !name.contains('@');
    let opts = given.filter(|opts| opts.db_name().is_some_and(is_name));
    let opts = opts.ok_or_else(|| {
        Problem::new(
            "this is no address of a MySQL or MariaDB",
            "write mysql://USER:PASSWORD@HOST:PORT/DATABASE, with ?socket=/PATH behind it for its socket; of a password's characters, \
             those that are not letters and digits as %XX",
        )
    })?;
    // What is asked for, and not the server's socket in its place.
    let builder = OptsBuilder::from_opts(opts).prefer_socket(false);
    Ok(Database::MySql(builder.into()))
}

/// A table's name.
pub(crate) fn table(text: &str) -> Result<TableName, Problem> {
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let mut parts = text.split('.');
    let right = text.len() <= TABLE_BYTES_MAX && parts.clone().count() <= 2 && parts.all(is_name);
    if right {
        return Ok(TableName(text.to_owned()));
    }
    let what = format!(
        "{} is no name of a table that is taken here",
        parse::shown(text)
    );
    let fix = "write TABLE or SCHEMA.TABLE, of small letters, digits and `_`, at most 48 of them";
    Err(Problem::new(what, fix))
}

static OPTIONS: &[Definition] = &[
    option(
        OUTBOX,
        "outbox.url",
        Shape::Secret,
        "postgres://USER@HOST/DB",
        Default::Explained("there is no outbox"),
        "The database with the table whose rows are published (docs/howto/outbox.md): PostgreSQL, written as in postgres.url, or \
         `mysql://USER:PASSWORD@HOST/DB` for MySQL and MariaDB. There is no flag for it, because other users can read a command line",
    ).example("url = \"postgres://rupor:PASSWORD@127.0.0.1/site\""),
    option(
        OUTBOX,
        "outbox.table",
        Shape::Text,
        "TABLE",
        Default::Value("rupor_outbox"),
        "The table, perhaps with its schema: `rupor outbox install` prints the SQL that makes it",
    ),
    option(
        OUTBOX,
        "outbox.hold",
        Shape::Text,
        "TIME",
        Default::Value("30s"),
        "How long a row waits for somebody who would hear it: a page that loads anew, a browser that connects again after a restart. \
         At most 1h; 0s: it does not wait",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mode, source};

    fn loaded(file: &str) -> Result<Option<OutboxConfig>, String> {
        let layer = source::of_text(Mode::Serve, file).map_err(|error| error.to_string())?;
        outbox(&Values::new(&layer)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_and_every_option() {
        assert!(loaded("").unwrap().is_none());
        let config = loaded("[outbox]\nurl = \"postgres://a@127.0.0.1/site\"").unwrap();
        let config = config.unwrap();
        assert_eq!(config.table.as_str(), "rupor_outbox");
        assert_eq!(config.hold, Duration::from_secs(30));
        let all = "[outbox]\nurl = \"postgres://a@h/site\"\ntable = \"push.queue\"\nhold = \"0s\"";
        let config = loaded(all).unwrap().unwrap();
        assert_eq!(
            (config.table.as_str(), config.hold),
            ("push.queue", Duration::ZERO)
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        let config = loaded("[outbox]\nurl = \"postgres://a:hush@127.0.0.1/s\"").unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        let config = loaded("[outbox]\nurl = \"mysql://a:hush@127.0.0.1/s\"").unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        for bad in [
            "oracle://a:hush@127.0.0.1/s",
            "mysql://a:hush@127.0.0.1",
            "mysql://a:hush@127.0.0.1/s?hush=1",
            "mysql://a:hush@127.0.0.1:x/s",
            "mysql://a:no@no/hush@127.0.0.1/s",
        ] {
            let error = loaded(&format!("[outbox]\nurl = \"{bad}\"")).unwrap_err();
            let right = error.contains("mysql://USER") && !error.contains("hush");
            assert!(right, "{error}");
        }
    }

    #[test]
    fn a_table_needs_no_quotes() {
        for name in ["a", "_a1", "a.b", &"x".repeat(48)] {
            assert!(table(name).is_ok(), "{name}");
        }
        for name in [
            "",
            ".",
            "a.",
            "a.b.c",
            "1a",
            "A",
            "a b",
            "a\"",
            "a;",
            "ä",
            &"x".repeat(49),
        ] {
            assert!(table(name).is_err(), "{name}");
        }
    }
}
