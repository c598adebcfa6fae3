//! Signals: SIGTERM and SIGINT drain, a second one stops at once, SIGHUP reads the certificate again.
//!
//! SIGPIPE is ignored by the standard library's start-up code, so a peer that went away is an error, not our end.

use rupor_server::{Running, Tls};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
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
/// How much longer than its window a drain may take: the last closes are answered, see `close_timeout_ms`.
const DRAIN_MARGIN: Duration = Duration::from_secs(15);

/// Waits for signals and for the server's end. `on_drain` is called once, when a drain begins.
///
/// # Errors
/// The system gives no signal handler or thread.
pub(super) async fn until_the_end(
    running: Running,
    tls: Option<Tls>,
    window: Duration,
    on_drain: impl FnOnce(),
) -> io::Result<Ending> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let handle = running.handle().clone();
    let (ended, mut end) = oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("rupor-wait".to_owned())
        .spawn(move || {
            running.wait();
            // Nobody listens any more when a second signal came: then the process is ending already.
            let _ = ended.send(());
        })?;

    loop {
        tokio::select! {
            _ = &mut end => return Ok(Ending::Drained),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => reload(tls.as_ref()),
        }
    }
    let connections = handle.stats().connections;
    info!(
        connections,
        window_ms = window.as_millis(),
        "draining; a second signal stops at once"
    );
    on_drain();
    handle.drain(window);
    let latest = tokio::time::sleep(window.saturating_add(DRAIN_MARGIN));
    tokio::pin!(latest);
    loop {
        tokio::select! {
            _ = &mut end => return Ok(Ending::Drained),
            () = &mut latest => {
                warn!("the drain took too long; stopping");
                break;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {}
        }
    }
    handle.stop();
    let _ = tokio::time::timeout(STOP_TIME, end).await;
    Ok(Ending::CutShort)
}

fn reload(tls: Option<&Tls>) {
    match tls.map(Tls::reload) {
        Some(Ok(())) => info!("certificate and key read again; other options need a restart"),
        Some(Err(error)) => error!(%error, "the new certificate cannot be used; the old one stays"),
        None => info!(
            "nothing to read again: there is no certificate, and other options need a restart"
        ),
    }
}
