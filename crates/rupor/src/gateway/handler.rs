//! The way back from a browser: what the workers call.
//!
//! A connection enters the hub in `on_open`, before its 101 leaves, so whatever is published once the client knows that
//! it is connected finds it. It leaves the hub in `on_close`, before its application hears of that.
//!
//! A connection that is to say who it is by its first message has [`Settings::identify_deadline`](super::Settings) for it;
//! until then it is not in the hub, so it receives nothing, and no application hears of it.

use super::asking::{self, Wanted};
use super::clock::expiry;
use super::close::{
    Closing, EXPIRED, FORBIDDEN, IDENTIFY_TIMEOUT, OVERLOADED, TOO_MANY, TOO_MANY_CHANNELS,
    UNAUTHORIZED,
};
use super::conversation::Talk;
use super::effects::{channel_of, topic_of_all};
use super::rights::{self, Forbidden, Wish};
use super::rules::Right;
use super::{Admitted, Change, ConnectionId, Gateway, Publish, PublishError, Target, hub_id};
use crate::auth::session::Watch;
use crate::auth::{Auth, AuthError, Identity};
use crate::config::ChannelRule;
use crate::dialect::{self, Answer, Asked, Id};
use crate::log;
use crate::outlet::Outlet;
use rupor_hub::{Kind, Refused};
use rupor_proto::{Close, Frame, Message};
use rupor_server::{Connection, Handle, Handler, Topic, UpgradeRequest};
use std::mem::take;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The wall clock is asked again at least so often whether an identity has expired: it may be set.
const EXPIRY_CHECK_MAX: Duration = Duration::from_secs(600);

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

    fn set_expiry(&self, connection: &mut Connection<'_>, state: &State) {
        if let Some(expires_at) = state.expires_at {
            let left = self.seconds_left(expires_at);
            connection.set_timer(Duration::from_secs(left).min(EXPIRY_CHECK_MAX));
        }
    }

    fn seconds_left(&self, expires_at: NonZeroU64) -> u64 {
        let now_s = self.gateway.settings().clock.now_ms() / 1000;
        expires_at.get().saturating_sub(now_s)
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

    /// The token that was to come, or a newer one of the same user.
    fn authenticate(
        &self,
        connection: &mut Connection<'_>,
        state: &mut State,
        token: &str,
        id: Option<&Id>,
    ) {
        let identity = match self.auth.first_message(token) {
            Ok(identity) => identity,
            Err(error) => {
                let text = error.to_string();
                let code = match error {
                    AuthError::NotAsked => "unsupported",
                    _ => UNAUTHORIZED.name,
                };
                let answer = Answer::Error { code, text: &text };
                Self::answer(connection, state.kind, &answer, id);
                if state.phase == Phase::Unidentified {
                    Self::refuse(connection, state, UNAUTHORIZED);
                }
                return;
            }
        };
        if state.phase == Phase::Unidentified {
            return self.identify(connection, state, identity, id);
        }
        if identity.user != state.user {
            let text = Refused::AnotherUser.to_string();
            let answer = Answer::Error {
                code: Refused::AnotherUser.code(),
                text: &text,
            };
            return Self::answer(connection, state.kind, &answer, id);
        }
        state.expires_at = expiry(identity.expires_at);
        self.set_expiry(connection, state);
        let answer = Answer::Authenticated {
            user: state.user.as_deref(),
        };
        Self::answer(connection, state.kind, &answer, id);
    }

    fn identify(
        &self,
        connection: &mut Connection<'_>,
        state: &mut State,
        identity: Identity,
        id: Option<&Id>,
    ) {
        let Some(mut entry) = state.waiting.take() else {
            return;
        };
        state.user = identity.user;
        state.expires_at = expiry(identity.expires_at);
        let user = state.user.clone();
        let may = |channel: &Arc<str>| {
            let wish = Wish {
                right: Right::Subscribe,
                channel,
                user: user.as_deref(),
                token: None,
            };
            rights::check_unasked(&self.gateway, &self.auth, wish).is_ok()
        };
        let entered = if entry.channels.iter().all(may) {
            self.enter(connection, state, &mut entry)
        } else {
            Err(FORBIDDEN)
        };
        if let Err(closing) = entered {
            return Self::refuse(connection, state, closing);
        }
        let answer = Answer::Authenticated {
            user: state.user.as_deref(),
        };
        Self::answer(connection, state.kind, &answer, id);
        self.begin(connection, state, *entry);
    }

    fn carry_out(
        &self,
        connection: &mut Connection<'_>,
        state: &State,
        asked: Asked<'_>,
        id: Option<&Id>,
    ) -> Result<(), Denied> {
        let gateway = &self.gateway;
        let number = hub_id(connection.id());
        let mut answer = |answer| Self::answer(connection, state.kind, &answer, id);
        match asked {
            Asked::Subscribe { channel, token } => {
                let token = token.as_deref();
                if let Some(rule) = self.check(Right::Subscribe, &channel, token, state, number)? {
                    return self.ask(rule, (&channel, None), state, number, id);
                }
                let subscribed = Answer::Subscribed { channel: &channel };
                let frame = frame_of(state.kind, &subscribed, id);
                if !gateway.change(number, &channel, Change::Subscribe, frame)? {
                    answer(subscribed);
                }
            }
            Asked::Unsubscribe(channel) => {
                let unsubscribed = Answer::Unsubscribed { channel: &channel };
                let frame = frame_of(state.kind, &unsubscribed, id);
                if !gateway.change(number, &channel, Change::Unsubscribe, frame)? {
                    answer(unsubscribed);
                }
            }
            Asked::Publish {
                channel,
                text,
                token,
            } => {
                let token = token.as_deref();
                if let Some(rule) = self.check(Right::Publish, &channel, token, state, number)? {
                    return self.ask(rule, (&channel, Some(&text)), state, number, id);
                }
                let target = Target::Channel(channel.into());
                let publish = Publish {
                    target,
                    exclude: None,
                    body: text.into(),
                    compress: true,
                    key: None,
                    id: None,
                };
                let connections = gateway.publish_now(publish)?;
                answer(Answer::Published { connections });
            }
            Asked::Ping => answer(Answer::Pong),
            Asked::ApplicationText(text) => {
                self.to_outlet(connection, state, Message::Text(&text))?;
                Self::answer(connection, state.kind, &Answer::Sent, id);
            }
            Asked::Application(message) => self.to_outlet(connection, state, message)?,
            // Its caller has seen to it.
            Asked::Auth(_) => {}
        }
        Ok(())
    }

    fn check(
        &self,
        right: Right,
        channel: &str,
        token: Option<&str>,
        state: &State,
        connection: ConnectionId,
    ) -> Result<Option<&ChannelRule>, Denied> {
        let user = self.user_of(state, connection);
        let wish = Wish {
            right,
            channel,
            user: user.as_deref(),
            token,
        };
        rights::check(&self.gateway, &self.auth, wish).map_err(Denied::Rule)
    }

    fn user_of(&self, state: &State, connection: ConnectionId) -> Option<Arc<str>> {
        // Handlers may have said later who it is.
        let known_later = || self.gateway.user_of(connection);
        state.user.clone().or_else(known_later)
    }

    /// Lets the site be asked, which answers later. `what`: the channel, and what is to be published in it.
    fn ask(
        &self,
        rule: &ChannelRule,
        (channel, text): (&str, Option<&str>),
        state: &State,
        connection: ConnectionId,
        id: Option<&Id>,
    ) -> Result<(), Denied> {
        let wanted = Wanted {
            connection,
            kind: state.kind,
            id: id.cloned(),
            channel: channel.to_owned(),
            user: self.user_of(state, connection),
            text: text.map(ToOwned::to_owned),
            rule: rule.clone(),
        };
        asking::ask(&self.gateway, &self.auth, wanted).map_err(Denied::Gateway)
    }

    fn to_outlet(
        &self,
        connection: &mut Connection<'_>,
        state: &State,
        message: Message<'_>,
    ) -> Result<(), Denied> {
        if self.with_outlet(connection, state, |outlet, talk| {
            outlet.on_message(talk, message)
        }) {
            return Ok(());
        }
        self.gateway
            .counters
            .dropped_no_application
            .fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            connection = %connection.id(),
            bytes = message.len(),
            "message dropped: no application on this path"
        );
        Err(Denied::NoApplication)
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

/// An answer that is to stand at its place among publications; empty where the dialect says nothing.
fn frame_of(kind: Kind, answer: &Answer<'_>, id: Option<&Id>) -> Option<Frame> {
    let text = dialect::of_kind(kind).answer(answer, id)?;
    Some(Frame::new(Message::Text(&text)))
}

/// Why a request was not carried out.
#[derive(Debug)]
enum Denied {
    Unidentified,
    Rule(Forbidden),
    NoApplication,
    Gateway(PublishError),
}

impl From<PublishError> for Denied {
    fn from(error: PublishError) -> Self {
        Self::Gateway(error)
    }
}

impl Denied {
    fn code(&self) -> &'static str {
        match self {
            Self::Unidentified => UNAUTHORIZED.name,
            Self::Rule(_) => FORBIDDEN.name,
            Self::NoApplication => "no_application",
            Self::Gateway(error) => error.code(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Unidentified => "say who you are first: send auth with a token".to_owned(),
            Self::Rule(forbidden) => forbidden.0.clone(),
            Self::NoApplication => "no application answers on this path".to_owned(),
            Self::Gateway(error) => error.to_string(),
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
