//! A process that does not outlive this program: the program is started a second time, for a moment, and becomes what is
//! wanted (docs/adr/0034).
//!
//! A PHP process that waits for its next event sees the end of its stream when the program is gone. One that hangs sees
//! nothing. So the system is asked to kill it when its parent is gone, and only a process itself can ask for that: the
//! second program does, and then becomes the wanted one, which keeps its process number, its descriptors and the request.
//!
//! The parent is, for the system, the *thread* that started the process. Processes must be started on a thread that lives as
//! long as the program: the one of `rupor-handlers`, on which their tasks run.

use crate::system::{end_with_parent, parent_id, replace_with};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The first argument of a program that is started for this. Nobody else writes it, so that no help shows it.
pub(crate) const ARGUMENT: &str = "__become";

/// This program as it runs, also when its file was replaced by another version.
const ITSELF: &str = "/proc/self/exe";

/// What a shell ends with when it may not run a program.
const EXIT_NOT_RUN: u8 = 126;

/// A command that becomes `program`, and is killed when this program is gone where the system can do that.
pub(super) fn command(program: &str) -> Command {
    if !cfg!(target_os = "linux") || !Path::new(ITSELF).exists() {
        return Command::new(program);
    }
    let mut command = Command::new(ITSELF);
    let id = std::process::id().to_string();
    command.args([ARGUMENT, &id, program]);
    command
}

/// What the second program does with the rest of its arguments; does not return when all is well.
pub(crate) fn become_program(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(parent), Some(program)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(EXIT_NOT_RUN);
    };
    end_with_parent();
    // It may have been gone before the system was asked.
    if parent != *parent_id().to_string() {
        return ExitCode::FAILURE;
    }
    let error = replace_with(Command::new(&program).args(arguments));
    let _ = writeln!(std::io::stderr(), "{}: {error}", program.display());
    ExitCode::from(EXIT_NOT_RUN)
}
