//! Doing what a worker thread may have no room for right now: it is tried again for a while. Whoever asks waits meanwhile, and
//! so is slowed down.

use super::{Gateway, Publish, PublishError};
use std::slice;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long it is tried.
pub(crate) const OVERLOAD_WAIT_MAX: Duration = Duration::from_secs(5);
/// The first and the longest wait between the tries; they double.
const WAITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// What is left of the wait for room.
pub(crate) struct Patience {
    deadline: Instant,
    wait: Duration,
}

impl Patience {
    /// All of it.
    pub(crate) fn new() -> Self {
        Self {
            deadline: Instant::now() + OVERLOAD_WAIT_MAX,
            wait: WAITS.0,
        }
    }

    /// Waits for a while; false: it was tried for long enough.
    pub(crate) async fn again(&mut self) -> bool {
        let patient = Instant::now() < self.deadline;
        if patient {
            sleep(self.wait).await;
            self.wait = (self.wait * 2).min(WAITS.1);
        }
        patient
    }
}

/// Tries something until there is room for it.
pub(crate) async fn patiently(
    mut attempt: impl FnMut() -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    let mut patience = Patience::new();
    loop {
        match attempt() {
            Err(PublishError::Overloaded) if patience.again().await => {}
            result => return result,
        }
    }
}

/// Publishes, until there is room for it.
pub(crate) async fn publish(gateway: &Gateway, publish: Publish) -> Result<(), PublishError> {
    let mut patience = Patience::new();
    loop {
        let receipts = gateway.publish(slice::from_ref(&publish)).await;
        match receipts.into_iter().next() {
            Some(Err(PublishError::Overloaded)) if patience.again().await => {}
            Some(result) => return result.map(drop),
            None => return Err(PublishError::Unavailable),
        }
    }
}
