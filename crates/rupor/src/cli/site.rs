//! The wiring of `demo` and `serve`: gateway, server, HTTP and line inlets around one another.

use super::start::Failure;
use crate::auth::Auth;
use crate::auth::origin::Origins;
use crate::config::{Config, Mode, Secret};
use crate::gateway::{Admission, Gateway, Settings, WorkerHandler};
use crate::{metrics, pages};
use axum::Router;
use rupor_server::{Running, Server, Tls};
use std::sync::Arc;

/// Bytes of the demo's key: as many as the shortest that `serve` takes, and all of them random.
const DEMO_KEY_BYTES: usize = 32;

/// A site's server that runs.
pub(super) struct Site {
    /// The server.
    pub(super) running: Running,
    /// The key of the HTTP API.
    pub(super) api_key: Option<Secret>,
}

/// Starts everything. All ports are open when this returns.
pub(super) fn start(config: &Config, tls: Option<Tls>) -> Result<Site, Failure> {
    let settings = Settings::from_config(config);
    let mut limits = config.limits.clone();
    settings.fit(&mut limits);
    let gateway = Gateway::new(settings);
    let (auth, origins) = identity(config)?;
    let api_key = match config.mode {
        Mode::Demo => Some(random_key()?),
        Mode::Serve | Mode::Echo => config.api_key.clone(),
    };
    let admission = Admission::new(Arc::clone(&gateway), Arc::clone(&auth), origins);
    let handlers = Arc::clone(&gateway);
    let server = Server::new(move |_, handle| {
        WorkerHandler::new(Arc::clone(&handlers), Arc::clone(&auth), handle)
    })
    .admit(admission);
    let server = super::start::prepare(server, config, tls)?.limits(limits);
    let _: Router = pages::console_router();
    let _ = metrics::router;
    let running = server.start().map_err(Failure::Server)?;
    Ok(Site { running, api_key })
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
