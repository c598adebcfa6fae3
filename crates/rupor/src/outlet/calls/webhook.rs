//! Calls of a webhook: `POST` with JSON, signed, over connections that are kept. Redirects are not followed: what is said there
//! was signed for this address.

use super::callee::{Answer, NoAnswer, excerpt};
use super::lanes::{About, Event};
use crate::auth::signer::Signer;
use crate::config::WebhookConfig;
use crate::gateway::ConnectionId;
use crate::outlet::refused::Refused;
use crate::outlet::request::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::error::Error as _;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{sleep, timeout};

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// A connection that was not used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Waits before a `close` is told again: whoever missed one would take somebody for connected for ever.
const CLOSE_RETRIES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(25),
];
/// When this was signed, in seconds since 1970.
const TIMESTAMP: &str = "rupor-timestamp";
/// `v1=` and HMAC-SHA256 over timestamp, a full stop and body, in hexadecimal digits.
const SIGNATURE: &str = "rupor-signature";

/// The webhook.
pub(super) struct Client {
    config: WebhookConfig,
    signer: Signer,
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(config: WebhookConfig) -> Self {
        let builder = HttpsConnectorBuilder::new();
        // Where the system has no roots, `https` fails by name at the first call; `http` does not need them.
        let builder = builder
            .with_native_roots()
            .unwrap_or_else(|_| HttpsConnectorBuilder::new().with_tls_config(without_roots()));
        let connector = builder.https_or_http().enable_http1().build();
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(config.calls.at_a_time.get())
            .build(connector);
        Self {
            signer: Signer::new(&config.key),
            config,
            http,
        }
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
        let seconds = self.config.calls.timeout.as_secs();
        timeout(self.config.calls.timeout, self.post(body))
            .await
            .unwrap_or_else(|_| {
                Err(NoAnswer(format!(
                    "the webhook did not answer within {seconds} s (webhook.timeout)"
                )))
            })
    }

    async fn post(&self, body: Bytes) -> Result<Answer, NoAnswer> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = now.map_or(0, |now| now.as_secs());
        let signature = self.signature(timestamp, &body)?;
        let request = Request::post(self.config.url.clone())
            .header("content-type", "application/json")
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, signature)
            .body(Full::new(body))
            .map_err(|error| NoAnswer(format!("the webhook cannot be asked: {error}")))?;
        let response = self.http.request(request).await.map_err(|error| {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            NoAnswer(format!("the webhook cannot be reached: {cause}. Fix: start it, or name another address with --webhook-url"))
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| {
            NoAnswer(format!(
                "the webhook's answer broke off or is longer than {ANSWER_BYTES_MAX} bytes: {error}"
            ))
        })?;
        let body = body.to_bytes().to_vec();
        match status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(Answer {
                body,
                errors: Vec::new(),
            }),
            status if status.is_redirection() => Err(NoAnswer(format!(
                "the webhook answers {status}, and redirects are not followed. Fix: name where it leads to with --webhook-url"
            ))),
            status => Err(NoAnswer(format!(
                "the webhook answers {status}: {}",
                excerpt(&body)
            ))),
        }
    }

    fn signature(&self, timestamp: u64, body: &[u8]) -> Result<String, NoAnswer> {
        let mut signed = format!("{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        let digits = self.signer.sign(&signed);
        let digits = digits.ok_or_else(|| NoAnswer("the call cannot be signed".to_owned()))?;
        Ok(format!("v1={digits}"))
    }
}

fn without_roots() -> rustls::ClientConfig {
    rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
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
            Event::Close { code, reason } => What::Close {
                code: *code,
                reason,
            },
            Event::Refused(refused) => What::Refused(refused),
            Event::Upgrade | Event::Open => What::Nothing {},
        },
    };
    // Its keys are strings, so it can always be written.
    serde_json::to_string(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CallConfig, FailedEvent, Secret};
    use std::num::NonZeroUsize;

    #[test]
    fn signature_is_hmac_sha256_over_time_and_body() {
        let client = Client::new(WebhookConfig {
            url: http::Uri::from_static("http://127.0.0.1/"),
            key: Secret::new(*b"key"),
            calls: CallConfig {
                pool: String::new(),
                at_a_time: NonZeroUsize::MIN,
                timeout: Duration::from_secs(1),
                events: Vec::new(),
                failed_event: FailedEvent::Ignore,
                events_max: 1,
                bytes_max: 1,
            },
        });
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let expected = "v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(client.signature(1_700_000_000, b"{}").unwrap(), expected);
        assert_ne!(client.signature(1_700_000_001, b"{}").unwrap(), expected);
    }
}
