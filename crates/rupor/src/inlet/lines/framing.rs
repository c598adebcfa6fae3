//! Bytes into lines: pure, no I/O.
//!
//! A line ends with `\n` or `\r\n`; what stands after the last line end is a line too when the writer ends
//! ([`Framer::finish`]). Invariants:
//! - the lines do not depend on how the bytes were cut;
//! - at most one line is kept, and of a line over the limit nothing: it becomes [`Item::TooLong`] once, and its rest is
//!   skipped up to the next line end;
//! - when the first line that is not blank looks like HTTP, or the first byte like TLS or another binary protocol,
//!   [`Item::NotLines`] is the last item for good.
//!
//! That last rule is what keeps web pages out: a page can make a browser send `POST / HTTP/1.1` with any body to any
//! port, and the body's lines must not be taken for the site's. Browsers let the page choose the method, so any token
//! counts as one; a first line too long to be read to its end is HTTP if it begins with a method and a space. (A page
//! cannot make the method itself that long: such a request needs a preflight, whose own first line is cut off here.)

/// What comes out of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// One line, without its end.
    Line(&'a [u8]),
    /// A line over the limit was here.
    TooLong,
    /// These are not lines: cut the writer off.
    NotLines(Protocol),
}

/// What somebody speaks who does not speak lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A request line, HTTP/2's preface included.
    Http,
    /// A control character first: TLS begins with 0x16.
    Binary,
}

/// Finds the lines in bytes that come in pieces.
#[derive(Debug)]
pub(crate) struct Framer {
    line_bytes_max: usize,
    /// The begin of a line whose end has not come, or the line that was given out last.
    pending: Vec<u8>,
    /// Whether `pending` was given out and has to be forgotten.
    given: bool,
    state: State,
    /// Whether a line that is not blank has come.
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a line.
    Line,
    /// In the rest of a line over the limit.
    Skip,
    /// Cut off.
    Cut,
}

/// A longer buffer is not kept for the next line.
const KEPT_BYTES_MAX: usize = 16 * 1024;

impl Framer {
    /// Lines of at most `line_bytes_max` bytes without their end.
    pub(crate) fn new(line_bytes_max: usize) -> Self {
        Self {
            line_bytes_max,
            pending: Vec::new(),
            given: false,
            state: State::Line,
            begun: false,
        }
    }

    /// The next item in `input`, whose used bytes are cut off its front. `None`: all is used (or cut off), bring more.
    pub(crate) fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Item<'s>> {
        self.forget_given();
        while !input.is_empty() {
            match self.state {
                State::Cut => *input = &[],
                State::Skip => {
                    let Some(end) = memchr::memchr(b'\n', input) else {
                        *input = &[];
                        return None;
                    };
                    *input = &input[end + 1..];
                    self.state = State::Line;
                }
                State::Line => return self.in_line(input),
            }
        }
        None
    }

    /// The last line, when no more bytes come and it has no end.
    pub(crate) fn finish(&mut self) -> Option<Item<'_>> {
        self.forget_given();
        if self.state != State::Line || self.pending.is_empty() {
            return None;
        }
        self.given = true;
        let line = strip_return(&self.pending);
        let bytes_max = self.line_bytes_max;
        Some(judge(line, bytes_max, &mut self.begun, &mut self.state))
    }

    fn forget_given(&mut self) {
        if self.given {
            self.given = false;
            self.pending.clear();
            self.pending.shrink_to(KEPT_BYTES_MAX);
        }
    }

    fn in_line<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Item<'s>> {
        if !self.begun && self.pending.is_empty() && is_binary(input[0]) {
            return Some(self.cut(input, Protocol::Binary));
        }
        let Some(end) = memchr::memchr(b'\n', input) else {
            // One byte more may be the `\r` of the line's end.
            if self.pending.len() + input.len() > self.line_bytes_max + 1 {
                return Some(self.too_long(input, input.len(), State::Skip));
            }
            self.pending.extend_from_slice(input);
            *input = &[];
            return None;
        };
        if self.pending.len() + end > self.line_bytes_max + 1 {
            return Some(self.too_long(input, end + 1, State::Line));
        }
        let bytes = &input[..end];
        *input = &input[end + 1..];
        let line = if self.pending.is_empty() {
            bytes
        } else {
            self.pending.extend_from_slice(bytes);
            self.given = true;
            self.pending.as_slice()
        };
        let line = strip_return(line);
        let bytes_max = self.line_bytes_max;
        let item = judge(line, bytes_max, &mut self.begun, &mut self.state);
        if matches!(item, Item::NotLines(_)) {
            *input = &[];
        }
        Some(item)
    }

    fn too_long(&mut self, input: &mut &[u8], used: usize, then: State) -> Item<'static> {
        if !self.begun {
            // As much as is there however the bytes were cut.
            let seen = self.line_bytes_max + 2;
            let begin: Vec<u8> = self
                .pending
                .iter()
                .chain(input.iter())
                .copied()
                .take(seen)
                .collect();
            if begins_like_http(begin.trim_ascii_start()) {
                return self.cut(input, Protocol::Http);
            }
        }
        self.begun = true;
        self.given = true;
        self.state = then;
        *input = &input[used..];
        Item::TooLong
    }

    fn cut(&mut self, input: &mut &[u8], protocol: Protocol) -> Item<'static> {
        self.state = State::Cut;
        self.given = true;
        *input = &[];
        Item::NotLines(protocol)
    }
}

fn strip_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What a whole line is, without its end; cuts off a writer whose first one is none.
fn judge<'a>(line: &'a [u8], bytes_max: usize, begun: &mut bool, state: &mut State) -> Item<'a> {
    if let Some(protocol) = check_first(begun, line) {
        *state = State::Cut;
        return Item::NotLines(protocol);
    }
    if line.len() > bytes_max {
        Item::TooLong
    } else {
        Item::Line(line)
    }
}

/// Looks at a line if no line that is not blank came before it.
fn check_first(begun: &mut bool, line: &[u8]) -> Option<Protocol> {
    if *begun {
        return None;
    }
    let line = line.trim_ascii_start();
    let first = *line.first()?;
    *begun = true;
    if is_binary(first) {
        return Some(Protocol::Binary);
    }
    looks_like_http(line).then_some(Protocol::Http)
}

/// A control character that is no white space: JSON never begins with one.
fn is_binary(byte: u8) -> bool {
    byte.is_ascii_control() && !byte.is_ascii_whitespace()
}

/// `method SP target SP HTTP/…` with any method (RFC 9112 §3), more leniently than any server reads it.
fn looks_like_http(line: &[u8]) -> bool {
    begins_like_http(line)
        && line
            .windows(6)
            .any(|window| is_space(window[0]) && window[1..].eq_ignore_ascii_case(b"HTTP/"))
}

/// `method SP`, which is all that can be seen of a line whose target is longer than a line may be.
fn begins_like_http(line: &[u8]) -> bool {
    let method_end = line.iter().position(|byte| is_space(*byte));
    method_end.is_some_and(|end| end > 0 && line[..end].iter().copied().all(is_token))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// RFC 9110 §5.6.2, tchar.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
