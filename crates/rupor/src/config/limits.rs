//! The limits: one table for the configuration, the reference page and the README.
//!
//! Those of the server come from [`rupor_server::Limits::table`] itself, so that none can be forgotten here; those of the
//! gateway stand in [`OWN`].

use super::definition::{Default, Definition, EVERY, Shape, option};
use super::error::{ConfigError, Problem};
use super::options::LIMITS;
use super::types::Mode;
use super::{build::Values, parse};
use rupor_server::Limits;
use std::sync::LazyLock;

/// Largest number that a limit takes.
const NUMBER_MAX: u64 = u32::MAX as u64;

/// Made from limits of the gateway ([`Settings::fit`](crate::gateway::Settings::fit)), so they are no options.
const DERIVED: &[&str] = &["subscriptions_max", "topics_max", "topic_bytes_max"];

/// Every limit as an option.
pub(crate) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OWN.iter()
        .chain(SERVER.iter().map(|(definition, _)| definition))
}

/// The limits of the server for a command.
pub(super) fn server(mode: Mode, values: &Values<'_>) -> Result<Limits, ConfigError> {
    let mut limits = defaults(mode);
    for (definition, name) in SERVER.iter() {
        let Some(located) = values.located(definition.key) else {
            continue;
        };
        let value = located.parse(|text| parse(definition.key, text))?;
        if !limits.set(name, value) {
            let problem = Problem::new("the number is too large", "write a smaller one");
            return Err(problem.at(&located.origin));
        }
    }
    Ok(limits)
}

/// What holds for a command when nobody says anything.
fn defaults(mode: Mode) -> Limits {
    let mut limits = Limits::default();
    if mode == Mode::Echo {
        // Wide enough for every case of the Autobahn TestSuite, which floods and fragments on purpose.
        limits.protocol.limits.message_bytes_max = 16 << 20;
        limits.protocol.limits.frames_per_message_max = 1 << 20;
        limits.protocol.limits.message_time_max_ms = 300_000;
        limits.protocol.limits.control_frames_per_second = 100_000;
        limits.protocol.limits.control_frames_burst = 1_000_000;
        limits.messages_per_second = 0;
        limits.bytes_per_second = 0;
        limits.backlog_bytes_max = 64 << 20;
        limits.backlog_frames_max = 1 << 20;
    }
    limits
}

/// Reads a limit: bytes with or without a unit, anything else as a plain number. Zero is for those that it turns off.
pub(super) fn parse(key: &str, text: &str) -> Result<u64, Problem> {
    let row = SERVER.iter().find(|(definition, _)| definition.key == key);
    let min = u64::from(!row.is_some_and(|(definition, _)| definition.help.contains(" 0: ")));
    if key.contains("bytes") {
        return parse::bytes(text, min, NUMBER_MAX);
    }
    parse::count(text, min, NUMBER_MAX)
}

/// The server's limits as options, each with its name in the server's table.
static SERVER: LazyLock<Vec<(Definition, &'static str)>> = LazyLock::new(|| {
    let rows = Limits::default().table();
    let own = rows.into_iter().filter(|row| !DERIVED.contains(&row.name));
    own.map(|row| {
        let short = row.name.rsplit('.').next().unwrap_or(row.name);
        let definition = Definition {
            // Once for each limit, for the life of the program.
            key: Box::leak(format!("limits.{short}").into_boxed_str()),
            shape: Shape::Number,
            form: match row.unit {
                "bytes" => "BYTES",
                "ms" => "MS",
                _ => "N",
            },
            default: Default::Limit(row.name),
            modes: EVERY,
            section: LIMITS,
            help: row.why.trim_end_matches('.'),
            example: "",
        };
        (definition, row.name)
    })
    .collect()
});

/// The default of one of the server's limits, as text.
pub(super) fn default_text(mode: Mode, name: &str) -> Option<String> {
    let row = defaults(mode)
        .table()
        .into_iter()
        .find(|row| row.name == name)?;
    Some(row.value.to_string())
}

/// A limit of the gateway itself.
const fn own(
    key: &'static str,
    form: &'static str,
    default: &'static str,
    help: &'static str,
) -> Definition {
    let (shape, default) = (Shape::Number, Default::Value(default));
    option(LIMITS, key, shape, form, default, help)
}

static OWN: &[Definition] = &[
    own(
        "limits.publish_bytes_max",
        "BYTES",
        "1048576",
        "The longest line on an inlet (over it: an error line, and the next line works) and body of an HTTP API call (413)",
    ),
    own(
        "limits.publish_batch_max",
        "N",
        "1000",
        "Publications in one HTTP API call. Over it: 422",
    ),
    own(
        "limits.inlet_connections_max",
        "N",
        "1024",
        "Connections to the line inlets at a time. At it new ones wait in the listen backlog",
    ),
    own(
        "limits.subscriptions_per_connection_max",
        "N",
        "128",
        "Channels that one connection is subscribed to. At it a subscription is refused",
    ),
    own(
        "limits.channels_max",
        "N",
        "1000000",
        "Channels that exist at a time. At it a subscription to a new one is refused",
    ),
    own(
        "limits.connections_per_user_max",
        "N",
        "10000",
        "Connections that one user has open at a time. The next one is closed with 3502",
    ),
    own(
        "limits.connections_per_cookie_max",
        "N",
        "10000",
        "Connections that one value of the cookie finds (`PHPSESSID` of a line). The next one opens, but the cookie does not find it: nobody is kept out by what others claim",
    ),
    own(
        "limits.cookie_bytes_max",
        "BYTES",
        "256",
        "Length of a cookie's value that finds its connection. A longer one does not",
    ),
    own(
        "limits.users_per_publication_max",
        "N",
        "1000",
        "Users that one publication names (`users`). Over it: an error, and nobody receives it",
    ),
    own(
        "limits.php_queue_events_max",
        "N",
        "100000",
        "Events that wait for one PHP process while it is busy or started again, or for php-fpm, or for the webhook. At it the connection is closed with 1013",
    ),
    own(
        "limits.php_queue_bytes_max",
        "BYTES",
        "67108864",
        "The same in bytes",
    ),
    own(
        "limits.identify_deadline_ms",
        "MS",
        "5000",
        "How long after the 101 a connection may stay without its token, when the first message carries it. Then 3001",
    ),
];
