//! Who may call the API at all: `Host`, `Origin` and the key, before anything of the request is looked at.

use super::Api;
use super::reply::Reply;
use crate::auth::origin::Hosts;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Serves `router` only under these hosts' names: 421 otherwise (A-DR).
pub(crate) fn only_hosts(hosts: Hosts, router: Router) -> Router {
    if hosts == Hosts::Any {
        return router;
    }
    router.layer(middleware::from_fn_with_state(hosts, check_host))
}

async fn check_host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut names = request.headers().get_all(header::HOST).iter();
    let host = names.next().and_then(|host| host.to_str().ok());
    // `GET http://host/ HTTP/1.1` names a host too, and then it is that one (RFC 9112 §3.2.2).
    let target_host = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let allowed = names.next().is_none()
        && hosts.allow(host)
        && target_host.is_none_or(|host| hosts.allow(Some(host)));
    if allowed {
        return next.run(request).await;
    }
    Reply::error(
        StatusCode::MISDIRECTED_REQUEST,
        "foreign_host",
        "this server answers under localhost and 127.0.0.1 only",
    )
    .into_response()
}

/// Lets a request with the key through.
pub(super) async fn check(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match allowed(&api, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

fn allowed(api: &Api, headers: &HeaderMap) -> Result<(), Reply> {
    // Whether TLS was spoken is not known here; with the key asked for, too, that makes no difference.
    api.settings
        .origins
        .check(headers, false)
        .map_err(|error| {
            Reply::error(StatusCode::FORBIDDEN, "foreign_origin", &error.to_string())
        })?;
    let Some(key) = &api.settings.key else {
        return Err(Reply::error(
            StatusCode::NOT_FOUND,
            "api_off",
            "the HTTP API is off: set `api_key` to turn it on",
        ));
    };
    match bearer(headers) {
        Some(shown) if key.is(shown) => Ok(()),
        Some(_) => Err(unauthorized(
            "wrong_key",
            "that is not the key",
            r#"Bearer realm="rupor", error="invalid_token""#,
        )),
        None => Err(unauthorized(
            "no_key",
            "the key is needed: `Authorization: Bearer KEY`",
            r#"Bearer realm="rupor""#,
        )),
    }
}

fn unauthorized(code: &'static str, text: &str, challenge: &'static str) -> Reply {
    Reply::error(StatusCode::UNAUTHORIZED, code, text).with(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}

/// The token of the only `Authorization: Bearer` header (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}
