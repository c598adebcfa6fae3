//! A worker's inbox: bounded, filled from any thread, emptied by its worker once per turn.
//!
//! Invariants: a batch for several workers is taken whole or not at all, and all workers see two batches in the same
//! order, because a submitter holds the locks of all the inboxes it writes to, taken in worker order. A worker is woken
//! once, however much is submitted before it looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rupor_proto::{CloseCode, Frame};

use crate::error::InboxFull;
use crate::id::{ConnectionId, WorkerId};
use crate::topic::Topic;

/// Something for a worker to do. A connection that is not there any more makes it void.
#[derive(Debug, Clone)]
pub enum Command {
    /// Sends a frame to one connection.
    Send {
        /// The receiver.
        to: ConnectionId,
        /// The message.
        frame: Frame,
    },
    /// Sends a frame to the subscribers of a topic on this worker.
    Publish {
        /// The topic.
        topic: Topic,
        /// The message.
        frame: Frame,
        /// Who does not get it.
        exclude: Option<ConnectionId>,
    },
    /// Subscribes a connection, within [`Limits::subscriptions_max`](crate::Limits::subscriptions_max).
    Subscribe {
        /// The subscriber.
        id: ConnectionId,
        /// The topic.
        topic: Topic,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// The subscriber.
        id: ConnectionId,
        /// The topic.
        topic: Topic,
    },
    /// Begins the closing handshake of a connection (RFC 6455 §7.1.2).
    Close {
        /// The connection.
        id: ConnectionId,
        /// The code; one that may not be sent becomes 1000.
        code: CloseCode,
        /// The reason, cut to the 123 bytes that a close frame has room for.
        reason: String,
    },
}

/// The end that is asked of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Close everybody, spread over this time.
    Drain(Duration),
    /// Close everybody now.
    Stop,
}

#[derive(Debug, Default)]
struct Waiting {
    commands: VecDeque<Command>,
    end: Option<End>,
}

/// One worker's inbox.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    room: usize,
    /// Set by whoever leaves something, cleared by the worker before it looks.
    signalled: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Inbox {
    /// An inbox for `room` commands whose worker is woken by `wake`.
    pub(crate) fn new(room: usize, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            waiting: Mutex::default(),
            room,
            signalled: AtomicBool::new(false),
            wake,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held; even so the queue would be whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the worker unless it has been woken and did not look yet.
    pub(crate) fn signal(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }

    /// Whether something was left since the last call.
    pub(crate) fn take_signal(&self) -> bool {
        self.signalled.load(Ordering::Acquire) && self.signalled.swap(false, Ordering::AcqRel)
    }

    /// Asks for the end; `Stop` overrides `Drain`, nothing overrides `Stop`.
    pub(crate) fn end(&self, end: End) {
        {
            let mut waiting = self.lock();
            if waiting.end != Some(End::Stop) {
                waiting.end = Some(end);
            }
        }
        self.signal();
    }

    /// Swaps what waits with the empty `commands`.
    pub(crate) fn take(&self, commands: &mut VecDeque<Command>) -> Option<End> {
        let mut waiting = self.lock();
        std::mem::swap(&mut waiting.commands, commands);
        waiting.end.take()
    }

    /// Leaves one command.
    pub(crate) fn push(&self, command: Command) -> Result<(), InboxFull> {
        {
            let mut waiting = self.lock();
            if waiting.commands.len() >= self.room {
                return Err(InboxFull);
            }
            waiting.commands.push_back(command);
        }
        self.signal();
        Ok(())
    }
}

/// Leaves all the commands, or none when one of the inboxes has no room. A worker that does not exist makes its
/// commands void.
pub(crate) fn submit(
    inboxes: &[Inbox],
    commands: Vec<(WorkerId, Command)>,
) -> Result<(), InboxFull> {
    let mut counts = vec![0usize; inboxes.len()];
    for (worker, _) in &commands {
        if let Some(count) = counts.get_mut(worker.index()) {
            *count += 1;
        }
    }
    let mut guards: Vec<Option<MutexGuard<'_, Waiting>>> = Vec::with_capacity(inboxes.len());
    for (inbox, count) in inboxes.iter().zip(&counts) {
        if *count == 0 {
            guards.push(None);
            continue;
        }
        let guard = inbox.lock();
        if guard.commands.len() + count > inbox.room {
            return Err(InboxFull);
        }
        guards.push(Some(guard));
    }
    for (worker, command) in commands {
        if let Some(Some(guard)) = guards.get_mut(worker.index()) {
            guard.commands.push_back(command);
        }
    }
    drop(guards);
    for (inbox, count) in inboxes.iter().zip(counts) {
        if count > 0 {
            inbox.signal();
        }
    }
    Ok(())
}
