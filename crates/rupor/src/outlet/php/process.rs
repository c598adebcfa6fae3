//! A worker process: how it is started, and where what it prints goes.

use super::launcher;
use crate::config::PhpConfig;
use crate::log;
use crate::system::{self, UnixStream};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tracing::Instrument as _;

/// The stream is the shell's standard input until it becomes PHP's descriptor 3: a descriptor gets there without unsafe code
/// (docs/adr/0015).
const SHELL: &str = r#"exec 3<&0 </dev/null; exec "$@""#;

/// What a shell ends with that finds no such program, or may not run it.
const NOT_FOUND: [i32; 2] = [127, 126];

/// Longest line of what a process prints; a longer one is cut into several.
const PRINTED_LINE_BYTES_MAX: usize = 4096;

/// A process that runs.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) stream: UnixStream,
}

impl Process {
    /// Starts worker `number`. It is killed when this is dropped, and on Linux also when the program is ([`launcher`]).
    pub(super) fn start(config: &PhpConfig, script: &Path, number: usize) -> io::Result<Self> {
        let (stream, theirs) = system::stream_for_program()?;
        let mut command = Command::from(launcher::command("/bin/sh"));
        command
            .args(["-c", SHELL, "rupor"])
            .arg(&config.binary)
            .arg(script)
            .env("RUPOR_WORKER", number.to_string())
            .stdin(theirs)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C is for the gateway, which has things to tell the handlers before they end.
        let mut child = system::apart(&mut command).spawn()?;
        if let Some(output) = child.stdout.take() {
            tokio::spawn(log_lines(output, number, false).in_current_span());
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(log_lines(output, number, true).in_current_span());
        }
        Ok(Self { child, stream })
    }
}

/// Bytes of memory that a process has resident, where the system tells.
pub(super) fn memory(id: u32) -> Option<u64> {
    resident(&std::fs::read_to_string(format!("/proc/{id}/status")).ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Whether a process ended because there is no such program.
pub(super) fn is_not_found(status: ExitStatus) -> bool {
    status.code().is_some_and(|code| NOT_FOUND.contains(&code))
}

/// What a handler prints is logged, line by line: it cannot get between the frames.
async fn log_lines(mut output: impl AsyncRead + Unpin, worker: usize, is_error: bool) {
    let mut line = Vec::new();
    let mut bytes = [0; PRINTED_LINE_BYTES_MAX];
    loop {
        let read = output.read(&mut bytes).await.unwrap_or(0);
        for byte in bytes.get(..read).unwrap_or_default() {
            if *byte == b'\n' || line.len() >= PRINTED_LINE_BYTES_MAX {
                log_line(&line, worker, is_error);
                line.clear();
            }
            if *byte != b'\n' {
                line.push(*byte);
            }
        }
        if read == 0 {
            return log_line(&line, worker, is_error);
        }
    }
}

fn log_line(line: &[u8], worker: usize, is_error: bool) {
    let text = log::printed(String::from_utf8_lossy(line).trim_end());
    match (text.is_empty(), is_error) {
        (true, _) => {}
        (false, true) => tracing::warn!(target: "php", worker, "{text}"),
        (false, false) => tracing::info!(target: "php", worker, "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory() {
        let status = "Name:\tphp\nVmPeak:\t  90000 kB\nVmRSS:\t   21504 kB\nThreads:\t1\n";
        assert_eq!(resident(status), Some(21504 * 1024));
        assert_eq!(resident("Name:\tphp\n"), None);
    }
}
