//! Standard input as lines. A thread reads it, because reading a terminal cannot be given up.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;
use tokio::sync::mpsc;

/// Lines that were read and not sent yet.
const LINES_WAITING: usize = 16;
/// Longest line, in bytes; a longer one is sent in pieces.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The lines, without their ends. The channel ends with standard input.
pub(super) fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES_WAITING);
    // It ends with the program.
    thread::spawn(move || read(BufReader::new(io::stdin()), &sender));
    receiver
}

fn read(mut input: impl BufRead, sender: &mpsc::Sender<String>) {
    loop {
        let mut line = Vec::new();
        match input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.ends_with(b"\n") {
            line.pop();
            if line.ends_with(b"\r") {
                line.pop();
            }
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        if sender.blocking_send(line).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES_WAITING, read};
    use tokio::sync::mpsc;

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        let (sender, mut receiver) = mpsc::channel(LINES_WAITING);
        read(b"one\n\n two \r\n\xff\nlast".as_slice(), &sender);
        drop(sender);
        let mut lines = Vec::new();
        while let Some(line) = receiver.blocking_recv() {
            lines.push(line);
        }
        assert_eq!(lines, ["one", "", " two ", "\u{fffd}", "last"]);
    }
}
