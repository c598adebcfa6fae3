//! The site's way in by HTTP, on the port of the browsers.
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/publish` | the publish object of the lines, or an array of them → `{"ok":true,"connections":2}`, or an array of such |
//! | `POST /api/disconnect` | a target, perhaps `code` and `reason` → the same |
//! | `GET /api/users/{user}` | `{"user":"tester01","online":true,"connections":["…"]}` |
//! | `GET /api/channels/{channel}` | `{"channel":"news","subscribers":2}` |
//! | `GET /healthz`, `GET /readyz` | 200, and 503 for the second while the program ends or handlers fail to start; it names what is away |
//!
//! What is refused gets `{"ok":false,"error":"…","code":"…"}` and in this order: 421 a foreign `Host` ([`only_hosts`]),
//! 403 a foreign `Origin`, 401 no key or a wrong one, 404 and 405, 415 not JSON by its type, 413 too long, 408 too slow,
//! 400 not JSON, 422 a wrong object, 503 no room in a worker.
//!
//! An array is carried out as a whole or not at all as far as that can be told beforehand: if one object in it is wrong,
//! nothing is sent, and the others are answered `not_sent`.
//!
//! No answer carries a CORS header: pages of other origins may not read it, and cannot send it either.
//!
//! Start at [`router`].

mod guard;
mod probe;
mod reply;

pub(crate) use guard::only_hosts;
pub(crate) use probe::answering_probes;

use super::request::{self, Request};
use crate::auth::api_key::ApiKey;
use crate::auth::origin::Origins;
use crate::gateway::Gateway;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use reply::{Reply, Results};
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Says what is not as it should be though the program is ready, for `/readyz`.
pub(crate) type Troubles = Arc<dyn Fn() -> Vec<&'static str> + Send + Sync>;

/// What the API is made with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The bearer key; `None`: the API is off.
    pub(crate) key: Option<ApiKey>,
    /// Pages of which origins may call it, with the key.
    pub(crate) origins: Origins,
    /// Longest body, in bytes.
    pub(crate) body_bytes_max: usize,
    /// Most publications in one call.
    pub(crate) batch_max: usize,
}

/// What the handlers share.
#[derive(Debug)]
struct Api {
    gateway: Arc<Gateway>,
    settings: Settings,
}

/// `/api/…`, `/healthz` and `/readyz`, to be merged with what else is served. Not ready any more when `stopping` becomes
/// true, nor while handlers fail to start. What is in `with_key` is let through by the same key.
pub(crate) fn router(
    gateway: Arc<Gateway>,
    settings: Settings,
    with_key: Option<Router>,
    stopping: watch::Receiver<bool>,
    troubles: Troubles,
) -> Router {
    let health = health(Arc::clone(&gateway), stopping, troubles);
    let api = Arc::new(Api { gateway, settings });
    let guard = middleware::from_fn_with_state(Arc::clone(&api), guard::check);
    // A router without routes takes no layer for them.
    let with_key = with_key.map_or_else(Router::new, |router| router.route_layer(guard.clone()));
    Router::new()
        .route("/api/publish", post(publish))
        .route("/api/disconnect", post(disconnect))
        .route("/api/users/{user}", get(user))
        .route("/api/channels/{channel}", get(channel))
        .route("/api", any(nothing_here))
        .route("/api/", any(nothing_here))
        .route("/api/{*rest}", any(nothing_here))
        .method_not_allowed_fallback(wrong_method)
        .route_layer(guard)
        .with_state(api)
        .merge(with_key)
        .merge(health)
}

/// `/healthz` and `/readyz`.
fn health(gateway: Arc<Gateway>, stopping: watch::Receiver<bool>, troubles: Troubles) -> Router {
    let ready = async move || {
        let php = gateway.settings().php.iter();
        let failing: Vec<&str> = php
            .filter(|php| php.fails())
            .map(|php| php.pool())
            .collect();
        if *stopping.borrow() {
            return (StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned());
        }
        if !failing.is_empty() {
            let text = format!("handlers fail to start: {}\n", failing.join(" "));
            return (StatusCode::SERVICE_UNAVAILABLE, text);
        }
        let troubles = troubles();
        if troubles.is_empty() {
            return (StatusCode::OK, "ready\n".to_owned());
        }
        // Browsers are served, so nobody should take this program out of service for it.
        let text = format!("ready, but: {}\n", troubles.join("; "));
        (StatusCode::OK, text)
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
}

async fn nothing_here() -> Reply {
    Reply::error(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is /api/publish, /api/disconnect, /api/users/{user} and /api/channels/{channel}",
    )
}

async fn wrong_method() -> Reply {
    Reply::error(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "publish and disconnect are asked for by POST, users and channels by GET",
    )
}

async fn publish(State(api): State<Arc<Api>>, headers: HeaderMap, body: Body) -> Response {
    let body = match read_json(&api, &headers, body).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    if body.trim_ascii_start().first() != Some(&b'[') {
        let mut results = Results::default();
        match request::publish(&body) {
            Request {
                id,
                outcome: Ok(publication),
            } => {
                let receipts = api.gateway.publish(&[publication]).await;
                results.add_receipts(&[id], receipts);
            }
            Request {
                id,
                outcome: Err(error),
            } => results.add_wrong(&error, id.as_ref()),
        }
        return results.into_reply(false).into_response();
    }
    let objects: Vec<&RawValue> = match serde_json::from_slice(&body) {
        Ok(objects) => objects,
        Err(error) => {
            let text = format!("not JSON: {error}");
            return Reply::error(StatusCode::BAD_REQUEST, "bad_json", &text).into_response();
        }
    };
    if objects.len() > api.settings.batch_max {
        let max = api.settings.batch_max;
        let text = format!("at most {max} objects in one call (limits.publish_batch_max)");
        return Reply::error(StatusCode::UNPROCESSABLE_ENTITY, "bad_value", &text).into_response();
    }
    publish_all(&api, &objects).await.into_response()
}

async fn publish_all(api: &Api, objects: &[&RawValue]) -> Reply {
    let requests: Vec<_> = objects
        .iter()
        .map(|object| request::publish(object.get().as_bytes()))
        .collect();
    let mut results = Results::default();
    if requests.iter().any(|request| request.outcome.is_err()) {
        for Request { id, outcome } in requests {
            match outcome {
                Ok(_) => results.add_not_sent(id.as_ref()),
                Err(error) => results.add_wrong(&error, id.as_ref()),
            }
        }
        return results.into_reply(true);
    }
    let (ids, batch): (Vec<_>, Vec<_>) = requests
        .into_iter()
        .filter_map(|request| {
            request
                .outcome
                .ok()
                .map(|publication| (request.id, publication))
        })
        .unzip();
    let receipts = api.gateway.publish(&batch).await;
    results.add_receipts(&ids, receipts);
    results.into_reply(true)
}

async fn disconnect(State(api): State<Arc<Api>>, headers: HeaderMap, body: Body) -> Response {
    let body = match read_json(&api, &headers, body).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let mut results = Results::default();
    let Request { id, outcome } = request::disconnect(&body);
    match outcome {
        Ok(disconnect) => {
            let request::Disconnect {
                target,
                code,
                reason,
            } = disconnect;
            let closed = api.gateway.disconnect(target, code, &reason);
            results.add(closed, id.as_ref());
        }
        Err(error) => results.add_wrong(&error, id.as_ref()),
    }
    results.into_reply(false).into_response()
}

async fn user(
    State(api): State<Arc<Api>>,
    user: Result<Path<String>, PathRejection>,
) -> Result<Reply, Reply> {
    let Path(user) = user.map_err(|_| bad_name("a user's name in the path is UTF-8"))?;
    if !crate::auth::is_user_name(&user) {
        return Err(bad_name(
            "a user's name is 1 to 200 bytes without control characters",
        ));
    }
    let status = api.gateway.user(&user);
    let connections: Vec<String> = status.connections.iter().map(ToString::to_string).collect();
    let online = status.online();
    Ok(Reply::found(
        &json!({"user": user, "online": online, "connections": connections}),
    ))
}

async fn channel(
    State(api): State<Arc<Api>>,
    channel: Result<Path<String>, PathRejection>,
) -> Result<Reply, Reply> {
    let Path(channel) = channel.map_err(|_| bad_name("a channel's name in the path is UTF-8"))?;
    let bytes_max = api.gateway.settings().limits.channel_name_bytes_max;
    if !rupor_hub::is_channel_name(&channel, bytes_max) {
        return Err(bad_name(&rupor_hub::Refused::BadChannelName.to_string()));
    }
    let subscribers = api.gateway.channel(&channel).connections;
    Ok(Reply::found(
        &json!({"channel": channel, "subscribers": subscribers}),
    ))
}

fn bad_name(text: &str) -> Reply {
    Reply::error(StatusCode::UNPROCESSABLE_ENTITY, "bad_value", text)
}

/// The body of a request that says that it is JSON.
async fn read_json(api: &Api, headers: &HeaderMap, body: Body) -> Result<Bytes, Reply> {
    if !is_json(headers) {
        return Err(Reply::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body is JSON, uncompressed: send it with `Content-Type: application/json`",
        ));
    }
    let max = api.settings.body_bytes_max;
    let too_long = || {
        let text = format!("a body is at most {max} bytes (limits.publish_bytes_max)");
        Reply::error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", &text)
    };
    // What is announced as too long is not read at all.
    if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > max) {
        return Err(too_long());
    }
    match timeout(BODY_DEADLINE, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(Reply::error(
            StatusCode::BAD_REQUEST,
            "bad_body",
            "the body broke off",
        )),
        Err(_) => Err(Reply::error(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "the body did not arrive in 30 seconds",
        )),
    }
}

/// `application/json`, whatever its parameters, and not compressed.
fn is_json(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = text(header::CONTENT_TYPE).map(|value| {
        value
            .split_once(';')
            .map_or(value, |(media_type, _)| media_type)
            .trim()
    });
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    plain && media_type.is_some_and(|value| value.eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests;
