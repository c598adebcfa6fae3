//! The wiring of `demo`, `serve` and `echo`: what is started in which order, what is said about it, how it ends.
//!
//! Ports are opened before anything is said, so that a taken one is the first and only thing that is complained of.

use super::banner::Demo;
use super::echo::{Echo, Everybody};
use super::passed::{PassedSockets, Unnamed};
use super::signals::{self, Ending, Signals};
use crate::auth::api_key::NoCrypto;
use crate::auth::key::KeyError;
use crate::auth::origin::NotAnOrigin;
use crate::config::{Config, InletAddress, Mode, TlsFiles};
use crate::demo::{self, Lack};
use crate::inlet::listener::InletError;
use crate::log;
use crate::system::open_files_max;
use rupor_server::{Handler, Running, Server, StartError, Tls, TlsError};
use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;
use tracing::{info, warn};

/// Could not start, or failed.
const EXIT_FAILURE: u8 = 1;
/// A second signal cut the drain short.
const EXIT_CUT_SHORT: u8 = 3;
/// Threads for inlets, the HTTP API's work and signals.
const INLET_THREADS: usize = 2;
/// How long the runtime's tasks may take to end after everything is closed.
const RUNTIME_END: Duration = Duration::from_millis(500);

/// What tasks run on; the WebSockets have threads of their own.
#[derive(Debug)]
pub(super) struct Threads {
    /// The site's side, and signals.
    pub(super) inlets: Runtime,
    /// One thread for the tasks of handlers: docs/adr/0029.
    pub(super) handlers: Runtime,
}

/// Runs a serving command until it is told to end.
pub(super) fn run(config: &Config, file: Option<&Path>, passed: PassedSockets) -> ExitCode {
    let log = log::init(&config.log, config.log_format);
    if let Some(file) = file {
        info!(file = %file.display(), "configuration read");
    }
    let ending = started(config, passed);
    // So that an error stands behind everything that led to it.
    drop(log);
    match ending {
        Ok(Ending::Drained) => ExitCode::SUCCESS,
        Ok(Ending::CutShort) => ExitCode::from(EXIT_CUT_SHORT),
        Err(error) => {
            super::say(&format!("rupor: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Why a serving command did not start. The text names the option and the fix.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server.
    Server(StartError),
    /// The certificate.
    Tls(TlsError),
    /// A line inlet.
    Inlet(InletError),
    /// A socket that was passed and that no option names.
    Unnamed(Unnamed),
    /// A key for tokens. The configuration has checked it, so this is the second look.
    Key(KeyError),
    /// An origin, likewise.
    Origin(NotAnOrigin),
    /// The key of the API.
    Crypto(NoCrypto),
    /// A thread or another thing of the system.
    System(std::io::Error),
}

impl Failure {
    /// Whether the configuration is at fault or the machine.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Tls(_) | Self::Unnamed(_) | Self::Key(_) | Self::Origin(_) => super::EXIT_USAGE,
            Self::Server(_) | Self::Inlet(_) | Self::Crypto(_) | Self::System(_) => EXIT_FAILURE,
        }
    }
}

/// What only opening the files tells: that the certificate, its key and the token keys can be used.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    tls(config)?;
    super::site::identity(config).map(drop)
}

fn tls(config: &Config) -> Result<Option<Tls>, Failure> {
    let load = |files: &TlsFiles| Tls::from_files(&files.cert, &files.key).map_err(Failure::Tls);
    config.tls.as_ref().map(load).transpose()
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error @ StartError::AddressTaken { address }) => write!(
                formatter,
                "{error}. Fix: stop it, or take another port with --listen {}:{} (RUPOR_LISTEN, `listen` in the file).",
                bracketed(address),
                address.port().checked_add(1).unwrap_or(8000),
            ),
            Self::Server(error @ StartError::Listen { .. }) => write!(
                formatter,
                "{error}. Fix: take another address with --listen ADDRESS:PORT (RUPOR_LISTEN, `listen` in the file).",
            ),
            Self::Server(error) => write!(formatter, "{error}."),
            Self::Tls(error) => write!(
                formatter,
                "{error}. Fix: give a certificate with --tls-cert and its key with --tls-key, both PEM."
            ),
            Self::Inlet(error) => write!(formatter, "{error}."),
            Self::Unnamed(error) => write!(formatter, "{error}."),
            Self::Key(error) => write!(
                formatter,
                "a key of [[jwt]]: {error}. Fix: name another key."
            ),
            Self::Origin(error) => write!(formatter, "option `origin`: {error}."),
            Self::Crypto(error) => write!(formatter, "{error}."),
            Self::System(error) => write!(formatter, "the system refuses: {error}."),
        }
    }
}

impl std::error::Error for Failure {}

/// An address without its port, as it stands before one.
fn bracketed(address: &std::net::SocketAddr) -> String {
    match address {
        std::net::SocketAddr::V4(address) => address.ip().to_string(),
        std::net::SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

fn started(config: &Config, passed: PassedSockets) -> Result<Ending, Failure> {
    let threads = Threads {
        inlets: runtime("rupor-inlet", INLET_THREADS)?,
        handlers: runtime("rupor-handlers", 1)?,
    };
    let (mut config, warning) = super::descriptors::fit(config, open_files_max());
    if let (Mode::Serve, Some(warning)) = (config.mode, warning) {
        warn!("{warning}");
    }
    let lack = threads.inlets.block_on(demo::prepare(&mut config));
    let ending = serve(&config, lack.as_ref(), passed, &threads);
    threads.inlets.shutdown_timeout(RUNTIME_END);
    threads.handlers.shutdown_timeout(RUNTIME_END);
    ending
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(Failure::System)
}

fn serve(
    config: &Config,
    lack: Option<&Lack>,
    passed: PassedSockets,
    threads: &Threads,
) -> Result<Ending, Failure> {
    let runtime = &threads.inlets;
    let signals = runtime
        .block_on(async { Signals::catch() })
        .map_err(Failure::System)?;
    let tls = tls(config)?;
    if config.mode == Mode::Echo {
        let running = echo(config, tls.clone(), passed)?;
        announce(&running, tls.is_some(), &[]);
        let handle = running.handle().clone();
        tell(move || {
            let _ = handle.stats();
        })?;
        for inlet in &config.inlet {
            warn!(%inlet, "an echo server has nobody to send to: this inlet is not opened");
        }
        let reload = || signals::reload(tls.as_ref(), &[]);
        let end = signals::until_the_end(signals, running, reload, config.drain, async || {});
        return runtime.block_on(end).map_err(Failure::System);
    }
    if config.mode == Mode::Serve {
        for warning in super::warnings::of(config) {
            warn!("{warning}");
        }
    }
    let (running, mut site) = super::site::start(config, lack, tls.clone(), passed, threads)?;
    if let (Mode::Demo, Some(listen)) = (config.mode, running.addresses().first()) {
        let demo = Demo {
            listen: *listen,
            inlets: site.inlets(),
            api_key: &site.api_key(),
            secure: tls.is_some(),
            lack,
            colour: log::is_colourful(&std::io::stdout()),
        };
        super::announce(&demo.text());
    } else if config.api_key.is_none() {
        info!(
            "the HTTP API and /metrics are off: no key. Give --api-key-file, RUPOR_API_KEY or api_key in the file"
        );
    }
    announce(&running, tls.is_some(), site.inlets());
    let handlers = site.take_handlers();
    for address in &handlers.lines {
        super::announce(&format!("lines for handlers on {address}"));
    }
    tell(site.look())?;
    let reload = || signals::reload(tls.as_ref(), &handlers.php);
    let close = async || site.close_inlets().await;
    let end = signals::until_the_end(signals, running, reload, config.drain, close);
    let ending = runtime.block_on(end).map_err(Failure::System);
    if matches!(ending, Ok(Ending::Drained)) {
        runtime.block_on(handlers.stop());
    }
    ending
}

/// Tells systemd that all is there, and from now on that it lives.
fn tell(look: impl Fn() + Send + 'static) -> Result<(), Failure> {
    super::notify::ready();
    super::notify::watch(look).map_err(Failure::System)
}

/// One line for each address, as bound. Scripts read these lines: they stay as they are.
fn announce(running: &Running, secure: bool, inlets: &[InletAddress]) {
    let scheme = if secure { "wss" } else { "ws" };
    for address in running.addresses() {
        super::announce(&format!("listening on {scheme}://{address}"));
    }
    for inlet in inlets {
        super::announce(&format!("lines on {inlet}"));
    }
}

fn echo(config: &Config, tls: Option<Tls>, mut passed: PassedSockets) -> Result<Running, Failure> {
    let server = Server::new(|_, _| Echo).admit(Everybody);
    let server = prepare(server, config, tls, &mut passed)?;
    passed.are_all_taken().map_err(Failure::Unnamed)?;
    server.start().map_err(Failure::Server)
}

/// What every serving command tells its server.
pub(super) fn prepare<H: Handler, A>(
    server: Server<H, A>,
    config: &Config,
    tls: Option<Tls>,
    passed: &mut PassedSockets,
) -> Result<Server<H, A>, Failure> {
    let mut server = server
        .limits(config.limits.clone())
        .workers(config.workers.get())
        .http2(config.http2)
        .trusted_proxies(config.trusted_proxies.iter().copied())
        .client_address(config.client_address);
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    if let Some(deflate) = &config.deflate {
        server = server.deflate(deflate.clone());
    }
    let mut addresses = config.listen.iter();
    addresses
        .try_fold(server, |server, address| match passed.take(*address) {
            Some(listener) => Ok(server.listen_on(listener)),
            None => server.listen(*address),
        })
        .map_err(Failure::Server)
}
