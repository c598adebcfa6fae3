//! What a worker says is done by the gateway, in its order. A command that cannot be carried out is logged and counted; the
//! worker goes on.

use super::stats::Dropped;
use super::wire::{Command, EventKind};
use super::{Php, Worker};
use crate::auth::is_user_name;
use crate::gateway::{ConnectionId, Gateway, Publish, PublishError, Target, patience};
use crate::outlet::limits::Full;
use crate::outlet::{Verdict, refused};
use rupor_hub::{Refused, is_channel_name};
use rupor_proto::{CloseCode, Message};
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Longest value that is attached to a connection, in bytes of JSON.
const ATTACHED_BYTES_MAX: usize = 65_536;
/// How long an answer waits for room for the first time.
const ANSWER_WAIT: Duration = Duration::from_millis(1);
/// `tell` to all other workers.
const ALL_OTHERS: u16 = u16::MAX;

/// Carries out the commands of one process.
pub(super) struct CarryOut<'s> {
    pub(super) php: &'s Php,
    pub(super) worker: &'s Worker,
    pub(super) number: usize,
    pub(super) gateway: &'s Gateway,
}

/// Why a command was not carried out.
#[derive(Debug)]
enum Failed {
    Gateway(PublishError),
    /// Not what the command needs there.
    Bad(&'static str),
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(error) => error.fmt(formatter),
            Self::Bad(what) => formatter.write_str(what),
        }
    }
}

impl Failed {
    fn code(&self) -> &'static str {
        match self {
            Self::Gateway(error) => error.code(),
            Self::Bad(_) => "bad_value",
        }
    }
}

impl From<PublishError> for Failed {
    fn from(error: PublishError) -> Self {
        Self::Gateway(error)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Question {
    User(String),
    Channel(String),
}

impl CarryOut<'_> {
    /// Carries it out. If it is refused the process is told, where that `hears` of it.
    pub(super) async fn command(&self, command: Command<'_>, hears: bool) {
        let about = match &command {
            Command::Subscribe(connection, name) => Some(("subscribe", *connection, *name)),
            Command::Unsubscribe(connection, name) => Some(("unsubscribe", *connection, *name)),
            Command::User(connection, name) => Some(("user", *connection, *name)),
            _ => None,
        };
        match self.carry_out(command).await {
            // It closed a moment ago: that happens all the time.
            Ok(()) | Err(Failed::Gateway(PublishError::Refused(Refused::UnknownConnection))) => {}
            Err(failed) => {
                self.php.stats.refused();
                tracing::warn!(
                    worker = self.number,
                    "a command of a PHP worker is not carried out: {failed}"
                );
                if let (true, Some((command, connection, name))) = (hears, about) {
                    let refused = refused::Refused {
                        command,
                        name: String::from_utf8_lossy(name).into_owned(),
                        code: failed.code(),
                        error: failed.to_string(),
                    };
                    self.tell_refused(connection, &refused);
                }
            }
        }
    }

    fn tell_refused(&self, connection: ConnectionId, refused: &refused::Refused) {
        let (kind, body) = (EventKind::Refused, refused.json());
        let told = self
            .worker
            .change(|queue| queue.push(kind, connection.0, body.as_bytes()));
        if told == Err(Full) {
            self.php.stats.dropped(Dropped::Refused);
        }
    }

    async fn carry_out(&self, command: Command<'_>) -> Result<(), Failed> {
        let gateway = self.gateway;
        match command {
            Command::Text(to, text) => {
                let text = utf8(text, "the message is not UTF-8; send it as binary")?;
                patiently(|| gateway.send(to, Message::Text(text))).await
            }
            Command::Binary(to, bytes) => {
                patiently(|| gateway.send(to, Message::Binary(bytes))).await
            }
            Command::Close(connection, code, reason) => {
                let reason = utf8(reason, "the close reason is not UTF-8")?;
                patiently(|| gateway.close_connection(connection, CloseCode::new(code), reason))
                    .await
            }
            Command::Subscribe(connection, channel) => {
                let channel = utf8(channel, NOT_A_CHANNEL)?;
                patiently(|| gateway.subscribe(connection, channel).map(drop)).await
            }
            Command::Unsubscribe(connection, channel) => {
                let channel = utf8(channel, NOT_A_CHANNEL)?;
                patiently(|| gateway.unsubscribe(connection, channel).map(drop)).await
            }
            Command::User(connection, user) => self.user(connection, user),
            Command::Attach(connection, json) => self.attach(connection, json),
            Command::Publish {
                exclude,
                target,
                text,
            } => self.publish(exclude, target, text).await,
            Command::Disconnect {
                target,
                code,
                reason,
            } => {
                let target = target.ok_or(Failed::Bad(NOT_A_TARGET))?;
                let reason = utf8(reason, "the close reason is not UTF-8")?;
                patiently(|| gateway.disconnect(target.clone(), code, reason).map(drop)).await
            }
            Command::Ask(request, question) => {
                self.ask(request, question).await;
                Ok(())
            }
            Command::Tell(to, bytes) => self.tell(to, bytes),
            Command::Accept(request, body) => {
                let accepted = self.php.upgrades.accept(request, body);
                // Whoever asked may be gone.
                accepted
                    .map(drop)
                    .ok_or(Failed::Bad("`accept` is not the JSON that it should be"))
            }
            Command::Refuse(request, status, reason) => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                self.php
                    .upgrades
                    .answer(request, Verdict::Refuse { status, reason });
                Ok(())
            }
            Command::Reply(writer, line) => {
                let replied = self.php.writers.reply(writer, line);
                let unread = Failed::Bad("a writer of lines does not read what was replied");
                replied.then_some(()).ok_or(unread)
            }
            // The session has seen to them.
            Command::Hello(_) | Command::Done { .. } => Ok(()),
        }
    }

    fn user(&self, connection: ConnectionId, user: &[u8]) -> Result<(), Failed> {
        let user: Arc<str> = utf8(user, "the user's name is not UTF-8")?.into();
        self.gateway.identify(connection, Arc::clone(&user))?;
        if let Some(known) = self.worker.queue().known(connection) {
            known.user = Some(user);
        }
        Ok(())
    }

    fn attach(&self, connection: ConnectionId, json: &[u8]) -> Result<(), Failed> {
        if json.len() > ATTACHED_BYTES_MAX {
            return Err(Failed::Bad(
                "what is attached is longer than 65536 bytes of JSON",
            ));
        }
        let text = utf8(json, "what is attached is not JSON")?;
        // It goes into the JSON of an event as it is.
        serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map_err(|_| Failed::Bad("what is attached is not JSON"))?;
        if let Some(known) = self.worker.queue().known(connection) {
            known.attached = Some(text.into());
        }
        Ok(())
    }

    async fn publish(
        &self,
        exclude: Option<ConnectionId>,
        target: Option<Target>,
        text: &[u8],
    ) -> Result<(), Failed> {
        let publish = Publish {
            target: target.ok_or(Failed::Bad(NOT_A_TARGET))?,
            exclude,
            body: utf8(text, "what is published is not UTF-8")?.into(),
            compress: true,
            key: None,
            id: None,
        };
        patience::publish(self.gateway, publish).await?;
        Ok(())
    }

    async fn ask(&self, request: u64, question: &[u8]) {
        let answer = self.answer(question).unwrap_or_else(|error| {
            // A name that nobody can have is a mistake of the handler's, and no nought.
            json!({ "error": error, "code": "bad_value" })
        });
        // One that asks and does not read is not read.
        while !self
            .worker
            .queue()
            .answer(request, answer.to_string().as_bytes())
        {
            sleep(ANSWER_WAIT).await;
        }
        self.worker.wake.notify_one();
    }

    /// The answer to a question, or why there is none.
    fn answer(&self, question: &[u8]) -> Result<serde_json::Value, String> {
        let gateway = self.gateway;
        match serde_json::from_slice(question) {
            Ok(Question::User(user)) if !is_user_name(&user) => {
                Err(Refused::BadUserName.to_string())
            }
            Ok(Question::User(user)) => {
                let connections = gateway.user(&user).connections;
                let ids: Vec<String> = connections.iter().map(ToString::to_string).collect();
                Ok(json!({ "connections": ids }))
            }
            Ok(Question::Channel(channel)) => {
                if !is_channel_name(&channel, gateway.settings().limits.channel_name_bytes_max) {
                    return Err(Refused::BadChannelName.to_string());
                }
                Ok(json!({ "subscribers": gateway.channel(&channel).connections }))
            }
            Err(_) => Err("not a question: ask for a user or a channel".to_owned()),
        }
    }

    fn tell(&self, to: u16, bytes: &[u8]) -> Result<(), Failed> {
        let from = u64::try_from(self.number).unwrap_or(u64::MAX);
        let workers = self.php.workers.iter().enumerate();
        let mut told = workers
            .filter(|(number, _)| match to {
                ALL_OTHERS => *number != self.number,
                to => *number == usize::from(to),
            })
            .peekable();
        if to != ALL_OTHERS && told.peek().is_none() {
            return Err(Failed::Bad("there is no worker of that number"));
        }
        for (number, worker) in told {
            if worker.change(|queue| queue.push(EventKind::Told, from, bytes)) == Err(Full) {
                self.php.stats.dropped(Dropped::Told);
                tracing::warn!(
                    worker = self.number,
                    to = number,
                    "a PHP worker is not told: too much waits for it"
                );
            }
        }
        Ok(())
    }
}

const NOT_A_CHANNEL: &str = "the channel's name is not UTF-8";
const NOT_A_TARGET: &str = "there is no such target, or a name in it is not UTF-8";

fn utf8<'b>(bytes: &'b [u8], otherwise: &'static str) -> Result<&'b str, Failed> {
    std::str::from_utf8(bytes).map_err(|_| Failed::Bad(otherwise))
}

async fn patiently(attempt: impl FnMut() -> Result<(), PublishError>) -> Result<(), Failed> {
    Ok(patience::patiently(attempt).await?)
}
