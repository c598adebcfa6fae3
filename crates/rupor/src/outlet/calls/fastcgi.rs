//! Calls of php-fpm over FastCGI: connections that are kept, what is asked over them, and what comes back.

use super::callee::{Answer, NoAnswer, excerpt};
use super::lanes::{About, Event};
use super::stream::{Connection, Seen, Stream};
use crate::config::{FpmAddress, FpmConfig};
use crate::gateway::ConnectionId;
use fastcgi_client::conn::KeepAlive;
use fastcgi_client::io::{Cursor, TokioCompat};
use fastcgi_client::{Client, ClientError, HttpConversionError, Params, Request, Response};
use socket2::SockRef;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Longest answer of a script with its headers, and of its error output, in bytes on the wire.
const ANSWER_BYTES_MAX: usize = 4 << 20;
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
struct Kept {
    client: Client<TokioCompat<Stream>, KeepAlive>,
    /// The same socket, to see whether it was closed.
    socket: OwnedFd,
    seen: Arc<Seen>,
    since: Instant,
    _counted: Counted,
}

impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// An attempt that brought nothing.
struct Failed {
    /// The script was not called, as far as that can be known.
    unheard: bool,
    reason: String,
}

/// Counts open connections.
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
                None => self.connect().await.map_err(|error| unreachable(&error))?,
            };
            let request = || {
                Request::new(
                    params(&self.config, connection, about, event),
                    Cursor::new(event.body()),
                )
            };
            match self.ask(connected, request()).await {
                Err(Failed { unheard: true, .. }) if is_kept => {
                    let connected = self.connect().await.map_err(|error| unreachable(&error))?;
                    self.ask(connected, request()).await
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
    async fn ask(
        &self,
        mut kept: Kept,
        request: Request<'_, Cursor<&[u8]>>,
    ) -> Result<Response, Failed> {
        kept.seen.begin();
        let began = Instant::now();
        match kept.client.execute(request).await {
            Ok(response) => {
                kept.since = Instant::now();
                // What nobody asked for is not to be taken for the next answer.
                if !kept.seen.has_unread() {
                    self.idle().push(kept);
                }
                Ok(response)
            }
            Err(error) => {
                let ended = is_end(&error);
                let nothing_came = kept.seen.has_nothing();
                Err(Failed {
                    unheard: ended && nothing_came && began.elapsed() < UNHEARD_MAX,
                    reason: if ended {
                        "its process ended".to_owned()
                    } else {
                        error.to_string()
                    },
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
            if is_open(&kept.socket) {
                return Some(kept);
            }
        }
        None
    }

    async fn connect(&self) -> io::Result<Kept> {
        let (connection, socket) = match &self.config.address {
            FpmAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                let socket = SockRef::from(&stream).try_clone()?;
                (Connection::Unix(stream), socket)
            }
            FpmAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                let _ = stream.set_nodelay(true);
                let socket = SockRef::from(&stream).try_clone()?;
                (Connection::Tcp(stream), socket)
            }
        };
        let (stream, seen) = Stream::new(connection, ANSWER_BYTES_MAX);
        Ok(Kept {
            client: Client::new_keep_alive_tokio(stream),
            socket: socket.into(),
            seen,
            since: Instant::now(),
            _counted: Counted::new(&self.open),
        })
    }
}

/// Nothing may have come that was not asked for, and no end.
fn is_open(socket: &OwnedFd) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    let peeked = SockRef::from(socket).peek(&mut byte);
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether the other end went away.
fn is_end(error: &ClientError) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error, ClientError::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof))
}

fn unreachable(error: &io::Error) -> NoAnswer {
    NoAnswer(format!(
        "php-fpm cannot be reached: {error}. Fix: start it, or name its address with --fpm-address"
    ))
}

fn answer(mut response: Response) -> Result<Answer, NoAnswer> {
    let errors = response.stderr.take().unwrap_or_default();
    let http: http::Response<Vec<u8>> =
        response.try_into().map_err(|error: HttpConversionError| {
            NoAnswer(format!("the answer of php-fpm cannot be read: {error}"))
        })?;
    let status = http.status().as_u16();
    let body = http.into_body();
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
fn params(
    config: &FpmConfig,
    connection: Option<ConnectionId>,
    about: &About,
    event: &Event,
) -> Params<'static> {
    let request = &about.request;
    let script = config.script.to_string_lossy();
    let name = config
        .script
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let root = config
        .script
        .parent()
        .unwrap_or(&config.script)
        .to_string_lossy();
    let content_type = match event {
        Event::Binary(_) => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    };
    let mut params = Params::default()
        .request_method("POST")
        .script_filename(script.into_owned())
        .script_name(format!("/{name}"))
        .document_root(root.into_owned())
        .document_uri(format!("/{name}"))
        .request_uri(request.target.clone())
        .query_string(request.query().unwrap_or_default().to_owned())
        .remote_addr(request.remote.ip().to_string())
        .remote_port(request.remote.port())
        .server_name(request.host().unwrap_or_default().to_owned())
        .content_type(content_type)
        .content_length(event.body().len())
        .custom("RUPOR_EVENT", event.name());
    let mut add = |name: &str, value: String| {
        let owned = std::mem::take(&mut params);
        params = owned.custom(name.to_owned(), value);
    };
    if request.secure {
        add("HTTPS", "on".to_owned());
    }
    if let Some(connection) = connection {
        add("RUPOR_CONNECTION", connection.to_string());
    }
    if let Some(user) = &about.user {
        add("RUPOR_USER", user.to_string());
    }
    if let Some(attached) = &about.attached {
        add("RUPOR_ATTACHED", attached.to_string());
    }
    match event {
        Event::Text(_) => add("RUPOR_TYPE", "text".to_owned()),
        Event::Binary(_) => add("RUPOR_TYPE", "binary".to_owned()),
        Event::Close { code, reason } => {
            add("RUPOR_CODE", code.to_string());
            add("RUPOR_REASON", reason.to_string());
        }
        Event::Refused(refused) => {
            add("RUPOR_COMMAND", refused.command.to_owned());
            add("RUPOR_NAME", refused.name.clone());
            add("RUPOR_CODE", refused.code.to_owned());
            add("RUPOR_REASON", refused.error.clone());
        }
        Event::Upgrade | Event::Open => {}
    }
    for (name, value) in headers(&request.headers) {
        add(&name, value);
    }
    params
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
