//! `rupor doctor` asks by an upgrade request. When a plain request arrives instead, a proxy has taken the upgrade off, and
//! the answer says so.

use crate::auth::probe::{Arrived, PROBE_HEADER, Probes};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use rupor_server::RemoteAddr;
use std::sync::Arc;

/// Answers the questions of `rupor doctor` in front of `router`.
pub(crate) fn answering_probes(probes: Option<Arc<Probes>>, router: Router) -> Router {
    match probes {
        Some(probes) => router.layer(middleware::from_fn_with_state(probes, answer)),
        None => router,
    }
}

async fn answer(State(probes): State<Arc<Probes>>, request: Request, next: Next) -> Response {
    let remote = request.extensions().get::<RemoteAddr>();
    let answer = remote.and_then(|RemoteAddr(client)| {
        probes.answer(Arrived {
            headers: request.headers(),
            client: *client,
            secure: false,
            upgrade: false,
        })
    });
    let Some(Ok(answer)) = answer.map(|answer| HeaderValue::from_str(&answer)) else {
        return next.run(request).await;
    };
    let text = "this is no upgrade to a WebSocket any more\n";
    let mut response = (StatusCode::UPGRADE_REQUIRED, text).into_response();
    response.headers_mut().insert(PROBE_HEADER, answer);
    response
}
