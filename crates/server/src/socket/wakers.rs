//! Who waits for one connection: the task that reads and the task that writes, which may be two
//! (`StreamExt::split`).
//!
//! A stream remembers one waker for each direction, the last that asked. The reading task writes
//! too (it answers pings), and whatever one of the tasks finds out may be what the other waits
//! for. So both are remembered here, and the stream is given a waker that wakes both.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The task that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// For a message.
    Read = 0,
    /// For room, or until all is written.
    Write = 1,
}

/// The wakers of both.
#[derive(Debug, Default)]
pub(super) struct Wakers(Mutex<[Option<Waker>; 2]>);

impl Wakers {
    /// Remembers who waits on this side.
    pub(super) fn register(&self, side: Side, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [read, write] = &mut *wakers;
        let slot = match side {
            Side::Read => read,
            Side::Write => write,
        };
        match slot {
            Some(known) => known.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}
