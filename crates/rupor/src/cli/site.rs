//! The wiring of `demo` and `serve`: gateway, server, HTTP and line inlets around one another.

use super::passed::PassedSockets;
use super::servers::{Servers, ServersRunning};
use super::start::{Failure, Threads};
use crate::auth::Auth;
use crate::auth::api_key::ApiKey;
use crate::auth::origin::{Hosts, Origins};
use crate::auth::probe::Probes;
use crate::config::{Config, InletAddress, Mode, Secret};
use crate::demo::Lack;
use crate::gateway::{Admission, Gateway, Settings, WorkerHandler};
use crate::inlet::listener::Inlet;
use crate::inlet::{http, lines};
use crate::outlet::{CallsRunning, PhpRunning};
use crate::pages::DemoPage;
use crate::{metrics, pages};
use axum::Router;
use axum::http::StatusCode;
use futures_util::future::{join, join_all};
use rupor_server::{Handle, Running, Server, Tls};
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::error;

/// Bytes of the demo's key: as many as the shortest that `serve` takes, and all of them random.
const DEMO_KEY_BYTES: usize = 32;

/// What runs beside the server.
pub(super) struct Site {
    gateway: Arc<Gateway>,
    /// The key of the HTTP API.
    api_key: Option<Secret>,
    /// Where lines come in, as bound.
    inlets: Vec<InletAddress>,
    /// What stops the inlets.
    stop: watch::Sender<bool>,
    /// Ends when the inlets have.
    lines: JoinHandle<std::io::Result<()>>,
    /// What comes from servers of the site's.
    servers: ServersRunning,
    handlers: Handlers,
}

/// What runs the site's handlers.
#[derive(Default)]
pub(super) struct Handlers {
    /// In processes of ours.
    pub(super) php: Vec<PhpRunning>,
    /// Where lines for those come in, as bound.
    pub(super) lines: Vec<InletAddress>,
    /// Elsewhere.
    calls: Vec<CallsRunning>,
}

impl Handlers {
    /// Starts what runs handlers; `lines` are for those in processes of ours, each pool's.
    fn start(gateway: &Arc<Gateway>, lines: Vec<Vec<Inlet>>, runtime: &Runtime) -> Self {
        let Settings { php, calls, .. } = gateway.settings();
        let start = |calls| CallsRunning::start(calls, gateway, runtime);
        Self {
            lines: lines.iter().flat_map(|lines| addresses(lines)).collect(),
            php: php
                .iter()
                .zip(lines)
                .map(|(php, lines)| PhpRunning::start(php, gateway, lines, runtime))
                .collect(),
            calls: calls.iter().map(start).collect(),
        }
    }

    /// Ends what runs, after what it was handed.
    pub(super) async fn stop(self) {
        let php = join_all(self.php.into_iter().map(PhpRunning::stop));
        let calls = join_all(self.calls.into_iter().map(CallsRunning::stop));
        join(php, calls).await;
    }
}

impl Site {
    /// Where lines come in, as bound.
    pub(super) fn inlets(&self) -> &[InletAddress] {
        &self.inlets
    }

    /// The key of the HTTP API, to be shown; empty if there is none.
    pub(super) fn api_key(&self) -> String {
        let key = self
            .api_key
            .as_ref()
            .map(|key| String::from_utf8_lossy(key.expose()));
        key.unwrap_or_default().into_owned()
    }

    /// A look at what everything else needs: it returns when the hub is not locked for ever.
    pub(super) fn look(&self) -> impl Fn() + Send + 'static {
        let gateway = Arc::clone(&self.gateway);
        move || {
            let _ = gateway.counts();
        }
    }

    /// What runs handlers, to be stopped when every connection is closed.
    pub(super) fn take_handlers(&mut self) -> Handlers {
        std::mem::take(&mut self.handlers)
    }

    /// Stops the inlets after what they had received, and makes `/readyz` say no.
    pub(super) async fn close_inlets(&mut self) {
        // Nobody listens: the inlets have ended by themselves.
        let _ = self.stop.send(true);
        match (&mut self.lines).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "the line inlets failed"),
            Err(error) => error!(%error, "the line inlets panicked"),
        }
        self.servers.ended().await;
    }
}

/// Starts everything. All ports are open when this returns.
pub(super) fn start(
    config: &Config,
    lack: Option<&Lack>,
    tls: Option<Tls>,
    mut passed: PassedSockets,
    threads: &Threads,
) -> Result<(Running, Site), Failure> {
    let settings = Settings::from_config(config);
    let mut limits = config.limits.clone();
    settings.fit(&mut limits);
    let gateway = Gateway::new(settings);
    let (auth, origins) = identity(config)?;
    let api_key = api_key(config)?;
    let opened = open(&config.inlet, "--inlet", &mut passed)?;
    let for_php = open_for_handlers(config, &mut passed)?;
    let inlets = addresses(&opened);
    let (stop, stopping) = watch::channel(false);
    let stats = Arc::new(lines::Stats::default());
    let servers = Servers::new(config)?;

    let probes = api_key.as_ref().map(|key| Arc::new(Probes::new(key)));
    let admission = Admission::new(Arc::clone(&gateway), Arc::clone(&auth), origins.clone())
        .probed_by(probes.clone());
    let handlers = Arc::clone(&gateway);
    let for_workers = Arc::clone(&auth);
    let running_server: Arc<OnceLock<Handle>> = Arc::default();
    let known = Arc::clone(&running_server);
    let server = Server::new(move |_, handle: &Handle| {
        known.get_or_init(|| handle.clone());
        WorkerHandler::new(Arc::clone(&handlers), Arc::clone(&for_workers), handle)
    })
    .admit(admission);
    let http = Http {
        config,
        lack,
        api_key: api_key.as_ref(),
        inlets: &inlets,
        origins,
        probes,
    };
    let sources = metrics::Sources {
        server: running_server,
        gateway: Arc::clone(&gateway),
        auth: Arc::clone(&auth),
        lines: Arc::clone(&stats),
        redis: Arc::clone(&servers.redis_stats),
        postgres: Arc::clone(&servers.postgres_stats),
        outbox: Arc::clone(&servers.outbox_stats),
    };
    let http = http.router(&gateway, sources, stopping.clone(), servers.troubles())?;
    let server = super::start::prepare(server, config, tls, &mut passed)?
        .limits(limits)
        .http(http);
    passed.are_all_taken().map_err(Failure::Unnamed)?;
    let running = server.start().map_err(Failure::Server)?;
    let limits = line_limits(config);
    let runtime = &threads.inlets;
    let handlers = Handlers::start(&gateway, for_php, &threads.handlers);
    begin(&auth, &gateway, runtime);
    let servers = servers.start(&gateway, &stopping, runtime);
    let for_lines = Arc::clone(&gateway);
    let lines = runtime.spawn(lines::serve(opened, for_lines, limits, stats, stopping));
    Ok((
        running,
        Site {
            gateway,
            api_key,
            inlets,
            stop,
            lines,
            servers,
            handlers,
        },
    ))
}

fn line_limits(config: &Config) -> lines::Limits {
    lines::Limits {
        line_bytes_max: config.publish_bytes_max,
        connections_max: config.inlet_connections_max,
        ..lines::Limits::default()
    }
}

/// Starts what runs beside connections to know who they are.
fn begin(auth: &Auth, gateway: &Arc<Gateway>, runtime: &Runtime) {
    if let Some(asker) = auth.asker() {
        asker.run_on(runtime.handle().clone());
    }
    if let Some(sessions) = auth.sessions().cloned() {
        let gateway = Arc::clone(gateway);
        // Ends with the runtime: there is nothing to be finished.
        runtime.spawn(async move { sessions.look_again(&gateway).await });
    }
}

/// The key of the HTTP API; the demo makes one.
fn api_key(config: &Config) -> Result<Option<Secret>, Failure> {
    match config.mode {
        Mode::Demo => random_key().map(Some),
        Mode::Serve | Mode::Echo => Ok(config.api_key.clone()),
    }
}

fn open(
    addresses: &[InletAddress],
    flag: &'static str,
    passed: &mut PassedSockets,
) -> Result<Vec<Inlet>, Failure> {
    let open = |address| match passed.take_inlet(address) {
        Some(inlet) => Ok(inlet),
        None => Inlet::open(address, flag).map_err(Failure::Inlet),
    };
    addresses.iter().map(open).collect()
}

/// Where lines for handlers come in, of each pool.
fn open_for_handlers(
    config: &Config,
    passed: &mut PassedSockets,
) -> Result<Vec<Vec<Inlet>>, Failure> {
    let pools = config.php.iter();
    let opened = pools.map(|php| open(&php.lines, "--php-lines", passed));
    opened.collect()
}

fn addresses(inlets: &[Inlet]) -> Vec<InletAddress> {
    inlets.iter().map(|inlet| inlet.address().clone()).collect()
}

/// What the HTTP side is made of.
struct Http<'a> {
    config: &'a Config,
    lack: Option<&'a Lack>,
    api_key: Option<&'a Secret>,
    inlets: &'a [InletAddress],
    origins: Origins,
    probes: Option<Arc<Probes>>,
}

impl Http<'_> {
    /// The API, the pages and the metrics: those are open in demo mode, elsewhere they want the API's key.
    fn router(
        self,
        gateway: &Arc<Gateway>,
        sources: metrics::Sources,
        stopping: watch::Receiver<bool>,
        troubles: http::Troubles,
    ) -> Result<Router, Failure> {
        let key = self
            .api_key
            .map(ApiKey::new)
            .transpose()
            .map_err(Failure::Crypto)?;
        let settings = http::Settings {
            key,
            origins: self.origins,
            body_bytes_max: self.config.publish_bytes_max,
            batch_max: self.config.publish_batch_max,
        };
        let metrics = metrics::router(sources);
        let (open, with_key) = match (self.config.mode, self.api_key) {
            (Mode::Demo, Some(api_key)) => {
                let page = DemoPage {
                    api_key: api_key.clone(),
                    inlets: self.inlets.to_vec(),
                    lack: self.lack.cloned(),
                };
                (pages::router(page).merge(metrics), None)
            }
            _ if self.config.pages => (pages::console_router(), Some(metrics)),
            _ => (Router::new(), Some(metrics)),
        };
        let api = http::router(Arc::clone(gateway), settings, with_key, stopping, troubles);
        let all = open
            .merge(api)
            .fallback(async || (StatusCode::NOT_FOUND, "nothing here\n"));
        let hosts = if gateway.settings().loopback_hosts_only {
            Hosts::Loopback
        } else {
            Hosts::Any
        };
        let all = http::answering_probes(self.probes, all);
        Ok(http::only_hosts(hosts, all))
    }
}

/// Who may connect, from the configuration.
pub(super) fn identity(config: &Config) -> Result<(Arc<Auth>, Origins), Failure> {
    let auth = Auth::new(&config.auth).map_err(|(_, error)| Failure::Key(error))?;
    let origins = Origins::new(&config.origins).map_err(|(_, error)| Failure::Origin(error))?;
    Ok((Arc::new(auth), origins))
}

/// A new key: 64 hexadecimal digits.
fn random_key() -> Result<Secret, Failure> {
    let mut bytes = [0; DEMO_KEY_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::System(std::io::Error::other(error.to_string())))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Secret::new(digits))
}
