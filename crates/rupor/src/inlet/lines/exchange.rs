//! Lines into publications and their receipts into answers, a batch at a time: the part of a connection that is neither
//! socket nor clock.
//!
//! Invariant: one answer for each line, in the order of the lines, whatever became of them.

use super::answers::Answers;
use super::framing::{Framer, Item, Protocol};
use super::stats::Stats;
use crate::gateway::{Publish, PublishError, Receipt};
use crate::inlet::answer::{write_error, write_ok};
use crate::inlet::request::{Id, RequestError, publish};
use std::fmt;

/// Lines in one batch: what bounds the answers that one step makes.
pub(super) const BATCH_LINES_MAX: usize = 1024;

/// Why a line was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LineError {
    Request(RequestError),
    TooLong(usize),
    NotLines(Protocol),
}

impl LineError {
    fn code(&self) -> &'static str {
        match self {
            Self::Request(error) => error.code(),
            Self::TooLong(_) => "line_too_long",
            Self::NotLines(_) => "http",
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(formatter),
            Self::TooLong(max) => write!(
                formatter,
                "the line is longer than {max} bytes (limits.publish_bytes_max); the next one works"
            ),
            Self::NotLines(Protocol::Http) => formatter.write_str(
                "this port takes lines of JSON, not HTTP: HTTP is spoken where the browsers connect, at /api/publish",
            ),
            Self::NotLines(Protocol::Binary) => {
                formatter.write_str("this port takes lines of JSON, not TLS or another binary protocol")
            }
        }
    }
}

/// One batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What is to be published, in the order of the lines.
    pub(super) publications: Vec<Publish>,
    /// One for each line: to be answered by the next receipt, or with the error.
    lines: Vec<(Option<Id>, Result<(), LineError>)>,
    /// The last line says that these are no lines.
    pub(super) cut: bool,
}

impl Batch {
    /// Takes lines out of `input`, whose used bytes are cut off its front, until it is used up or the batch is full.
    pub(super) fn take(&mut self, framer: &mut Framer, line_bytes_max: usize, input: &mut &[u8]) {
        while self.lines.len() < BATCH_LINES_MAX
            && let Some(item) = framer.next(input)
        {
            self.add(item, line_bytes_max);
        }
    }

    /// Takes the last line, which has no end.
    pub(super) fn take_last(&mut self, framer: &mut Framer, line_bytes_max: usize) {
        if let Some(item) = framer.finish() {
            self.add(item, line_bytes_max);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn add(&mut self, item: Item<'_>, line_bytes_max: usize) {
        let line = match item {
            Item::Line(line) => {
                let request = publish(line);
                let outcome = request.outcome.map_err(LineError::Request);
                (
                    request.id,
                    outcome.map(|publication| self.publications.push(publication)),
                )
            }
            Item::TooLong => (None, Err(LineError::TooLong(line_bytes_max))),
            Item::NotLines(protocol) => {
                self.cut = true;
                (None, Err(LineError::NotLines(protocol)))
            }
        };
        self.lines.push(line);
    }

    /// Answers every line. `receipts`: one for each of the publications.
    pub(super) fn answer(
        self,
        receipts: Vec<Result<Receipt, PublishError>>,
        answers: &mut Answers,
        stats: &Stats,
    ) {
        let mut receipts = receipts.into_iter();
        let (mut refused, mut dropped) = (0, 0);
        let count = self.lines.len();
        for (id, line) in self.lines {
            let id = id.as_ref();
            let receipt = line.map(|()| receipts.next().unwrap_or(Err(PublishError::Unavailable)));
            refused += u64::from(!matches!(receipt, Ok(Ok(_))));
            let Some(out) = answers.next() else {
                dropped += 1;
                continue;
            };
            match receipt {
                Ok(Ok(receipt)) => write_ok(out, receipt.connections, id),
                Ok(Err(error)) => write_error(out, error.code(), &error.to_string(), id),
                Err(error) => write_error(out, error.code(), &error.to_string(), id),
            }
            out.push(b'\n');
        }
        if answers.are_closed() {
            dropped = 0;
        }
        stats.answered(u64::try_from(count).unwrap_or(u64::MAX), refused, dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH_LINES_MAX, Batch};
    use crate::gateway::Receipt;
    use crate::inlet::lines::Stats;
    use crate::inlet::lines::answers::Answers;
    use crate::inlet::lines::framing::Framer;
    use proptest::prelude::{prop, proptest};

    const LINE_BYTES_MAX: usize = 40;

    /// What is published and answered when the bytes come in these pieces.
    fn exchange<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, String) {
        let mut framer = Framer::new(LINE_BYTES_MAX);
        let mut answers = Answers::new(usize::MAX);
        let stats = Stats::default();
        let mut bodies = Vec::new();
        let mut settle = |batch: Batch, answers: &mut Answers| {
            bodies.extend(
                batch
                    .publications
                    .iter()
                    .map(|publish| publish.body.to_string()),
            );
            let receipt = |(place, _)| Ok(Receipt { connections: place });
            let receipts = batch.publications.iter().enumerate().map(receipt).collect();
            // Places in a batch depend on the cut; only whether it was taken does not.
            batch.answer(receipts, answers, &stats);
        };
        for piece in pieces {
            let mut input = piece;
            while !input.is_empty() {
                let mut batch = Batch::default();
                batch.take(&mut framer, LINE_BYTES_MAX, &mut input);
                settle(batch, &mut answers);
            }
        }
        let mut batch = Batch::default();
        batch.take_last(&mut framer, LINE_BYTES_MAX);
        settle(batch, &mut answers);
        let mut written = Vec::new();
        answers.flush(|bytes| {
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        });
        let text = String::from_utf8(written).expect("JSON is text");
        let places = |line: &str| match line.split_once("\"connections\":") {
            Some((before, after)) => {
                format!(
                    "{before}{}\n",
                    after.trim_start_matches(|c: char| c.is_ascii_digit())
                )
            }
            None => format!("{line}\n"),
        };
        (bodies, text.lines().map(places).collect())
    }

    #[test]
    fn a_batch_is_bounded() {
        let lines = "\n".repeat(BATCH_LINES_MAX + 1);
        let mut batch = Batch::default();
        let mut input = lines.as_bytes();
        batch.take(&mut Framer::new(LINE_BYTES_MAX), LINE_BYTES_MAX, &mut input);
        assert_eq!((batch.lines.len(), input.len()), (BATCH_LINES_MAX, 1));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_publications_and_answers(
            lines in prop::collection::vec(prop::sample::select(vec![
                "{\"user\":\"a\",\"message\":\"1\",\"id\":1}\n",
                "{\"all\":true,\"message\":[1, 2]}\r\n",
                "{\"user\":\"a\"}\n",
                "hello\n",
                "\n",
                "{\"user\":\"a\",\"message\":\"this line is too long\"}\n",
                "GET / HTTP/1.1\r\n",
                "{\"all\":true,\"message\":\"\\u0416\"}",
            ]), 0..12),
            cuts in prop::collection::vec(0_usize..400, 0..12),
        ) {
            let bytes = lines.concat().into_bytes();
            let expected = exchange([bytes.as_slice()]);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            assert_eq!(exchange(pieces), expected);
            assert_eq!(exchange(bytes.chunks(1)), expected);
        }
    }
}
