//! One call of the HTTP API. Redirects are not followed: the key would travel with them.

use super::{ANSWER_BYTES_MAX, ANSWER_DEADLINE, Failure};
use crate::cli::url::{Address, TlsArgs};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

/// The path, where the URL names none.
const PUBLISH: &str = "/api/publish";

/// Posts `body` and gives the answer's body.
pub(super) fn publish(
    url: &str,
    key: Option<&str>,
    tls: &TlsArgs,
    body: String,
) -> Result<String, Failure> {
    let no_answer = |problem: String| Failure::NoAnswer {
        place: url.to_owned(),
        problem,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| no_answer(error.to_string()))?;
    runtime.block_on(async {
        match timeout(ANSWER_DEADLINE, call(url, key, tls, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(no_answer(format!(
                "no answer in {} s",
                ANSWER_DEADLINE.as_secs()
            ))),
        }
    })
}

async fn call(
    url: &str,
    key: Option<&str>,
    tls: &TlsArgs,
    body: String,
) -> Result<String, Failure> {
    let no_answer = |problem: String| Failure::NoAnswer {
        place: url.to_owned(),
        problem,
    };
    let address = Address::parse(url, "http", "http://127.0.0.1:8000 or https://example.org")
        .map_err(Failure::Connect)?;
    let target = match address.target.as_str() {
        "/" => PUBLISH,
        other => other,
    };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(HOST, &address.host_header)
        .header(CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    // The only part that can be wrong here is the key; the error does not repeat it.
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| no_answer("the key cannot stand in a header".to_owned()))?;
    let stream = address.connect(tls).await.map_err(Failure::Connect)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| no_answer(error.to_string()))?;
    // It ends with the runtime; what goes wrong with it shows in the answer.
    tokio::spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| no_answer(error.to_string()))?;
    let status = response.status();
    let bytes_max = usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX);
    let body = Limited::new(response.into_body(), bytes_max)
        .collect()
        .await
        .map_err(|error| no_answer(error.to_string()))?
        .to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    if text.starts_with('{') {
        Ok(text)
    } else {
        Err(no_answer(format!("status {status}")))
    }
}
