//! A connection: its limits, its life, its end.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use h2::{Ping, PingPong, Reason};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::super::Opening;
use super::super::accept::Place;
use super::super::gate::Permit;
use super::super::stream::Stream;
use super::stream::Ended;
use crate::admit::Admit;
use crate::limits::Limits;
use crate::stats::RefusalReason;

/// The longest frame that a peer may send: the least that HTTP/2 allows (RFC 9113 §6.5.2).
const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// What a peer may have us remember of headers that repeat: HTTP/2's own default.
const HEADER_TABLE_BYTES: u32 = 4096;

/// Streams that were reset by the peer before we looked at them, at a time. Over it the connection
/// is ended (ENHANCE_YOUR_CALM).
const RESETS_PENDING_MAX: usize = 20;

/// Streams that we reset are remembered, so that what was under way is ignored and not an error:
/// so many, for so long.
const RESETS_REMEMBERED: usize = 50;
const RESETS_REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// The longest window that HTTP/2 has (RFC 9113 §6.9.1).
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// What the streams of a connection share.
pub(super) struct Shared<A: Admit> {
    pub(super) opening: Arc<Opening<A>>,
    pub(super) remote: SocketAddr,
    /// The connection's place among those that are no WebSockets; given up with its first
    /// WebSocket.
    place: Mutex<Option<Place>>,
}

impl<A: Admit> Shared<A> {
    pub(super) fn carries_websockets(&self) {
        drop(
            self.place
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

fn builder(limits: &Limits) -> Builder {
    let window = limits.http2_window_bytes.clamp(1, WINDOW_BYTES_MAX);
    // Enough for all of its streams, so that one that is not read from does not hold up another.
    let whole = limits.http2_streams_max.saturating_mul(window);
    let resets = usize::try_from(limits.http2_resets_max).unwrap_or(usize::MAX);
    let unsent = usize::try_from(limits.http2_unsent_bytes).unwrap_or(usize::MAX);
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(limits.http2_streams_max)
        .initial_window_size(window)
        .initial_connection_window_size(whole.clamp(1, WINDOW_BYTES_MAX))
        .max_frame_size(FRAME_BYTES_MAX)
        .header_table_size(HEADER_TABLE_BYTES)
        .max_header_list_size(u32::try_from(limits.head.head_bytes_max).unwrap_or(u32::MAX))
        .max_send_buffer_size(unsent.max(1))
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(Some(resets))
        .max_concurrent_reset_streams(RESETS_REMEMBERED)
        .reset_stream_duration(RESETS_REMEMBERED_FOR);
    builder
}

impl<A: Admit> Opening<A> {
    /// Serves a connection that chose HTTP/2. Its first request has to come before `deadline`.
    pub(crate) async fn serve_http2(
        self: &Arc<Self>,
        stream: Stream,
        remote: SocketAddr,
        permit: Permit,
        place: Place,
        deadline: Instant,
    ) {
        let Ok(_until_gone) = Arc::clone(&self.http2_connections).try_acquire_owned() else {
            // Only at the very end of the server.
            return self.counters.refused(RefusalReason::Ending);
        };
        let handshake = builder(&self.limits).handshake::<_, Bytes>(stream);
        let connection = match timeout_at(deadline, handshake).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) => return self.counters.refused(RefusalReason::Malformed),
            Err(_) => return self.counters.refused(RefusalReason::Slow),
        };
        self.counters
            .http2_connections
            .fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared {
            opening: Arc::clone(self),
            remote,
            place: Mutex::new(Some(place)),
        });
        Life {
            shared,
            connection,
            streams: JoinSet::new(),
            resets: 0,
            idle_until: deadline,
            first: true,
            leaving: false,
        }
        .run()
        .await;
        drop(permit);
    }
}

/// A connection that is being served.
struct Life<A: Admit> {
    shared: Arc<Shared<A>>,
    connection: Connection<Stream, Bytes>,
    streams: JoinSet<Ended>,
    /// Streams that the peer reset before they were answered.
    resets: u32,
    /// When it ends if it has no stream by then.
    idle_until: Instant,
    /// Nothing was asked yet.
    first: bool,
    /// GOAWAY was said.
    leaving: bool,
}

impl<A: Admit> Life<A> {
    async fn run(mut self) {
        let opening = Arc::clone(&self.shared.opening);
        let mut ending = opening.handle.shared().ending.subscribe();
        let dead = keep_alive(self.connection.ping_pong(), &opening.limits);
        let mut dead = pin!(dead);
        loop {
            tokio::select! {
                // Also what moves the bytes of all streams.
                accepted = self.connection.accept() => match accepted {
                    Some(Ok((request, respond))) => self.begin(request, respond),
                    Some(Err(_)) | None => break,
                },
                Some(ended) = self.streams.join_next() => self.end(ended.unwrap_or(Ended::Done)),
                () = sleep_until(self.idle_until), if self.streams.is_empty() => {
                    if self.leaving {
                        break;
                    }
                    if self.first {
                        opening.counters.refused(RefusalReason::Slow);
                    }
                    self.leave();
                }
                () = dead.as_mut() => break,
                _ = ending.wait_for(Option::is_some), if !self.leaving => self.leave(),
            }
        }
        // They find out by themselves that the connection is gone.
        self.streams.detach_all();
    }

    fn begin(
        &mut self,
        request: http::Request<h2::RecvStream>,
        mut respond: h2::server::SendResponse<Bytes>,
    ) {
        self.first = false;
        let most = usize::try_from(self.shared.opening.limits.http2_streams_max);
        // A stream that was reset is none of HTTP/2's any more, but its task may still run.
        if self.streams.len() >= most.unwrap_or(usize::MAX) {
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.streams.spawn(shared.serve(request, respond));
    }

    fn end(&mut self, ended: Ended) {
        match ended {
            Ended::Done => {}
            Ended::Reset => {
                self.resets += 1;
                if self.resets > self.shared.opening.limits.http2_resets_max {
                    self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
            }
            Ended::Opened(carrier) => {
                self.streams.spawn(async move {
                    carrier.run().await;
                    Ended::Done
                });
                return;
            }
        }
        if self.streams.is_empty() {
            let opening = &self.shared.opening;
            let patience = if self.leaving {
                opening.linger()
            } else {
                opening.http_idle_timeout()
            };
            self.idle_until = Instant::now() + patience;
        }
    }

    /// No new streams; those that are there may end (GOAWAY, RFC 9113 §6.8).
    fn leave(&mut self) {
        self.leaving = true;
        self.connection.graceful_shutdown();
        self.idle_until = Instant::now() + self.shared.opening.linger();
    }
}

/// Returns when the peer does not acknowledge a PING (RFC 9113 §6.7).
async fn keep_alive(ping: Option<PingPong>, limits: &Limits) {
    let ms = |limit: u32| Duration::from_millis(u64::from(limit));
    let interval = ms(limits.http2_ping_interval_ms);
    let patience = ms(limits.http2_ping_timeout_ms);
    let Some(mut ping) = ping.filter(|_| !interval.is_zero()) else {
        return pending().await;
    };
    loop {
        sleep(interval).await;
        if !matches!(
            timeout(patience, ping.ping(Ping::opaque())).await,
            Ok(Ok(_))
        ) {
            return;
        }
    }
}
