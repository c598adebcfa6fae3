//! A worker's inbox: bounded, filled from any thread, emptied by its worker once per turn.
//!
//! Invariants: a batch for several workers is taken whole or not at all, and all workers see two
//! batches in the same order, because a submitter holds the locks of all the inboxes it writes to,
//! taken in worker order. A worker is woken once, however much is submitted before it looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rupor_proto::{CloseCode, Frame};
use tokio::sync::mpsc;

use crate::error::InboxFull;
use crate::id::{ConnectionId, WorkerId};
use crate::slow::SlowPolicy;
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
        /// What becomes of it at a reader that is too slow.
        slow: SlowPolicy,
    },
    /// Subscribes a connection, within
    /// [`Limits::subscriptions_max`](crate::Limits::subscriptions_max).
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
    /// Dropped when what was asked before it is written, as far as the system takes it.
    Mark(Mark),
}

/// Tells [`Handle::written`](crate::Handle::written), by being dropped, how far a worker is.
#[derive(Debug, Clone)]
pub struct Mark(
    #[expect(dead_code, reason = "it is there to be dropped")] pub(crate) mpsc::Sender<()>,
);

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

/// Leaves all the commands, or none when one of the inboxes has no room.
pub(crate) fn submit(
    inboxes: &[Inbox],
    commands: Vec<(WorkerId, Command)>,
) -> Result<(), InboxFull> {
    let all = [commands.len()];
    match submit_groups(inboxes, commands, &all) {
        0 => Err(InboxFull),
        _ => Ok(()),
    }
}

/// Leaves groups of commands, each whole or not at all, up to the first that one of the inboxes has
/// no room for: how many. `ends` says behind how many of the commands each group ends. A worker that
/// does not exist makes its commands void.
pub(crate) fn submit_groups(
    inboxes: &[Inbox],
    mut commands: Vec<(WorkerId, Command)>,
    ends: &[usize],
) -> usize {
    let mut is_meant = vec![false; inboxes.len()];
    for (worker, _) in &commands {
        if let Some(is_meant) = is_meant.get_mut(worker.index()) {
            *is_meant = true;
        }
    }
    let mut open: Vec<Option<Open<'_>>> = (inboxes.iter().zip(is_meant))
        .map(|(inbox, is_meant)| is_meant.then(|| Open::new(inbox)))
        .collect();
    let (mut groups, mut fitting) = (0, 0);
    'groups: for end in ends {
        for (worker, _) in commands.get(fitting..*end).unwrap_or_default() {
            if let Some(Some(open)) = open.get_mut(worker.index()) {
                let Some(room) = open.room.checked_sub(1) else {
                    break 'groups;
                };
                open.room = room;
            }
        }
        (groups, fitting) = (groups + 1, *end);
    }
    commands.truncate(fitting);
    for (worker, command) in commands {
        if let Some(Some(open)) = open.get_mut(worker.index()) {
            open.waiting.commands.push_back(command);
        }
    }
    let open = open.into_iter().flatten();
    let fuller: Vec<&Inbox> = open.filter_map(Open::close).collect();
    for inbox in fuller {
        inbox.signal();
    }
    groups
}

/// An inbox while something is put into it.
struct Open<'a> {
    inbox: &'a Inbox,
    waiting: MutexGuard<'a, Waiting>,
    before: usize,
    /// Room for what is not put into it yet.
    room: usize,
}

impl<'a> Open<'a> {
    fn new(inbox: &'a Inbox) -> Self {
        let waiting = inbox.lock();
        let before = waiting.commands.len();
        Self {
            inbox,
            waiting,
            before,
            room: inbox.room.saturating_sub(before),
        }
    }

    /// The inbox, if there is more in it now.
    fn close(self) -> Option<&'a Inbox> {
        (self.waiting.commands.len() > self.before).then_some(self.inbox)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    /// Inboxes with room for `room`, and how often their workers were woken.
    fn inboxes(count: usize, room: usize) -> (Vec<Inbox>, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let make = |_| {
            let woken = Arc::clone(&woken);
            let wake = move || {
                woken.fetch_add(1, Ordering::Relaxed);
            };
            Inbox::new(room, Box::new(wake))
        };
        ((0..count).map(make).collect(), woken)
    }

    fn close(worker: usize, mark: u64) -> (WorkerId, Command) {
        let id = ConnectionId::from_u64(mark);
        let command = Command::Close {
            id,
            code: CloseCode::NORMAL,
            reason: String::new(),
        };
        (WorkerId::new(u8::try_from(worker).unwrap()), command)
    }

    fn marks(inbox: &Inbox) -> Vec<u64> {
        let mut commands = VecDeque::new();
        inbox.take(&mut commands);
        let mark = |command| match command {
            Command::Close { id, .. } => id.as_u64(),
            other => panic!("not a mark: {other:?}"),
        };
        commands.into_iter().map(mark).collect()
    }

    #[test]
    fn batch_is_taken_whole_or_not_at_all() {
        let (inboxes, _) = inboxes(2, 3);
        submit(&inboxes, vec![close(1, 1), close(1, 2)]).unwrap();
        let over = vec![close(0, 3), close(1, 4), close(1, 5)];
        assert_eq!(submit(&inboxes, over), Err(InboxFull));
        assert_eq!(marks(&inboxes[0]), []);
        submit(&inboxes, vec![close(0, 6), close(1, 7)]).unwrap();
        assert_eq!(marks(&inboxes[0]), [6]);
        assert_eq!(marks(&inboxes[1]), [1, 2, 7]);
    }

    #[test]
    fn groups_are_taken_in_order_up_to_the_first_without_room() {
        let (inboxes, woken) = inboxes(2, 3);
        let commands = vec![
            close(1, 1),
            close(0, 2),
            close(1, 3),
            // The group that does not fit: there is room for one half of it.
            close(0, 4),
            close(1, 5),
            close(1, 6),
            // This one would fit, but it must not overtake.
            close(0, 7),
        ];
        assert_eq!(submit_groups(&inboxes, commands, &[1, 1, 3, 6, 7]), 3);
        assert_eq!(marks(&inboxes[0]), [2]);
        assert_eq!(marks(&inboxes[1]), [1, 3]);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
        assert_eq!(submit_groups(&inboxes, Vec::new(), &[0, 0]), 2);
    }

    #[test]
    fn one_command_over_the_room_is_refused() {
        let (inboxes, _) = inboxes(1, 2);
        for mark in 0..2 {
            inboxes[0].push(close(0, mark).1).unwrap();
        }
        assert_eq!(inboxes[0].push(close(0, 2).1), Err(InboxFull));
        assert_eq!(submit(&inboxes, vec![close(0, 2)]), Err(InboxFull));
        assert_eq!(marks(&inboxes[0]), [0, 1]);
        inboxes[0].push(close(0, 3).1).unwrap();
    }

    #[test]
    fn worker_that_never_was_makes_its_commands_void() {
        let (inboxes, woken) = inboxes(1, 2);
        submit(&inboxes, vec![close(7, 1)]).unwrap();
        assert_eq!(marks(&inboxes[0]), []);
        assert_eq!(woken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn worker_is_woken_once_until_it_looks() {
        let (inboxes, woken) = inboxes(1, 100);
        for mark in 0..10 {
            inboxes[0].push(close(0, mark).1).unwrap();
        }
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert!(inboxes[0].take_signal());
        assert!(!inboxes[0].take_signal());
        inboxes[0].push(close(0, 10).1).unwrap();
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn all_inboxes_see_the_batches_of_all_threads_in_one_order() {
        let (inboxes, _) = inboxes(3, 100_000);
        thread::scope(|scope| {
            for thread in 0..4 {
                let inboxes = &inboxes;
                scope.spawn(move || {
                    for n in 0..2000 {
                        let mark = thread * 10_000 + n;
                        let batch = (0..3).map(|worker| close(worker, mark)).collect();
                        submit(inboxes, batch).unwrap();
                    }
                });
            }
        });
        let first = marks(&inboxes[0]);
        assert_eq!(first.len(), 8000);
        assert!(marks(&inboxes[1]) == first);
        assert!(marks(&inboxes[2]) == first);
    }

    #[test]
    fn stop_is_not_taken_back() {
        let (inboxes, _) = inboxes(1, 1);
        inboxes[0].end(End::Drain(Duration::from_secs(1)));
        inboxes[0].end(End::Stop);
        inboxes[0].end(End::Drain(Duration::from_secs(1)));
        assert_eq!(inboxes[0].take(&mut VecDeque::new()), Some(End::Stop));
    }
}
