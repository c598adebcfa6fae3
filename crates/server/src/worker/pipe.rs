//! A WebSocket that is a stream of an HTTP/2 connection, as a worker has it: two buffers whose
//! other end is a task on the opening side.
//!
//! The worker's end, [`Pipe`], is a transport like a socket: it never blocks, and readiness is
//! announced when it changes, through [`Ready`]. The other end, [`Feed`], is polled by its task.
//!
//! Invariants: `inbound` holds no more than the stream's window, because the peer gets credit only
//! for what the worker has read; `outbound` and what the task holds of it are no more than `room`.
//! A pipe stands in [`Ready`] once at most. Nothing is woken while the lock is held.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::core::Readiness;
use super::ready::Ready;
use super::transport::Transport;

/// What the two ends share.
pub(crate) struct Shared {
    state: Mutex<State>,
    ready: Arc<Ready>,
    /// Bytes from the worker that may wait.
    room: usize,
    /// Bytes that the worker reads before the task is woken to give credit for them.
    credit_step: usize,
}

#[derive(Debug, Default)]
struct State {
    inbound: VecDeque<u8>,
    inbound_end: Option<InboundEnd>,
    /// Bytes that the worker has read and the peer has no credit for yet.
    credit: usize,
    outbound: Vec<u8>,
    /// Bytes of `outbound` that the task took and HTTP/2 has not.
    in_hand: usize,
    /// The worker was told that there is no room.
    worker_waits: bool,
    open: bool,
    worker_end: WorkerEnd,
    /// The worker's name for it; `None` before and after it is the worker's.
    token: Option<usize>,
    /// It stands in [`Ready`].
    announced: bool,
    task: Option<Waker>,
}

/// How the peer's side ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InboundEnd {
    /// END_STREAM.
    Finished,
    /// RST_STREAM, or the end of the whole connection.
    Broken,
}

/// How far the worker is with its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum WorkerEnd {
    /// It may write more.
    #[default]
    Sending,
    /// It will write no more, and still reads.
    Finished,
    /// It has let go of the pipe.
    Gone,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the worker that something changed, after `change` said so.
    fn tell_worker(self: &Arc<Self>, change: impl FnOnce(&mut State) -> bool) {
        let mut state = self.lock();
        let announce = change(&mut state) && state.token.is_some() && !state.announced;
        state.announced |= announce;
        drop(state);
        if announce {
            self.ready.announce(Arc::clone(self));
        }
    }

    /// Wakes the task, after `change` said so.
    fn tell_task<R>(&self, change: impl FnOnce(&mut State) -> (R, bool)) -> R {
        let mut state = self.lock();
        let (result, wake) = change(&mut state);
        let task = if wake { state.task.take() } else { None };
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        result
    }

    /// What the worker is to look at, and for which of its connections. From here on changes are
    /// announced again.
    pub(crate) fn take_readiness(&self) -> Option<(usize, Readiness)> {
        let mut state = self.lock();
        state.announced = false;
        let readiness = Readiness {
            readable: true,
            writable: true,
            read_closed: state.inbound_end.is_some(),
        };
        state.token.map(|token| (token, readiness))
    }
}

/// A pipe whose worker is told through `ready`. `window` is how much the peer may send ahead,
/// `room` how much may wait for the peer, both in bytes.
pub(crate) fn pipe(ready: Arc<Ready>, window: usize, room: usize) -> (Pipe, Feed) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        ready,
        room: room.max(1),
        credit_step: (window / 2).max(1),
    });
    (
        Pipe {
            shared: Arc::clone(&shared),
        },
        Feed { shared },
    )
}

/// The worker's end. Dropping it lets go of the stream.
pub(crate) struct Pipe {
    shared: Arc<Shared>,
}

impl Pipe {
    /// Gives it the name under which its readiness is announced.
    pub(crate) fn attach(&self, token: usize) {
        self.shared.lock().token = Some(token);
    }

    fn end(&self, end: WorkerEnd) {
        self.shared.tell_task(|state| {
            state.worker_end = end;
            ((), true)
        });
    }
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.shared.tell_task(|state| {
            if state.inbound_end == Some(InboundEnd::Broken) {
                return (Err(ErrorKind::ConnectionReset.into()), false);
            }
            if state.inbound.is_empty() {
                let end = match state.inbound_end {
                    Some(_) => Ok(0),
                    None => Err(ErrorKind::WouldBlock.into()),
                };
                return (end, false);
            }
            // The bytes lie in two pieces at most.
            let mut count = state.inbound.read(into).unwrap_or(0);
            let rest = into.get_mut(count..).unwrap_or_default();
            count += state.inbound.read(rest).unwrap_or(0);
            if state.inbound.is_empty() {
                // A silent connection owns no buffer.
                state.inbound = VecDeque::new();
            }
            state.credit += count;
            (Ok(count), state.credit >= self.shared.credit_step)
        })
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = self.shared.room;
        self.shared.tell_task(|state| {
            if state.inbound_end == Some(InboundEnd::Broken) {
                return (Err(ErrorKind::BrokenPipe.into()), false);
            }
            let mut left = room.saturating_sub(state.outbound.len() + state.in_hand);
            if left == 0 {
                state.worker_waits = true;
                return (Err(ErrorKind::WouldBlock.into()), false);
            }
            let before = state.outbound.len();
            for slice in slices {
                let part = slice.get(..left).unwrap_or(slice);
                state.outbound.extend_from_slice(part);
                left -= part.len();
            }
            (Ok(state.outbound.len() - before), before == 0)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Pipe {
    fn opened(&mut self) -> bool {
        self.shared.tell_task(|state| {
            state.open = true;
            (true, true)
        })
    }

    fn shutdown(&mut self) {
        self.end(WorkerEnd::Finished);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.shared.lock().token = None;
        self.end(WorkerEnd::Gone);
    }
}

/// The opening side's end. Dropping it breaks the connection, unless its end was told.
pub(crate) struct Feed {
    shared: Arc<Shared>,
}

/// What a task has to do next.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Bytes that the peer gets credit for.
    pub(crate) credit: usize,
    /// What the worker wrote; empty while the task holds something.
    pub(crate) bytes: Vec<u8>,
    /// How far the worker is, once all that it wrote was taken.
    pub(crate) worker_end: WorkerEnd,
    /// Whether something the worker wrote waits still.
    pub(crate) more: bool,
}

impl Feed {
    /// Waits until the worker's `on_open` has run; false: it did not, or failed.
    pub(crate) fn poll_opened(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.shared.lock();
        if state.open {
            return Poll::Ready(true);
        }
        if state.worker_end == WorkerEnd::Gone {
            return Poll::Ready(false);
        }
        state.task = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What there is to do for a task that holds `in_hand` bytes of what it took before. The task
    /// is woken when there is more.
    pub(crate) fn turn(&self, cx: &Context<'_>, in_hand: usize) -> Turn {
        let mut turn = Turn {
            credit: 0,
            bytes: Vec::new(),
            worker_end: WorkerEnd::Sending,
            more: false,
        };
        self.shared.tell_worker(|state| {
            state.task = Some(cx.waker().clone());
            turn.credit = std::mem::take(&mut state.credit);
            state.in_hand = in_hand;
            if in_hand == 0 {
                turn.bytes = std::mem::take(&mut state.outbound);
                state.in_hand = turn.bytes.len();
            }
            turn.worker_end = state.worker_end;
            turn.more = !state.outbound.is_empty();
            // Told at half, so that the worker does not come for every few bytes.
            let unsent = state.outbound.len() + state.in_hand;
            let tell = state.worker_waits && unsent <= self.shared.room / 2;
            state.worker_waits &= !tell;
            tell
        });
        turn
    }

    /// Leaves what the peer sent.
    pub(crate) fn push(&self, bytes: &[u8]) {
        self.shared.tell_worker(|state| {
            if state.worker_end == WorkerEnd::Gone {
                return false;
            }
            state.inbound.extend(bytes);
            true
        });
    }

    /// The peer will send no more.
    pub(crate) fn finish(&self) {
        self.end(InboundEnd::Finished);
    }

    /// The stream is broken.
    pub(crate) fn fail(&self) {
        self.end(InboundEnd::Broken);
    }

    fn end(&self, end: InboundEnd) {
        self.shared.tell_worker(|state| {
            if end == InboundEnd::Broken {
                state.inbound = VecDeque::new();
                state.outbound = Vec::new();
            }
            let changed = state.inbound_end != Some(end);
            state.inbound_end = Some(end);
            changed
        });
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.fail();
    }
}

#[cfg(test)]
mod tests;
