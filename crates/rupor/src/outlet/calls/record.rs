//! FastCGI 1.0: a request as bytes, and an answer out of bytes. No I/O.
//!
//! A connection has one request at a time, so every record has the same id.

use std::fmt;

/// Longest answer of a script with its headers, and of its error output, in bytes on the wire.
const ANSWER_BYTES_MAX: usize = 4 << 20;

const VERSION: u8 = 1;
const ID: u16 = 1;
/// Version, kind, id, length, padding, and a byte that means nothing (§3.3).
const HEAD_BYTES: usize = 8;
/// Longest content of one record.
const CONTENT_BYTES_MAX: usize = u16::MAX as usize;
/// A responder (1) whose connection is kept (1) (§5.1).
const BEGIN_BODY: [u8; 8] = [0, 1, 1, 0, 0, 0, 0, 0];

/// Kinds of records (§8).
const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// The variables of a request, as they are written (§3.4).
#[derive(Debug, Default)]
pub(super) struct Variables(Vec<u8>);

impl Variables {
    /// Adds one.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.length(name.len());
        self.length(value.len());
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(value.as_bytes());
    }

    /// Short ones have a byte, longer ones four with the highest bit set. No header and no name is as long as those can say.
    fn length(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(length) if length < 0x80 => self.0.push(length),
            _ => {
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                self.0.extend_from_slice(&(length | 1 << 31).to_be_bytes());
            }
        }
    }
}

/// The records of a request.
pub(super) fn request(variables: &Variables, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(6 * HEAD_BYTES + variables.0.len() + body.len());
    record(&mut out, BEGIN_REQUEST, &BEGIN_BODY);
    stream(&mut out, PARAMS, &variables.0);
    stream(&mut out, STDIN, body);
    out
}

/// As many records as it takes, and an empty one, which ends it.
fn stream(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    for part in content.chunks(CONTENT_BYTES_MAX) {
        record(out, kind, part);
    }
    record(out, kind, &[]);
}

fn record(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let [high, low] = u16::try_from(content.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let [id_high, id_low] = ID.to_be_bytes();
    out.extend_from_slice(&[VERSION, kind, id_high, id_low, high, low, 0, 0]);
    out.extend_from_slice(content);
}

/// Why bytes are no answer that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Over [`ANSWER_BYTES_MAX`].
    Long,
    /// No record of this version and request.
    Head,
    /// None that an answer has: its kind.
    Kind(u8),
    /// The request is refused: the protocol's status (§5.5).
    Refused(u8),
    /// What a script printed does not begin with headers (RFC 3875 §6).
    Headers,
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => {
                write!(
                    formatter,
                    "the answer is longer than {ANSWER_BYTES_MAX} bytes"
                )
            }
            Self::Head => formatter.write_str("what comes is no FastCGI"),
            Self::Kind(kind) => write!(formatter, "a record of kind {kind} is in the answer"),
            Self::Refused(2) => formatter.write_str("it is overloaded"),
            Self::Refused(status) => write!(formatter, "the request is refused with {status}"),
            Self::Headers => formatter.write_str("the answer does not begin with headers"),
        }
    }
}

/// What came of an answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    bytes: usize,
    printed: Vec<u8>,
    /// Notices and warnings.
    pub(super) errors: Vec<u8>,
}

/// A record that was taken out of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Not all of it is there.
    Nothing,
    /// So many bytes.
    Part(usize),
    /// So many bytes, and the answer is whole.
    Last(usize),
}

impl Reply {
    /// Whether nothing came yet.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes the first record.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Taken, Wrong> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(Taken::Nothing);
        };
        let [version, kind, id_high, id_low, high, low, padding, _] = *head;
        if version != VERSION || u16::from_be_bytes([id_high, id_low]) != ID {
            return Err(Wrong::Head);
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let whole = HEAD_BYTES + length + usize::from(padding);
        if self.bytes + whole > ANSWER_BYTES_MAX {
            return Err(Wrong::Long);
        }
        let Some(content) = rest.get(..length).filter(|_| bytes.len() >= whole) else {
            return Ok(Taken::Nothing);
        };
        self.bytes += whole;
        match kind {
            STDOUT => self.printed.extend_from_slice(content),
            STDERR => self.errors.extend_from_slice(content),
            // After four bytes of the program's own status.
            END_REQUEST => match content.get(4) {
                Some(0) => return Ok(Taken::Last(whole)),
                Some(status) => return Err(Wrong::Refused(*status)),
                None => return Err(Wrong::Head),
            },
            kind => return Err(Wrong::Kind(kind)),
        }
        Ok(Taken::Part(whole))
    }

    /// The HTTP status and the body of what was printed.
    pub(super) fn document(&mut self) -> Result<(u16, Vec<u8>), Wrong> {
        let mut status = 200;
        let mut at = 0;
        loop {
            let rest = self.printed.get(at..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'\n');
            let line = end.and_then(|end| rest.get(..end)).ok_or(Wrong::Headers)?;
            at += line.len() + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                return Ok((status, self.printed.split_off(at)));
            }
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.ok_or(Wrong::Headers)?);
            if name.eq_ignore_ascii_case(b"status") {
                status = status_of(value).ok_or(Wrong::Headers)?;
            }
        }
    }
}

/// Of `: 404 Not Found`.
fn status_of(value: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(value.strip_prefix(b":")?).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a whole answer that comes in these pieces.
    fn read(pieces: &[&[u8]]) -> Result<Option<Reply>, Wrong> {
        let (mut reply, mut bytes) = (Reply::default(), Vec::new());
        for piece in pieces {
            bytes.extend_from_slice(piece);
            loop {
                match reply.take(&bytes)? {
                    Taken::Nothing => break,
                    Taken::Part(length) => drop(bytes.drain(..length)),
                    Taken::Last(length) => {
                        bytes.drain(..length);
                        assert!(bytes.is_empty());
                        return Ok(Some(reply));
                    }
                }
            }
        }
        Ok(None)
    }

    /// What php-fpm answers: two pieces of output, padded, a warning between them.
    fn answer() -> Vec<u8> {
        let mut out = Vec::new();
        record(&mut out, STDOUT, b"Status: 201 Created\r\nX-A: b\r\n");
        record(&mut out, STDERR, b"PHP message: oh");
        out.extend_from_slice(&[1, STDOUT, 0, 1, 0, 7, 1, 0]);
        out.extend_from_slice(b"\r\nhello\0");
        record(&mut out, STDOUT, b"");
        record(&mut out, END_REQUEST, &[0, 0, 0, 255, 0, 0, 0, 0]);
        out
    }

    #[test]
    fn a_request_is_its_records() {
        let mut variables = Variables::default();
        variables.add("A", "b");
        variables.add("LONG", &"x".repeat(128));
        let bytes = request(&variables, b"body");
        let mut expected = vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0];
        expected.extend([1, 4, 0, 1, 0, 4 + 5 + 4 + 128, 0, 0, 1, 1, b'A', b'b']);
        expected.extend([4, 0x80, 0, 0, 128]);
        expected.extend(b"LONG");
        expected.extend([b'x'; 128]);
        expected.extend([1, 4, 0, 1, 0, 0, 0, 0]);
        expected.extend([1, 5, 0, 1, 0, 4, 0, 0]);
        expected.extend(b"body");
        expected.extend([1, 5, 0, 1, 0, 0, 0, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_is_too_long_for_a_record_is_several() {
        let body = vec![7; CONTENT_BYTES_MAX + 1];
        let bytes = request(&Variables::default(), &body);
        let rest = &bytes[16 + HEAD_BYTES..];
        assert_eq!(rest[..HEAD_BYTES], [1, STDIN, 0, 1, 0xff, 0xff, 0, 0]);
        let rest = &rest[HEAD_BYTES + CONTENT_BYTES_MAX..];
        assert_eq!(rest, [1, 5, 0, 1, 0, 1, 0, 0, 7, 1, 5, 0, 1, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn an_answer_does_not_depend_on_how_it_is_cut(cuts in prop::collection::vec(0_usize..120, 0..6)) {
            let answer = answer();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(answer.len())).collect();
            cuts.extend([0, answer.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &answer[cut[0]..cut[1]]).collect();
            let mut reply = read(&pieces).unwrap().unwrap();
            prop_assert_eq!(&reply.errors, b"PHP message: oh");
            prop_assert_eq!(reply.document(), Ok((201, b"hello".to_vec())));
        }

        #[test]
        fn any_bytes_are_an_answer_or_none(bytes: Vec<u8>, printed: Vec<u8>) {
            let _ = read(&[&bytes]);
            let mut reply = Reply { printed, ..Reply::default() };
            let _ = reply.document();
        }
    }

    #[test]
    fn what_is_no_answer_is_said_so() {
        let cases: [(&[u8], Wrong); 5] = [
            (b"HTTP/1.1 400", Wrong::Head),
            (&[1, 6, 0, 2, 0, 0, 0, 0], Wrong::Head),
            (&[1, 9, 0, 1, 0, 0, 0, 0], Wrong::Kind(9)),
            (
                &[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0],
                Wrong::Refused(2),
            ),
            (&[1, 3, 0, 1, 0, 0, 0, 0], Wrong::Head),
        ];
        for (bytes, wrong) in cases {
            assert_eq!(read(&[bytes]).map(drop), Err(wrong));
        }
        assert!(read(&[&answer()[..60]]).unwrap().is_none(), "it ends early");
        for printed in [
            "",
            "no headers",
            "X: y\r\n",
            "Status: ?\r\n\r\n",
            "x\r\n\r\n",
        ] {
            let printed = printed.as_bytes().to_vec();
            let mut reply = Reply {
                printed,
                ..Reply::default()
            };
            assert_eq!(reply.document(), Err(Wrong::Headers));
        }
        let printed = b"content-type: x\n\nbody\n\n".to_vec();
        let mut reply = Reply {
            printed,
            ..Reply::default()
        };
        assert_eq!(reply.document(), Ok((200, b"body\n\n".to_vec())));
    }

    #[test]
    fn an_answer_has_a_limit() {
        let mut piece = Vec::new();
        record(&mut piece, STDOUT, &vec![b'x'; CONTENT_BYTES_MAX]);
        let mut reply = Reply::default();
        let most = ANSWER_BYTES_MAX / piece.len();
        for _ in 0..most {
            assert_eq!(reply.take(&piece), Ok(Taken::Part(piece.len())));
        }
        // It is refused by its head: nothing is waited for that would not be taken.
        assert_eq!(reply.take(&piece[..HEAD_BYTES]), Err(Wrong::Long));
    }
}
