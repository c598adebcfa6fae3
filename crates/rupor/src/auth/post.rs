//! Calls of an address of the site's: `POST` with JSON, signed, over connections that are kept. Redirects are not followed:
//! what is said there was signed for this address.

use super::signer::Signer;
use crate::cause::{NAME_AUTHORITY, causes, is_unknown_issuer};
use crate::config::Secret;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// A connection that was not used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// When this was signed, in seconds since 1970.
const TIMESTAMP: &str = "rupor-timestamp";
/// `v1=` and HMAC-SHA256 over timestamp, a full stop and body, in hexadecimal digits.
const SIGNATURE: &str = "rupor-signature";

/// What an address is called with.
#[derive(Debug)]
pub(crate) struct Target {
    /// `http` or `https`.
    pub(crate) url: http::Uri,
    /// What calls are signed with.
    pub(crate) key: Secret,
    /// How long a call may take.
    pub(crate) timeout: Duration,
    /// Calls at a time that have a connection kept for them.
    pub(crate) at_a_time: usize,
    /// Longest answer, in bytes.
    pub(crate) answer_bytes_max: usize,
    /// The table of the configuration, for what is told.
    pub(crate) table: &'static str,
}

/// Calls one address.
pub(crate) struct Post {
    target: Target,
    signer: Signer,
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no answer, and what to do.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    pub(crate) why: Why,
    text: String,
}

/// The same in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// There was none in time.
    Late,
    /// Nobody is there.
    Unreachable,
    /// It broke off, or is too long.
    Broken,
    /// It leads elsewhere.
    Redirect,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Post")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl Post {
    /// Nothing is called yet.
    pub(crate) fn new(target: Target) -> Self {
        let builder = HttpsConnectorBuilder::new();
        // Where the system has no roots, `https` fails by name at the first call; `http` does not need them.
        let builder = builder
            .with_native_roots()
            .unwrap_or_else(|_| HttpsConnectorBuilder::new().with_tls_config(without_roots()));
        let connector = builder.https_or_http().enable_http1().build();
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(target.at_a_time)
            .build(connector);
        Self {
            signer: Signer::new(&target.key),
            target,
            http,
        }
    }

    /// Calls once: the status that was answered, and the body.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn call(&self, body: Bytes) -> Result<(StatusCode, Vec<u8>), NoAnswer> {
        let Target {
            timeout: most,
            table,
            ..
        } = self.target;
        timeout(most, self.post(body)).await.unwrap_or_else(|_| {
            let text = format!(
                "the webhook did not answer within {} s ({table}.timeout)",
                most.as_secs()
            );
            Err(NoAnswer {
                why: Why::Late,
                text,
            })
        })
    }

    async fn post(&self, body: Bytes) -> Result<(StatusCode, Vec<u8>), NoAnswer> {
        let flag = self.target.table.replace('_', "-");
        let failed = |why, text| NoAnswer { why, text };
        let timestamp = super::now().as_secs();
        let signature = self.signature(timestamp, &body);
        let request = Request::post(self.target.url.clone())
            .header("content-type", "application/json")
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, signature)
            .body(Full::new(body))
            .map_err(|error| {
                failed(
                    Why::Unreachable,
                    format!("the webhook cannot be asked: {error}"),
                )
            })?;
        let response = self.http.request(request).await.map_err(|error| {
            let cause = causes(&error);
            let fix = if is_unknown_issuer(&error) {
                NAME_AUTHORITY.to_owned()
            } else {
                format!("start it, or name another address with --{flag}-url")
            };
            failed(
                Why::Unreachable,
                format!("the webhook cannot be reached: {cause}. Fix: {fix}"),
            )
        })?;
        let status = response.status();
        if status.is_redirection() {
            let fix = format!("Fix: name where it leads to with --{flag}-url");
            let text =
                format!("the webhook answers {status}, and redirects are not followed. {fix}");
            return Err(failed(Why::Redirect, text));
        }
        let most = self.target.answer_bytes_max;
        let body = Limited::new(response.into_body(), most).collect().await;
        let body = body.map_err(|error| {
            let text =
                format!("the webhook's answer broke off or is longer than {most} bytes: {error}");
            failed(Why::Broken, text)
        })?;
        Ok((status, body.to_bytes().to_vec()))
    }

    fn signature(&self, timestamp: u64, body: &[u8]) -> String {
        let mut signed = format!("{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        format!("v1={}", self.signer.sign(&signed))
    }
}

fn without_roots() -> rustls::ClientConfig {
    rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_hmac_sha256_over_time_and_body() {
        let post = Post::new(Target {
            url: http::Uri::from_static("http://127.0.0.1/"),
            key: Secret::new(*b"key"),
            timeout: Duration::from_secs(1),
            at_a_time: 1,
            answer_bytes_max: 1,
            table: "webhook",
        });
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let expected = "v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(post.signature(1_700_000_000, b"{}"), expected);
        assert_ne!(post.signature(1_700_000_001, b"{}"), expected);
    }
}
