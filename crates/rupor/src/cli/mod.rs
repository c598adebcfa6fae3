//! The command line: arguments become a [`Command`], which is run.
pub(crate) mod connect;
pub(crate) mod publish;

use std::process::ExitCode;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// `rupor demo`, `rupor serve` and `rupor echo`: a server with this configuration.
    Start(Box<crate::config::Config>),
    /// `rupor publish`.
    Publish(publish::PublishArgs),
    /// `rupor connect`.
    Connect(connect::ConnectArgs),
    /// `rupor check`: read the configuration, say what is wrong with it, and end.
    Check(Box<crate::config::Config>),
}

/// Runs the program and says how it ended.
pub(crate) fn run() -> ExitCode {
    ExitCode::SUCCESS
}
