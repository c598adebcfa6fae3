//! What a connection asks for in its messages, once it is known who it is.

use super::{State, WorkerHandler};
use crate::config::ChannelRule;
use crate::dialect::{self, Answer, Asked, Id};
use crate::gateway::asking::{self, Wanted};
use crate::gateway::close::{FORBIDDEN, UNAUTHORIZED};
use crate::gateway::rights::{self, Forbidden, Wish};
use crate::gateway::rules::Right;
use crate::gateway::{Change, ConnectionId, Publish, PublishError, Target, hub_id};
use rupor_hub::Kind;
use rupor_proto::{Frame, Message};
use rupor_server::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl WorkerHandler {
    pub(super) fn carry_out(
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

/// An answer that is to stand at its place among publications; empty where the dialect says nothing.
fn frame_of(kind: Kind, answer: &Answer<'_>, id: Option<&Id>) -> Option<Frame> {
    let text = dialect::of_kind(kind).answer(answer, id)?;
    Some(Frame::new(Message::Text(&text)))
}

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) enum Denied {
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
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unidentified => UNAUTHORIZED.name,
            Self::Rule(_) => FORBIDDEN.name,
            Self::NoApplication => "no_application",
            Self::Gateway(error) => error.code(),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Unidentified => "say who you are first: send auth with a token".to_owned(),
            Self::Rule(forbidden) => forbidden.0.clone(),
            Self::NoApplication => "no application answers on this path".to_owned(),
            Self::Gateway(error) => error.to_string(),
        }
    }
}
