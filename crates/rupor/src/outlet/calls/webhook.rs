//! Calls of a webhook: each event is posted, signed, and answered by what is to be done.

use super::callee::{Answer, NoAnswer, excerpt};
use super::lanes::{About, Event};
use crate::auth::post::{Post, Target};
use crate::config::WebhookConfig;
use crate::gateway::ConnectionId;
use crate::outlet::refused::Refused;
use crate::outlet::request::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::sleep;

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Waits before a `close` is told again: whoever missed one would take somebody for connected for ever.
const CLOSE_RETRIES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(25),
];

/// The webhook.
#[derive(Debug)]
pub(super) struct Client(Post);

impl Client {
    pub(super) fn new(config: WebhookConfig) -> Self {
        Self(Post::new(Target {
            url: config.url,
            key: config.key,
            timeout: config.calls.timeout,
            at_a_time: config.calls.at_a_time.get(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            table: "webhook",
        }))
    }

    pub(super) async fn call(
        &self,
        connection: Option<ConnectionId>,
        about: &About,
        event: &Event,
    ) -> Result<Answer, NoAnswer> {
        let body = Bytes::from(body(connection, about, event));
        let mut called = self.once(body.clone()).await;
        if matches!(event, Event::Close { .. }) {
            for wait in CLOSE_RETRIES {
                let Err(error) = &called else { break };
                tracing::warn!(
                    "a close is told the webhook again in {} s: {error}",
                    wait.as_secs()
                );
                sleep(wait).await;
                called = self.once(body.clone()).await;
            }
        }
        called
    }

    async fn once(&self, body: Bytes) -> Result<Answer, NoAnswer> {
        let called = self.0.call(body).await;
        let (status, body) = called.map_err(|error| NoAnswer(error.to_string()))?;
        match status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(Answer {
                body,
                errors: Vec::new(),
            }),
            status => {
                let fix = match status {
                    StatusCode::UNAUTHORIZED => {
                        ". Fix: let it check signatures with the key of --webhook-key-file"
                    }
                    _ => "",
                };
                let said = excerpt(&body);
                Err(NoAnswer(format!(
                    "the webhook answers {status}: {said}{fix}"
                )))
            }
        }
    }
}

/// The event as JSON; names are those of the worker protocol.
#[derive(Serialize)]
struct Body<'a> {
    event: &'static str,
    #[serde(flatten)]
    request: Fields<'a>,
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attached: Option<&'a RawValue>,
    #[serde(flatten)]
    what: What<'a>,
}

/// What there is beside the event's name.
#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Nothing {},
    Message {
        r#type: &'static str,
        message: Cow<'a, str>,
    },
    Close {
        code: u16,
        reason: &'a str,
        clean: bool,
    },
    Refused(&'a Refused),
}

fn body(connection: Option<ConnectionId>, about: &About, event: &Event) -> String {
    let message = |r#type, message| What::Message { r#type, message };
    let body = Body {
        event: event.name(),
        request: Fields::of(&about.request),
        user: about.user.as_deref(),
        connection: connection.map(|connection| connection.to_string()),
        // It was JSON when it was attached.
        attached: about
            .attached
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok()),
        what: match event {
            Event::Text(text) => message("text", Cow::Borrowed(&**text)),
            Event::Binary(bytes) => message("binary", STANDARD.encode(bytes).into()),
            Event::Close {
                code,
                reason,
                clean,
            } => What::Close {
                code: *code,
                reason,
                clean: *clean,
            },
            Event::Refused(refused) => What::Refused(refused),
            Event::Upgrade | Event::Open => What::Nothing {},
        },
    };
    // Its keys are strings, so it can always be written.
    serde_json::to_string(&body).unwrap_or_default()
}
