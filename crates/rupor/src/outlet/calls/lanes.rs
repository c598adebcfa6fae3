//! What waits for php-fpm: a lane for each connection, whose events are handled one after the other. No I/O.
//!
//! Invariants:
//! - of a connection at most one event is being handled, and its events are handed out in order;
//! - connections take turns, an event each;
//! - a close is handed out for each connection that opened, whatever the limits.

use crate::gateway::ConnectionId;
use crate::outlet::limits::{Full, Limits};
use crate::outlet::refused::Refused;
use rupor_server::UpgradeRequest;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// May it open? Never in a lane: there is no connection yet.
    Upgrade,
    Open,
    Text(Box<str>),
    Binary(Box<[u8]>),
    Close {
        code: u16,
        reason: Box<str>,
        /// Whether the closing handshake was done.
        clean: bool,
    },
    /// What the answer to an event wanted.
    Refused(Box<Refused>),
}

impl Event {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Open => "open",
            Self::Text(_) | Self::Binary(_) => "message",
            Self::Close { .. } => "close",
            Self::Refused(_) => "refused",
        }
    }

    pub(super) fn body(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
            _ => &[],
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.body().len()
    }
}

/// A connection, as scripts are told of it.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) request: Arc<UpgradeRequest>,
    pub(super) user: Option<Arc<str>>,
    /// JSON.
    pub(super) attached: Option<Arc<str>>,
}

/// Something to be handled now.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) connection: ConnectionId,
    pub(super) about: About,
    pub(super) event: Event,
}

#[derive(Debug)]
struct Lane {
    about: About,
    events: VecDeque<Event>,
    is_busy: bool,
    is_closed: bool,
}

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    limits: Limits,
    lanes: HashMap<ConnectionId, Lane>,
    /// Connections that have an event and none that is being handled.
    ready: VecDeque<ConnectionId>,
    events: usize,
    bytes: usize,
}

impl Lanes {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            events: 0,
            bytes: 0,
        }
    }

    /// A connection opened; nothing is to be handled yet.
    pub(super) fn open(&mut self, connection: ConnectionId, about: About) {
        let lane = Lane {
            about,
            events: VecDeque::new(),
            is_busy: false,
            is_closed: false,
        };
        self.lanes.insert(connection, lane);
    }

    /// Something happened on it.
    pub(super) fn push(&mut self, connection: ConnectionId, event: Event) -> Result<(), Full> {
        // Nothing comes after its close.
        if self
            .lanes
            .get(&connection)
            .is_none_or(|lane| lane.is_closed)
        {
            return Ok(());
        }
        self.limits.check(self.events, self.bytes + event.bytes())?;
        self.push_anyway(connection, event);
        Ok(())
    }

    /// It is gone, and `event` is to be handled, if there is one.
    pub(super) fn close(&mut self, connection: ConnectionId, event: Option<Event>) {
        if let Some(lane) = self.lanes.get_mut(&connection) {
            lane.is_closed = true;
        }
        if let Some(event) = event {
            self.push_anyway(connection, event);
        }
        self.forget(connection);
    }

    fn push_anyway(&mut self, connection: ConnectionId, event: Event) {
        let Some(lane) = self.lanes.get_mut(&connection) else {
            return;
        };
        self.events += 1;
        self.bytes += event.bytes();
        if lane.events.is_empty() && !lane.is_busy {
            self.ready.push_back(connection);
        }
        lane.events.push_back(event);
    }

    /// The next event to be handled.
    pub(super) fn take(&mut self) -> Option<Job> {
        let connection = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&connection)?;
        let event = lane.events.pop_front()?;
        lane.is_busy = true;
        self.events -= 1;
        self.bytes -= event.bytes();
        Some(Job {
            connection,
            about: lane.about.clone(),
            event,
        })
    }

    /// The event that was taken of it is handled.
    pub(super) fn finish(&mut self, connection: ConnectionId) {
        if let Some(lane) = self.lanes.get_mut(&connection) {
            lane.is_busy = false;
            if !lane.events.is_empty() {
                self.ready.push_back(connection);
            }
        }
        self.forget(connection);
    }

    fn forget(&mut self, connection: ConnectionId) {
        let is_over = |lane: &Lane| lane.is_closed && !lane.is_busy && lane.events.is_empty();
        if self.lanes.get(&connection).is_some_and(is_over) {
            self.lanes.remove(&connection);
        }
    }

    /// What scripts are told of a connection, to change it.
    pub(super) fn about(&mut self, connection: ConnectionId) -> Option<&mut About> {
        self.lanes.get_mut(&connection).map(|lane| &mut lane.about)
    }

    /// Whether there is something to be taken.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether something waits or is being handled.
    pub(super) fn is_working(&self) -> bool {
        self.events > 0 || self.lanes.values().any(|lane| lane.is_busy)
    }

    /// Events that wait.
    pub(super) fn waiting(&self) -> usize {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: ConnectionId = ConnectionId(1);
    const BORIS: ConnectionId = ConnectionId(2);

    fn lanes() -> Lanes {
        let mut lanes = Lanes::new(Limits {
            events_max: 4,
            bytes_max: 1000,
        });
        for connection in [ANNA, BORIS] {
            let remote = "192.0.2.1:5".parse().unwrap();
            let request = UpgradeRequest::new("/", http::HeaderMap::new(), remote);
            let about = About {
                request: Arc::new(request),
                user: None,
                attached: None,
            };
            lanes.open(connection, about);
        }
        lanes
    }

    fn text(text: &str) -> Event {
        Event::Text(text.into())
    }

    fn taken(lanes: &mut Lanes) -> Option<(ConnectionId, Event)> {
        lanes.take().map(|job| (job.connection, job.event))
    }

    #[test]
    fn one_event_of_a_connection_at_a_time_and_connections_take_turns() {
        let mut lanes = lanes();
        for (connection, event) in [(ANNA, "1"), (ANNA, "2"), (BORIS, "3")] {
            lanes.push(connection, text(event)).unwrap();
        }
        assert_eq!(taken(&mut lanes), Some((ANNA, text("1"))));
        assert_eq!(taken(&mut lanes), Some((BORIS, text("3"))));
        assert_eq!(taken(&mut lanes), None, "anna's first is being handled");
        lanes.finish(ANNA);
        assert_eq!(taken(&mut lanes), Some((ANNA, text("2"))));
        lanes.finish(ANNA);
        lanes.finish(BORIS);
        assert_eq!(taken(&mut lanes), None);
        assert_eq!((lanes.waiting(), lanes.bytes), (0, 0));
    }

    #[test]
    fn limits_hold_and_closes_pass_them() {
        let mut lanes = lanes();
        assert_eq!(lanes.push(ANNA, text(&"x".repeat(1000))), Err(Full));
        for _ in 0..4 {
            lanes.push(ANNA, text("x")).unwrap();
        }
        assert_eq!(lanes.push(BORIS, text("x")), Err(Full));
        let close = Event::Close {
            code: 1001,
            reason: "".into(),
            clean: true,
        };
        lanes.close(ANNA, Some(close.clone()));
        for _ in 0..4 {
            assert_eq!(taken(&mut lanes), Some((ANNA, text("x"))));
            lanes.finish(ANNA);
        }
        assert_eq!(taken(&mut lanes), Some((ANNA, close)));
        assert_eq!(lanes.lanes.len(), 2);
        lanes.finish(ANNA);
        lanes.close(BORIS, None);
        assert_eq!(lanes.lanes.len(), 0, "nothing is kept of who is gone");
        lanes.push(ANNA, text("late")).unwrap();
        assert_eq!(taken(&mut lanes), None);
    }
}
