//! What waits for one worker process, what it is handling, and which connections it has. No I/O.
//!
//! Invariants:
//! - events of a connection are handed out in order, each to one process, and never again once it may have been handled;
//! - a `close` is handed out for each connection that a process was told of, whatever the limits;
//! - a process is told of every connection (`open`) before anything else of it; one that comes after another is told of
//!   all that the other had, as resumed.

use super::wire::{self, EventKind};
use crate::gateway::ConnectionId;
use crate::outlet::limits::{Full, Limits};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Events that a process is handed without having said that they are handled: as many may be lost when it is killed.
const UNDER_WAY_MAX: usize = 64;
/// Bytes of those; the first goes whatever its length.
const UNDER_WAY_BYTES_MAX: usize = 1 << 20;
/// Bytes of answers that wait.
const ANSWERS_BYTES_MAX: usize = 1 << 20;
/// A connection whose `open` failed so often is closed: it must not end every process that comes.
const OPEN_FAILURES_MAX: u8 = 2;

/// Something to be handled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) kind: EventKind,
    pub(super) subject: u64,
    /// That of an `open` is made when it is handed out.
    pub(super) body: Box<[u8]>,
}

impl Event {
    /// The connection that it is about.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        use EventKind::{Binary, Close, Open, Refused, Text};
        matches!(self.kind, Open | Text | Binary | Close | Refused)
            .then_some(ConnectionId(self.subject))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.body.len()
    }
}

/// What a process is told of a connection.
#[derive(Debug)]
pub(super) struct Known {
    /// Fields of the request, as JSON without braces.
    pub(super) request: Box<str>,
    pub(super) user: Option<Arc<str>>,
    /// JSON.
    pub(super) attached: Option<Box<str>>,
    /// Whether an earlier process had it.
    resumed: bool,
    open_failures: u8,
}

impl Known {
    pub(super) fn new(request: Box<str>, user: Option<Arc<str>>) -> Self {
        Self {
            request,
            user,
            attached: None,
            resumed: false,
            open_failures: 0,
        }
    }

    /// The body of `open`.
    pub(super) fn open(&self) -> String {
        // A name is a string, and those can always be written.
        let user =
            serde_json::to_string(&self.user.as_deref()).unwrap_or_else(|_| "null".to_owned());
        let mut body = format!("{{{},\"user\":{user}", self.request);
        if self.resumed {
            body.push_str(",\"resumed\":true");
        }
        if let Some(attached) = &self.attached {
            body.push_str(",\"attached\":");
            body.push_str(attached);
        }
        body.push('}');
        body
    }
}

/// What became of a process's events at its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Those that failed: they may have been handled in part, and are not handed out again.
    pub(super) failed: Vec<Event>,
    /// Connections that are to be closed, because processes end at opening them.
    pub(super) to_close: Vec<ConnectionId>,
}

/// The events of one worker process.
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    waiting: VecDeque<Event>,
    waiting_bytes: usize,
    /// Handed to the process that runs, and not said to be handled.
    under_way: VecDeque<Event>,
    under_way_bytes: usize,
    /// Events that the process that runs has handled.
    done: u64,
    connections: HashMap<ConnectionId, Known>,
    timer_is_out: bool,
    /// There is nobody to handle anything: what may be refused is.
    is_shut: bool,
    /// Frames that leave before events.
    answers: Vec<u8>,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            done: 0,
            connections: HashMap::new(),
            timer_is_out: false,
            is_shut: false,
            answers: Vec::new(),
        }
    }

    /// A connection opened.
    pub(super) fn open(&mut self, connection: ConnectionId, known: Known) -> Result<(), Full> {
        self.push(EventKind::Open, connection.0, &[])?;
        self.connections.insert(connection, known);
        Ok(())
    }

    /// Something that is refused when there is no room.
    pub(super) fn push(&mut self, kind: EventKind, subject: u64, body: &[u8]) -> Result<(), Full> {
        let event = Event {
            kind,
            subject,
            body: body.into(),
        };
        let bytes = self.waiting_bytes + event.bytes();
        if self.is_shut {
            return Err(Full);
        }
        self.limits.check(self.waiting.len(), bytes)?;
        self.push_anyway(event);
        Ok(())
    }

    /// A connection is gone. There is one for each that opened, so these have a limit of their own.
    pub(super) fn close(&mut self, connection: ConnectionId, body: &[u8]) {
        if self.connections.contains_key(&connection) {
            self.push_anyway(Event {
                kind: EventKind::Close,
                subject: connection.0,
                body: body.into(),
            });
        }
    }

    /// Time for a timer; false, and nothing done, while the last one is not handled.
    pub(super) fn tick(&mut self, ticks: u64) -> bool {
        if self.timer_is_out {
            return false;
        }
        self.timer_is_out = true;
        self.push_anyway(Event {
            kind: EventKind::Timer,
            subject: ticks,
            body: Box::default(),
        });
        true
    }

    fn push_anyway(&mut self, event: Event) {
        self.waiting_bytes += event.bytes();
        self.waiting.push_back(event);
    }

    fn push_front(&mut self, event: Event) {
        self.waiting_bytes += event.bytes();
        self.waiting.push_front(event);
    }

    /// Hands out as many as may be under way, as frames.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) {
        while self.under_way.len() < UNDER_WAY_MAX {
            let Some(event) = self.waiting.front() else {
                break;
            };
            let bytes = self.under_way_bytes + event.body.len();
            if bytes > UNDER_WAY_BYTES_MAX && !self.under_way.is_empty() {
                break;
            }
            let Some(event) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= event.bytes();
            self.under_way_bytes = bytes;
            if event.kind == EventKind::Open {
                let known = self.connections.get(&ConnectionId(event.subject));
                let body = known.map(Known::open).unwrap_or_default();
                wire::encode(out, event.kind, event.subject, body.as_bytes());
            } else {
                wire::encode(out, event.kind, event.subject, &event.body);
            }
            self.under_way.push_back(event);
        }
    }

    /// The process says how many it has handled since its start; false: more than it was handed.
    pub(super) fn done(&mut self, count: u64) -> bool {
        while self.done < count {
            let Some(event) = self.under_way.pop_front() else {
                return false;
            };
            self.done += 1;
            self.under_way_bytes -= event.body.len();
            let connection = ConnectionId(event.subject);
            match event.kind {
                EventKind::Timer => self.timer_is_out = false,
                EventKind::Close => drop(self.connections.remove(&connection)),
                EventKind::Open => {
                    if let Some(known) = self.connections.get_mut(&connection) {
                        known.resumed = true;
                        known.open_failures = 0;
                    }
                }
                _ => {}
            }
        }
        true
    }

    /// The process has ended. If it `said` so, the first event under way was its end and the others wait again; else all of
    /// them have failed.
    pub(super) fn end(&mut self, said: bool) -> Lost {
        let mut lost = Lost::default();
        let failed = if said { 1 } else { self.under_way.len() };
        let mut under_way = std::mem::take(&mut self.under_way);
        let not_begun = under_way.split_off(failed.min(under_way.len()));
        for event in under_way {
            if let Some(connection) = event.connection() {
                self.failed(event.kind, connection, &mut lost);
            }
            lost.failed.push(event);
        }
        for event in not_begun.into_iter().rev() {
            // There will be another tick.
            if event.kind != EventKind::Timer {
                self.push_front(event);
            }
        }
        if !lost.to_close.is_empty() {
            // What waits for a connection that no process is to be told of is about nobody.
            self.keep(|event, _| {
                let connection = event.connection();
                connection.is_none_or(|connection| !lost.to_close.contains(&connection))
            });
        }
        self.under_way_bytes = 0;
        self.done = 0;
        self.timer_is_out = false;
        self.answers.clear();
        self.resume();
        lost
    }

    fn failed(&mut self, kind: EventKind, connection: ConnectionId, lost: &mut Lost) {
        match kind {
            EventKind::Close => drop(self.connections.remove(&connection)),
            EventKind::Open => {
                let Some(known) = self.connections.get_mut(&connection) else {
                    return;
                };
                known.resumed = true;
                known.open_failures += 1;
                if known.open_failures >= OPEN_FAILURES_MAX {
                    self.connections.remove(&connection);
                    lost.to_close.push(connection);
                }
            }
            _ => {}
        }
    }

    /// Throws out what waits and is not to be kept, which the connections may say.
    fn keep(&mut self, is_kept: impl Fn(&Event, &HashMap<ConnectionId, Known>) -> bool) {
        self.waiting
            .retain(|event| is_kept(event, &self.connections));
        self.waiting_bytes = self.waiting.iter().map(Event::bytes).sum();
    }

    /// Refuses what may be refused, and throws out what of it waits; `None`: it does so already. Lines stay, and so does what
    /// the next process is told of connections that another one had.
    pub(super) fn shut(&mut self) -> Option<Vec<Event>> {
        if std::mem::replace(&mut self.is_shut, true) {
            return None;
        }
        let connections = &mut self.connections;
        let (thrown_out, kept) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|event| match event.kind {
                EventKind::Open => connections
                    .get(&ConnectionId(event.subject))
                    .is_none_or(|known| !known.resumed),
                EventKind::Text
                | EventKind::Binary
                | EventKind::Told
                | EventKind::Refused
                | EventKind::Upgrade => true,
                _ => false,
            });
        self.waiting = kept;
        // Nobody was told of those connections, so nobody is told of their end.
        connections.retain(|_, known| known.resumed);
        self.keep(|event, connections| {
            let connection = event.connection();
            connection.is_none_or(|connection| connections.contains_key(&connection))
        });
        Some(thrown_out.into())
    }

    /// Takes events again; false: it did so already.
    pub(super) fn reopen(&mut self) -> bool {
        std::mem::take(&mut self.is_shut)
    }

    /// Before anything else the next process is told of what the last one had.
    fn resume(&mut self) {
        // After a process that was handed nothing this was said already; once is enough.
        self.keep(|event, connections| {
            let known = connections.get(&ConnectionId(event.subject));
            event.kind != EventKind::Open || known.is_some_and(|known| !known.resumed)
        });
        let had: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, known)| known.resumed)
            .map(|(connection, _)| connection.0)
            .collect();
        for subject in had {
            self.push_front(Event {
                kind: EventKind::Open,
                subject,
                body: Box::default(),
            });
        }
    }

    /// Answers a question; false: too many answers wait, none was added.
    pub(super) fn answer(&mut self, request: u64, body: &[u8]) -> bool {
        let has_room = self.answers.len() <= ANSWERS_BYTES_MAX;
        if has_room {
            wire::encode(&mut self.answers, EventKind::Answer, request, body);
        }
        has_room
    }

    /// Hands the answers out.
    pub(super) fn take_answers(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.answers);
    }

    /// What a process would be told of this connection, to change it.
    pub(super) fn known(&mut self, connection: ConnectionId) -> Option<&mut Known> {
        self.connections.get_mut(&connection)
    }

    /// Events that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Events that the process that runs has handled.
    pub(super) fn handled(&self) -> u64 {
        self.done
    }

    /// Whether the process has something to handle.
    pub(super) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests;
