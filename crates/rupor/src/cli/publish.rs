//! `rupor publish`: sends one publication from a shell.
use std::process::ExitCode;

/// Arguments of `rupor publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct PublishArgs {}

/// Runs the command.
pub(crate) fn run(_arguments: PublishArgs) -> ExitCode {
    ExitCode::FAILURE
}
