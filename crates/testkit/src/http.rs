//! One HTTP/1.1 request and its response, enough for tests.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Instant;

use crate::link::{Link, connect};

/// A response, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines in the order they came, names as they were sent.
    pub headers: Vec<(String, String)>,
    /// The body as far as `Content-Length` or the end of the connection says; empty after a 101.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text, faulty UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads a response; what follows it on the connection is left in `buffer`.
    pub(crate) fn read(link: &mut dyn Link, buffer: &mut Vec<u8>, what: &str) -> Self {
        let deadline = Instant::now() + crate::DEADLINE;
        let end = loop {
            if let Some(at) = find(buffer, b"\r\n\r\n") {
                break at;
            }
            if fill(link, buffer, deadline, what) == 0 {
                let got = String::from_utf8_lossy(buffer);
                panic!("{what}: the connection ended before the response head did: {got:?}");
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|s| s.parse().ok());
        let Some(status) = status else {
            panic!("{what}: not an HTTP response: {head:?}")
        };
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut response = Self {
            status,
            headers,
            body: Vec::new(),
        };
        response.read_body(link, buffer, deadline, what);
        response
    }

    fn read_body(&mut self, link: &mut dyn Link, buffer: &mut Vec<u8>, by: Instant, what: &str) {
        // RFC 9112 §6.3: these have none.
        if self.status < 200 || self.status == 204 || self.status == 304 {
            return;
        }
        let chunked = self
            .header("transfer-encoding")
            .is_some_and(|v| v.contains("chunked"));
        assert!(!chunked, "{what}: a chunked body is not understood here");
        let length = self
            .header("content-length")
            .map(|v| v.parse::<usize>().expect("a length"));
        while length.is_none_or(|length| buffer.len() < length) {
            if fill(link, buffer, by, what) == 0 {
                let missing = length.map_or(0, |length| length - buffer.len());
                assert!(
                    missing == 0,
                    "{what}: {missing} bytes of the body never came"
                );
                break;
            }
        }
        self.body = buffer.drain(..length.unwrap_or(buffer.len())).collect();
    }
}

/// Sends one request on a connection of its own and reads the response. `Host` and, for a body,
/// `Content-Length` are added unless `headers` has them.
///
/// # Panics
/// When there is no whole response within the deadline.
pub fn http(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !has("host") {
        request += &format!("Host: {address}\r\n");
    }
    if !has("content-length") && (!body.is_empty() || method == "POST" || method == "PUT") {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    let mut stream = connect(address);
    // A server may refuse and close before it has read all of a large body: what counts then is
    // its answer, not that the rest could not be written.
    let _ = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.write_all(body));
    Response::read(&mut stream, &mut Vec::new(), &format!("{method} {target}"))
}

/// Reads once, at most until `deadline`; 0 is the end of the stream, be it orderly or a reset.
pub(crate) fn fill(
    link: &mut dyn Link,
    buffer: &mut Vec<u8>,
    deadline: Instant,
    what: &str,
) -> usize {
    match fill_within(link, buffer, deadline) {
        Some(read) => read,
        None => panic!(
            "{what}: nothing came in time; so far {}",
            crate::client::shown(buffer)
        ),
    }
}

/// As [`fill`], but `None` when the deadline passes.
pub(crate) fn fill_within(
    link: &mut dyn Link,
    buffer: &mut Vec<u8>,
    deadline: Instant,
) -> Option<usize> {
    let mut chunk = [0; 16 * 1024];
    loop {
        link.limit_read(deadline.checked_duration_since(Instant::now())?);
        match link.read(&mut chunk) {
            Ok(read) => {
                buffer.extend_from_slice(&chunk[..read]);
                return Some(read);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof => return Some(0),
                _ => panic!("cannot read: {error}"),
            },
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}
