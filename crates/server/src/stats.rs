//! What the server counts: one set of atomics per worker and one for the opening side, summed when
//! somebody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rupor_proto::{CloseCode, DeflateCounts};

macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
        }

        impl $name {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it in metrics and logs.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

labels! {
    /// Why a connection was dropped by the server, not by a rule of the protocol.
    DropReason {
        /// [`Limits::backlog_bytes_max`](crate::Limits::backlog_bytes_max).
        BacklogBytes = "backlog_bytes",
        /// [`Limits::backlog_frames_max`](crate::Limits::backlog_frames_max).
        BacklogFrames = "backlog_frames",
        /// [`Limits::backlog_stall_ms`](crate::Limits::backlog_stall_ms).
        BacklogStall = "backlog_stall",
        /// [`Limits::backlog_budget_bytes`](crate::Limits::backlog_budget_bytes).
        BacklogBudget = "backlog_budget",
        /// [`Limits::rate_timeout_ms`](crate::Limits::rate_timeout_ms).
        Rate = "rate",
        /// The handler panicked.
        Panic = "panic",
        /// The system reported an error on its socket.
        Broken = "broken",
    }
}

labels! {
    /// How a publication came to be left out for a slow reader. The word for it is the reason.
    LeftOut {
        /// [`SlowPolicy::DropNewest`](crate::SlowPolicy::DropNewest): it came over the soft limit.
        NewestOverSoft = "backlog_soft",
        /// [`SlowPolicy::DropOldest`](crate::SlowPolicy::DropOldest): a newer one came over the soft limit.
        OldestOverSoft = "backlog_soft",
        /// [`SlowPolicy::DropOldest`](crate::SlowPolicy::DropOldest): it came when the backlog was full, and no
        /// older one was left.
        NewestOverMax = "backlog_full",
        /// [`SlowPolicy::Latest`](crate::SlowPolicy::Latest): a newer one of its key came over the soft limit.
        Replaced = "replaced",
    }
}

impl LeftOut {
    /// The word for the policy in metrics and logs.
    pub const fn policy(self) -> &'static str {
        match self {
            Self::NewestOverSoft => "drop-newest",
            Self::OldestOverSoft | Self::NewestOverMax => "drop-oldest",
            Self::Replaced => "latest",
        }
    }
}

labels! {
    /// Why a connection or an upgrade was refused before it became a WebSocket.
    RefusalReason {
        /// [`Limits::connections_max`](crate::Limits::connections_max).
        Connections = "connections",
        /// The process has no file descriptor left.
        Descriptors = "descriptors",
        /// [`Limits::openings_max`](crate::Limits::openings_max).
        Openings = "openings",
        /// [`Limits::connections_per_address_max`](crate::Limits::connections_per_address_max).
        AddressConnections = "address_connections",
        /// [`Limits::handshakes_per_address_per_second`](crate::Limits::handshakes_per_address_per_second).
        AddressRate = "address_rate",
        /// [`Limits::accepts_per_second`](crate::Limits::accepts_per_second).
        AcceptRate = "accept_rate",
        /// The TLS handshake failed.
        Tls = "tls",
        /// The head did not come in time.
        Slow = "slow",
        /// The head is no HTTP, is over a limit, or is no upgrade as RFC 6455 §4.2.1 has it.
        Malformed = "malformed",
        /// `Admit` said no.
        NotAdmitted = "not_admitted",
        /// `Admit` took too long, or answered what no 101 can carry.
        AdmitFailed = "admit_failed",
        /// [`Limits::adoptions_max`](crate::Limits::adoptions_max).
        Adoptions = "adoptions",
        /// A trusted proxy does not say who its client is, or not in a way that can be read
        /// ([`ClientAddress`](crate::ClientAddress)).
        ProxyHeader = "proxy_header",
        /// The server is ending.
        Ending = "ending",
    }
}

/// A snapshot of what was counted since the start. Every figure is a sum over the workers; figures
/// of one snapshot may be a few events apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// WebSockets that are open now.
    pub connections: u64,
    /// WebSockets open now, worker by worker.
    pub connections_per_worker: Vec<u64>,
    /// Connections that are accepted and no WebSockets (yet).
    pub openings: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// `accept` calls that failed, most often for want of file descriptors.
    pub accept_errors: u64,
    /// Connections that chose HTTP/2.
    pub http2_connections: u64,
    /// Headers that only proxies send, from addresses that are no trusted proxies; not believed.
    pub proxy_headers_ignored: u64,
    /// WebSockets opened.
    pub opened: u64,
    /// Those of them that were opened over HTTP/2.
    pub http2_websockets: u64,
    /// WebSockets closed, by the code that ended them: `1000` … `1015`, `3xxx`, `4xxx`, `other`.
    pub closed: Vec<(&'static str, u64)>,
    /// WebSockets dropped by the server, by reason.
    pub dropped: Vec<(DropReason, u64)>,
    /// Publications left out, one for each slow reader, by policy and reason.
    pub left_out: Vec<(LeftOut, u64)>,
    /// Connections and upgrades refused, by reason.
    pub refused: Vec<(RefusalReason, u64)>,
    /// Messages received.
    pub messages_in: u64,
    /// Bytes received on WebSockets, below TLS.
    pub bytes_in: u64,
    /// Message frames queued: for one connection, or one for each subscriber.
    pub frames_out: u64,
    /// Bytes handed to the system or to TLS on WebSockets.
    pub bytes_out: u64,
    /// Bytes that wait for slow peers now.
    pub backlog_bytes: u64,
    /// Panics of the handler.
    pub panics: u64,
    /// WebSockets open now that agreed to permessage-deflate.
    pub deflate_connections: u64,
    /// Runs of a compressor. Fewer than messages were sent compressed where several connections
    /// shared one; also those whose result was not used, because it was no shorter.
    pub compressions: u64,
    /// Messages that were sent compressed, one for each connection that gets it.
    pub deflated_messages_out: u64,
    /// Bytes of their payload before.
    pub deflated_plain_bytes_out: u64,
    /// Bytes of their frames.
    pub deflated_wire_bytes_out: u64,
    /// Messages that came compressed.
    pub deflated_messages_in: u64,
    /// Bytes that they were inflated to.
    pub deflated_plain_bytes_in: u64,
    /// Bytes of their compressed payload.
    pub deflated_wire_bytes_in: u64,
}

const CLOSED_LABELS: [&str; 19] = [
    "1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1011",
    "1012", "1013", "1014", "1015", "3xxx", "4xxx", "other",
];

fn closed_index(code: CloseCode) -> usize {
    match code.as_u16() {
        code @ 1000..=1015 => usize::from(code - 1000),
        3000..=3999 => 16,
        4000..=4999 => 17,
        _ => 18,
    }
}

/// What one worker counts. Only its worker writes, so plain adding is enough.
#[derive(Debug, Default)]
pub(crate) struct WorkerCounters {
    /// Connections given to the worker and not gone yet; raised by the opening side.
    pub(crate) assigned: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) gone: AtomicU64,
    pub(crate) messages_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) backlog_bytes: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) deflate_opened: AtomicU64,
    pub(crate) deflate_gone: AtomicU64,
    deflate: DeflateCounters,
    closed: [AtomicU64; CLOSED_LABELS.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
    left_out: [AtomicU64; LeftOut::ALL.len()],
}

/// What a worker counts of [`DeflateCounts`].
#[derive(Debug, Default)]
struct DeflateCounters {
    compressions: AtomicU64,
    messages_out: AtomicU64,
    plain_bytes_out: AtomicU64,
    wire_bytes_out: AtomicU64,
    messages_in: AtomicU64,
    plain_bytes_in: AtomicU64,
    wire_bytes_in: AtomicU64,
}

/// Adds without a locked instruction: the counter has one writer.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.store(
            counter.load(Ordering::Relaxed).wrapping_add(amount),
            Ordering::Relaxed,
        );
    }
}

impl WorkerCounters {
    pub(crate) fn closed(&self, code: CloseCode) {
        if let Some(counter) = self.closed.get(closed_index(code)) {
            add(counter, 1);
        }
    }

    /// Adds what a pool was used for.
    pub(crate) fn deflate(&self, counts: &DeflateCounts) {
        let DeflateCounts { sent, received, .. } = counts;
        let counters = &self.deflate;
        add(&counters.compressions, counts.compressions);
        add(&counters.messages_out, sent.messages);
        add(&counters.plain_bytes_out, sent.plain_bytes);
        add(&counters.wire_bytes_out, sent.wire_bytes);
        add(&counters.messages_in, received.messages);
        add(&counters.plain_bytes_in, received.plain_bytes);
        add(&counters.wire_bytes_in, received.wire_bytes);
    }

    pub(crate) fn left_out(&self, how: LeftOut, count: u64) {
        if let Some(counter) = self.left_out.get(how as usize) {
            add(counter, count);
        }
    }

    pub(crate) fn dropped(&self, reason: DropReason) {
        if let Some(counter) = self.dropped.get(reason as usize) {
            add(counter, 1);
        }
    }
}

/// What the opening side counts, from several threads.
#[derive(Debug, Default)]
pub(crate) struct OpeningCounters {
    pub(crate) openings: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) http2_connections: AtomicU64,
    pub(crate) proxy_headers_ignored: AtomicU64,
    pub(crate) http2_websockets: AtomicU64,
    refused: [AtomicU64; RefusalReason::ALL.len()],
}

impl OpeningCounters {
    pub(crate) fn refused(&self, reason: RefusalReason) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// All the counters of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    pub(crate) workers: Vec<Arc<WorkerCounters>>,
    pub(crate) opening: Arc<OpeningCounters>,
}

impl Counters {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            opening: Arc::default(),
        }
    }

    /// Unsent bytes of the whole server.
    pub(crate) fn backlog_bytes(&self) -> u64 {
        self.workers
            .iter()
            .map(|worker| worker.backlog_bytes.load(Ordering::Relaxed))
            .sum()
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sum = |pick: fn(&WorkerCounters) -> &AtomicU64| -> u64 {
            self.workers.iter().map(|worker| load(pick(worker))).sum()
        };
        let by_index = |pick: &dyn Fn(&WorkerCounters) -> Option<&AtomicU64>| -> u64 {
            self.workers
                .iter()
                .filter_map(|worker| pick(worker))
                .map(load)
                .sum()
        };
        let per_worker: Vec<u64> = self
            .workers
            .iter()
            .map(|worker| load(&worker.opened).saturating_sub(load(&worker.gone)))
            .collect();
        Stats {
            connections: per_worker.iter().sum(),
            connections_per_worker: per_worker,
            openings: load(&self.opening.openings),
            accepted: load(&self.opening.accepted),
            accept_errors: load(&self.opening.accept_errors),
            http2_connections: load(&self.opening.http2_connections),
            proxy_headers_ignored: load(&self.opening.proxy_headers_ignored),
            http2_websockets: load(&self.opening.http2_websockets),
            opened: sum(|worker| &worker.opened),
            closed: (0..)
                .zip(CLOSED_LABELS)
                .map(|(index, label)| (label, by_index(&|worker| worker.closed.get(index))))
                .collect(),
            dropped: DropReason::ALL
                .iter()
                .map(|&reason| {
                    (
                        reason,
                        by_index(&|worker| worker.dropped.get(reason as usize)),
                    )
                })
                .collect(),
            left_out: LeftOut::ALL
                .iter()
                .map(|&how| (how, by_index(&|worker| worker.left_out.get(how as usize))))
                .collect(),
            refused: RefusalReason::ALL
                .iter()
                .map(|&reason| {
                    (
                        reason,
                        self.opening.refused.get(reason as usize).map_or(0, load),
                    )
                })
                .collect(),
            messages_in: sum(|worker| &worker.messages_in),
            bytes_in: sum(|worker| &worker.bytes_in),
            frames_out: sum(|worker| &worker.frames_out),
            bytes_out: sum(|worker| &worker.bytes_out),
            backlog_bytes: self.backlog_bytes(),
            panics: sum(|worker| &worker.panics),
            deflate_connections: sum(|worker| &worker.deflate_opened)
                .saturating_sub(sum(|worker| &worker.deflate_gone)),
            compressions: sum(|worker| &worker.deflate.compressions),
            deflated_messages_out: sum(|worker| &worker.deflate.messages_out),
            deflated_plain_bytes_out: sum(|worker| &worker.deflate.plain_bytes_out),
            deflated_wire_bytes_out: sum(|worker| &worker.deflate.wire_bytes_out),
            deflated_messages_in: sum(|worker| &worker.deflate.messages_in),
            deflated_plain_bytes_in: sum(|worker| &worker.deflate.plain_bytes_in),
            deflated_wire_bytes_in: sum(|worker| &worker.deflate.wire_bytes_in),
        }
    }
}
