//! What systemd is told of the program (`Type=notify`): that it is ready, that it ends, that it still lives.
//!
//! Without `NOTIFY_SOCKET` nothing is told. A message that cannot be sent is lost: systemd then does what it does with a
//! program that says nothing, and the log says why.

use std::io;

/// Nobody who listens yet is turned away.
pub(super) fn ready() {
    tell(State::Ready);
}

/// The drain has begun.
pub(super) fn stopping() {
    tell(State::Stopping);
}

/// What is told.
#[derive(Debug, Clone, Copy)]
enum State {
    Ready,
    Stopping,
    Alive,
}

#[cfg(unix)]
fn tell(state: State) {
    let state = match state {
        State::Ready => sd_notify::NotifyState::Ready,
        State::Stopping => sd_notify::NotifyState::Stopping,
        State::Alive => sd_notify::NotifyState::Watchdog,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told how the program is");
    }
}

#[cfg(not(unix))]
fn tell(_: State) {}

/// Starts telling that the program lives, where `WatchdogSec=` asks for it. `look` is called before each time: while it hangs, nothing
/// is told, and systemd starts the program anew.
///
/// # Errors
/// The system gives no thread.
#[cfg(unix)]
pub(super) fn watch(look: impl Fn() + Send + 'static) -> io::Result<()> {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return Ok(());
    };
    let tell = move || {
        loop {
            look();
            tell(State::Alive);
            // As sd_watchdog_enabled(3) advises.
            std::thread::sleep(interval / 2);
        }
    };
    // It ends with the process.
    std::thread::Builder::new()
        .name("rupor-watchdog".to_owned())
        .spawn(tell)
        .map(drop)
}

/// Nobody asks here.
#[cfg(not(unix))]
pub(super) fn watch(_: impl Fn() + Send + 'static) -> io::Result<()> {
    let _ = State::Alive;
    Ok(())
}
