//! `rupor connect`: opens a WebSocket from a shell.
use std::process::ExitCode;

/// Arguments of `rupor connect`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {}

/// Runs the command.
pub(crate) fn run(_arguments: ConnectArgs) -> ExitCode {
    ExitCode::FAILURE
}
