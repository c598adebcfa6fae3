//! Wiring.
use crate::config::Config;
use std::path::Path;
use std::process::ExitCode;

/// Starts.
pub(super) fn run(config: Config, file: Option<&Path>) -> ExitCode {
    super::say(&format!("{config:?} {file:?}"));
    ExitCode::SUCCESS
}
