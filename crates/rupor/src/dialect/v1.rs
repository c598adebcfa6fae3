//! The structured dialect, subprotocol `rupor.v1`: JSON objects with a `type`, both ways.
//!
//! Its spec is `docs/reference/rupor-v1.md`; a test runs the examples there. A client's object is read strictly: an
//! unknown field is an error, so that a misspelt one is noticed and a later version may use it.

use super::request::ID_BYTES_MAX;
use super::{Address, Answer, Asked, BadRequest, Dialect, Id, Request};
use rupor_proto::{Frame, Message};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The dialect `rupor.v1`.
#[derive(Debug)]
pub(super) struct V1;

impl Dialect for V1 {
    fn decode<'a>(&self, message: Message<'a>, _: bool) -> Result<Request<'a>, BadRequest> {
        let Message::Text(text) = message else {
            return Err(bad(
                None,
                "unsupported",
                "binary messages are not part of rupor.v1: send text",
            ));
        };
        // An array would be read as the fields in their order.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(bad(None, "bad_json", "send one JSON object a message"));
        }
        match serde_json::from_str::<Wire<'a>>(text) {
            Ok(wire) => wire.into_request(),
            Err(error) => Err(unreadable(text, &error)),
        }
    }

    fn publication(&self, address: Address<'_>, text: &str) -> Frame {
        let event = Event::Message {
            channel: address.channel,
            user: address.user,
            publication: address.publication,
            message: text,
        };
        Frame::new(Message::Text(&encode(&event)))
    }

    fn answer(&self, answer: &Answer<'_>, id: Option<&Id>) -> Option<String> {
        let event = match answer {
            Answer::Welcome { connection, user } => Event::Welcome {
                connection,
                user: *user,
            },
            Answer::Subscribed { channel } => Event::Subscribed { channel },
            Answer::Unsubscribed { channel } => Event::Unsubscribed { channel },
            Answer::Published { connections } => Event::Published {
                connections: *connections,
            },
            Answer::Sent => Event::Sent,
            Answer::Pong => Event::Pong,
            Answer::Authenticated { user } => Event::Authenticated { user: *user },
            Answer::LeftOut { channel, count } => Event::LeftOut {
                channel,
                count: *count,
            },
            Answer::Error { code, text } => Event::Error { code, text },
        };
        Some(encode(&Answered { event, id }))
    }
}

/// A client's object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    id: Option<Id>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "given")]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
}

/// A field that is there, also where it is `null`: that is a message too, as on the site's inlets.
fn given<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What is looked for in an object that cannot be read, so that the client knows which it was.
#[derive(Deserialize)]
struct OnlyId {
    id: Option<Id>,
}

/// A server's object.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    Welcome {
        connection: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
    },
    Message {
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        publication: Option<&'a str>,
        message: &'a str,
    },
    Subscribed {
        channel: &'a str,
    },
    Unsubscribed {
        channel: &'a str,
    },
    Published {
        #[serde(skip_serializing_if = "Option::is_none")]
        connections: Option<usize>,
    },
    Sent,
    Pong,
    Authenticated {
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
    },
    LeftOut {
        channel: &'a str,
        count: u64,
    },
    Error {
        code: &'a str,
        text: &'a str,
    },
}

#[derive(Serialize)]
struct Answered<'a> {
    #[serde(flatten)]
    event: Event<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Id>,
}

impl<'a> Wire<'a> {
    fn into_request(self) -> Result<Request<'a>, BadRequest> {
        let Self {
            kind,
            id,
            channel,
            message,
            token,
        } = self;
        if id.as_ref().is_some_and(|id| !id.is_short()) {
            let text = format!("id is a whole number or a text of at most {ID_BYTES_MAX} bytes");
            return Err(bad(None, "bad_value", text));
        }
        let given = [
            ("channel", channel.is_some()),
            ("message", message.is_some()),
            ("token", token.is_some()),
        ];
        let may_have_token = matches!(&*kind, "subscribe" | "publish");
        let needed: &[&str] = match &*kind {
            "subscribe" | "unsubscribe" => &["channel"],
            "publish" => &["channel", "message"],
            "send" => &["message"],
            "ping" => &[],
            "auth" => &["token"],
            _ => {
                let text = "type is one of subscribe, unsubscribe, publish, send, ping, auth";
                return Err(bad(id, "unknown_type", text));
            }
        };
        for (field, is_given) in given {
            let is_known = needed.contains(&field) || (may_have_token && field == "token");
            if is_given && !is_known {
                let text = format!("{kind} has no field {field}: leave it out");
                return Err(bad(id, "unknown_field", text));
            }
            if !is_given && needed.contains(&field) {
                return Err(bad(
                    id,
                    "missing_field",
                    format!("{kind} needs the field {field}"),
                ));
            }
        }
        let channel = channel.unwrap_or_default();
        let asked = match &*kind {
            "subscribe" => Asked::Subscribe { channel, token },
            "unsubscribe" => Asked::Unsubscribe(channel),
            "publish" => Asked::Publish {
                channel,
                text: message_text(message),
                token,
            },
            "send" => Asked::ApplicationText(message_text(message)),
            "auth" => Asked::Auth(token.unwrap_or_default()),
            _ => Asked::Ping,
        };
        Ok(Request { id, asked })
    }
}

/// A string's text, else the JSON text as it was sent: the rule of the site's inlets.
fn message_text(message: Option<&RawValue>) -> Cow<'_, str> {
    let json = message.map_or("null", RawValue::get);
    // Only a string can be read as one.
    serde_json::from_str::<Text<'_>>(json).map_or(Cow::Borrowed(json), |text| text.0)
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn unreadable(text: &str, error: &serde_json::Error) -> BadRequest {
    // A short id only: it is sent back.
    let id = serde_json::from_str::<OnlyId>(text)
        .ok()
        .and_then(|found| found.id);
    let id = id.filter(Id::is_short);
    if error.is_data() {
        let message = error.to_string();
        let code = if message.starts_with("unknown field") {
            "unknown_field"
        } else if message.starts_with("missing field") {
            "missing_field"
        } else {
            "bad_value"
        };
        return bad(id, code, shortened(&message));
    }
    let text = format!(
        "not JSON at column {}: send one JSON object a message",
        error.column()
    );
    bad(id, "bad_json", text)
}

/// The client's own words come back in an error; not many of them.
fn shortened(message: &str) -> String {
    const CHARS_MAX: usize = 200;
    message.chars().take(CHARS_MAX).collect()
}

fn bad(id: Option<Id>, code: &'static str, text: impl Into<String>) -> BadRequest {
    BadRequest {
        id,
        code,
        text: text.into(),
    }
}

fn encode(event: &impl Serialize) -> String {
    // These types have string keys and no map of other things, so encoding them cannot fail.
    serde_json::to_string(event).unwrap_or_default()
}

#[cfg(test)]
mod tests;
