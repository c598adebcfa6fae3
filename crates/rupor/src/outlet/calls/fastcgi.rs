//! Calls of php-fpm over FastCGI: connections that are kept, what is asked over them, and what comes back.

use super::callee::{Answer, NoAnswer, excerpt};
use super::lanes::{About, Event};
use super::record::{self, Reply, Taken, Variables, Wrong};
use crate::config::{FpmAddress, FpmConfig};
use crate::gateway::ConnectionId;
use crate::system::{UnixStream, connect_unix};
use socket2::SockRef;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// A connection that was not used for so long is closed: each occupies a process of php-fpm.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(5);

/// php-fpm ends processes between requests (`pm.max_requests`), and whoever asks just then finds the connection closed. That is
/// asked again, once: if nothing came, so soon, over a connection that was kept. A script that ends its process in the
/// same way and as soon is so handed its event twice.
const UNHEARD_MAX: Duration = Duration::from_millis(100);

/// The connections to php-fpm.
#[derive(Debug)]
pub(super) struct Pool {
    config: FpmConfig,
    permits: Semaphore,
    idle: Mutex<Vec<Kept>>,
    open: Arc<AtomicUsize>,
}

/// A connection, and since when it is not used.
#[derive(Debug)]
struct Kept {
    stream: Stream,
    /// What came and was not taken yet.
    bytes: Vec<u8>,
    since: Instant,
    _counted: Counted,
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Why an exchange broke off.
enum Broken {
    Io(io::Error),
    Wrong(Wrong),
}

/// An attempt that brought nothing.
struct Failed {
    /// The script was not called, as far as that can be known.
    unheard: bool,
    reason: String,
}

/// Counts open connections.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(config: FpmConfig) -> Self {
        Self {
            permits: Semaphore::new(config.calls.at_a_time.get()),
            config,
            idle: Mutex::default(),
            open: Arc::default(),
        }
    }

    /// Connections that are open.
    pub(super) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Calls the script; once, whatever comes of it.
    pub(super) async fn call(
        &self,
        connection: Option<ConnectionId>,
        about: &About,
        event: &Event,
    ) -> Result<Answer, NoAnswer> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let called = timeout(self.config.calls.timeout, async {
            let kept = self.take_kept();
            let is_kept = kept.is_some();
            let connected = match kept {
                Some(kept) => kept,
                None => self
                    .connect()
                    .await
                    .map_err(|error| self.unreachable(&error))?,
            };
            let variables = variables(&self.config, connection, about, event);
            let request = record::request(&variables, event.body());
            match self.ask(connected, &request).await {
                Err(Failed { unheard: true, .. }) if is_kept => {
                    let connected = self
                        .connect()
                        .await
                        .map_err(|error| self.unreachable(&error))?;
                    self.ask(connected, &request).await
                }
                asked => asked,
            }
            .map_err(|failed| NoAnswer(format!("no answer of php-fpm: {}", failed.reason)))
            .and_then(answer)
        });
        called.await.unwrap_or_else(|_| {
            Err(NoAnswer(
                "the script took longer than fpm.timeout".to_owned(),
            ))
        })
    }

    /// Asks once; the connection is kept if that went well.
    async fn ask(&self, mut kept: Kept, request: &[u8]) -> Result<Reply, Failed> {
        let began = Instant::now();
        let mut reply = Reply::default();
        match kept.exchange(request, &mut reply).await {
            Ok(()) => {
                kept.since = Instant::now();
                // What nobody asked for is not to be taken for the next answer.
                if kept.bytes.is_empty() {
                    self.idle().push(kept);
                }
                Ok(reply)
            }
            Err(broken) => {
                let nothing_came = reply.is_empty() && kept.bytes.is_empty();
                let soon = began.elapsed() < UNHEARD_MAX;
                Err(Failed {
                    unheard: broken.is_end() && nothing_came && soon,
                    reason: broken.to_string(),
                })
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what was not used for long.
    pub(super) fn close_idle(&self) {
        self.idle().retain(|kept| kept.since.elapsed() < IDLE_MAX);
    }

    /// One that is kept and still open.
    fn take_kept(&self) -> Option<Kept> {
        let mut idle = self.idle();
        // Processes of php-fpm end after a while.
        while let Some(kept) = idle.pop() {
            if kept.stream.is_open() {
                return Some(kept);
            }
        }
        None
    }

    async fn connect(&self) -> io::Result<Kept> {
        let stream = match &self.config.address {
            FpmAddress::Unix(path) => Stream::Unix(connect_unix(path).await?),
            FpmAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                let _ = stream.set_nodelay(true);
                Stream::Tcp(stream)
            }
        };
        Ok(Kept {
            stream,
            bytes: Vec::new(),
            since: Instant::now(),
            _counted: Counted::new(&self.open),
        })
    }

    fn unreachable(&self, error: &io::Error) -> NoAnswer {
        let address = match &self.config.address {
            FpmAddress::Unix(path) => format!("unix://{}", path.display()),
            FpmAddress::Tcp(address) => format!("tcp://{address}"),
        };
        NoAnswer(format!(
            "php-fpm cannot be reached at {address}: {error}. Fix: start it, or name its address with --fpm-address"
        ))
    }
}

impl Kept {
    /// Writes the request and reads the answer.
    async fn exchange(&mut self, request: &[u8], reply: &mut Reply) -> Result<(), Broken> {
        self.stream.write_all(request).await?;
        loop {
            let mut at = 0;
            loop {
                match reply.take(self.bytes.get(at..).unwrap_or_default())? {
                    Taken::Nothing => break,
                    Taken::Part(length) => at += length,
                    Taken::Last(length) => {
                        self.bytes.drain(..at + length);
                        self.bytes.shrink_to(READ_BYTES);
                        return Ok(());
                    }
                }
            }
            self.bytes.drain(..at);
            self.bytes.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

impl Stream {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes).await,
            Self::Tcp(stream) => stream.write_all(bytes).await,
        }
    }

    async fn read_buf(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read_buf(bytes).await,
            Self::Tcp(stream) => stream.read_buf(bytes).await,
        }
    }

    /// Nothing may have come that was not asked for, and no end.
    fn is_open(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
        };
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Broken {
    /// Whether the other end went away.
    fn is_end(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        matches!(self, Self::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            _ if self.is_end() => formatter.write_str("its process ended"),
            Self::Io(error) => error.fmt(formatter),
            Self::Wrong(wrong) => wrong.fmt(formatter),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Wrong> for Broken {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

fn answer(mut reply: Reply) -> Result<Answer, NoAnswer> {
    let (status, body) = reply
        .document()
        .map_err(|error| NoAnswer(format!("the answer of php-fpm cannot be read: {error}")))?;
    let errors = reply.errors;
    match status {
        200 => Ok(Answer { body, errors }),
        404 => Err(NoAnswer(
            "php-fpm finds no such script. Fix: name one with --fpm by its full path, readable for the pool's user"
                .to_owned(),
        )),
        _ => {
            let said = excerpt(if errors.is_empty() { &body } else { &errors });
            Err(NoAnswer(format!("the script failed with status {status}: {said}")))
        }
    }
}

/// What CGI calls the request (RFC 3875 §4.1), so that `$_SERVER`, `$_GET` and `$_COOKIE` are those of the request that
/// opened the connection; and `RUPOR_…` for what happened on it.
fn variables(
    config: &FpmConfig,
    connection: Option<ConnectionId>,
    about: &About,
    event: &Event,
) -> Variables {
    let request = &about.request;
    let script = config.script.to_string_lossy();
    let name = config.script.file_name().unwrap_or_default();
    let name = format!("/{}", name.to_string_lossy());
    let root = config.script.parent().unwrap_or(&config.script);
    let mut all = Variables::default();
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        (
            "SERVER_SOFTWARE",
            concat!("rupor/", env!("CARGO_PKG_VERSION")),
        ),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", request.host().unwrap_or_default()),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", &request.target),
        ("QUERY_STRING", request.query().unwrap_or_default()),
        ("SCRIPT_FILENAME", &script),
        ("SCRIPT_NAME", &name),
        ("DOCUMENT_ROOT", &root.to_string_lossy()),
        ("DOCUMENT_URI", &name),
        ("REMOTE_ADDR", &request.remote.ip().to_string()),
        ("REMOTE_PORT", &request.remote.port().to_string()),
        ("CONTENT_TYPE", content_type(event)),
        ("CONTENT_LENGTH", &event.body().len().to_string()),
        ("RUPOR_EVENT", event.name()),
    ] {
        all.add(name, value);
    }
    if request.secure {
        all.add("HTTPS", "on");
    }
    if let Some(connection) = connection {
        all.add("RUPOR_CONNECTION", &connection.to_string());
    }
    if let Some(user) = &about.user {
        all.add("RUPOR_USER", user);
    }
    if let Some(attached) = &about.attached {
        all.add("RUPOR_ATTACHED", attached);
    }
    add_event(&mut all, event);
    for (name, value) in headers(&request.headers) {
        all.add(&name, &value);
    }
    all
}

fn content_type(event: &Event) -> &'static str {
    match event {
        Event::Binary(_) => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    }
}

fn add_event(all: &mut Variables, event: &Event) {
    match event {
        Event::Text(_) => all.add("RUPOR_TYPE", "text"),
        Event::Binary(_) => all.add("RUPOR_TYPE", "binary"),
        Event::Close {
            code,
            reason,
            clean,
        } => {
            all.add("RUPOR_CODE", &code.to_string());
            all.add("RUPOR_REASON", reason);
            all.add("RUPOR_CLEAN", if *clean { "1" } else { "0" });
        }
        Event::Refused(refused) => {
            all.add("RUPOR_COMMAND", refused.command);
            all.add("RUPOR_NAME", &refused.name);
            all.add("RUPOR_CODE", refused.code);
            all.add("RUPOR_REASON", &refused.error);
        }
        Event::Upgrade | Event::Open => {}
    }
}

/// Headers as CGI names them. One with an underscore would look like another with a hyphen, and `Proxy` would become
/// `HTTP_PROXY`, which programs believe to be their proxy.
fn headers(headers: &http::HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.keys().filter_map(|name| {
        let name_text = name.as_str();
        let skipped = ["proxy", "content-length", "content-type"];
        if name_text.contains('_') || skipped.contains(&name_text) {
            return None;
        }
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(http::HeaderValue::as_bytes)
            .collect();
        let between: &[u8] = if name_text == "cookie" { b"; " } else { b", " };
        let value = String::from_utf8_lossy(&values.join(between)).into_owned();
        Some((
            format!("HTTP_{}", name_text.to_ascii_uppercase().replace('-', "_")),
            value,
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::headers;
    use http::{HeaderMap, HeaderName, HeaderValue};

    /// `Proxy` is httpoxy (CVE-2016-5385); an underscore passes for a hyphen.
    #[test]
    fn headers_are_named_as_cgi_does_but_those_that_mislead_a_script() {
        let mut all = HeaderMap::new();
        for (name, value) in [
            ("host", "example.org"),
            ("proxy", "evil.example:80"),
            ("x-token", "right"),
            ("x_token", "wrong"),
            ("content-length", "5"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("x-two", "1"),
            ("x-two", "2"),
        ] {
            let name = HeaderName::from_static(name);
            all.append(name, HeaderValue::from_static(value));
        }
        let mut named: Vec<_> = headers(&all).collect();
        named.sort();
        let expected = [
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_HOST", "example.org"),
            ("HTTP_X_TOKEN", "right"),
            ("HTTP_X_TWO", "1, 2"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(named, expected);
    }
}
