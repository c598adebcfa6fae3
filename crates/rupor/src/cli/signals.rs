//! Signals: SIGTERM and SIGINT drain, a second one stops at once, SIGHUP reads again what can be.
//!
//! SIGPIPE is ignored by the standard library's start-up code, so a peer that went away is an error, not our end.

use crate::outlet::PhpRunning;
use crate::system::{EndSignals, ReloadSignal};
use rupor_server::{Running, Tls};
use std::io;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everybody was closed, or the window was over.
    Drained,
    /// A second signal.
    CutShort,
}

/// How long a stop at once may take before the process ends anyway.
const STOP_TIME: Duration = Duration::from_secs(2);
/// How long the inlets may take to finish what they had received, before the closes begin.
const INLET_TIME: Duration = Duration::from_secs(2);
/// How much longer than its window a drain may take: the last closes are answered, see `close_timeout_ms`.
const DRAIN_MARGIN: Duration = Duration::from_secs(15);

/// The signals, caught from now on.
#[derive(Debug)]
pub(super) struct Signals {
    end: EndSignals,
    reload: ReloadSignal,
}

impl Signals {
    /// Catches them. To be called in a runtime and before anybody can know that the program runs: a signal that is not
    /// caught yet ends it on the spot.
    ///
    /// # Errors
    /// The system gives no signal handler.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            end: EndSignals::catch()?,
            reload: ReloadSignal::catch()?,
        })
    }

    /// Waits for a signal to end; reloads at each SIGHUP.
    async fn end(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                () = self.end.next() => return,
                () = self.reload.next() => reload(),
            }
        }
    }
}

/// Waits for signals and for the server's end. `reload` is called at SIGHUP. `before_drain` runs when a drain was asked for, before the first close; it
/// gets [`INLET_TIME`].
///
/// # Errors
/// The system gives no thread.
pub(super) async fn until_the_end(
    mut signals: Signals,
    running: Running,
    reload: impl Fn(),
    window: Duration,
    before_drain: impl AsyncFnOnce(),
) -> io::Result<Ending> {
    let handle = running.handle().clone();
    let (ended, mut end) = oneshot::channel::<()>();
    let wait = move || {
        running.wait();
        // Nobody listens any more when a second signal came: then the process is ending already.
        let _ = ended.send(());
    };
    std::thread::Builder::new()
        .name("rupor-wait".to_owned())
        .spawn(wait)?;

    tokio::select! {
        _ = &mut end => return Ok(Ending::Drained),
        () = signals.end(&reload) => {}
    }
    super::notify::stopping();
    let (connections, window_ms) = (handle.stats().connections, window.as_millis());
    info!(
        connections,
        window_ms, "draining; a second signal stops at once"
    );
    let drained = async {
        if tokio::time::timeout(INLET_TIME, before_drain())
            .await
            .is_err()
        {
            warn!("the line inlets still have something to read; draining nevertheless");
        }
        handle.drain(window);
        tokio::time::timeout(window.saturating_add(DRAIN_MARGIN), &mut end)
            .await
            .is_ok()
    };
    tokio::select! {
        drained = drained => {
            if drained {
                return Ok(Ending::Drained);
            }
            warn!("the drain took too long; stopping");
        }
        () = signals.end(|| {}) => info!("stopping at once"),
    }
    handle.stop();
    let _ = tokio::time::timeout(STOP_TIME, end).await;
    Ok(Ending::CutShort)
}

/// What SIGHUP does: the certificate is read again, and the handlers in PHP.
pub(super) fn reload(tls: Option<&Tls>, php: &[PhpRunning]) {
    match tls.map(Tls::reload) {
        Some(Ok(())) => info!("certificate and key read again; other options need a restart"),
        Some(Err(error)) => error!(%error, "the new certificate cannot be used; the old one stays"),
        None if php.is_empty() => info!("SIGHUP: nothing to read again"),
        None => {}
    }
    php.iter().for_each(PhpRunning::reload);
}
