//! What a script answers, as JSON: an array of commands. One with `do` is about the connection that the event is of; one
//! without is a publish object, as the site's inlets take it.

use crate::gateway::{ConnectionId, Gateway, Publish, PublishError, patience};
use crate::inlet::request;
use crate::outlet::Verdict;
use crate::outlet::refused;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rupor_hub::Refused;
use rupor_proto::{CloseCode, Message};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Longest value that is attached to a connection, in bytes of JSON.
const ATTACHED_BYTES_MAX: usize = 16_384;
/// The refusal of a script that gives no status.
const REFUSED: u16 = 403;

/// A command about the event's connection.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Do {
    Send {
        message: String,
    },
    /// `message` in base64.
    SendBinary {
        message: String,
    },
    Close {
        #[serde(default = "normal")]
        code: u16,
        #[serde(default)]
        reason: String,
    },
    Subscribe {
        channel: String,
    },
    Unsubscribe {
        channel: String,
    },
    /// Who it is.
    User {
        user: String,
    },
    Attach {
        value: serde_json::Value,
    },
    Refuse {
        #[serde(default = "refused")]
        status: u16,
        #[serde(default)]
        reason: String,
    },
}

impl Do {
    /// What it is called, and what it names: the handlers are told of these when they are refused.
    fn told_when_refused(self) -> Option<(&'static str, String)> {
        match self {
            Self::Subscribe { channel } => Some(("subscribe", channel)),
            Self::Unsubscribe { channel } => Some(("unsubscribe", channel)),
            Self::User { user } => Some(("user", user)),
            _ => None,
        }
    }
}

fn normal() -> u16 {
    CloseCode::NORMAL.as_u16()
}

fn refused() -> u16 {
    REFUSED
}

/// One element of an answer.
#[derive(Debug)]
enum Command {
    Do(Do),
    Publish(Publish),
}

/// What came of an answer that handlers are told of later.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    User(Arc<str>),
    Attached(Arc<str>),
    Refused(Box<refused::Refused>),
}

/// What the answer to an event is to be done with.
pub(super) struct CarryOut<'g> {
    pub(super) gateway: &'g Gateway,
    pub(super) connection: ConnectionId,
}

impl CarryOut<'_> {
    /// Carries all of it out in its order; the first thing that is wrong with it, after which the rest was done too.
    pub(super) async fn answer(
        &self,
        body: &[u8],
        changes: &mut Vec<Change>,
    ) -> Result<(), String> {
        let mut wrong = Ok(());
        for command in commands(body)? {
            let done = match command {
                Ok(command) => self.command(command, changes).await,
                Err(error) => Err(error),
            };
            wrong = wrong.and(done);
        }
        wrong
    }

    async fn command(&self, command: Command, changes: &mut Vec<Change>) -> Result<(), String> {
        let (done, about) = match command {
            Command::Publish(publish) => (patience::publish(self.gateway, publish).await, None),
            Command::Do(it) => (self.carry_out(&it, changes).await?, it.told_when_refused()),
        };
        match done {
            // It closed a moment ago: that happens all the time.
            Ok(()) | Err(PublishError::Refused(Refused::UnknownConnection)) => Ok(()),
            Err(error) => {
                if let Some((command, name)) = about {
                    changes.push(Change::Refused(Box::new(refused::Refused {
                        command,
                        name,
                        code: error.code(),
                        error: error.to_string(),
                    })));
                }
                Err(error.to_string())
            }
        }
    }

    async fn carry_out(
        &self,
        it: &Do,
        changes: &mut Vec<Change>,
    ) -> Result<Result<(), PublishError>, String> {
        let (gateway, connection) = (self.gateway, self.connection);
        let done = match it {
            Do::Send { message } => {
                patience::patiently(|| gateway.send(connection, Message::Text(message))).await
            }
            Do::SendBinary { message } => {
                let bytes = STANDARD.decode(message);
                let bytes =
                    bytes.map_err(|_| "`message` of send_binary is not base64".to_owned())?;
                patience::patiently(|| gateway.send(connection, Message::Binary(&bytes))).await
            }
            Do::Close { code, reason } => {
                let code = CloseCode::new(*code);
                patience::patiently(|| gateway.close_connection(connection, code, reason)).await
            }
            Do::Subscribe { channel } => {
                patience::patiently(|| gateway.subscribe(connection, channel).map(drop)).await
            }
            Do::Unsubscribe { channel } => {
                patience::patiently(|| gateway.unsubscribe(connection, channel).map(drop)).await
            }
            Do::User { user } => {
                let user: Arc<str> = user.as_str().into();
                let identified = gateway.identify(connection, Arc::clone(&user));
                if identified.is_ok() {
                    changes.push(Change::User(user));
                }
                identified
            }
            Do::Attach { value } => {
                let json = value.to_string();
                if json.len() > ATTACHED_BYTES_MAX {
                    return Err(format!(
                        "what is attached is longer than {ATTACHED_BYTES_MAX} bytes of JSON"
                    ));
                }
                changes.push(Change::Attached(json.into()));
                Ok(())
            }
            Do::Refuse { .. } => {
                return Err("only an `upgrade` can be refused: close the connection".to_owned());
            }
        };
        Ok(done)
    }
}

/// What the answer to an `upgrade` says: it may be refused, be somebody's, and have channels. There is no connection yet
/// that anything else could be about.
pub(super) async fn verdict(gateway: &Gateway, body: &[u8]) -> Result<Verdict, String> {
    let (mut known, mut channels) = (None, Vec::new());
    for command in commands(body)? {
        match command? {
            Command::Do(Do::Refuse { status, reason }) => {
                return Ok(Verdict::Refuse { status, reason });
            }
            Command::Do(Do::User { user }) => known = Some(user),
            Command::Do(Do::Subscribe { channel }) => channels.push(channel),
            Command::Publish(publish) => {
                let published = patience::publish(gateway, publish).await;
                published.map_err(|error| error.to_string())?;
            }
            Command::Do(_) => {
                return Err(
                    "an `upgrade` takes `refuse`, `user`, `subscribe` and publications".to_owned(),
                );
            }
        }
    }
    Ok(Verdict::Accept {
        user: known,
        channels,
    })
}

/// The commands of an answer; empty: none.
fn commands(body: &[u8]) -> Result<Vec<Result<Command, String>>, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        let start = body.get(..200).unwrap_or(body);
        let start = crate::log::printed(&String::from_utf8_lossy(start));
        format!("the answer is no JSON array of commands ({error}): {start}")
    })?;
    Ok(elements
        .into_iter()
        .map(|element| command(element.get()))
        .collect())
}

#[derive(Deserialize)]
struct HasDo {
    #[serde(rename = "do")]
    it: Option<serde::de::IgnoredAny>,
}

fn command(element: &str) -> Result<Command, String> {
    let is_do = serde_json::from_str::<HasDo>(element).is_ok_and(|has| has.it.is_some());
    if is_do {
        let it = serde_json::from_str(element);
        return it
            .map(Command::Do)
            .map_err(|error| format!("a command is wrong: {error}"));
    }
    let publish = request::publish(element.as_bytes()).outcome;
    publish
        .map(Command::Publish)
        .map_err(|error| format!("a command without `do` is a publish object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Target;

    fn shown(body: &str) -> Vec<String> {
        let commands = commands(body.as_bytes()).unwrap();
        commands
            .into_iter()
            .map(|command| format!("{command:?}"))
            .collect()
    }

    #[test]
    fn commands_of_an_answer() {
        let body = r#" [{"do":"send","message":"hi"},{"do":"close"},{"user":"anna","message":[1]},{"do":"dance"},{"x":1}]"#;
        let shown = shown(body);
        assert_eq!(shown[0], r#"Ok(Do(Send { message: "hi" }))"#);
        assert_eq!(shown[1], r#"Ok(Do(Close { code: 1000, reason: "" }))"#);
        let target = Target::User("anna".into());
        assert!(
            shown[2].contains(&format!("{target:?}")) && shown[2].contains("[1]"),
            "{}",
            shown[2]
        );
        assert!(shown[3].contains("unknown variant `dance`"), "{}", shown[3]);
        assert!(shown[4].contains("unknown field `x`"), "{}", shown[4]);
        assert!(commands(b" \n").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_json_is_shown() {
        let error = commands(b"<br />\n<b>Warning</b>").unwrap_err();
        assert!(error.contains("no JSON array of commands"), "{error}");
        assert!(error.ends_with("<br />\\n<b>Warning</b>"), "{error}");
    }
}
