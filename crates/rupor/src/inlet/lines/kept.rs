//! Answers that wait, kept small.
//!
//! A writer that sends everything and closes loses what its own system has not sent yet if one answer stands unread at
//! that moment: the close then becomes a reset. So answers are kept back for as long as lines come, and a kilobyte of
//! lines must not cost a kilobyte of answers: the usual ones, and one that is the same as that before it, take one byte.
//!
//! Invariant: answers are lines of JSON, in which no control character but the line end can stand, so the other
//! control characters are free to stand for whole answers.

/// How an answer begins that has its whole sense in one number.
const USUAL: &[u8] = b"{\"ok\":true,\"connections\":";
/// And ends.
const USUAL_END: &[u8] = b"}\n";
/// Up to this number of connections, itself as a byte: what follows is the line end.
const DIGIT_MAX: u8 = 9;
/// The same answer as the one before it.
const AGAIN: u8 = 0x0b;
/// How much is written out at a time, in bytes; one answer more at most.
const CHUNK_BYTES: usize = 64 * 1024;

/// Answers in their order. Its user appends one answer to [`Kept::next`] at a time.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Short form, up to `sealed`; from there the answer that was appended last.
    short: Vec<u8>,
    sealed: usize,
    /// The answer that was sealed last, while it can come again.
    last: Vec<u8>,
    /// Up to here `short` was written out.
    taken: usize,
    /// Written out: the text to send from `sent` on.
    text: Vec<u8>,
    sent: usize,
    /// The answer that was written out last.
    previous: Vec<u8>,
}

impl Kept {
    /// Where to append the next answer with its line end.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        self.seal();
        &mut self.short
    }

    /// How many bytes are kept.
    pub(super) fn bytes(&self) -> usize {
        self.short.len() - self.taken + self.text.len() - self.sent
    }

    /// What to send next; empty: nothing waits, and no memory is held.
    pub(super) fn chunk(&mut self) -> &[u8] {
        if self.sent == self.text.len() {
            self.text.clear();
            self.sent = 0;
            self.seal();
            self.write_out();
        }
        if self.text.is_empty() {
            *self = Self::default();
        }
        &self.text[self.sent..]
    }

    /// So many bytes of [`Kept::chunk`] were sent.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.sent = self.text.len().min(self.sent + bytes);
    }

    /// Brings the answer that was appended last into its short form.
    fn seal(&mut self) {
        let answer = &self.short[self.sealed..];
        let short = if answer.is_empty() {
            return;
        } else if let Some(connections) = usual(answer) {
            self.last.clear();
            Some(connections)
        } else if answer == self.last {
            Some(AGAIN)
        } else {
            self.last.clear();
            self.last.extend_from_slice(answer);
            None
        };
        if let Some(short) = short {
            self.short.truncate(self.sealed);
            self.short.push(short);
        }
        self.sealed = self.short.len();
    }

    fn write_out(&mut self) {
        // What was written out is let go of also when the writer is always a little behind. Each byte moves once or so.
        if self.taken >= self.short.len() / 2 {
            self.short.drain(..self.taken);
            self.sealed -= self.taken;
            self.taken = 0;
        }
        while self.taken < self.short.len() && self.text.len() < CHUNK_BYTES {
            let rest = &self.short[self.taken..];
            match rest[0] {
                connections @ 0..=DIGIT_MAX => {
                    self.text.extend_from_slice(USUAL);
                    self.text.push(b'0' + connections);
                    self.text.extend_from_slice(USUAL_END);
                    self.taken += 1;
                }
                AGAIN => {
                    self.text.extend_from_slice(&self.previous);
                    self.taken += 1;
                }
                _ => {
                    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                    self.previous.clear();
                    self.previous.extend_from_slice(&rest[..end]);
                    self.text.extend_from_slice(&self.previous);
                    self.taken += end;
                }
            }
        }
    }
}

/// The number of connections in an answer that says nothing else, if it has one digit.
fn usual(answer: &[u8]) -> Option<u8> {
    match answer.strip_prefix(USUAL)?.strip_suffix(USUAL_END)? {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, Kept};
    use proptest::prelude::*;

    fn drain(kept: &mut Kept, step: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        loop {
            let chunk = kept.chunk();
            let bytes = chunk.len().min(step);
            if bytes == 0 {
                return sent;
            }
            sent.extend_from_slice(&chunk[..bytes]);
            kept.advance(bytes);
        }
    }

    #[test]
    fn usual_and_repeated_answers_take_a_byte() {
        let mut kept = Kept::default();
        for connections in (0..10).cycle().take(1000) {
            let answer = format!("{{\"ok\":true,\"connections\":{connections}}}\n");
            kept.next().extend_from_slice(answer.as_bytes());
        }
        for _ in 0..1000 {
            kept.next().extend_from_slice(b"{\"ok\":false}\n");
        }
        kept.next();
        assert_eq!(kept.bytes(), 1000 + 13 + 999);
        assert_eq!(drain(&mut kept, CHUNK_BYTES).len(), 1000 * 28 + 1000 * 13);
        assert_eq!(kept.short.capacity() + kept.text.capacity(), 0);
    }

    #[test]
    fn a_reader_that_is_always_behind_makes_nothing_grow() {
        let mut kept = Kept::default();
        kept.next().extend_from_slice(b"first\n");
        for round in 0..10_000 {
            for part in 0..100 {
                let answer = format!("{{\"ok\":true,\"id\":{round}{part:02}}}\n");
                kept.next().extend_from_slice(answer.as_bytes());
            }
            while kept.bytes() > 1000 {
                let bytes = kept.chunk().len();
                kept.advance(bytes.min(300));
            }
        }
        assert!(kept.short.capacity() + kept.text.capacity() < 8 * CHUNK_BYTES);
    }

    proptest! {
        #[test]
        fn what_was_kept_is_what_is_sent(
            rounds in prop::collection::vec(
                (prop::collection::vec(0_u32..25, 0..60), 1_usize..200, any::<bool>()),
                1..6,
            )
        ) {
            let mut kept = Kept::default();
            let (mut expected, mut sent) = (Vec::new(), Vec::new());
            for (numbers, step, drained) in rounds {
                for number in numbers {
                    let id = if number % 5 == 4 { ",\"id\":1" } else { "" };
                    let answer = format!("{{\"ok\":true,\"connections\":{}{id}}}\n", number / 2);
                    expected.extend_from_slice(answer.as_bytes());
                    kept.next().extend_from_slice(answer.as_bytes());
                }
                if drained {
                    sent.extend(drain(&mut kept, step));
                } else {
                    let chunk = kept.chunk();
                    let bytes = chunk.len().min(step);
                    sent.extend_from_slice(&chunk[..bytes]);
                    kept.advance(bytes);
                }
            }
            sent.extend(drain(&mut kept, 7));
            prop_assert_eq!(String::from_utf8(sent), String::from_utf8(expected));
        }
    }
}
