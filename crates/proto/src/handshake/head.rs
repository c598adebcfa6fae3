//! Request heads: find the end, refuse what httparse would let pass, parse.
//!
//! Every byte is looked at once, in order, and the first one that is wrong decides the error: so
//! neither the work nor the verdict depends on how a head was cut (CVE-2023-43669).

use alloc::{vec, vec::Vec};

use super::{
    HandshakeError, Upgrade,
    syntax::{is_token_byte, list},
};

/// Limits on a head. Each is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, the empty line at its end included. Over it: 431.
    pub head_bytes_max: usize,
    /// Header lines. Over it: 431.
    pub headers_max: usize,
    /// Bytes of the request target. Over it: 414.
    pub target_bytes_max: usize,
}

impl Default for HeadLimits {
    /// 8 KiB, 64 headers, a target of 4 KiB.
    fn default() -> Self {
        Self {
            head_bytes_max: 8192,
            headers_max: 64,
            target_bytes_max: 4096,
        }
    }
}

/// The version of HTTP that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HttpVersion {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// A parsed request head, borrowed from the bytes it was parsed from.
#[derive(Clone)]
pub struct RequestHead<'b> {
    method: &'b str,
    target: &'b str,
    version: HttpVersion,
    headers: Vec<(&'b str, &'b [u8])>,
}

impl<'b> RequestHead<'b> {
    /// The method, as it was sent.
    pub fn method(&self) -> &'b str {
        self.method
    }

    /// The request target, as it was sent: mostly a path and query, but `*`, a host and port or a
    /// whole URI are possible too (RFC 9112 §3.2).
    pub fn target(&self) -> &'b str {
        self.target
    }

    /// The version of HTTP.
    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// Names and values of all headers, in their order. Values are trimmed, and may hold bytes
    /// that are not ASCII.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + Clone + '_ {
        self.headers.iter().copied()
    }

    /// The values of all headers of this name, in any case.
    pub fn header<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b [u8]> + 's {
        self.headers()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether it asks to become a WebSocket, rightly or wrongly: `websocket` is in an `Upgrade`.
    pub fn is_upgrade(&self) -> bool {
        self.header("upgrade")
            .any(|value| list::contains(value, "websocket"))
    }

    /// Checks all that RFC 6455 §4.2.1 asks of an upgrade.
    ///
    /// # Errors
    ///
    /// Those of [`Upgrade::from_parts`].
    pub fn upgrade(&self) -> Result<Upgrade, HandshakeError> {
        Upgrade::from_parts(self.method, self.target, self.version, self.headers())
    }
}

impl core::fmt::Debug for RequestHead<'_> {
    /// Without target and headers: both may hold secrets.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("version", &self.version)
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// How far a head has been searched, so that one that comes a byte at a time costs no more than one
/// that comes at once. One for each head.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadProgress {
    /// Bytes searched.
    searched: usize,
    /// Line ends found.
    lines: usize,
    /// Bytes of the line that is being searched, its end excluded.
    line_bytes: usize,
    /// Where the target begins, once the first space was found.
    target_start: Option<usize>,
    /// Whether the target has ended.
    target_ended: bool,
    /// Whether the last byte was a CR.
    after_cr: bool,
}

impl HeadProgress {
    /// As [`parse_request`], for a head that comes in several calls: `bytes` are those of the call
    /// before, and what came since behind them.
    ///
    /// # Errors
    ///
    /// As [`parse_request`].
    pub fn parse_request<'b>(
        &mut self,
        bytes: &'b [u8],
        limits: &HeadLimits,
    ) -> Result<Option<(RequestHead<'b>, usize)>, HandshakeError> {
        let Some(len) = self.find_end(bytes, limits)? else {
            return Ok(None);
        };
        let head = bytes.get(..len).unwrap_or_default();
        let mut headers = vec![httparse::EMPTY_HEADER; self.header_lines()];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(used)) if used == len => {}
            Err(httparse::Error::Version) if names_a_version(head) => {
                return Err(HandshakeError::HttpVersionUnsupported);
            }
            Err(httparse::Error::TooManyHeaders) => return Err(HandshakeError::TooManyHeaders),
            Ok(_) | Err(_) => return Err(HandshakeError::Malformed),
        }
        let (Some(method), Some(target), Some(version)) =
            (request.method, request.path, request.version)
        else {
            return Err(HandshakeError::Malformed);
        };
        let version = if version == 0 {
            HttpVersion::Http10
        } else {
            HttpVersion::Http11
        };
        let headers = request
            .headers
            .iter()
            .map(|header| (header.name, header.value))
            .collect();
        Ok(Some((
            RequestHead {
                method,
                target,
                version,
                headers,
            },
            len,
        )))
    }

    /// Header lines of a head whose end was found: all but the first and the empty one.
    pub(super) fn header_lines(&self) -> usize {
        self.lines.saturating_sub(2)
    }

    /// The length of the head, if it is all there. Refuses what breaks a limit or the form of
    /// lines: a bare CR or LF, a control character, a folded line (RFC 9112 §2.2, §5.2).
    pub(super) fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, HandshakeError> {
        for &byte in bytes.get(self.searched..).unwrap_or_default() {
            if self.searched >= limits.head_bytes_max {
                return Err(HandshakeError::HeadTooLarge);
            }
            self.check(byte, limits)?;
            self.searched = self.searched.saturating_add(1);
            if byte != b'\n' {
                continue;
            }
            let empty = self.line_bytes == 0;
            self.line_bytes = 0;
            self.lines = self.lines.saturating_add(1);
            if empty {
                return Ok(Some(self.searched));
            }
        }
        // At its limit and without its end, the head is over the limit with whatever comes next.
        if self.searched >= limits.head_bytes_max {
            return Err(HandshakeError::HeadTooLarge);
        }
        Ok(None)
    }

    /// Looks at the next byte.
    fn check(&mut self, byte: u8, limits: &HeadLimits) -> Result<(), HandshakeError> {
        if self.after_cr != (byte == b'\n') {
            return Err(HandshakeError::Malformed);
        }
        self.after_cr = byte == b'\r';
        if self.after_cr || byte == b'\n' {
            return Ok(());
        }
        let line_begins = self.line_bytes == 0;
        if (line_begins && !is_token_byte(byte)) || (byte < b' ' && byte != b'\t') || byte == 0x7f {
            return Err(HandshakeError::Malformed);
        }
        self.line_bytes = self.line_bytes.saturating_add(1);
        if self.lines == 0 {
            return self.check_first_line(byte, limits);
        }
        if line_begins && self.lines > limits.headers_max {
            return Err(HandshakeError::TooManyHeaders);
        }
        Ok(())
    }

    /// Measures the target: what stands between the first space and the second.
    fn check_first_line(&mut self, byte: u8, limits: &HeadLimits) -> Result<(), HandshakeError> {
        match self.target_start {
            None if byte == b' ' => self.target_start = Some(self.line_bytes),
            Some(_) if byte == b' ' => self.target_ended = true,
            Some(start) if !self.target_ended => {
                if self.line_bytes.saturating_sub(start) > limits.target_bytes_max {
                    return Err(HandshakeError::TargetTooLong);
                }
            }
            None | Some(_) => {}
        }
        Ok(())
    }
}

/// Whether the first line is of three parts and the last is a version of HTTP, be it one that we
/// do not speak (RFC 9112 §2.3).
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ').skip(2);
    let version = parts.next().and_then(|part| part.strip_prefix(b"HTTP/"));
    parts.next().is_none()
        && matches!(version, Some([major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Parses the head of any HTTP/1.x request at the front of `bytes`, and says how many of them it
/// takes. `None`: more bytes are needed, and nothing is wrong so far.
///
/// For a head that comes in many pieces, [`HeadProgress::parse_request`] does not search it anew
/// with each.
///
/// # Errors
///
/// [`Malformed`](HandshakeError::Malformed), or one of the limits:
/// [`HeadTooLarge`](HandshakeError::HeadTooLarge),
/// [`TooManyHeaders`](HandshakeError::TooManyHeaders),
/// [`TargetTooLong`](HandshakeError::TargetTooLong), or
/// [`HttpVersionUnsupported`](HandshakeError::HttpVersionUnsupported).
pub fn parse_request<'b>(
    bytes: &'b [u8],
    limits: &HeadLimits,
) -> Result<Option<(RequestHead<'b>, usize)>, HandshakeError> {
    HeadProgress::default().parse_request(bytes, limits)
}
