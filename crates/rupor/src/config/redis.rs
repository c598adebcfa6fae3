//! `[redis]`: what is heard from a Redis, as options, and what they come to.

use super::definition::{Default, Definition, Shape, option};
use super::error::{ConfigError, Problem};
use super::{Secret, build::Values, parse};
use ::redis::IntoConnectionInfo as _;

/// Heading that they stand under.
const REDIS: &str = "Publications from Redis";

/// A Redis that is subscribed to.
#[derive(Debug, Clone)]
pub(crate) struct RedisConfig {
    /// Where it is, perhaps with a password.
    pub(crate) url: Secret,
    /// Its channels with publish objects.
    pub(crate) channels: Vec<String>,
    /// What stands before the names of channels that Laravel broadcasts on; `None`: they are not heard.
    pub(crate) laravel_prefix: Option<String>,
}

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// What is subscribed to; `None`: nothing.
pub(super) fn redis(values: &Values<'_>) -> Result<Option<RedisConfig>, ConfigError> {
    let channels: Vec<_> = values.texts("redis.channel").iter().collect();
    let laravel = values
        .optional("redis.laravel", parse::switch)?
        .unwrap_or(false);
    let prefix = values.located("redis.laravel_prefix");
    let prefix = prefix.map_or_else(String::new, |prefix| prefix.text.clone());
    let Some(url) = values.located("redis.url") else {
        return Ok(None);
    };
    if channels.is_empty() && !laravel {
        let what = "there is nothing to be heard from this Redis";
        let fix = "give --redis-channel NAME or --redis-laravel";
        return Err(Problem::new(what, fix).at(&url.origin));
    }
    Ok(Some(RedisConfig {
        url: url.parse(address)?,
        channels: channels.iter().map(|name| name.text.clone()).collect(),
        laravel_prefix: laravel.then_some(prefix),
    }))
}

/// The address. What is wrong with it is told without it: there may be a password in it.
pub(super) fn address(text: &str) -> Result<Secret, Problem> {
    let is_plain = ["redis://", "unix://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if is_plain && text.into_connection_info().is_ok() {
        return Ok(Secret::new(text));
    }
    Err(Problem::new(
        "this is no address of a Redis",
        "write redis://HOST:PORT/DB, redis://:PASSWORD@HOST:PORT/DB or unix:///PATH?db=DB; of a password's characters, \
         those that are not letters and digits as %XX. There is no TLS",
    ))
}

static OPTIONS: &[Definition] = &[
    option(
        REDIS,
        "redis.url",
        Shape::Secret,
        "redis://HOST:PORT/DB",
        Default::Explained("no Redis is subscribed to"),
        "The Redis that the site publishes in (docs/howto/redis.md), perhaps with a password: \
         `redis://:PASSWORD@HOST:PORT/DB`. There is no flag for it, because other users can read a command line",
    ).example("url = \"redis://127.0.0.1:6379/0\""),
    option(
        REDIS,
        "redis.channel",
        Shape::List,
        "NAME",
        Default::Value("rupor"),
        "The channel of Redis with publish objects, one in each message, as in a line. Repeatable",
    ),
    option(
        REDIS,
        "redis.laravel",
        Shape::Switch,
        "true|false",
        Default::Value("false"),
        "Whether what Laravel broadcasts by its `redis` driver goes to the channels that it names",
    ),
    option(
        REDIS,
        "redis.laravel_prefix",
        Shape::Text,
        "TEXT",
        Default::Value("laravel_database_"),
        "What Laravel writes before the names of channels: `database.redis.options.prefix` of its configuration",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mode, source};

    fn loaded(file: &str) -> Result<Option<RedisConfig>, String> {
        let layer = source::of_text(Mode::Serve, file).map_err(|error| error.to_string())?;
        redis(&Values::new(&layer)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_and_every_option() {
        assert!(loaded("").unwrap().is_none());
        let config = loaded("[redis]\nurl = \"redis://127.0.0.1:6379/1\"").unwrap();
        let config = config.unwrap();
        assert_eq!(config.channels, ["rupor"]);
        assert_eq!(config.laravel_prefix, None);
        let all = "[redis]\nurl = \"unix:///run/redis.sock\"\nchannel = [\"a\", \"b\"]\nlaravel = true\nlaravel_prefix = \"x_\"";
        let config = loaded(all).unwrap().unwrap();
        assert_eq!(config.channels, ["a", "b"]);
        assert_eq!(config.laravel_prefix.as_deref(), Some("x_"));
    }

    #[test]
    fn a_password_is_never_shown() {
        let config = loaded("[redis]\nurl = \"redis://:hush@127.0.0.1:6379/1\"").unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        for bad in [
            "http://:hush@127.0.0.1",
            "rediss://:hush@127.0.0.1",
            "redis://:hush@:x",
            "hush",
        ] {
            let error = loaded(&format!("[redis]\nurl = \"{bad}\"")).unwrap_err();
            assert!(
                error.contains("redis://HOST") && !error.contains("hush"),
                "{error}"
            );
        }
    }

    #[test]
    fn there_is_something_to_be_heard() {
        let error = loaded("[redis]\nurl = \"redis://127.0.0.1\"\nchannel = []").unwrap_err();
        assert!(error.contains("--redis-channel"), "{error}");
    }
}
