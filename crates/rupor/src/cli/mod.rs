//! The command line: arguments become a command, which is run.
//!
//! - `arguments`: what `clap` is told, from the one definition of the options in [`config::options`](crate::config::options);
//! - `passed`: sockets that systemd opened; `notify`: what it is told;
//! - `start`: the wiring of `demo`, `serve` and `echo`; `banner`: what they print;
//! - `publish`, `connect`: the clients; `bench`: the load generator; `url`: where they connect to;
//! - `doctor`: what goes wrong in the first hour.

pub(crate) mod arguments;
mod banner;
pub(crate) mod bench;
pub(crate) mod connect;
mod descriptors;
pub(crate) mod doctor;
mod echo;
mod notify;
pub(crate) mod outbox;
pub(crate) mod passed;
pub(crate) mod publish;
mod running;
mod servers;
mod signals;
mod site;
mod start;
mod url;
mod warnings;

use crate::config::{Config, ConfigError, Mode, load};
use crate::outlet::launcher;
use clap::ArgMatches;
use passed::PassedSockets;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A wrong flag or configuration.
const EXIT_USAGE: u8 = 2;

/// Runs the program and says how it ended.
pub(crate) fn run() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == launcher::ARGUMENT)
    {
        return launcher::become_program(arguments);
    }
    let named = std::env::var_os("RUPOR_CONFIG").is_some_and(|name| !name.is_empty());
    let file_is_there = named || Path::new(load::DEFAULT_FILE).exists();
    let (arguments, completed) =
        arguments::with_command(std::env::args_os().collect(), file_is_there);
    if let Some(command) = completed {
        let why = if command == "serve" {
            "there is a configuration"
        } else {
            "there is no rupor.toml here"
        };
        say(&format!("rupor: {why}, so this is `rupor {command}`"));
    }
    let matches = arguments::command().get_matches_from(arguments);
    let Some((name, matches)) = matches.subcommand() else {
        return ExitCode::from(EXIT_USAGE);
    };
    match name {
        "publish" => from_matches(matches, publish::run),
        "connect" => from_matches(matches, connect::run),
        "bench" => from_matches(matches, bench::run),
        "outbox" => from_matches(matches, outbox::run),
        "check" => check(matches),
        "doctor" => from_matches(matches, |arguments| {
            doctor::run(&arguments, configuration(Mode::Serve, matches))
        }),
        _ => {
            let mode = arguments::SERVING
                .iter()
                .find(|(command, _)| *command == name);
            let mode = mode.map_or(Mode::Demo, |(_, mode)| *mode);
            match configuration(mode, matches) {
                Ok((config, file)) => match PassedSockets::from_environment() {
                    Ok(passed) => start::run(&config, file.as_deref(), passed),
                    Err(error) => {
                        say(&format!("rupor: what was passed as LISTEN_FDS: {error}"));
                        ExitCode::FAILURE
                    }
                },
                Err(error) => refuse(&error),
            }
        }
    }
}

fn from_matches<A: clap::FromArgMatches>(
    matches: &ArgMatches,
    run: impl FnOnce(A) -> ExitCode,
) -> ExitCode {
    match A::from_arg_matches(matches) {
        Ok(arguments) => run(arguments),
        Err(error) => error.exit(),
    }
}

/// The configuration of a serving command, and the file that it was read from.
fn configuration(
    mode: Mode,
    matches: &ArgMatches,
) -> Result<(Config, Option<PathBuf>), ConfigError> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for (name, meant) in load::misspelt(names) {
        say(&format!(
            "rupor: environment variable {name} is no option; did you mean {meant}?"
        ));
    }
    let file = match mode {
        Mode::Serve => load::file(load::named(matches)?),
        Mode::Demo | Mode::Echo => None,
    };
    let variable = |name: &str| std::env::var_os(name);
    let config = load::load(mode, file.as_deref(), &variable, matches)?;
    Ok((config, file))
}

fn check(matches: &ArgMatches) -> ExitCode {
    if matches.get_flag("ready") {
        return check_ready(matches);
    }
    match configuration(Mode::Serve, matches) {
        Ok((config, file)) => {
            if let Err(error) = start::check(&config) {
                return refuse(&error);
            }
            for warning in warnings::of(&config) {
                say(&format!("rupor: {warning}"));
            }
            let what = file.map_or("the configuration".to_owned(), |file| {
                file.display().to_string()
            });
            say(&format!("rupor: {what} is right"));
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error),
    }
}

/// For health checks, which know the exit codes 0 and 1. What is in a certificate's file, for
/// example, does not matter: the rupor that runs has its own.
fn check_ready(matches: &ArgMatches) -> ExitCode {
    let ready = configuration(Mode::Serve, matches)
        .map_err(|error| error.to_string())
        .and_then(|(config, _)| running::is_ready(&config));
    match ready {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("rupor: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn refuse(error: &dyn fmt::Display) -> ExitCode {
    say(&format!("rupor: {error}"));
    ExitCode::from(EXIT_USAGE)
}

/// Text on standard output that somebody asked for. It is lost when nobody reads.
fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}

/// A line on standard output, for people and scripts: what is listened on. It is lost when nobody reads, which is no
/// reason to stop.
fn announce(line: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// A line for whoever started the program. It is lost when standard error is closed, which is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
