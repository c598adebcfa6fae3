//! `[fpm]`: handlers in php-fpm, as options, and what they come to.

use super::error::{ConfigError, Problem};
use super::options::{Default, Definition, Shape};
use super::types::{FailedEvent, FpmAddress, FpmConfig, FpmEvent, Mode};
use super::{build::Values, parse, php};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Heading that they stand under.
const HANDLERS: &str = "Handlers in php-fpm";
/// Most connections to php-fpm.
const CONNECTIONS_MAX: u64 = 1024;
/// What `fpm.timeout` may be.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// What calls the handlers; `None`: there are none.
pub(super) fn fpm(values: &Values<'_>) -> Result<Option<FpmConfig>, ConfigError> {
    let (shortest, longest) = TIMEOUT;
    let duration = |text: &str| parse::duration(text, shortest, longest);
    let connections = |text: &str| parse::count(text, 1, CONNECTIONS_MAX);
    let config = FpmConfig {
        script: PathBuf::new(),
        address: values
            .optional("fpm.address", address)?
            .unwrap_or(FpmAddress::Unix(PathBuf::new())),
        connections: values
            .optional("fpm.connections", connections)?
            .and_then(|count| NonZeroUsize::new(usize::try_from(count).ok()?))
            .unwrap_or(NonZeroUsize::MIN),
        timeout: values.optional("fpm.timeout", duration)?.unwrap_or(longest),
        events: values.each("fpm.events", event)?,
        failed_event: values
            .optional("fpm.failed_event", php::failed_event)?
            .unwrap_or(FailedEvent::Ignore),
        events_max: values.limit("limits.php_queue_events_max")?,
        bytes_max: values.limit("limits.php_queue_bytes_max")?,
    };
    // Last, so that a slip in the table is named also where there are no handlers.
    let Some(script) = php::script(values, "fpm.script", "--fpm")? else {
        return Ok(None);
    };
    // php-fpm runs elsewhere, and knows a script by its full path only.
    let Ok(script) = std::path::absolute(script) else {
        return Ok(None);
    };
    Ok(Some(FpmConfig { script, ..config }))
}

fn address(text: &str) -> Result<FpmAddress, Problem> {
    let tcp = |text: &str| text.parse().ok().map(FpmAddress::Tcp);
    let unix = |text: &str| (text.len() > 1).then(|| FpmAddress::Unix(PathBuf::from(text)));
    let parsed = match text.split_once("://") {
        Some(("tcp", rest)) => tcp(rest),
        Some(("unix", rest)) if rest.starts_with('/') => unix(rest),
        None if text.starts_with('/') => unix(text),
        None => tcp(text),
        Some(_) => None,
    };
    parsed.ok_or_else(|| {
        Problem::new(
            format!("{} is no address of php-fpm", parse::shown(text)),
            "write the pool's `listen`: unix:///run/php/php-fpm.sock or tcp://127.0.0.1:9000",
        )
    })
}

fn event(text: &str) -> Result<FpmEvent, Problem> {
    let events = [
        ("upgrade", FpmEvent::Upgrade),
        ("open", FpmEvent::Open),
        ("message", FpmEvent::Message),
        ("close", FpmEvent::Close),
    ];
    parse::choice(text, &events)
}

const fn option(
    key: &'static str,
    shape: Shape,
    form: &'static str,
    default: Default,
    help: &'static str,
) -> Definition {
    Definition {
        key,
        shape,
        form,
        default,
        modes: &[Mode::Demo, Mode::Serve],
        section: HANDLERS,
        help,
        example: "",
    }
}

static OPTIONS: &[Definition] = &[
    Definition {
        example: "script = \"/srv/site/ws.php\"",
        ..option(
            "fpm.script",
            Shape::Text,
            "FILE",
            Default::Explained("no handlers in php-fpm"),
            "The script that is called for each event (docs/howto/php-fpm.md). It answers on every path that no other application \
             has, or where `[[application]]` says `name = \"fpm\"`",
        )
    },
    option(
        "fpm.address",
        Shape::Text,
        "unix://PATH|tcp://ADDRESS:PORT",
        Default::Value("unix:///run/php/php-fpm.sock"),
        "Where php-fpm listens: the pool's `listen`",
    ),
    option(
        "fpm.connections",
        Shape::Number,
        "N",
        Default::Value("4"),
        "Connections to php-fpm, from 1 to 1024: so many events are handled at a time. Each occupies one process of the pool while \
         it is open, so let `pm.max_children` be larger; after 5 s without use it is closed",
    ),
    option(
        "fpm.timeout",
        Shape::Text,
        "TIME",
        Default::Value("30s"),
        "How long an event may take. Over it the connection to php-fpm is closed, and the event has failed",
    ),
    option(
        "fpm.events",
        Shape::List,
        "upgrade|open|message|close",
        Default::Value("open message close"),
        "What the script is called for. `upgrade` asks it whether a connection may open, before it does. Repeatable",
    ),
    option(
        "fpm.failed_event",
        Shape::Text,
        "ignore|close",
        Default::Value("ignore"),
        "What a connection hears when the call for its event failed: nothing, or it is closed with 1011. Such an event is counted \
         and not tried again",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let unix = Ok(FpmAddress::Unix("/run/fpm.sock".into()));
        assert_eq!(address("unix:///run/fpm.sock"), unix);
        assert_eq!(address("/run/fpm.sock"), unix);
        let tcp = Ok(FpmAddress::Tcp("127.0.0.1:9000".parse().unwrap()));
        assert_eq!(address("tcp://127.0.0.1:9000"), tcp);
        assert_eq!(address("127.0.0.1:9000"), tcp);
        for bad in ["", "unix://fpm.sock", "http://127.0.0.1:9000", "localhost"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
