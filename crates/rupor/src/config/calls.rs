//! `[fpm]` and `[webhook]`: handlers that are called for each event, as options, and what they come to.

use super::definition::{Default, Definition, Shape, option};
use super::error::{ConfigError, Problem};
use super::source::Located;
use super::types::{CallConfig, CallEvent, FailedEvent, FpmAddress, FpmConfig, WebhookConfig};
use super::{Secret, build, build::Values, parse, php};
use crate::system::HAS_UNIX_SOCKETS;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Headings that they stand under.
const FPM: &str = "Handlers in php-fpm";
const WEBHOOK: &str = "Handlers behind a webhook";
/// Most calls at a time.
const AT_A_TIME_MAX: u64 = 1024;
/// What a call may take.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// Shortest key of a webhook, in bytes: that of an HMAC-SHA256 (RFC 2104 §3).
const KEY_BYTES_MIN: usize = 32;

/// Every option of the tables.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// What both tables have, each option by the name that it has there.
fn calls(values: &Values<'_>, table: &str, at_a_time: &str) -> Result<CallConfig, ConfigError> {
    let (shortest, longest) = TIMEOUT;
    let duration = |text: &str| parse::duration(text, shortest, longest);
    let count = |text: &str| parse::count(text, 1, AT_A_TIME_MAX);
    let key = |name: &str| format!("{table}.{name}");
    Ok(CallConfig {
        pool: String::new(),
        at_a_time: values
            .optional(&key(at_a_time), count)?
            .and_then(|count| NonZeroUsize::new(usize::try_from(count).ok()?))
            .unwrap_or(NonZeroUsize::MIN),
        timeout: values
            .optional(&key("timeout"), duration)?
            .unwrap_or(longest),
        events: values.each(&key("events"), event)?,
        failed_event: values
            .optional(&key("failed_event"), php::failed_event)?
            .unwrap_or(FailedEvent::Ignore),
        events_max: values.limit("limits.php_queue_events_max")?,
        bytes_max: values.limit("limits.php_queue_bytes_max")?,
    })
}

/// What calls handlers in php-fpm; `None`: there are none.
pub(super) fn fpm(values: &Values<'_>) -> Result<Option<FpmConfig>, ConfigError> {
    let config = FpmConfig {
        script: PathBuf::new(),
        address: values
            .optional("fpm.address", address)?
            .unwrap_or(FpmAddress::Unix(PathBuf::new())),
        calls: calls(values, "fpm", "connections")?,
    };
    // Last, so that a slip in the table is named also where there are no handlers.
    let Some(script) = php::script(values, "fpm.script", "--fpm")? else {
        return Ok(None);
    };
    if let (Some(given), FpmAddress::Unix(_), false) = (
        values.located("fpm.address"),
        &config.address,
        HAS_UNIX_SOCKETS,
    ) {
        let what = format!(
            "{}: this system has no Unix sockets",
            parse::shown(&given.text)
        );
        let fix = "let php-fpm listen on TCP, and write tcp://127.0.0.1:9000";
        return Err(Problem::new(what, fix).at(&given.origin));
    }
    // php-fpm runs elsewhere, and knows a script by its full path only.
    let Ok(script) = std::path::absolute(script) else {
        return Ok(None);
    };
    Ok(Some(FpmConfig { script, ..config }))
}

/// What calls a webhook; `None`: there is none.
pub(super) fn webhook(values: &Values<'_>) -> Result<Option<WebhookConfig>, ConfigError> {
    let calls = calls(values, "webhook", "calls")?;
    let address = signed_address(values, "webhook")?;
    Ok(address.map(|(url, key)| WebhookConfig { url, key, calls }))
}

/// The address of a table, and the key that calls of it are signed with; `None`: there is none.
pub(super) fn signed_address(
    values: &Values<'_>,
    table: &str,
) -> Result<Option<(http::Uri, Secret)>, ConfigError> {
    let option = |name: &str| format!("{table}.{name}");
    let url = values.optional(&option("url"), url)?;
    let (Some(url), Some(located)) = (url, values.located(&option("url"))) else {
        return Ok(None);
    };
    let key = match (
        values.located(&option("key")),
        values.located(&option("key_file")),
    ) {
        (Some(key), None) => check_key(key, key.text.clone().into_bytes())?,
        (None, Some(file)) => {
            check_key(file, build::without_line_end(build::read_key_file(file)?))?
        }
        _ => {
            let what = "a webhook is called with a signature, and there is no one key for it";
            let (flag, variable) = (table.replace('_', "-"), table.to_ascii_uppercase());
            let fix = format!(
                "give --{flag}-key-file FILE (`openssl rand -hex 32` makes a key), or RUPOR_{variable}_KEY"
            );
            return Err(Problem::new(what, fix).at(&located.origin));
        }
    };
    Ok(Some((url, key)))
}

fn check_key(located: &Located, key: Vec<u8>) -> Result<Secret, ConfigError> {
    if key.len() < KEY_BYTES_MIN {
        let what = format!("the key is shorter than {KEY_BYTES_MIN} bytes");
        return Err(Problem::new(what, "make one with `openssl rand -hex 32`").at(&located.origin));
    }
    Ok(Secret::new(key))
}

fn url(text: &str) -> Result<http::Uri, Problem> {
    let is_whole = |url: &http::Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
    };
    text.parse().ok().filter(is_whole).ok_or_else(|| {
        Problem::new(
            format!("{} is no address of a webhook", parse::shown(text)),
            "write http://HOST/PATH or https://HOST/PATH, without a user",
        )
    })
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

fn event(text: &str) -> Result<CallEvent, Problem> {
    let events = [
        ("upgrade", CallEvent::Upgrade),
        ("open", CallEvent::Open),
        ("message", CallEvent::Message),
        ("close", CallEvent::Close),
        ("refused", CallEvent::Refused),
    ];
    parse::choice(text, &events)
}

static OPTIONS: &[Definition] = &[
    option(
        FPM,
        "fpm.script",
        Shape::Text,
        "FILE",
        Default::Explained("no handlers in php-fpm"),
        "The script that is called for each event (docs/howto/php-fpm.md). It answers on every path that no other application \
         has, or where `[[application]]` says `name = \"fpm\"`",
    ).example("script = \"/srv/site/ws.php\""),
    option(
        FPM,
        "fpm.address",
        Shape::Text,
        "unix://PATH|tcp://ADDRESS:PORT",
        Default::Value("unix:///run/php/php-fpm.sock"),
        "Where php-fpm listens: the pool's `listen`",
    ),
    option(
        FPM,
        "fpm.connections",
        Shape::Number,
        "N",
        Default::Value("4"),
        "Connections to php-fpm, from 1 to 1024: so many events are handled at a time. Each occupies one process of the pool while \
         it is open, so let `pm.max_children` be larger; after 5 s without use it is closed",
    ),
    option(
        FPM,
        "fpm.timeout",
        Shape::Text,
        "TIME",
        Default::Value("30s"),
        "How long an event may take. Over it the connection to php-fpm is closed, and the event has failed",
    ),
    option(
        FPM,
        "fpm.events",
        Shape::List,
        "upgrade|open|message|close|refused",
        Default::Value("open message close"),
        "What the script is called for. `upgrade` asks it whether a connection may open, before it does; `refused` tells it of a \
         `subscribe`, `unsubscribe` or `user` of its own that was not carried out. Repeatable",
    ),
    option(
        FPM,
        "fpm.failed_event",
        Shape::Text,
        "ignore|close",
        Default::Value("ignore"),
        "What a connection hears when the call for its event failed: nothing, or it is closed with 1011. Such an event is counted \
         and not tried again",
    ),
    option(
        WEBHOOK,
        "webhook.url",
        Shape::Text,
        "URL",
        Default::Explained("no webhook"),
        "What is called for each event, by POST (docs/howto/webhook.md). It answers on every path that no other application has, or \
         where `[[application]]` says `name = \"webhook\"`",
    ).example("url = \"https://example.org/ws\""),
    option(
        WEBHOOK,
        "webhook.key_file",
        Shape::Text,
        "FILE",
        Default::Explained("none; a webhook needs one"),
        "File with the key that calls are signed with: 32 bytes or more; one line end at its end is left out",
    ).example("key_file = \"/etc/rupor/webhook.key\""),
    option(
        WEBHOOK,
        "webhook.key",
        Shape::Secret,
        "TEXT",
        Default::Explained("see webhook.key_file"),
        "The same in place. There is no flag for it, because other users can read a command line",
    ).example("key = \"…\""),
    option(
        WEBHOOK,
        "webhook.calls",
        Shape::Number,
        "N",
        Default::Value("16"),
        "So many events are handled at a time, from 1 to 1024",
    ),
    option(
        WEBHOOK,
        "webhook.timeout",
        Shape::Text,
        "TIME",
        Default::Value("10s"),
        "How long a call may take. Over it the event has failed. A `close` is told again after 1, 5 and 25 s",
    ),
    option(
        WEBHOOK,
        "webhook.events",
        Shape::List,
        "upgrade|open|message|close|refused",
        Default::Value("open message close"),
        "What it is called for. `upgrade` asks whether a connection may open, before it does; `refused` tells of a `subscribe`, \
         `unsubscribe` or `user` of its own that was not carried out. Repeatable",
    ),
    option(
        WEBHOOK,
        "webhook.failed_event",
        Shape::Text,
        "ignore|close",
        Default::Value("ignore"),
        "What a connection hears when the call for its event failed: nothing, or it is closed with 1011. Such an event is counted \
         and, but for `close`, not tried again",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mode, source};

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

    #[test]
    fn webhooks_have_a_whole_address_and_a_key() {
        for good in ["http://127.0.0.1:8080/ws", "https://example.org/a?b=c"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/ws",
            "ftp://example.org/",
            "https://user:pass@example.org/",
            "example.org",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
        let loaded = |file: &str| {
            let layer = source::of_text(Mode::Serve, file).map_err(|error| error.to_string())?;
            webhook(&Values::new(&layer)).map_err(|error| error.to_string())
        };
        assert_eq!(loaded("").map(|config| config.is_none()), Ok(true));
        let url = "[webhook]\nurl = \"https://example.org/ws\"\n";
        let error = loaded(url).unwrap_err();
        assert!(error.contains("--webhook-key-file"), "{error}");
        let error = loaded(&format!("{url}key = \"short-and-secret\"")).unwrap_err();
        assert!(
            error.contains("openssl rand -hex 32") && !error.contains("secret"),
            "{error}"
        );
        let key = "k".repeat(32);
        let config = loaded(&format!("{url}key = \"{key}\"\ncalls = 3"))
            .unwrap()
            .unwrap();
        assert_eq!(
            (config.key.expose(), config.calls.at_a_time.get()),
            (key.as_bytes(), 3)
        );
    }
}
