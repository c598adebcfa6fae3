//! Runs a program, collects its output and ends it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Which of a program's outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A running program. Dropping it kills it, by its process id, and waits for its end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Collected>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Collected {
    lines: Vec<(Stream, String)>,
    ended: usize,
}

impl Process {
    /// Starts `program` with `arguments`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(program: impl AsRef<OsStr>, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts a command that was put together by the caller (environment, folder). Its standard
    /// streams are taken over; the environment loses every variable that begins with `RUPOR_` or names
    /// a proxy and was not set on the command itself, so that a developer's shell does not change a
    /// test.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> Self {
        let set: Vec<_> = command
            .get_envs()
            .map(|(name, _)| name.to_owned())
            .collect();
        for (name, _) in std::env::vars_os() {
            let known = name.to_string_lossy().to_ascii_uppercase();
            let ours = known.starts_with("RUPOR_") || known.ends_with("_PROXY");
            if ours && !set.contains(&name) {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Arc::new(Output::default());
        collect(child.stdout.take(), Stream::Out, &output);
        collect(child.stderr.take(), Stream::Err, &output);
        Self { child, output }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains `text`, on either output, and returns the first one, even if
    /// it was there before the call.
    ///
    /// # Panics
    /// When it does not come within the deadline or the program ends without it.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_line(text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Waits for the first line that `take` accepts; `what` is named when there is none.
    ///
    /// # Panics
    /// When it does not come within the deadline or the program ends without it.
    pub fn wait_for_line<T>(&self, what: &str, mut take: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + crate::DEADLINE;
        let mut seen = 0;
        let mut collected = self.lock();
        loop {
            while let Some((_, line)) = collected.lines.get(seen) {
                seen += 1;
                if let Some(found) = take(line) {
                    return found;
                }
            }
            let left = deadline.checked_duration_since(Instant::now());
            let (false, Some(left)) = (collected.ended == 2, left) else {
                drop(collected);
                panic!("no line with {what:?}; the output:\n{}", self.output());
            };
            let waited = self.output.changed.wait_timeout(collected, left);
            collected = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line that contains `text` and returns the socket address that is in it.
    ///
    /// # Panics
    /// As [`wait_for_line`](Self::wait_for_line).
    pub fn wait_for_address(&self, text: &str) -> SocketAddr {
        self.wait_for_line(text, |line| {
            let rest = &line[line.find(text)?..];
            rest.split(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)))
                .find_map(|word| word.trim_matches(':').parse().ok())
        })
    }

    /// All output so far, one line each.
    pub fn output(&self) -> String {
        let collected = self.lock();
        let lines = collected.lines.iter().map(|(_, line)| line.as_str());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The output of one stream so far.
    pub fn output_of(&self, stream: Stream) -> String {
        let collected = self.lock();
        let lines = collected.lines.iter().filter(|(from, _)| *from == stream);
        lines
            .map(|(_, line)| line.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Writes to the program's standard input.
    ///
    /// # Panics
    /// When the program does not take it.
    pub fn write(&mut self, text: &str) {
        let stdin = self
            .child
            .stdin
            .as_mut()
            .expect("standard input was not closed");
        stdin
            .write_all(text.as_bytes())
            .and_then(|()| stdin.flush())
            .expect("it reads its input");
    }

    /// Closes the program's standard input.
    pub fn close_input(&mut self) {
        self.child.stdin = None;
    }

    /// Sends a signal by name: `TERM`, `HUP`, `INT`.
    ///
    /// # Panics
    /// When there is no such process or signal.
    pub fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.id().to_string()];
        let status = Command::new("kill")
            .args(arguments)
            .status()
            .expect("kill can be run");
        assert!(status.success(), "kill -{name} {} failed", self.id());
    }

    /// Waits for the program to end.
    ///
    /// # Panics
    /// When it does not end within the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + crate::DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                // Its last lines may still be on their way through the collecting threads.
                let mut collected = self.lock();
                while collected.ended < 2 && Instant::now() < deadline {
                    let step = Duration::from_millis(50);
                    let waited = self.output.changed.wait_timeout(collected, step);
                    collected = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it did not end; the output:\n{}",
                self.output()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.output
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: Option<impl Read + Send + 'static>, stream: Stream, output: &Arc<Output>) {
    let from = from.expect("the stream is a pipe");
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches(['\r', '\n'])
                .to_owned();
            line.clear();
            let mut collected = output.lines.lock().unwrap_or_else(PoisonError::into_inner);
            collected.lines.push((stream, text));
            output.changed.notify_all();
        }
        output
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ended += 1;
        output.changed.notify_all();
    });
}

/// A TCP port on 127.0.0.1 that was free a moment ago. Where the program can be given port 0, do
/// that instead: between this answer and its use somebody else may take the port.
///
/// # Panics
/// When the machine has none left.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener
        .local_addr()
        .expect("the listener has an address")
        .port()
}

/// Asks again and again until `ready` says yes, for what has no line or event to wait for.
///
/// # Panics
/// When it does not within the deadline; `what` is named.
#[track_caller]
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + crate::DEADLINE;
    while !ready() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_lines_of_both_outputs_and_the_exit_status() {
        let mut process = Process::start(
            "sh",
            &[
                "-c",
                "echo listening on ws://127.0.0.1:4711/ now; read x; echo \"got $x\" >&2; exit 3",
            ],
        );
        let address = process.wait_for_address("listening on");
        assert_eq!(address, "127.0.0.1:4711".parse().unwrap());
        process.write("abc\n");
        assert_eq!(process.wait_for("got"), "got abc");
        assert_eq!(process.wait().code(), Some(3));
        assert_eq!(process.output_of(Stream::Err), "got abc");
        assert_eq!(
            process.output(),
            "listening on ws://127.0.0.1:4711/ now\ngot abc"
        );
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = Process::start("sleep", &["60"]);
        let id = process.id();
        drop(process);
        let status = Command::new("kill")
            .args(["-0", &id.to_string()])
            .stderr(Stdio::null())
            .status();
        assert!(!status.unwrap().success(), "process {id} still runs");
    }
}
