//! Which of a worker's pipes changed since it last looked: what a poller is for sockets.
//!
//! Invariant: a pipe stands here once at most, so there are never more than the worker has
//! connections.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::pipe::Shared;

/// Pipes that their worker is to look at.
pub(crate) struct Ready {
    waiting: Mutex<Vec<Arc<Shared>>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Ready {
    /// Readiness of a worker that is woken by `wake`.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            wake: Box::new(wake),
        })
    }

    /// Leaves a pipe for the worker.
    pub(super) fn announce(&self, pipe: Arc<Shared>) {
        // Nothing panics while it is held.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(pipe);
        drop(waiting);
        (self.wake)();
    }

    /// Swaps what waits with the empty `into`.
    pub(crate) fn take(&self, into: &mut Vec<Arc<Shared>>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *waiting, into);
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}
