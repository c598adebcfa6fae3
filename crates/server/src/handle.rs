//! The server from outside its workers: what any thread may ask of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rupor_proto::{CloseCode, Frame};
use tokio::sync::{mpsc, watch};

use crate::error::InboxFull;
use crate::id::{ConnectionId, WorkerId};
use crate::inbox::{self, Command, End, Inbox, Mark};
use crate::slow::SlowPolicy;
use crate::stats::{Counters, Stats};
use crate::topic::Topic;

/// Reaches the workers from any thread. Cheap to clone.
///
/// What one thread asks of one connection or topic happens in that order. Nothing here blocks: a
/// worker that is behind answers [`InboxFull`].
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) counters: Counters,
    /// What the opening side watches to stop accepting.
    pub(crate) ending: watch::Sender<Option<End>>,
}

impl Handle {
    pub(crate) fn new(inboxes: Vec<Inbox>, counters: Counters) -> Self {
        let ending = watch::Sender::new(None);
        Self {
            shared: Arc::new(Shared {
                inboxes,
                counters,
                ending,
            }),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Wakes a worker.
    pub(crate) fn signal(&self, worker: WorkerId) {
        if let Some(inbox) = self.shared.inboxes.get(worker.index()) {
            inbox.signal();
        }
    }

    /// Sends `frame` to one connection. One that is gone makes it void: `Ok` says that its worker
    /// will look.
    ///
    /// # Errors
    /// [`InboxFull`]: its worker is behind; nothing was queued.
    pub fn send(&self, to: ConnectionId, frame: &Frame) -> Result<(), InboxFull> {
        self.push(
            to.worker(),
            Command::Send {
                to,
                frame: frame.clone(),
            },
        )
    }

    /// Sends `frame` to everybody who is subscribed to `topic`, but not to `exclude`. All workers
    /// see the publications of all threads in one order.
    ///
    /// # Errors
    /// [`InboxFull`]: a worker is behind; nobody gets it.
    pub fn publish(
        &self,
        topic: &Topic,
        frame: &Frame,
        exclude: Option<ConnectionId>,
    ) -> Result<(), InboxFull> {
        self.publish_with(topic, frame, exclude, &SlowPolicy::Disconnect)
    }

    /// [`publish`](Self::publish) with a word on what becomes of it at readers that are too slow.
    ///
    /// # Errors
    /// [`InboxFull`]: a worker is behind; nobody gets it.
    pub fn publish_with(
        &self,
        topic: &Topic,
        frame: &Frame,
        exclude: Option<ConnectionId>,
        slow: &SlowPolicy,
    ) -> Result<(), InboxFull> {
        let command = || Command::Publish {
            topic: topic.clone(),
            frame: frame.clone(),
            exclude,
            slow: slow.clone(),
        };
        if let [only] = &*self.shared.inboxes {
            return only.push(command());
        }
        self.submit(
            WorkerId::all(self.workers())
                .map(|worker| (worker, command()))
                .collect(),
        )
    }

    /// Subscribes a connection to a topic.
    ///
    /// # Errors
    /// [`InboxFull`]: its worker is behind; nothing was queued.
    pub fn subscribe(&self, id: ConnectionId, topic: &Topic) -> Result<(), InboxFull> {
        self.push(
            id.worker(),
            Command::Subscribe {
                id,
                topic: topic.clone(),
            },
        )
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// [`InboxFull`]: its worker is behind; nothing was queued.
    pub fn unsubscribe(&self, id: ConnectionId, topic: &Topic) -> Result<(), InboxFull> {
        self.push(
            id.worker(),
            Command::Unsubscribe {
                id,
                topic: topic.clone(),
            },
        )
    }

    /// Begins the closing handshake of a connection (RFC 6455 §7.1.2).
    ///
    /// # Errors
    /// [`InboxFull`]: its worker is behind; nothing was queued.
    pub fn close(
        &self,
        id: ConnectionId,
        code: CloseCode,
        reason: impl Into<String>,
    ) -> Result<(), InboxFull> {
        self.push(
            id.worker(),
            Command::Close {
                id,
                code,
                reason: reason.into(),
            },
        )
    }

    /// Leaves commands for several workers, all of them or none. Two calls are seen in the same
    /// order by all workers.
    ///
    /// # Errors
    /// [`InboxFull`]: one of the workers has no room for its part; nothing was queued anywhere.
    pub fn submit(&self, commands: Vec<(WorkerId, Command)>) -> Result<(), InboxFull> {
        inbox::submit(&self.shared.inboxes, commands)
    }

    /// Leaves several groups of commands at once, each of them whole or not at all, in their order and
    /// up to the first that a worker has no room for. How many groups were left; `ends` says behind
    /// how many of the commands each of them ends.
    pub fn submit_groups(&self, commands: Vec<(WorkerId, Command)>, ends: &[usize]) -> usize {
        inbox::submit_groups(&self.shared.inboxes, commands, ends)
    }

    /// Waits until what was submitted before is written, as far as the system takes it; what it does
    /// not take waits in the backlogs of those who read slowly. Workers that have ended never say so.
    ///
    /// # Errors
    /// [`InboxFull`]: a worker is behind.
    pub async fn written(&self) -> Result<(), InboxFull> {
        let (sender, mut receiver) = mpsc::channel(1);
        let mark = |worker| (worker, Command::Mark(Mark(sender.clone())));
        self.submit(WorkerId::all(self.workers()).map(mark).collect())?;
        drop(sender);
        // Nobody sends: it ends when the last mark is dropped.
        receiver.recv().await;
        Ok(())
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.shared.inboxes.len()
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Ends the server gently: accepts nobody new, closes idle HTTP connections, closes the
    /// WebSockets with 1001, spread evenly over `window`. Each then has the close deadline to
    /// answer.
    pub fn drain(&self, window: Duration) {
        self.end(End::Drain(window));
    }

    /// Ends the server at once: a close frame with 1001 for those who can take it now, then the
    /// end.
    pub fn stop(&self) {
        self.end(End::Stop);
    }

    fn end(&self, end: End) {
        self.shared.ending.send_modify(|now| {
            if *now != Some(End::Stop) {
                *now = Some(end);
            }
        });
        for inbox in &self.shared.inboxes {
            inbox.end(end);
        }
    }

    fn push(&self, worker: WorkerId, command: Command) -> Result<(), InboxFull> {
        // A worker that never was has no connections, so the command is void.
        self.shared
            .inboxes
            .get(worker.index())
            .map_or(Ok(()), |inbox| inbox.push(command))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("workers", &self.workers())
            .finish_non_exhaustive()
    }
}
