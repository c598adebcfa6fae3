//! Request heads: find the end, check what httparse lets pass, parse.

use alloc::vec::Vec;

use super::{HandshakeError, Upgrade};

/// Limits on a head. Each is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, its last empty line included.
    pub head_bytes_max: usize,
    /// Header lines.
    pub headers_max: usize,
    /// Bytes of the request target.
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
#[derive(Clone, Debug)]
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

    /// The request target, as it was sent.
    pub fn target(&self) -> &'b str {
        self.target
    }

    /// The version of HTTP.
    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// Names and values of all headers, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + Clone + '_ {
        self.headers.iter().copied()
    }

    /// The values of all headers of this name, in any case.
    pub fn header<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b [u8]> + 's {
        self.headers()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether it asks to become a WebSocket, rightly or wrongly.
    pub fn is_upgrade(&self) -> bool {
        unimplemented!()
    }

    /// Checks all that RFC 6455 §4.2.1 asks of an upgrade.
    pub fn upgrade(&self) -> Result<Upgrade, HandshakeError> {
        Upgrade::from_parts(self.method, self.target, self.version, self.headers())
    }
}

/// How far a head has been searched, so that a head that comes a byte at a time costs no more than
/// one that comes at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadProgress {
    searched: usize,
}

impl HeadProgress {
    /// As [`parse_request`]; `bytes` begin where they began at the call before, and have only grown.
    pub fn parse_request<'b>(
        &mut self,
        bytes: &'b [u8],
        limits: &HeadLimits,
    ) -> Result<Option<(RequestHead<'b>, usize)>, HandshakeError> {
        let _ = (bytes, limits, self.searched);
        unimplemented!()
    }
}

/// Parses the head of any HTTP/1.x request at the front of `bytes`, and says how many of them it
/// takes. `None`: more bytes are needed.
pub fn parse_request<'b>(
    bytes: &'b [u8],
    limits: &HeadLimits,
) -> Result<Option<(RequestHead<'b>, usize)>, HandshakeError> {
    HeadProgress::default().parse_request(bytes, limits)
}
