//! The command line: what `clap` is told, from the one definition of the options.

use super::bench::{self, BenchArgs};
use super::connect::ConnectArgs;
use super::doctor::{self, DoctorArgs};
use super::outbox::OutboxArgs;
use super::publish::PublishArgs;
use crate::config::Mode;
use crate::config::definition::{Alias, Default, Definition, Shape};
use crate::config::options::{self, LIMITS};
use clap::{Arg, ArgAction, Args as _, Command, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;

/// Width of the help, so that it reads the same everywhere.
const HELP_COLUMNS: usize = 100;

const ABOUT: &str = "The WebSocket server that a web site runs beside itself";

const AFTER: &str = "Without a command: `rupor serve` if there is a rupor.toml in this folder, else `rupor demo`.\n\n\
    Every option can be given as a flag, as an environment variable and in the file; a flag wins over the environment, \
    the environment over the file, the file over the default. An empty variable counts as none.\n\n\
    Exit codes: 0 ended as asked; 1 could not start, or failed; 2 a wrong flag or configuration; 3 a second signal cut \
    the drain short.";

/// The commands, by name.
pub(crate) const SERVING: &[(&str, Mode)] = &[
    ("demo", Mode::Demo),
    ("serve", Mode::Serve),
    ("echo", Mode::Echo),
];

/// What `clap` is told.
pub(crate) fn command() -> Command {
    let demo = serving(
        Mode::Demo,
        Command::new("demo")
            .about("Try it: loopback only, trusts ?user=, serves a start page, prints what to do next")
            .long_about(
                "Try it. Listens on loopback only, believes `?user=NAME`, serves a start page with a chat and a test \
                 console, and prints what to try next. Everybody on this machine is trusted: this is not for production.",
            ),
    );
    let serve = with_file_alone(serving(
        Mode::Serve,
        Command::new("serve")
            .about("The gateway: browsers connect here, the site sends to them")
            .long_about(
                "The gateway. Reads rupor.toml in this folder if it is there, or the file of --config. Needs to be told how \
                 a connection proves who it is: a [[jwt]] key, or explicitly auth = \"none\".",
            ),
    ));
    let check = with_file_alone(serving(
        Mode::Serve,
        Command::new("check")
            .about("Says whether `rupor serve` would take its configuration, and ends")
            .long_about(
                "Reads the configuration as `rupor serve` would, with the same flags, and says what is wrong with it. \
                 Opens no port.",
            ),
    ))
    .arg(
        Arg::new("ready")
            .long("ready")
            .action(ArgAction::SetTrue)
            .help("Only ask the rupor that runs with this configuration whether it is ready (/readyz), for health checks: exit code 0 or 1"),
    );
    let doctor = DoctorArgs::augment_args(with_file(serving(Mode::Serve, Command::new("doctor"))))
        .about("Looks for what goes wrong in the first hour, and prints what to do about it")
        .long_about(doctor::ABOUT);
    let echo = serving(
        Mode::Echo,
        Command::new("echo")
            .about("A plain echo server, for test pages and conformance suites")
            .long_about(
                "A plain echo server: every path, text and binary, limits wide enough for conformance suites. Any page may \
                 connect. `--inlet` is taken, so that scripts can pass the same flags to demo, serve and echo, but nothing \
                 is opened: an echo server has nobody to send to.",
            ),
    );
    // The description comes last: augmenting replaces it by the arguments' own.
    let publish = PublishArgs::augment_args(Command::new("publish"))
        .about("Sends a message to a user, a channel, a connection or everybody");
    let connect = ConnectArgs::augment_args(Command::new("connect"))
        .about("Opens a WebSocket and shows what comes")
        .long_about(
            "Opens a WebSocket and shows what comes. A proxy that the environment names is used: https_proxy for wss, \
             http_proxy for ws, else all_proxy, but not for what no_proxy names.",
        );
    let bench = BenchArgs::augment_args(Command::new("bench"))
        .about("Measures a WebSocket server: messages per second, latency, CPU and memory")
        .long_about(bench::ABOUT);
    let outbox = OutboxArgs::augment_args(Command::new("outbox"))
        .about("Prints the SQL that makes the table of [outbox]");
    Command::new("rupor")
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(AFTER)
        .term_width(HELP_COLUMNS)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            demo, serve, echo, publish, connect, bench, outbox, check, doctor,
        ])
}

fn with_file(command: Command) -> Command {
    command.arg(
        Arg::new("config")
            .long("config")
            .env("RUPOR_CONFIG")
            .hide_env(true)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help(
                "The configuration file [env: RUPOR_CONFIG] [default: rupor.toml, if it is there]",
            ),
    )
}

/// As [`with_file`], and the file may stand alone: nothing else can be meant.
fn with_file_alone(command: Command) -> Command {
    with_file(command).arg(
        Arg::new("file")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("The same as --config FILE"),
    )
}

fn serving(mode: Mode, command: Command) -> Command {
    let taken = options::all()
        .filter(|definition| definition.modes.contains(&mode) && definition.shape != Shape::Secret);
    command.args(taken.map(|definition| flag(mode, definition)))
}

fn flag(mode: Mode, definition: &'static Definition) -> Arg {
    let default = match (definition.default_for(mode), definition.default) {
        (Some(default), _) => default,
        (None, Default::Explained(default)) => default.to_owned(),
        (None, _) => "none".to_owned(),
    };
    let variable = definition.variable();
    let argument = Arg::new(definition.key)
        .long(definition.flag_name())
        .visible_aliases(definition.alias().map(Alias::flag_name))
        // Or it would be taken for a slip of --workers, which are threads of ours.
        .aliases((definition.key == "php.workers").then_some("num-workers"))
        .value_name(definition.form)
        .help(format!(
            "{} [env: {variable}] [default: {default}]",
            definition.help
        ))
        .help_heading(definition.section)
        // The flags that one needs every day stand in `-h`, all of them in `--help`.
        .hide_short_help(definition.section == LIMITS);
    match definition.shape {
        Shape::List | Shape::Tables(_) => argument.action(ArgAction::Append),
        Shape::Switch => argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .default_missing_value("true")
            .require_equals(true),
        Shape::Text | Shape::Number | Shape::Secret => argument.action(ArgAction::Set),
    }
}

/// Puts in the command when none is given: `rupor --listen …` is `rupor demo --listen …`, or `rupor serve --listen …` where
/// there is a configuration file. The second of the pair says whether one was put in.
pub(crate) fn with_command(
    mut arguments: Vec<OsString>,
    file_is_there: bool,
) -> (Vec<OsString>, Option<&'static str>) {
    let first = arguments.get(1).and_then(|first| first.to_str());
    let given = match first {
        None => arguments.len() > 1,
        Some(first) => !first.starts_with("--") || matches!(first, "--help" | "--version" | "--"),
    };
    if given {
        return (arguments, None);
    }
    let has_file_flag = arguments.iter().any(|argument| {
        argument
            .to_str()
            .is_some_and(|text| text == "--config" || text.starts_with("--config="))
    });
    let command = if file_is_there || has_file_flag {
        "serve"
    } else {
        "demo"
    };
    arguments.insert(arguments.len().min(1), OsString::from(command));
    (arguments, Some(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(arguments: &[&str], file: bool) -> String {
        let arguments = arguments.iter().map(OsString::from).collect();
        let (arguments, _) = with_command(arguments, file);
        arguments.join(&OsString::from(" ")).into_string().unwrap()
    }

    #[test]
    fn the_command_may_be_left_out() {
        assert_eq!(completed(&["rupor"], false), "rupor demo");
        assert_eq!(completed(&["rupor"], true), "rupor serve");
        assert_eq!(
            completed(&["rupor", "--workers", "2"], false),
            "rupor demo --workers 2"
        );
        assert_eq!(
            completed(&["rupor", "--config=a"], false),
            "rupor serve --config=a"
        );
        for given in ["echo", "-h", "--help", "--version", "help", "nonsense"] {
            assert_eq!(completed(&["rupor", given], true), format!("rupor {given}"));
        }
    }

    #[test]
    fn clap_finds_nothing_wrong_with_it() {
        command().debug_assert();
    }

    #[test]
    fn the_serving_commands_share_these_flags() {
        let command = command();
        for (name, _) in SERVING {
            let serving = command.find_subcommand(name).unwrap();
            for flag in ["listen", "inlet", "workers", "tls-cert", "tls-key"] {
                assert!(
                    serving
                        .get_arguments()
                        .any(|argument| argument.get_long() == Some(flag)),
                    "{name} --{flag}"
                );
            }
        }
    }

    #[test]
    fn processes_of_php_are_not_taken_for_threads() {
        let given = ["rupor", "serve", "--num-workers", "3"];
        let matches = command().try_get_matches_from(given).unwrap();
        let serve = matches.subcommand_matches("serve").unwrap();
        let taken = serve.get_one::<String>("php.workers");
        assert_eq!(taken.map(String::as_str), Some("3"));
    }

    #[test]
    fn no_secret_has_a_flag() {
        for serving in command().get_subcommands() {
            assert!(
                !serving
                    .get_arguments()
                    .any(|argument| argument.get_long() == Some("api-key"))
            );
        }
    }
}
