//! Putting a server together, starting it, waiting for its end.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use mio::{Poll, Waker};
use rupor_proto::DeflateConfig;
use tokio::runtime::{self, Runtime};
use tokio::sync::Semaphore;
use tower_service::Service;

use crate::admit::{Admit, AdmitAll};
use crate::error::StartError;
use crate::handle::Handle;
use crate::handler::Handler;
use crate::id::{WORKERS_MAX, WorkerId};
use crate::inbox::Inbox;
use crate::limits::Limits;
use crate::memory;
use crate::opening::{
    AddressRange, ClientAddress, Gate, HttpService, Opening, Proxies, RequestBody, Tls, Waiting,
    bind, prepare_listener,
};
use crate::stats::Counters;
use crate::worker::{Adoption, Adoptions, Context, Core, Ready, Socket, WAKE, Worker};

type Factory<H> = Arc<dyn Fn(WorkerId, &Handle) -> H + Send + Sync>;

/// Threads of the opening side, where there are as many cores: more only get in each other's way.
const OPENING_THREADS: usize = 2;

/// How long tasks of the opening side may take to notice that it is over.
const OPENING_SHUTDOWN: Duration = Duration::from_secs(1);

/// A server that is being put together.
///
/// ```no_run
/// use rupor_server::{Connection, Handler, Message, Server, UpgradeRequest};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Admission = UpgradeRequest;
///     type State = ();
///     fn on_open(&mut self, _: &mut Connection<'_>, _: UpgradeRequest) {}
///     fn on_message(&mut self, connection: &mut Connection<'_>, (): &mut (), message: Message<'_>) {
///         let _ = connection.send(message);
///     }
/// }
///
/// # fn main() -> Result<(), rupor_server::StartError> {
/// Server::new(|_, _| Echo).listen("127.0.0.1:8000")?.run()
/// # }
/// ```
#[must_use = "a server does nothing until it is started"]
pub struct Server<H: Handler, A = AdmitAll> {
    factory: Factory<H>,
    admit: A,
    limits: Limits,
    workers: Option<usize>,
    tls: Option<Tls>,
    deflate: Option<DeflateConfig>,
    http2: bool,
    http: Option<HttpService>,
    trusted_proxies: Vec<AddressRange>,
    client_address: ClientAddress,
    listeners: Vec<TcpListener>,
}

impl<H: Handler> Server<H> {
    /// A server whose workers each get the handler that `factory` makes, on the worker's own
    /// thread. It admits everybody, so [`Handler::Admission`] is
    /// [`UpgradeRequest`](crate::UpgradeRequest); for another one say [`admit`](Self::admit).
    pub fn new(factory: impl Fn(WorkerId, &Handle) -> H + Send + Sync + 'static) -> Self {
        Self {
            factory: Arc::new(factory),
            admit: AdmitAll,
            limits: Limits::default(),
            workers: None,
            tls: None,
            deflate: None,
            http2: true,
            http: None,
            trusted_proxies: Vec::new(),
            client_address: ClientAddress::default(),
            listeners: Vec::new(),
        }
    }
}

impl<H: Handler, A> Server<H, A> {
    /// Decides who gets in.
    pub fn admit<B: Admit<Admission = H::Admission>>(self, admit: B) -> Server<H, B> {
        Server {
            factory: self.factory,
            admit,
            limits: self.limits,
            workers: self.workers,
            tls: self.tls,
            deflate: self.deflate,
            http2: self.http2,
            http: self.http,
            trusted_proxies: self.trusted_proxies,
            client_address: self.client_address,
            listeners: self.listeners,
        }
    }

    /// Answers every request that is no upgrade; an `axum::Router` is such a service. Without one,
    /// GET gets 426 and the rest 404. The request has a [`RemoteAddr`](crate::RemoteAddr) among
    /// its extensions.
    pub fn http<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.http = Some(HttpService::new(service));
        self
    }

    /// Sets the limits. [`Limits::listen_backlog`] is for the `listen` calls behind this one.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the number of workers, 1 to 256; by default one for each core.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Speaks TLS on every listener.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Agrees to permessage-deflate (RFC 7692) with clients that offer it; without this nobody's
    /// offer is taken. What is compressed is said in `deflate`, with a warning about secrets; a
    /// message that must not be is sent with
    /// [`Connection::send_uncompressed`](crate::Connection::send_uncompressed), or is a
    /// [`Frame::uncompressed`](crate::Frame::uncompressed). An [`Admit`] may decline for a
    /// connection ([`Admitted::without_deflate`](crate::Admitted::without_deflate)).
    pub fn deflate(mut self, deflate: DeflateConfig) -> Self {
        self.deflate = Some(deflate);
        self
    }

    /// Whether TLS connections may speak HTTP/2, and open WebSockets over it (RFC 8441); by default
    /// they may. Without TLS it is HTTP/1.1 only.
    pub fn http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }

    /// Proxies that are believed about who their client is, as
    /// [`client_address`](Self::client_address) says; nobody else is. The limits per address and the
    /// accept rate leave these proxies out (loopback always): a connection counts as the client's
    /// from when the proxy says whose it is.
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = AddressRange>) -> Self {
        self.trusted_proxies.extend(proxies);
        self
    }

    /// What names the client of a connection that a trusted proxy makes; by default
    /// [`ClientAddress::XForwardedFor`].
    pub fn client_address(mut self, source: ClientAddress) -> Self {
        self.client_address = source;
        self
    }

    /// Listens on an address, or on all that a name has; port 0 lets the system choose. May be
    /// called more than once.
    ///
    /// # Errors
    /// [`StartError::Address`], [`StartError::AddressTaken`] or [`StartError::Listen`].
    pub fn listen(mut self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Self, StartError> {
        self.listeners
            .extend(bind(address, self.limits.listen_backlog)?);
        Ok(self)
    }

    /// Takes a socket that listens already.
    pub fn listen_on(mut self, listener: TcpListener) -> Self {
        self.listeners.push(listener);
        self
    }

    fn worker_count(&self) -> Result<usize, StartError> {
        let asked = match self.workers {
            Some(asked) => asked,
            None => thread::available_parallelism()
                .map_or(1, usize::from)
                .min(WORKERS_MAX),
        };
        if (1..=WORKERS_MAX).contains(&asked) {
            Ok(asked)
        } else {
            Err(StartError::Workers { asked })
        }
    }
}

impl<H: Handler, A: Admit<Admission = H::Admission>> Server<H, A> {
    /// Starts the threads and returns.
    ///
    /// # Errors
    /// [`StartError`]; then nothing runs.
    pub fn start(mut self) -> Result<Running, StartError> {
        let count = self.worker_count()?;
        if self.listeners.is_empty() {
            return Err(StartError::NoListener);
        }
        if self.limits.backlog_budget_bytes == 0 {
            self.limits.backlog_budget_bytes = memory::limit_bytes() / 2;
        }
        let limits = Arc::new(self.limits);
        let (polls, inboxes) = make_inboxes(count, &limits)?;
        let handle = Handle::new(inboxes, Counters::new(count));
        let opening_threads = opening_threads();
        let (runtime, listeners, addresses) =
            prepare_opening(self.listeners, opening_threads, &limits)?;
        let mut threads = Vec::with_capacity(count + 1);
        let workers = start_workers(&self.factory, polls, &handle, &limits, &mut threads)
            .map_err(|error| abandon(&handle, &mut threads, error))?;

        let opening = Arc::new(Opening {
            admit: self.admit,
            gate: Gate::new(Arc::clone(&limits), self.trusted_proxies.clone()),
            proxies: Proxies::new(
                self.client_address,
                self.trusted_proxies,
                Arc::clone(&handle.shared().counters.opening),
            ),
            tls: self.tls,
            deflate: self.deflate,
            http2: self.http2,
            http: self.http,
            handle: handle.clone(),
            counters: Arc::clone(&handle.shared().counters.opening),
            workers,
            is_alone: opening_threads == 1,
            openings: Arc::new(Semaphore::new(limits.openings_max)),
            lingering: Arc::new(Semaphore::new(limits.lingering_max)),
            http2_connections: Arc::new(Semaphore::new(limits.connections_max)),
            limits,
        });
        let thread = thread::Builder::new()
            .name("rupor-opening".to_owned())
            .spawn(move || {
                runtime.block_on(opening.run(listeners));
                runtime.shutdown_timeout(OPENING_SHUTDOWN);
            })
            .map_err(system("the opening thread"));
        match thread {
            Ok(thread) => threads.push(thread),
            Err(error) => return Err(abandon(&handle, &mut threads, error)),
        }
        Ok(Running {
            addresses,
            handle,
            threads,
        })
    }

    /// Starts and waits for the end, which only [`Handle::drain`] and [`Handle::stop`] bring.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn run(self) -> Result<(), StartError> {
        self.start()?.wait();
        Ok(())
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Ends what was started of a server that cannot start.
fn abandon(handle: &Handle, threads: &mut Vec<JoinHandle<()>>, error: StartError) -> StartError {
    handle.stop();
    for thread in threads.drain(..) {
        let _ = thread.join();
    }
    error
}

fn make_inboxes(count: usize, limits: &Limits) -> Result<(Vec<Poll>, Vec<Inbox>), StartError> {
    let mut polls = Vec::with_capacity(count);
    let mut inboxes = Vec::with_capacity(count);
    for _ in 0..count {
        let poll = Poll::new().map_err(system("a poller"))?;
        let waker = Waker::new(poll.registry(), WAKE).map_err(system("a waker"))?;
        let wake = Box::new(move || {
            // An error leaves the worker to its next event; nothing could be done here.
            let _ = waker.wake();
        });
        polls.push(poll);
        inboxes.push(Inbox::new(limits.inbox_commands_max, wake));
    }
    Ok((polls, inboxes))
}

/// Starts the workers' threads and waits until each has its handler.
fn start_workers<H: Handler, A: Admit<Admission = H::Admission>>(
    factory: &Factory<H>,
    polls: Vec<Poll>,
    handle: &Handle,
    limits: &Arc<Limits>,
    threads: &mut Vec<JoinHandle<()>>,
) -> Result<Vec<Arc<Waiting<A>>>, StartError> {
    let count = polls.len();
    let mut workers = Vec::with_capacity(count);
    let (tell_started, started) = mpsc::channel();
    for (worker, poll) in WorkerId::all(count).zip(polls) {
        let adoptions = Arc::new(Adoptions::new(limits.adoptions_max));
        let signalled = handle.clone();
        let ready = Ready::new(move || signalled.signal(worker));
        let start = WorkerStart {
            worker,
            poll,
            factory: Arc::clone(factory),
            context: Context::new(worker, handle.clone(), Arc::clone(limits)),
            adoptions: Arc::clone(&adoptions),
            ready: Arc::clone(&ready),
            started: tell_started.clone(),
        };
        let thread = thread::Builder::new()
            .name(format!("rupor-worker-{worker}"))
            .spawn(move || start.run())
            .map_err(system("a worker's thread"))?;
        threads.push(thread);
        let counters = handle
            .shared()
            .counters
            .workers
            .get(worker.index())
            .cloned();
        workers.push(Arc::new(Waiting {
            worker,
            adoptions,
            ready,
            counters: counters.unwrap_or_default(),
            handle: handle.clone(),
        }));
    }
    drop(tell_started);
    if started.iter().filter(|made| *made).count() < count {
        return Err(StartError::HandlerPanicked);
    }
    Ok(workers)
}

fn opening_threads() -> usize {
    let cores = thread::available_parallelism().map_or(OPENING_THREADS, usize::from);
    cores.min(OPENING_THREADS)
}

type Prepared = (Runtime, Vec<tokio::net::TcpListener>, Vec<SocketAddr>);

fn prepare_opening(
    listeners: Vec<TcpListener>,
    threads: usize,
    limits: &Limits,
) -> Result<Prepared, StartError> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("rupor-opening")
        .enable_all()
        .build()
        .map_err(system("the opening runtime"))?;
    let entered = runtime.enter();
    let mut ready = Vec::with_capacity(listeners.len());
    let mut addresses = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let address = listener.local_addr().map_err(system("a listener"))?;
        let failed = |source| StartError::Listen { address, source };
        listener.set_nonblocking(true).map_err(failed)?;
        prepare_listener(&listener, limits);
        ready.push(tokio::net::TcpListener::from_std(listener).map_err(failed)?);
        addresses.push(address);
    }
    drop(entered);
    Ok((runtime, ready, addresses))
}

/// What a worker's thread begins with.
struct WorkerStart<H: Handler> {
    worker: WorkerId,
    poll: Poll,
    factory: Factory<H>,
    context: Context,
    adoptions: Arc<Adoptions<Adoption<H::Admission, Socket>>>,
    ready: Arc<Ready>,
    started: mpsc::Sender<bool>,
}

impl<H: Handler> WorkerStart<H> {
    fn run(self) {
        let Self {
            worker,
            poll,
            factory,
            context,
            adoptions,
            ready,
            started,
        } = self;
        let handle = context.handle.clone();
        let made = catch_unwind(AssertUnwindSafe(|| factory(worker, &handle)));
        // Nobody listens only when another worker failed to start.
        let _ = started.send(made.is_ok());
        drop(started);
        let Ok(handler) = made else { return };
        // Without randomness an id of the last run could name somebody in this one; no more.
        let mut seed = [0; 4];
        let _ = getrandom::fill(&mut seed);
        let core = Core::new(handler, context, u32::from_ne_bytes(seed));
        if let Some(inbox) = handle.shared().inboxes.get(worker.index()) {
            Worker::new(poll, core, adoptions, ready).run(inbox);
        }
    }
}

impl<H: Handler, A> fmt::Debug for Server<H, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("limits", &self.limits)
            .field("workers", &self.workers)
            .field("tls", &self.tls)
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

/// A server that runs. Dropping it does not end the server; [`Handle::drain`] and [`Handle::stop`]
/// do.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// What is listened on, with the ports that the system chose, in the order of the `listen`
    /// calls.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The server, for any thread.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until the server has ended. Blocks the thread.
    pub fn wait(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the server panicked");
            }
        }
    }
}
