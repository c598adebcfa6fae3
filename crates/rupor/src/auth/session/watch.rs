//! Sessions of open connections, which are looked at again: of whom is signed out meanwhile, or signed in as another user,
//! the connections are closed.
//!
//! Connections of one session are looked at together. What cannot be said because the store cannot be asked leaves a
//! connection open until the next time.

use super::{SessionError, SessionId, Sessions, Ticket};
use crate::by_label::{ByLabel, Counts, labels};
use crate::gateway::{ConnectionId, Gateway, SIGNED_OUT, USER_CHANGED};
use futures_util::StreamExt as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Sessions that are looked at side by side.
const AT_A_TIME: usize = 16;
/// How long is waited for where nothing is to be looked at.
const IDLE: Duration = Duration::from_secs(1);

labels! {
    /// What became of a connection whose session was looked at.
    enum Outcome {
        Kept = "kept",
        SignedOut = "signed_out",
        UserChanged = "user_changed",
        Unknown = "unknown",
    }
}

/// Sessions of open connections. There are at most as many as connections.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    table: Mutex<Table>,
    outcomes: ByLabel<Outcome>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: BTreeMap<SessionId, Session>,
    /// Which is to be looked at when; the number makes them different.
    due: BTreeMap<(Instant, u64), SessionId>,
    last: u64,
}

#[derive(Debug)]
struct Session {
    due: (Instant, u64),
    connections: HashMap<ConnectionId, Arc<str>>,
}

/// Keeps a connection in the table until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    watched: Arc<Watched>,
    session: SessionId,
    connection: ConnectionId,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watched.table().leave(&self.session, self.connection);
    }
}

impl Watched {
    /// Connections whose session was looked at, by what became of them.
    pub(crate) fn counts(&self) -> Counts {
        self.outcomes.counts()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn enter(&mut self, ticket: &Ticket, connection: ConnectionId, due: Instant) {
        if let Some(session) = self.sessions.get_mut(&ticket.id) {
            session
                .connections
                .insert(connection, Arc::clone(&ticket.user));
            return;
        }
        let due = self.plan(&ticket.id, due);
        let connections = HashMap::from([(connection, Arc::clone(&ticket.user))]);
        let session = Session { due, connections };
        self.sessions.insert(ticket.id.clone(), session);
    }

    fn plan(&mut self, id: &SessionId, due: Instant) -> (Instant, u64) {
        self.last += 1;
        self.due.insert((due, self.last), id.clone());
        (due, self.last)
    }

    fn leave(&mut self, id: &SessionId, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.connections.remove(&connection);
        if session.connections.is_empty() {
            self.due.remove(&session.due);
            self.sessions.remove(id);
        }
    }

    /// The sessions that are to be looked at, each with the time of its next look.
    fn take_due(&mut self, now: Instant, next: Instant) -> Vec<SessionId> {
        let mut taken = Vec::new();
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= now
        {
            taken.push(first.remove());
        }
        for id in &taken {
            let due = self.plan(id, next);
            if let Some(session) = self.sessions.get_mut(id) {
                session.due = due;
            }
        }
        taken
    }

    fn connections(&self, id: &SessionId) -> Vec<(ConnectionId, Arc<str>)> {
        let session = self.sessions.get(id);
        let connections = session.into_iter().flat_map(|session| &session.connections);
        connections
            .map(|(id, user)| (*id, Arc::clone(user)))
            .collect()
    }
}

impl Sessions {
    /// Looks after an open connection's session until what is returned is dropped.
    pub(crate) fn watch(&self, ticket: &Ticket, connection: ConnectionId) -> Box<Watch> {
        let due = Instant::now() + self.recheck;
        self.watched.table().enter(ticket, connection, due);
        Box::new(Watch {
            watched: Arc::clone(&self.watched),
            session: ticket.id.clone(),
            connection,
        })
    }

    /// Looks at sessions of open connections again and again. Does not end.
    pub(crate) async fn look_again(&self, gateway: &Gateway) {
        loop {
            let now = Instant::now();
            let due = self.watched.table().take_due(now, now + self.recheck);
            let looks = futures_util::stream::iter(due);
            looks
                .for_each_concurrent(AT_A_TIME, |id| async move { self.look(&id, gateway).await })
                .await;
            let wait = {
                let table = self.watched.table();
                let first = table.due.first_key_value();
                first.map_or(IDLE, |((due, _), _)| {
                    due.saturating_duration_since(Instant::now())
                })
            };
            sleep(wait.min(IDLE)).await;
        }
    }

    async fn look(&self, id: &SessionId, gateway: &Gateway) {
        let said = self.user(id).await;
        if let Err(error) = &said {
            super::STORES.log(|| format!("the session of an open connection: {error}"));
        }
        for (connection, user) in self.watched.table().connections(id) {
            let outcome = match &said {
                Ok(Ok(now)) if *now == user => Outcome::Kept,
                Ok(Ok(_)) => Outcome::UserChanged,
                Err(SessionError::Unavailable) => Outcome::Unknown,
                Ok(Err(_)) | Err(_) => Outcome::SignedOut,
            };
            self.watched.outcomes.count(outcome);
            let ending = match outcome {
                Outcome::Kept | Outcome::Unknown => continue,
                Outcome::SignedOut => SIGNED_OUT,
                Outcome::UserChanged => USER_CHANGED,
            };
            tracing::debug!(connection = %connection, ?outcome, "a session is over");
            // A worker that has no room for it now is told the next time.
            let _ = gateway.close_for(connection, &ending);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(id: &str, user: &str) -> Ticket {
        Ticket {
            id: SessionId::of_php(&id.repeat(30)).expect("an id"),
            user: user.into(),
        }
    }

    #[test]
    fn a_session_is_looked_at_once_for_all_its_connections_until_the_last_leaves() {
        let mut table = Table::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let (a, b) = (ticket("a", "anna"), ticket("b", "boris"));
        let ids = [1, 2, 3].map(ConnectionId);
        table.enter(&a, ids[0], now);
        table.enter(&a, ids[1], later);
        table.enter(&b, ids[2], later);
        assert_eq!(table.take_due(now, later), std::slice::from_ref(&a.id));
        assert_eq!(table.take_due(now, later), []);
        assert_eq!(table.connections(&a.id).len(), 2);
        let mut due = table.take_due(later, later + IDLE);
        due.sort();
        assert_eq!(due, [a.id.clone(), b.id.clone()]);
        table.leave(&a.id, ids[0]);
        table.leave(&a.id, ids[0]);
        assert_eq!(table.connections(&a.id).len(), 1);
        table.leave(&a.id, ids[1]);
        table.leave(&b.id, ids[2]);
        assert!(table.sessions.is_empty() && table.due.is_empty());
        assert!(!format!("{a:?}").contains("aaaa"));
    }
}
