//! The carrying side: worker threads, each with its own connections, poller, handler and timers.
//!
//! Start with [`core`], which is all of a worker but the poller; this file is the loop around it.
//! A worker shares nothing mutable with others but three bounded queues that are filled from outside
//! (commands: [`crate::inbox`]; opened sockets: [`adoptions`]; readiness of what is no socket:
//! [`ready`]), its ends of [pipes](pipe()), and its counters.

mod adoptions;
mod context;
mod core;
mod delivery;
mod drain;
mod flags;
mod link;
mod outbox;
mod pipe;
mod rare;
mod rate;
mod ready;
mod remote;
mod runs;
mod subprotocols;
mod timers;
mod topics;
mod transport;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use mio::{Events, Poll, Token};
use rupor_proto::Time;

pub(crate) use self::adoptions::Adoptions;
pub(crate) use self::context::Context;
use self::core::Readiness;
pub(crate) use self::core::{Adoption, Core};
pub use self::link::CLOSE_SLOW;
pub(crate) use self::link::{Arrival, Link};
pub(crate) use self::pipe::{Feed, WorkerEnd, pipe};
pub(crate) use self::ready::Ready;
pub(crate) use self::transport::{Socket, Transport};
use crate::handler::Handler;
use crate::inbox::{End, Inbox};

/// The token of the waker; slots have 24 bits.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// Readiness that is taken from the system at once.
const EVENTS_PER_TURN: usize = 1024;

/// Opened connections that are taken in one turn, so that a storm of them does not hold up those
/// that are open.
const ADOPTIONS_PER_TURN: usize = 64;

/// A worker, on its own thread.
pub(crate) struct Worker<H: Handler> {
    poll: Poll,
    core: Core<H, Socket>,
    adoptions: Arc<Adoptions<Adoption<H::Admission, Socket>>>,
    ready: Arc<Ready>,
    pipes: Vec<Arc<pipe::Shared>>,
    commands: VecDeque<crate::inbox::Command>,
    started: Instant,
}

impl<H: Handler> Worker<H> {
    pub(crate) fn new(
        poll: Poll,
        core: Core<H, Socket>,
        adoptions: Arc<Adoptions<Adoption<H::Admission, Socket>>>,
        ready: Arc<Ready>,
    ) -> Self {
        Self {
            poll,
            core,
            adoptions,
            ready,
            pipes: Vec::new(),
            commands: VecDeque::new(),
            started: Instant::now(),
        }
    }

    /// Runs until it was asked to end and nobody is left.
    pub(crate) fn run(mut self, inbox: &Inbox) {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut more = false;
        loop {
            let timeout = if more {
                Some(std::time::Duration::ZERO)
            } else {
                self.core.timeout()
            };
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!(%error, "the poller of a worker failed; the worker ends");
                break;
            }
            self.core.begin_turn(self.now());
            for event in &events {
                if event.token() != WAKE {
                    self.core.ready(
                        event.token().0,
                        Readiness {
                            readable: event.is_readable() || event.is_error(),
                            writable: event.is_writable() || event.is_error(),
                            read_closed: event.is_read_closed(),
                        },
                    );
                }
            }
            more = self.look_into(inbox);
            self.core.end_turn();
            if self.core.is_finished() && self.adoptions.shut_if_empty() {
                break;
            }
        }
        self.adoptions.shut();
    }

    fn now(&self) -> Time {
        let elapsed = self.started.elapsed().as_millis();
        Time::from_millis(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Does what was left in the inbox; whether something waits for the next turn.
    ///
    /// Commands come before new connections: what was published before a connection was there is
    /// not for it.
    fn look_into(&mut self, inbox: &Inbox) -> bool {
        let mut end = None;
        let signalled = inbox.take_signal();
        // Counted before the commands are taken, so that all that was published before one of them
        // came is among those, and asked for after the signal, which it would give again.
        let arrived = self.adoptions.len();
        if signalled || arrived > 0 {
            self.serve_pipes();
            end = inbox.take(&mut self.commands);
            self.core.commands(self.commands.drain(..));
        }
        if end == Some(End::Stop) {
            self.adoptions.shut();
        }
        let more = self.adopt_some(arrived);
        if let Some(end) = end {
            self.core.end(end);
        }
        more
    }

    /// Serves the connections that are no sockets and became ready.
    fn serve_pipes(&mut self) {
        self.ready.take(&mut self.pipes);
        for pipe in self.pipes.drain(..) {
            if let Some((slot, readiness)) = pipe.take_readiness() {
                self.core.ready(slot, readiness);
            }
        }
    }

    /// Adopts of so many that wait what a turn has time for; whether some are left.
    fn adopt_some(&mut self, arrived: usize) -> bool {
        for _ in 0..arrived.min(ADOPTIONS_PER_TURN) {
            let Some(mut adoption) = self.adoptions.pop() else {
                return false;
            };
            let Some(slot) = self.core.vacant_slot() else {
                tracing::error!("a worker has no slot left; a connection is dropped");
                self.core.forget_assigned();
                continue;
            };
            let registry = self.poll.registry();
            if let Err(error) = adoption.transport.register(registry, Token(slot)) {
                tracing::error!(%error, "a connection cannot be registered; it is dropped");
                self.core.forget_assigned();
                continue;
            }
            self.core.adopt(adoption);
        }
        arrived > ADOPTIONS_PER_TURN
    }
}
