//! Answers on their way to a writer of lines, who may read them or not.
//!
//! The policy, in one place:
//! - up to [`Limits::bytes_max`] of answers wait for the writer to read them; above that its lines wait too, so who reads
//!   slowly is slowed down and misses nothing;
//! - who reads nothing at all for [`Limits::stall`] would never get its lines through that way. From then on its lines go
//!   on and new answers are dropped and counted;
//! - when such a writer reads again after all and has read what was kept, one line says how many answers are missing
//!   (`"code":"answers_dropped"`), and after it answers go on;
//! - who has closed is not answered.
//!
//! What waits is kept in a short form ([`Kept`]), which is what the bound is for.
//!
//! Only whole answers are dropped, never a part of one. Pure: sockets and clocks are the caller's.

use super::kept::Kept;
use std::io;
use std::time::Duration;

/// Bounds of what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of answers that wait before lines have to wait.
    pub(crate) bytes_max: usize,
    /// How long a writer may read nothing before its answers are dropped.
    pub(crate) stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 1024 * 1024,
            stall: Duration::from_secs(1),
        }
    }
}

/// What waits to be written.
#[derive(Debug)]
pub(super) struct Answers {
    bytes_max: usize,
    kept: Kept,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Answers are kept.
    Answering,
    /// They are dropped: so many since.
    Muted(u64),
    /// Nobody is there to read.
    Closed,
}

impl Answers {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            kept: Kept::default(),
            state: State::Answering,
        }
    }

    /// Whether the next lines may be taken in.
    pub(super) fn have_room(&self) -> bool {
        self.state != State::Answering || self.waiting() < self.bytes_max
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.kept.bytes()
    }

    /// Where to append an answer with its line end; `None`: it is not wanted, and counted as dropped if somebody could
    /// have read it.
    pub(super) fn next(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.state {
            State::Answering => Some(self.kept.next()),
            State::Muted(dropped) => {
                *dropped += 1;
                None
            }
            State::Closed => None,
        }
    }

    /// Whether nobody is there to read, so that an answer that is not kept is not missed.
    pub(super) fn are_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The writer does not read: answers are dropped from now on.
    pub(super) fn mute(&mut self) {
        if self.state == State::Answering {
            self.state = State::Muted(0);
        }
    }

    /// Nobody is there to read any more.
    pub(super) fn close(&mut self) {
        self.state = State::Closed;
        self.kept = Kept::default();
    }

    /// Writes by `write` until it would block; what is left waits. Any other failure means that nobody reads any more.
    /// Whether something was written.
    pub(super) fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> bool {
        let mut progress = false;
        loop {
            loop {
                let chunk = self.kept.chunk();
                if chunk.is_empty() {
                    break;
                }
                match write(chunk) {
                    Ok(0) => {
                        self.close();
                        return true;
                    }
                    Ok(bytes) => {
                        self.kept.advance(bytes);
                        progress = true;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return progress,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => {
                        self.close();
                        return true;
                    }
                }
            }
            match self.state {
                State::Muted(dropped) if dropped > 0 => {
                    self.state = State::Answering;
                    write_notice(self.kept.next(), dropped);
                }
                State::Muted(_) => self.state = State::Answering,
                State::Answering | State::Closed => return progress,
            }
        }
    }
}

fn write_notice(out: &mut Vec<u8>, dropped: u64) {
    let notice = format!(
        "{{\"ok\":false,\"error\":\"{dropped} answers were dropped because nobody read them; the lines were taken\",\
         \"code\":\"answers_dropped\",\"dropped\":{dropped}}}\n"
    );
    out.extend_from_slice(notice.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::Answers;
    use std::io;

    fn answer(answers: &mut Answers, text: &str) -> bool {
        answers.next().is_some_and(|out| {
            out.extend_from_slice(text.as_bytes());
            true
        })
    }

    /// Takes at most `room` bytes, as a socket whose reader reads nothing.
    fn socket(read: &mut Vec<u8>, mut room: usize) -> impl FnMut(&[u8]) -> io::Result<usize> {
        move |bytes| {
            let taken = bytes.len().min(room);
            room -= taken;
            read.extend_from_slice(&bytes[..taken]);
            if taken == 0 {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(taken)
            }
        }
    }

    #[test]
    fn lines_wait_at_the_limit_and_go_on_when_something_was_read() {
        let mut answers = Answers::new(8);
        let mut read = Vec::new();
        assert!(answers.have_room());
        assert!(answer(&mut answers, "1234567"));
        assert!(answers.have_room());
        assert!(answer(&mut answers, "8"));
        assert!(!answers.have_room());
        assert!(!answers.flush(socket(&mut read, 0)));
        assert!(!answers.have_room());
        assert!(answers.flush(socket(&mut read, 3)));
        assert!(answers.have_room());
        assert_eq!(answers.waiting(), 5);
        assert!(answers.flush(socket(&mut read, 100)));
        assert_eq!(read, b"12345678");
        assert!(!answers.flush(socket(&mut read, 100)));
    }

    #[test]
    fn a_writer_that_does_not_read_is_muted_and_told_if_it_reads_again() {
        let mut answers = Answers::new(4);
        let mut read = Vec::new();
        assert!(answer(&mut answers, "one\n"));
        answers.mute();
        assert!(answers.have_room());
        for _ in 0..3 {
            assert!(!answer(&mut answers, "lost\n"));
        }
        assert_eq!(answers.waiting(), 4);
        // A part was read, which is not enough to begin again.
        assert!(answers.flush(socket(&mut read, 2)));
        assert!(!answer(&mut answers, "lost\n"));
        assert!(answers.flush(socket(&mut read, 1000)));
        assert!(answer(&mut answers, "two\n"));
        answers.flush(socket(&mut read, 1000));
        let read = String::from_utf8(read).expect("text");
        let lines: Vec<_> = read.lines().collect();
        assert_eq!((lines[0], lines[2]), ("one", "two"));
        let notice: serde_json::Value = serde_json::from_str(lines[1]).expect("JSON");
        assert_eq!(notice["code"], "answers_dropped");
        assert_eq!(notice["dropped"], 4);
        assert_eq!(notice["ok"], false);
    }

    #[test]
    fn who_has_closed_is_not_answered() {
        let mut answers = Answers::new(4);
        assert!(answer(&mut answers, "one\n"));
        assert!(answers.flush(|_| Err(io::ErrorKind::BrokenPipe.into())));
        assert!(answers.have_room());
        assert_eq!(answers.waiting(), 0);
        assert!(!answer(&mut answers, "two\n"));
        answers.mute();
        assert!(!answers.flush(|_| panic!("nothing to write")));
    }

    #[test]
    fn a_mute_that_dropped_nothing_is_not_spoken_of() {
        let mut answers = Answers::new(4);
        let mut read = Vec::new();
        assert!(answer(&mut answers, "one\n"));
        answers.mute();
        answers.flush(socket(&mut read, 100));
        assert_eq!(read, b"one\n");
    }
}
