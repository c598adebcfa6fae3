//! Accepting: one task for each listener, one for each connection until it has an owner.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use http::StatusCode;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::Opening;
use super::answer::{Answer, part};
use super::gate::Permit;
use super::head::{HeadError, Opened, head_room, read_head, read_some};
use super::log_line::LogLine;
use super::request::Extent;
use super::stream::Stream;
use crate::admit::Admit;
use crate::inbox::End;
use crate::limits::Limits;
use crate::stats::{OpeningCounters, RefusalReason};

const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Connections that are turned away at once when there are no descriptors for more.
const TURNED_AWAY_PER_PAUSE: usize = 16;

/// Accepts until the server ends.
pub(crate) async fn accept_loop<A: Admit>(
    opening: Arc<Opening<A>>,
    listener: TcpListener,
    mut ending: watch::Receiver<Option<End>>,
) {
    let mut backoff = Backoff::default();
    let mut log = LogLine::default();
    let mut reserve = Reserve::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ending.wait_for(Option::is_some) => return,
        };
        match accepted {
            Ok((tcp, remote)) => {
                backoff.reset();
                opening.counters.accepted.fetch_add(1, Ordering::Relaxed);
                enter(&opening, tcp, remote);
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                // Most often the process has no file descriptor left (EMFILE). The listener stays
                // readable then, so without a pause this would spin.
                opening
                    .counters
                    .accept_errors
                    .fetch_add(1, Ordering::Relaxed);
                if let Some(failures) = log.due(Instant::now()) {
                    tracing::error!(%error, failures, "connections cannot be accepted");
                }
                reserve.turn_away(&opening, &listener).await;
                tokio::select! {
                    () = sleep(backoff.next()) => {}
                    _ = ending.wait_for(Option::is_some) => return,
                }
            }
        }
    }
}

/// Whether the one connection failed, and not accepting.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// A descriptor that is kept so that, when there is none left, those who knock can be let in and
/// told that there is no place, instead of waiting for nothing.
#[derive(Debug)]
struct Reserve(Option<File>);

impl Reserve {
    fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    async fn turn_away<A: Admit>(&mut self, opening: &Opening<A>, listener: &TcpListener) {
        if self.0.take().is_none() {
            // Somebody else had the last one faster: nobody can be let in now.
            *self = Self::new();
            return;
        }
        for _ in 0..TURNED_AWAY_PER_PAUSE {
            let waiting = timeout(Duration::ZERO, listener.accept());
            let Ok(Ok((tcp, _))) = waiting.await else {
                break;
            };
            opening.counters.refused(RefusalReason::Descriptors);
            if opening.tls.is_none() {
                let answer = Answer::unavailable("too many connections");
                let _ = tcp.try_write(&answer.to_bytes());
            }
        }
        *self = Self::new();
    }
}

#[derive(Debug, Default)]
struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    fn reset(&mut self) {
        self.last = None;
    }

    fn next(&mut self) -> Duration {
        let next = self
            .last
            .map_or(BACKOFF_MIN, |last| (last * 2).min(BACKOFF_MAX));
        self.last = Some(next);
        next
    }
}

/// Gives an accepted connection its place and its task, or refuses it.
fn enter<A: Admit>(opening: &Arc<Opening<A>>, tcp: TcpStream, remote: SocketAddr) {
    let permit = match opening.gate.enter(remote.ip()) {
        Ok(permit) => permit,
        Err(reason) => return turn_away(opening, tcp, reason),
    };
    let Ok(place) = Arc::clone(&opening.openings).try_acquire_owned() else {
        return turn_away(opening, tcp, RefusalReason::Openings);
    };
    prepare(&tcp);
    let is_alone = opening.is_alone;
    let opening = Arc::clone(opening);
    let mut opened = Box::pin(async move {
        let place = Place::new(Arc::clone(&opening.counters), place);
        opening.serve(tcp, remote, permit, place).await;
    });
    // Where no other thread could take it, what is there already is served on the spot: then a
    // thousand that come at once never exist at the same time.
    if !is_alone || !ends_at_once(opened.as_mut()) {
        tokio::spawn(opened);
    }
}

/// Whether a task has nothing to wait for: then it is done. One that panics is over too.
fn ends_at_once(task: Pin<&mut impl Future<Output = ()>>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| task.poll(&mut context))).map_or(true, |it| it.is_ready())
}

/// The place of a connection that is no WebSocket (yet); counted until it is dropped, also when the
/// task is cancelled.
#[derive(Debug)]
pub(crate) struct Place {
    counters: Arc<OpeningCounters>,
    _place: OwnedSemaphorePermit,
}

impl Place {
    fn new(counters: Arc<OpeningCounters>, place: OwnedSemaphorePermit) -> Self {
        counters.openings.fetch_add(1, Ordering::Relaxed);
        Self {
            counters,
            _place: place,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counters.openings.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sets what the connections of a listener begin with: on Linux they have it from the listener, so
/// that nothing has to be set for each.
pub(crate) fn prepare_listener(listener: &std::net::TcpListener, limits: &Limits) {
    #[cfg(target_os = "linux")]
    {
        // None of these can fail in a way that would matter more than going on.
        let socket = SockRef::from(listener);
        let _ = socket.set_tcp_nodelay(true);
        if limits.user_timeout_ms > 0 {
            let timeout = Duration::from_millis(u64::from(limits.user_timeout_ms));
            let _ = socket.set_tcp_user_timeout(Some(timeout));
        }
        if limits.notsent_lowat_bytes > 0 {
            let _ = socket.set_tcp_notsent_lowat(limits.notsent_lowat_bytes);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (listener, limits);
}

/// Sets what a connection does not have from its listener.
fn prepare(tcp: &TcpStream) {
    if cfg!(not(target_os = "linux")) {
        let _ = tcp.set_nodelay(true);
    }
}

/// Refuses at the door: before TLS, so cheaply. Only a plain connection can be told why.
fn turn_away<A: Admit>(opening: &Arc<Opening<A>>, tcp: TcpStream, reason: RefusalReason) {
    opening.counters.refused(reason);
    if opening.tls.is_some() {
        return;
    }
    let answer = Answer::unavailable(match reason {
        RefusalReason::AddressConnections => "too many connections of one address",
        RefusalReason::AcceptRate => "too many connections at once",
        _ => "too many connections",
    });
    // Without a place to wait in, the answer gets no time either.
    if let Ok(place) = Arc::clone(&opening.lingering).try_acquire_owned() {
        let linger = opening.linger();
        tokio::spawn(async move {
            answer.send(tcp, linger).await;
            drop(place);
        });
    } else {
        let _ = tcp.try_write(&answer.to_bytes());
    }
}

impl<A: Admit> Opening<A> {
    /// Serves a connection until a worker has it or it ends.
    ///
    /// What an upgrade of HTTP/1.1 does not come by is boxed: each connection has room for all
    /// that is not, and thousands may come at once.
    async fn serve(
        self: &Arc<Self>,
        tcp: TcpStream,
        peer: SocketAddr,
        mut permit: Permit,
        place: Place,
    ) {
        let patience = Duration::from_millis(u64::from(self.limits.opening_timeout_ms));
        let mut deadline = Instant::now() + patience;
        let Some((mut stream, remote)) = self.begin(tcp, peer, &mut permit, deadline).await else {
            return;
        };
        if stream.speaks_http2() {
            let served = self.serve_http2(stream, remote, permit, place, deadline);
            return Box::pin(served).await;
        }
        // What is there already, or came behind the request before.
        let mut behind = stream.read_now(head_room(&self.limits));
        let answer = loop {
            let (proxies, limits, secure) = (&self.proxies, &self.limits, self.tls.is_some());
            let head = read_head(
                &mut stream,
                behind,
                remote,
                proxies,
                secure,
                limits,
                deadline,
            );
            match head.await {
                Ok(Opened::Http {
                    received,
                    extent,
                    remote,
                }) => {
                    let served = self.serve_one(stream, received, extent, remote);
                    match Box::pin(served).await {
                        Some(next) => (stream, behind) = next,
                        None => return,
                    }
                    deadline = Instant::now() + patience;
                }
                Ok(Opened::Upgrade {
                    upgrade,
                    request,
                    rest,
                }) => {
                    if let Err(reason) = permit.is_of(request.remote.ip()) {
                        break self.refuse(reason, "too many connections of one address");
                    }
                    let decided = self.decide(&upgrade, *request, &permit);
                    match Box::pin(decided).await {
                        Ok(decided) => match self.adopt(stream, decided, rest, permit) {
                            None => return,
                            Some((back, answer)) => {
                                stream = back;
                                break answer;
                            }
                        },
                        Err(answer) => break answer,
                    }
                }
                Err(HeadError::Proxy) => break Answer::bad_proxy_header(),
                Err(HeadError::Refused(error)) => {
                    self.counters.refused(RefusalReason::Malformed);
                    break Answer::from(&error);
                }
                Err(HeadError::Slow) => {
                    self.counters.refused(RefusalReason::Slow);
                    let status = StatusCode::REQUEST_TIMEOUT;
                    break Answer::new(status, "the request did not come in time");
                }
                Err(HeadError::Gone) => return,
            }
        };
        Box::pin(answer.send(stream, self.linger())).await;
    }

    /// What comes before the first request: the PROXY protocol, TLS.
    async fn begin(
        self: &Arc<Self>,
        mut tcp: TcpStream,
        peer: SocketAddr,
        permit: &mut Permit,
        deadline: Instant,
    ) -> Option<(Stream, SocketAddr)> {
        let is_tls = self.tls.is_some();
        let greeted = self.proxies.greeted(&mut tcp, peer, is_tls, deadline);
        let remote = greeted.await.ok()?;
        if let Err(reason) = permit.is_of(remote.ip()) {
            turn_away(self, tcp, reason);
            return None;
        }
        Some((self.secure(tcp, deadline).await?, remote))
    }

    /// Serves a request that is no upgrade. The connection again, and the beginning of its next
    /// request; `None` when there will be none.
    async fn serve_one(
        self: &Arc<Self>,
        stream: Stream,
        received: Vec<u8>,
        extent: Extent,
        remote: SocketAddr,
    ) -> Option<(Stream, Vec<u8>)> {
        let answered = self.serve_http(stream, received, extent, remote).await?;
        let mut stream = answered.stream;
        if let Some(next) = self.next_request(&mut stream, answered.behind).await {
            return Some((stream, next));
        }
        part(stream, Instant::now() + self.linger()).await;
        None
    }

    /// Waits for the next request of a connection, which may begin with what came `behind` the one
    /// before. `None`: none will be read.
    async fn next_request(&self, stream: &mut Stream, behind: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut bytes = behind?;
        if bytes.is_empty() {
            let mut ending = self.handle.shared().ending.subscribe();
            let some = read_some(stream, &mut bytes, &self.limits);
            tokio::select! {
                read = timeout(self.http_idle_timeout(), some) => read.ok()?.ok()?,
                _ = ending.wait_for(Option::is_some) => return None,
            };
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    async fn secure(&self, tcp: TcpStream, deadline: Instant) -> Option<Stream> {
        let Some(tls) = &self.tls else {
            return Some(Stream::Plain(tcp));
        };
        let acceptor = TlsAcceptor::from(tls.config(self.http2));
        match Box::pin(timeout_at(deadline, acceptor.accept(tcp))).await {
            Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
            Ok(Err(_)) => {
                self.counters.refused(RefusalReason::Tls);
                None
            }
            Err(_) => {
                self.counters.refused(RefusalReason::Slow);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn backoff_doubles_to_a_second_and_starts_again() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next(), BACKOFF_MIN);
    }

    #[test]
    fn a_panic_ends_the_opening_and_not_who_accepts() {
        assert!(ends_at_once(pin!(async {})));
        assert!(!ends_at_once(pin!(std::future::pending())));
        assert!(ends_at_once(pin!(async { panic!("asked for") })));
    }

    /// The system says what it took; 0 leaves its own defaults.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_begins_with_the_limits_of_its_listener() {
        let off = Limits {
            user_timeout_ms: 0,
            notsent_lowat_bytes: 0,
            ..Limits::default()
        };
        for limits in [Limits::default(), off] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let untouched = SockRef::from(&listener).tcp_notsent_lowat().unwrap();
            prepare_listener(&listener, &limits);
            let address = listener.local_addr().unwrap();
            let _client = std::net::TcpStream::connect(address).unwrap();
            let (tcp, _) = listener.accept().unwrap();
            assert!(tcp.nodelay().unwrap());
            let lowat = SockRef::from(&tcp).tcp_notsent_lowat().unwrap();
            let timeout = SockRef::from(&tcp).tcp_user_timeout().unwrap();
            if limits.notsent_lowat_bytes > 0 {
                assert_eq!(lowat, 512 * 1024);
                assert_eq!(timeout, Some(Duration::from_secs(20)));
            } else {
                assert_eq!(lowat, untouched);
                assert_eq!(timeout.unwrap_or_default(), Duration::ZERO);
            }
        }
    }
}
