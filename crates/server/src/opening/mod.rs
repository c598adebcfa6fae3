//! The opening side: from an accepted connection to an admitted upgrade in the hands of a worker,
//! or to the HTTP service.
//!
//! Rare and full of corner cases, so left to libraries: tokio accepts, rustls handshakes, hyper
//! speaks HTTP. It runs on its own threads. Start with [`accept`]: `serve` there is the life of a
//! connection on this side.
//!
//! Invariants: everything here has a deadline; a connection holds a [`gate::Permit`] from accept
//! to its end, wherever it is; after a refusal nothing of the connection is read as a request.

mod accept;
mod answer;
mod body;
mod client_address;
mod gate;
mod head;
mod http;
mod http2;
mod listen;
mod log_line;
mod range;
mod request;
mod stream;
mod tls;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use rupor_proto::DeflateConfig;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub(crate) use self::accept::prepare_listener;
pub(crate) use self::answer::Answer;
pub use self::body::RequestBody;
pub use self::client_address::ClientAddress;
pub(crate) use self::client_address::Proxies;
pub(crate) use self::gate::{Gate, Permit};
pub(crate) use self::http::HttpService;
pub use self::http::RemoteAddr;
pub(crate) use self::listen::bind;
pub use self::range::{AddressRange, NotAnAddressRange};
pub use self::tls::Tls;
use crate::admit::Admit;
use crate::handle::Handle;
use crate::id::WorkerId;
use crate::inbox::End;
use crate::limits::Limits;
use crate::stats::{OpeningCounters, WorkerCounters};
use crate::worker::{Adoption, Adoptions, Ready, Socket};

/// What all connections on this side share.
pub(crate) struct Opening<A: Admit> {
    pub(crate) admit: A,
    pub(crate) limits: Arc<Limits>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) proxies: Proxies,
    pub(crate) tls: Option<Tls>,
    pub(crate) deflate: Option<DeflateConfig>,
    /// Whether TLS connections may speak HTTP/2.
    pub(crate) http2: bool,
    pub(crate) http: Option<HttpService>,
    pub(crate) handle: Handle,
    pub(crate) counters: Arc<OpeningCounters>,
    pub(crate) workers: Vec<Arc<Waiting<A>>>,
    /// Whether this side has a single thread.
    pub(crate) is_alone: bool,
    /// Places for connections that are no WebSockets.
    pub(crate) openings: Arc<Semaphore>,
    /// Places for connections that were turned away and read the answer.
    pub(crate) lingering: Arc<Semaphore>,
    /// One place is taken by each HTTP/2 connection, so that the end can wait for them.
    pub(crate) http2_connections: Arc<Semaphore>,
}

/// Where opened connections wait for one worker.
pub(crate) struct Waiting<A: Admit> {
    pub(crate) worker: WorkerId,
    pub(crate) adoptions: Arc<Adoptions<Adoption<A::Admission, Socket>>>,
    pub(crate) ready: Arc<Ready>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) handle: Handle,
}

impl<A: Admit> Waiting<A> {
    fn signal(&self) {
        self.handle.signal(self.worker);
    }
}

impl<A: Admit> Opening<A> {
    fn is_ending(&self) -> bool {
        self.handle.shared().ending.borrow().is_some()
    }

    fn linger(&self) -> Duration {
        Duration::from_millis(u64::from(self.limits.linger_ms))
    }

    /// Runs until the server ends: then no listener is left, and those who were opening had the
    /// drain's window to finish.
    pub(crate) async fn run(self: Arc<Self>, listeners: Vec<TcpListener>) {
        let mut accepting = tokio::task::JoinSet::new();
        for listener in listeners {
            let ending = self.handle.shared().ending.subscribe();
            accepting.spawn(accept::accept_loop(Arc::clone(&self), listener, ending));
        }
        accepting.join_all().await;
        let mut ending = self.handle.shared().ending.subscribe();
        let end = *ending.borrow_and_update();
        let stop = async move {
            // The sender is in the handle that `self` has.
            let _ = ending.wait_for(|end| *end == Some(End::Stop)).await;
        };
        let window = match end {
            Some(End::Drain(window)) => window,
            _ => Duration::ZERO,
        };
        tokio::select! {
            () = self.drained(window) => {}
            () = stop => {
                // What the workers said to their peers at the end is on its way through here.
                let _ = timeout(self.linger(), self.http2_gone()).await;
            }
        }
    }

    /// Waits until nobody is here any more: those who were opening have the drain's window,
    /// WebSockets over HTTP/2 also the time that a worker gives a closing handshake.
    async fn drained(&self, window: Duration) {
        let places = u32::try_from(self.limits.openings_max).unwrap_or(u32::MAX);
        let _ = timeout(window, self.openings.acquire_many(places)).await;
        let close = u64::from(self.limits.protocol.close_timeout_ms);
        let patience = Duration::from_millis(close) + 2 * self.linger();
        let _ = timeout(window + patience, self.http2_gone()).await;
    }

    /// Waits until no HTTP/2 connection is left.
    async fn http2_gone(&self) {
        let places = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        // It is never closed.
        let _ = self.http2_connections.acquire_many(places).await;
    }
}
