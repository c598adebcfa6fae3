//! The way back from a browser: what the workers call.
//!
//! A connection enters the hub in `on_open`, before its 101 leaves, so whatever is published once the client knows that
//! it is connected finds it. It leaves the hub in `on_close`, before its application hears of that.
//!
//! A connection that is to say who it is by its first message has [`Settings::identify_deadline`](super::Settings) for it;
//! until then it is not in the hub, so it receives nothing, and no application hears of it.

mod identity;
mod wishes;

use super::clock::expiry;
use super::close::{
    Closing, EXPIRED, IDENTIFY_TIMEOUT, OVERLOADED, TOO_MANY, TOO_MANY_CHANNELS, UNAUTHORIZED,
};
use super::conversation::Talk;
use super::effects::{channel_of, topic_of_all};
use super::{Admitted, ConnectionId, Gateway, PublishError, hub_id};
use crate::auth::session::Watch;
use crate::auth::{Auth, Identity};
use crate::dialect::{self, Answer, Asked, Id};
use crate::log;
use crate::outlet::Outlet;
use rupor_hub::{Kind, Refused};
use rupor_proto::{Close, Message};
use rupor_server::{Connection, Handle, Handler, Topic, UpgradeRequest};
use std::mem::take;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wishes::Denied;

/// One worker's part of the gateway.
#[derive(Debug)]
pub(crate) struct WorkerHandler {
    gateway: Arc<Gateway>,
    auth: Arc<Auth>,
    /// By kind: the topic of everybody.
    everybody: Vec<Topic>,
}

/// What is kept of a connection on its worker.
#[derive(Debug)]
pub(crate) struct State {
    phase: Phase,
    kind: Kind,
    user: Option<Arc<str>>,
    /// When the identity expires, in seconds since 1970.
    expires_at: Option<NonZeroU64>,
    /// Looks after the session that says who it is.
    _session: Option<Box<Watch>>,
    /// With what a connection will enter that has not said yet who it is.
    waiting: Option<Box<Entry>>,
    outlet: Option<Arc<dyn Outlet>>,
    path: Box<str>,
}

// Every silent connection has one.
const _: () = assert!(size_of::<State>() <= 80);

/// Takes a connection out of the hub again if its opening panics: then there will be no `on_close` for it.
struct Entering<'g> {
    gateway: &'g Gateway,
    connection: ConnectionId,
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.gateway.close(self.connection);
        }
    }
}

/// With what a connection enters the hub, besides who it is.
#[derive(Debug)]
struct Entry {
    cookie: Option<Arc<str>>,
    channels: Vec<Arc<str>>,
    /// For an application that wants it.
    request: Option<Box<UpgradeRequest>>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first message will say who it is.
    Unidentified,
    /// Open.
    Open,
    /// It was refused and is being closed; nothing that it says counts.
    Refused,
}

impl WorkerHandler {
    /// The handler of one worker of `server`.
    pub(crate) fn new(gateway: Arc<Gateway>, auth: Arc<Auth>, server: &Handle) -> Self {
        gateway.attach(server.clone());
        let kinds = (0..).map(Kind).take(dialect::ALL.len());
        Self {
            gateway,
            auth,
            everybody: kinds.map(topic_of_all).collect(),
        }
    }

    /// Enters the connection in the hub: from here on it is found.
    fn enter(
        &self,
        connection: &mut Connection<'_>,
        state: &State,
        entry: &mut Entry,
    ) -> Result<(), Closing> {
        if let Some(topic) = self.everybody.get(usize::from(state.kind.0))
            && !connection.subscribe(topic)
        {
            return Err(OVERLOADED);
        }
        let id = hub_id(connection.id());
        let (cookie, channels) = (entry.cookie.take(), take(&mut entry.channels));
        self.gateway
            .open(id, state.kind, state.user.clone(), cookie, channels)
            .map_err(closing)
    }

    /// The connection is known as far as it has to be: the application hears of it.
    fn begin(&self, connection: &mut Connection<'_>, state: &mut State, entry: Entry) {
        state.phase = Phase::Open;
        self.set_expiry(connection, state);
        self.with_outlet(connection, state, |outlet, talk| {
            outlet.on_open(talk, entry.request);
        });
    }

    fn with_outlet(
        &self,
        connection: &mut Connection<'_>,
        state: &State,
        call: impl FnOnce(&dyn Outlet, &mut Talk<'_, '_>),
    ) -> bool {
        let Some(outlet) = &state.outlet else {
            return false;
        };
        let mut talk = Talk {
            gateway: &self.gateway,
            connection,
            kind: state.kind,
            user: state.user.as_deref(),
            path: &state.path,
        };
        call(&**outlet, &mut talk);
        true
    }

    fn refuse(connection: &mut Connection<'_>, state: &mut State, closing: Closing) {
        tracing::debug!(connection = %connection.id(), reason = closing.name, "connection refused");
        state.phase = Phase::Refused;
        connection.close(closing.code, &closing.reason());
    }

    /// Answers in the connection's dialect, if that says anything about it.
    fn answer(connection: &mut Connection<'_>, kind: Kind, answer: &Answer<'_>, id: Option<&Id>) {
        if let Some(text) = dialect::of_kind(kind).answer(answer, id) {
            // A connection that cannot take it is being closed for that.
            let _ = connection.send_text(&text);
        }
    }
}

impl Handler for WorkerHandler {
    type Admission = Admitted;
    type State = State;

    fn on_open(&mut self, connection: &mut Connection<'_>, admitted: Admitted) -> State {
        let Admitted {
            identity,
            kind,
            cookie,
            channels,
            outlet,
            path,
            request,
        } = admitted;
        let _entering = Entering {
            gateway: &self.gateway,
            connection: hub_id(connection.id()),
        };
        let entry = Entry {
            cookie,
            channels,
            request,
        };
        let phase = Phase::Unidentified;
        let (identity, mut entry, waiting) = match identity {
            Some(identity) => (identity, Some(entry), None),
            None => (Identity::default(), None, Some(Box::new(entry))),
        };
        let Identity {
            user,
            expires_at,
            ticket,
            ..
        } = identity;
        let watch = |ticket| self.auth.watch(&ticket, hub_id(connection.id()));
        let mut state = State {
            phase,
            kind,
            user,
            expires_at: expiry(expires_at),
            _session: ticket.and_then(watch),
            waiting,
            outlet,
            path,
        };
        if let Some(entry) = &mut entry
            && let Err(closing) = self.enter(connection, &state, entry)
        {
            Self::refuse(connection, &mut state, closing);
            return state;
        }
        let number = connection.id().to_string();
        let welcome = Answer::Welcome {
            connection: number,
            user: state.user.as_deref(),
        };
        Self::answer(connection, kind, &welcome, None);
        if let Some(entry) = entry {
            self.begin(connection, &mut state, entry);
        } else {
            connection.set_timer(self.gateway.settings().identify_deadline);
        }
        state
    }

    fn on_message(
        &mut self,
        connection: &mut Connection<'_>,
        state: &mut State,
        message: Message<'_>,
    ) {
        let identified = match state.phase {
            Phase::Unidentified => false,
            Phase::Open => true,
            Phase::Refused => return,
        };
        let request = match dialect::of_kind(state.kind).decode(message, identified) {
            Ok(request) => request,
            Err(bad) => {
                let answer = Answer::Error {
                    code: bad.code,
                    text: &bad.text,
                };
                return Self::answer(connection, state.kind, &answer, bad.id.as_ref());
            }
        };
        let id = request.id.as_ref();
        let result = match request.asked {
            Asked::Auth(token) => return self.authenticate(connection, state, &token, id),
            _ if !identified => {
                self.gateway
                    .counters
                    .dropped_unidentified
                    .fetch_add(1, Ordering::Relaxed);
                Err(Denied::Unidentified)
            }
            asked => self.carry_out(connection, state, asked, id),
        };
        if let Err(denied) = result {
            let text = denied.text();
            let answer = Answer::Error {
                code: denied.code(),
                text: &text,
            };
            Self::answer(connection, state.kind, &answer, id);
        }
    }

    fn on_close(&mut self, connection: &mut Connection<'_>, state: State, close: &Close) {
        tracing::debug!(
            connection = %connection.id(),
            code = close.code.as_u16(),
            reason = log::peer(&close.reason),
            clean = close.clean,
            "connection closed"
        );
        self.gateway.close(hub_id(connection.id()));
        if state.phase == Phase::Open {
            self.with_outlet(connection, &state, |outlet, talk| {
                outlet.on_close(talk, close);
            });
        }
    }

    fn on_left_out(
        &mut self,
        connection: &mut Connection<'_>,
        state: &mut State,
        topic: &Topic,
        count: u64,
    ) {
        if let Some(channel) = channel_of(topic) {
            let left_out = Answer::LeftOut { channel, count };
            Self::answer(connection, state.kind, &left_out, None);
        }
    }

    fn on_timer(&mut self, connection: &mut Connection<'_>, state: &mut State) {
        match state.phase {
            Phase::Refused => {}
            Phase::Unidentified => Self::refuse(connection, state, IDENTIFY_TIMEOUT),
            Phase::Open => match state.expires_at {
                Some(expires_at) if self.seconds_left(expires_at) == 0 => {
                    connection.close(EXPIRED.code, &EXPIRED.reason());
                }
                _ => self.set_expiry(connection, state),
            },
        }
    }
}

/// With what a connection is closed that could not enter.
fn closing(error: PublishError) -> Closing {
    match error {
        PublishError::Refused(Refused::TooManyConnections) => TOO_MANY,
        PublishError::Refused(Refused::TooManySubscriptions | Refused::TooManyChannels) => {
            TOO_MANY_CHANNELS
        }
        PublishError::Refused(Refused::BadUserName | Refused::AnotherUser) => UNAUTHORIZED,
        _ => OVERLOADED,
    }
}
