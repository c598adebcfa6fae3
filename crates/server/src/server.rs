//! Putting a server together, starting it, waiting for its end.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tower_service::Service;

use crate::admit::{Admit, AdmitAll};
use crate::error::StartError;
use crate::handle::Handle;
use crate::handler::Handler;
use crate::id::WorkerId;
use crate::limits::Limits;
use crate::opening::Tls;

type Factory<H> = Arc<dyn Fn(WorkerId, &Handle) -> H + Send + Sync>;

/// A server that is being put together.
#[must_use = "a server does nothing until it is started"]
pub struct Server<H: Handler, A = AdmitAll> {
    factory: Factory<H>,
    admit: A,
    limits: Limits,
    workers: Option<usize>,
    tls: Option<Tls>,
    trusted_proxies: Vec<AddressRange>,
    listeners: Vec<TcpListener>,
}

impl<H: Handler> Server<H> {
    /// A server whose workers each get the handler that `factory` makes, on the worker's own thread. It admits
    /// everybody, so [`Handler::Admission`] is [`UpgradeRequest`](crate::UpgradeRequest); for another one say
    /// [`admit`](Self::admit).
    pub fn new(factory: impl Fn(WorkerId, &Handle) -> H + Send + Sync + 'static) -> Self {
        Self {
            factory: Arc::new(factory),
            admit: AdmitAll,
            limits: Limits::default(),
            workers: None,
            tls: None,
            trusted_proxies: Vec::new(),
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
            trusted_proxies: self.trusted_proxies,
            listeners: self.listeners,
        }
    }

    /// Answers every request that is no upgrade; an `axum::Router` is one. Without it they get 426. The request has a
    /// [`RemoteAddr`] among its extensions.
    pub fn http<S, B>(self, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let _ = service;
        self
    }

    /// Sets the limits.
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

    /// Addresses that the limits per address and the accept rate leave out; loopback is always left out.
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = AddressRange>) -> Self {
        self.trusted_proxies.extend(proxies);
        self
    }

    /// Takes an address to listen on; port 0 lets the system choose. May be called more than once.
    ///
    /// # Errors
    /// [`StartError::Address`], [`StartError::AddressTaken`] or [`StartError::Listen`].
    pub fn listen(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Self, StartError> {
        let _ = address;
        unimplemented!()
    }

    /// Takes a socket that listens already.
    pub fn listen_on(mut self, listener: TcpListener) -> Self {
        self.listeners.push(listener);
        self
    }
}

impl<H: Handler, A: Admit<Admission = H::Admission>> Server<H, A> {
    /// Starts the threads and returns.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(self) -> Result<Running, StartError> {
        unimplemented!()
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

/// The peer's address, among the extensions of a request that is given to the HTTP service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

/// Addresses that begin with the same bits, written `192.0.2.0/24`, `2001:db8::/32`, or one address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    prefix: u8,
}

/// A server that runs. Dropping it does not end the server; [`Handle::drain`] and [`Handle::stop`] do.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    handle: Handle,
}

impl Running {
    /// What is listened on, with the ports that the system chose, in the order of the `listen` calls.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The server, for any thread.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until the server has ended. Blocks the thread.
    pub fn wait(self) {
        unimplemented!()
    }
}
