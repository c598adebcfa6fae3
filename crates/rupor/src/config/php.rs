//! `[php]`: the processes that handlers run in, as options, and what they come to.

use super::definition::{Default, Definition, Shape, option};
use super::error::{ConfigError, Problem};
use super::types::{FailedEvent, PhpConfig, PhpKey};
use super::{build::Values, parse};
use crate::system::{HAS_PROCESS_MEMORY, HAS_UNIX_SOCKETS};
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Heading that they stand under.
const HANDLERS: &str = "Handlers in PHP";
/// Most worker processes.
const WORKERS_MAX: u64 = 1024;
/// Most events and bytes that a number here takes.
const NUMBER_MAX: u64 = u32::MAX as u64;
/// What `php.exec_ttl` may be.
const EXEC_TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// What runs the handlers; `None`: there are none.
pub(super) fn php(values: &Values<'_>) -> Result<Option<PhpConfig>, ConfigError> {
    let config = processes(values)?;
    // Last, so that a slip in the table is named also where there are no handlers.
    let script = script(values, "php.script", "--php")?;
    if let (Some(given), false) = (values.located("php.script"), HAS_UNIX_SOCKETS) {
        let what = "handlers in processes of PHP are handed a Unix socket, which this system does not have";
        let fix = "let php-fpm run them by TCP (--fpm), or a webhook (--webhook-url)";
        return Err(Problem::new(what, fix).at(&given.origin));
    }
    Ok(script.map(|script| PhpConfig { script, ..config }))
}

/// What runs the examples of demo mode, but for their scripts: one process each, since they keep everything in variables.
pub(super) fn examples(values: &Values<'_>) -> Result<PhpConfig, ConfigError> {
    Ok(PhpConfig {
        workers: NonZeroUsize::MIN,
        key: PhpKey::Connection,
        lines: Vec::new(),
        watch: false,
        ..processes(values)?
    })
}

fn processes(values: &Values<'_>) -> Result<PhpConfig, ConfigError> {
    let number = |key, min, max| {
        let parsed = values.optional(key, |text| parse::count(text, min, max))?;
        Ok(parsed.and_then(|number| usize::try_from(number).ok()))
    };
    let key = [("connection", PhpKey::Connection), ("path", PhpKey::Path)];
    let (shortest, longest) = EXEC_TTL;
    Ok(PhpConfig {
        pool: String::new(),
        script: PathBuf::new(),
        binary: values
            .located("php.binary")
            .map_or_else(String::new, |it| it.text.clone()),
        workers: number("php.workers", 1, WORKERS_MAX)?
            .and_then(NonZeroUsize::new)
            .unwrap_or(NonZeroUsize::MIN),
        key: values
            .optional("php.key", |text| parse::choice(text, &key))?
            .unwrap_or(PhpKey::Connection),
        lines: values.each("php.lines", parse::inlet)?,
        watch: values
            .optional("php.watch", parse::switch)?
            .unwrap_or(false),
        max_jobs: values
            .optional("php.max_jobs", |text| parse::count(text, 0, NUMBER_MAX))?
            .unwrap_or(0),
        exec_ttl: values
            .optional("php.exec_ttl", |text| {
                parse::duration(text, shortest, longest)
            })?
            .unwrap_or(longest),
        max_worker_memory: values
            .optional("php.max_worker_memory", worker_memory)?
            .unwrap_or(0),
        failed_event: values
            .optional("php.failed_event", failed_event)?
            .unwrap_or(FailedEvent::Ignore),
        events_max: values.limit("limits.php_queue_events_max")?,
        bytes_max: values.limit("limits.php_queue_bytes_max")?,
        files: &[],
    })
}

/// No PHP is smaller than this, so that a smaller number is one of megabytes.
const WORKER_MEMORY_MIN: u64 = 1 << 20;

fn worker_memory(text: &str) -> Result<u64, Problem> {
    match parse::bytes(text, 0, NUMBER_MAX)? {
        0 => Ok(0),
        _ if !HAS_PROCESS_MEMORY => Err(Problem::new(
            "what memory a process has is known on Linux only",
            "leave it out; php.max_jobs replaces processes, too",
        )),
        bytes if bytes >= WORKER_MEMORY_MIN => Ok(bytes),
        bytes => Err(Problem::new(
            format!("no PHP process has so little memory: {bytes} bytes"),
            format!(
                "write a unit: {bytes}MiB is what RoadRunner means by {bytes}; or 0 for no limit"
            ),
        )),
    }
}

/// A file with handlers.
pub(super) fn script(
    values: &Values<'_>,
    key: &str,
    flag: &str,
) -> Result<Option<PathBuf>, ConfigError> {
    let Some(script) = values.located(key) else {
        return Ok(None);
    };
    let name = parse::shown(&script.text);
    // A folder can be opened, but not be run.
    match File::open(&script.text).and_then(|file| file.metadata()) {
        Ok(file) if file.is_file() => Ok(Some(PathBuf::from(&script.text))),
        Ok(_) => {
            let fix = "name the PHP file with your handlers";
            Err(Problem::new(format!("{name} is no file"), fix).at(&script.origin))
        }
        Err(error) => {
            let fix = format!(
                "name the PHP file with your handlers ({flag} FILE), readable for the user that runs rupor"
            );
            Err(Problem::new(format!("{name} cannot be read: {error}"), fix).at(&script.origin))
        }
    }
}

/// What a connection hears of an event that failed.
pub(super) fn failed_event(text: &str) -> Result<FailedEvent, Problem> {
    let choices = [
        ("ignore", FailedEvent::Ignore),
        ("close", FailedEvent::Close),
    ];
    parse::choice(text, &choices)
}

static OPTIONS: &[Definition] = &[
    option(
        HANDLERS,
        "php.script",
        Shape::Text,
        "FILE",
        Default::Explained("no handlers in PHP"),
        "The file with `onOpen`, `onMessage` and `onClose` (clients/php/README.md). It answers on every path that no other \
         application has, or where `[[application]]` says `name = \"php\"`. SIGHUP starts new processes, which read it \
         again, and no connection notices",
    ).example("script = \"/srv/site/handlers.php\""),
    option(
        HANDLERS,
        "php.workers",
        Shape::Number,
        "N",
        Default::Value("1"),
        "Processes, from 1 to 1024. All events of a connection go to one of them. With one, handlers may keep what belongs \
         to several connections in variables. As in RoadRunner, `num_workers` says the same",
    ),
    option(
        HANDLERS,
        "php.lines",
        Shape::List,
        "tcp://ADDRESS:PORT|unix://PATH",
        Default::Explained("nowhere"),
        "Where the site writes lines to the handlers themselves (`onLine`): the first process gets each, and may reply. Like \
     `inlet` it has no password. Repeatable",
    ).example("lines = [\"tcp://127.0.0.1:1235\"]"),
    option(
        HANDLERS,
        "php.watch",
        Shape::Switch,
        "true|false",
        Default::PerMode("true", "false", ""),
        "Whether new processes are started when a PHP file in the script's folder, or below it, changes and PHP can read it. No \
         connection notices",
    ),
    option(
        HANDLERS,
        "php.key",
        Shape::Text,
        "connection|path",
        Default::Value("connection"),
        "What decides which process a connection goes to. `path`: all connections of a path are in one process, as a game \
         in its room",
    ),
    option(
        HANDLERS,
        "php.binary",
        Shape::Text,
        "PROGRAM",
        Default::Value("php"),
        "The PHP that runs the handlers, by path or by name",
    ),
    option(
        HANDLERS,
        "php.exec_ttl",
        Shape::Text,
        "TIME",
        Default::Value("30s"),
        "How long an event may take. Over it the process is ended and another one started",
    ),
    option(
        HANDLERS,
        "php.max_jobs",
        Shape::Number,
        "N",
        Default::Value("0"),
        "After so many events a process is replaced by a new one. 0: never",
    ),
    option(
        HANDLERS,
        "php.max_worker_memory",
        Shape::Number,
        "BYTES",
        Default::Value("0"),
        "A process with more resident memory is replaced by a new one: `128MiB`. 0: never",
    ),
    option(
        HANDLERS,
        "php.failed_event",
        Shape::Text,
        "ignore|close",
        Default::Value("ignore"),
        "What a connection hears when a process ended while it was handling its event: nothing, or it is closed with 1011. \
         Such an event is counted and not tried again",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mode, source};

    fn loaded(file: &str) -> Result<Option<PhpConfig>, String> {
        let layer = source::of_text(Mode::Serve, file).map_err(|error| error.to_string())?;
        php(&Values::new(&layer)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_and_every_option() {
        assert_eq!(loaded(""), Ok(None));
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = file.path().display();
        let defaults = loaded(&format!("[php]\nscript = \"{script}\""))
            .unwrap()
            .unwrap();
        let expected = PhpConfig {
            pool: String::new(),
            script: file.path().to_owned(),
            binary: "php".to_owned(),
            workers: NonZeroUsize::MIN,
            key: PhpKey::Connection,
            lines: Vec::new(),
            watch: false,
            max_jobs: 0,
            exec_ttl: Duration::from_secs(30),
            max_worker_memory: 0,
            failed_event: FailedEvent::Ignore,
            events_max: 100_000,
            bytes_max: 64 << 20,
            files: &[],
        };
        assert_eq!(defaults, expected);
        let all = format!(
            "[php]\nscript = \"{script}\"\nworkers = 4\nkey = \"path\"\nbinary = \"/opt/php\"\nexec_ttl = \"1s\"\nlines = [\"tcp://127.0.0.1:0\"]\nwatch = true\nmax_jobs = 5\n\
             max_worker_memory = \"1MiB\"\nfailed_event = \"close\"\n[limits]\nphp_queue_events_max = 7\nphp_queue_bytes_max = 8"
        );
        let expected = PhpConfig {
            binary: "/opt/php".to_owned(),
            workers: NonZeroUsize::new(4).unwrap(),
            key: PhpKey::Path,
            lines: vec!["tcp://127.0.0.1:0".parse().unwrap()],
            watch: true,
            max_jobs: 5,
            exec_ttl: Duration::from_secs(1),
            max_worker_memory: 1 << 20,
            failed_event: FailedEvent::Close,
            events_max: 7,
            bytes_max: 8,
            ..expected
        };
        assert_eq!(loaded(&all), Ok(Some(expected)));
    }

    #[test]
    fn workers_may_be_called_as_in_roadrunner() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("[php]\nscript = \"{}\"\n", file.path().display());
        let config = loaded(&format!("{script}num_workers = 3"))
            .unwrap()
            .unwrap();
        assert_eq!(config.workers.get(), 3);
        let error = loaded(&format!("{script}num_workers = 3\nworkers = 3")).unwrap_err();
        assert!(
            error.contains("`php.workers` and `php.num_workers` are the same"),
            "{error}"
        );
    }

    #[test]
    fn workers_may_be_called_as_in_roadrunner_in_the_environment() {
        let read = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = set.iter().find(|(of, _)| *of == name);
                found.map(|(_, value)| value.into())
            };
            source::from_environment(Mode::Serve, &variable)
                .map(|layer| {
                    Values::new(&layer)
                        .located("php.workers")
                        .unwrap()
                        .text
                        .clone()
                })
                .map_err(|error| error.to_string())
        };
        let (ours, theirs) = (("RUPOR_PHP_WORKERS", "2"), ("RUPOR_PHP_NUM_WORKERS", "3"));
        assert_eq!(read(&[ours]).unwrap(), "2");
        assert_eq!(read(&[theirs]).unwrap(), "3");
        assert_eq!(read(&[("RUPOR_PHP_WORKERS", ""), theirs]).unwrap(), "3");
        let error = read(&[ours, theirs]).unwrap_err();
        assert!(
            error.contains("are the same") && error.contains("leave one"),
            "{error}"
        );
    }

    #[test]
    fn workers_may_be_called_as_in_roadrunner_in_a_rule() {
        let rule = "[[application]]\npath = \"/a\"\nname = \"php\"\nnum_workers = 3";
        let layer = source::of_text(Mode::Serve, rule).unwrap();
        let values = Values::new(&layer);
        let table = values.tables("application").first().unwrap();
        assert_eq!(table.field("workers").unwrap().text, "3");
        let twice = source::of_text(Mode::Serve, &format!("{rule}\nworkers = 3"));
        let error = twice.err().unwrap().to_string();
        assert!(
            error.contains("are the same") && error.contains("rupor.toml:5"),
            "{error}"
        );
    }

    #[test]
    fn watch_alone_is_a_name_too() {
        let layer = source::of_text(Mode::Serve, "watch = true").unwrap();
        assert_eq!(
            Values::new(&layer).located("php.watch").unwrap().text,
            "true"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_fix() {
        for (line, problem, fix) in [
            ("script = \"/nowhere.php\"", "cannot be read", "--php FILE"),
            ("script = \"/\"", "is no file", "your handlers"),
            ("workers = 0", "0 is out of range", "from 1 to 1024"),
            ("num_workers = 0", "0 is out of range", "from 1 to 1024"),
            ("key = \"room\"", "room", "connection"),
            ("exec_ttl = \"1ms\"", "1ms", "from 1s"),
            ("max_worker_memory = 128", "so little memory", "128MiB"),
        ] {
            let error = loaded(&format!("[php]\n{line}")).unwrap_err();
            assert!(error.contains(problem) && error.contains(fix), "{error}");
            assert!(error.contains("rupor.toml:2"), "{error}");
        }
    }
}
