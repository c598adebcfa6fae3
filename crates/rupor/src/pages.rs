//! The pages that the program serves, embedded in it: the start page of demo mode and the test
//! console.
//!
//! Owns `crates/rupor/pages/`: hand-written HTML, CSS and ES modules with no build step. Start at
//! [`router`] (demo mode) or [`console_router`] (the console alone). Invariants:
//!
//! - The examples in PHP come as they are in `examples/` ([`examples`]).
//! - No page loads anything from another origin, and none has an inline script or style: the
//!   `Content-Security-Policy` forbids both, and Trusted Types forbid writing markup from text.
//! - Only the start page carries a secret, the demo key. It is never stored by a cache, and it is
//!   served only to a `Host` that cannot be a foreign name resolved to us (DNS rebinding): an
//!   address, or `localhost`.
//! - Everything else is the same bytes for everybody, has a strong `ETag` and is revalidated on
//!   each use, so a page and its modules are always those of one build.

mod examples;

use crate::config::{self, InletAddress, Secret};
use crate::demo::Lack;
use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use std::hash::{DefaultHasher, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// What the start page of demo mode shows besides its own address, which the browser knows.
#[derive(Debug, Clone)]
pub(crate) struct DemoPage {
    /// The bearer key of the HTTP API. The page shows it: demo mode trusts whoever can reach it.
    pub(crate) api_key: Secret,
    /// Where lines come in, as bound (no port 0).
    pub(crate) inlets: Vec<InletAddress>,
    /// Why the examples in PHP are not there, if they are not.
    pub(crate) lack: Option<Lack>,
}

/// A file of `crates/rupor/pages/` or of an example, as it is served.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $content_type:expr) => {
        Asset {
            path: concat!("/assets/", $name),
            content_type: $content_type,
            body: include_bytes!(concat!("../pages/", $name)),
        }
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// What the start page alone refers to.
const DEMO_ASSETS: &[Asset] = &[
    asset!("demo.js", JS),
    asset!("chat.js", JS),
    asset!("reconnect.js", JS),
    asset!("snippets.js", JS),
];

/// What the console refers to; the start page shares the style, the mark and the clipboard module.
const CONSOLE_ASSETS: &[Asset] = &[
    asset!("rupor.css", CSS),
    asset!("mark.svg", SVG),
    asset!("copy.js", JS),
    asset!("console.js", JS),
    asset!("console-log.js", JS),
    asset!("close-codes.js", JS),
    asset!("ping.js", JS),
];

const CONSOLE_HTML: &str = include_str!("../pages/console.html");
const DEMO_HTML: &str = include_str!("../pages/demo.html");
/// Where `demo.html` takes its settings: the text of a JSON data block, which no browser runs.
const SETTINGS_MARK: &str = "{\"replaced\":\"by the server\"}";

/// The console goes to any WebSocket server that its user names, and nowhere else.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";
/// For what is not a page.
const ASSET_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The console's way to the start page, which only demo mode has.
const START_LINK: &str = "<li><a href=\"/\">Start</a></li>";

/// `/`, `/console`, the examples and what they refer to: demo mode.
pub(crate) fn router(settings: DemoPage) -> Router {
    let page = DEMO_HTML.replacen(SETTINGS_MARK, &embedded_json(&settings), 1);
    let start = Router::new()
        .route("/", get(start_page))
        .with_state(Arc::<str>::from(page));
    secured(with_assets(start, DEMO_ASSETS))
        .merge(examples::router(settings.lack.as_ref()))
        .merge(console(Bytes::from_static(CONSOLE_HTML.as_bytes())))
}

/// `/console` and what it refers to, without a start page: any mode that serves pages.
pub(crate) fn console_router() -> Router {
    console(Bytes::from(console_alone()))
}

fn console_alone() -> String {
    CONSOLE_HTML
        .replace(START_LINK, "")
        .replace("href=\"/\"", "href=\"/console\"")
}

fn console(page: Bytes) -> Router {
    let answer = async move |headers: HeaderMap| {
        let mut response = revalidated(&headers, HTML, page);
        response.headers_mut().insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONSOLE_POLICY),
        );
        response
    };
    let console = Router::new()
        .route("/console", get(answer))
        // Browsers ask for this one unasked; the pages name the mark themselves.
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT));
    secured(with_assets(console, CONSOLE_ASSETS))
}

fn with_assets(mut router: Router, assets: &'static [Asset]) -> Router {
    for asset in assets {
        router = router.route(
            asset.path,
            get(move |headers: HeaderMap| async move {
                revalidated(&headers, asset.content_type, Bytes::from_static(asset.body))
            }),
        );
    }
    router
}

/// The start page, with the demo key in it.
async fn start_page(State(page): State<Arc<str>>, headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    let Some(host) = host.filter(|host| is_own_host(host)) else {
        let why = "This page is served under an address or localhost only: \
                   a foreign host name could belong to a page that wants its key.\n";
        return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
    };
    let mut response = page.to_string().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&page_policy(host, "")) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The page talks to this server only. Not every browser lets `'self'` stand for `ws://` of the
/// same host, so the host is named, unless it is an IPv6 address: a CSP source cannot spell one.
/// `images`: where images come from besides this server.
fn page_policy(host: &str, images: &str) -> String {
    let sockets = if host.starts_with('[') || !is_own_host(host) {
        String::new()
    } else {
        format!(" ws://{host} wss://{host}")
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {images}; \
         connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// Is this `Host` ours whatever a name server says: an IP address or `localhost`, with or without a
/// port?
fn is_own_host(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let address = host.parse::<SocketAddr>().is_ok()
        || host.parse::<Ipv4Addr>().is_ok()
        || bracketed.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    address || (name.eq_ignore_ascii_case("localhost") && digits && port.parse::<u16>().is_ok())
}

/// The start page's settings as JSON that may stand in a `<script>` element: nothing in it can end
/// the element or open a comment.
fn embedded_json(settings: &DemoPage) -> String {
    let inlets: Vec<_> = settings.inlets.iter().map(inlet_json).collect();
    let json = serde_json::json!({
        "apiKey": String::from_utf8_lossy(settings.api_key.expose()),
        "inlets": inlets,
        "lack": settings.lack.as_ref().map(ToString::to_string),
    });
    json.to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

fn inlet_json(inlet: &InletAddress) -> serde_json::Value {
    match inlet {
        InletAddress::Tcp(address) => {
            // The site's scripts run on this machine.
            let host = config::reachable(address.ip()).to_string();
            serde_json::json!({ "kind": "tcp", "host": host, "port": address.port() })
        }
        InletAddress::Unix(path) => {
            serde_json::json!({ "kind": "unix", "path": path.to_string_lossy() })
        }
    }
}

/// Embedded bytes with a strong `ETag`; 304 when the browser has them.
fn revalidated(request: &HeaderMap, content_type: &'static str, body: Bytes) -> Response {
    let mut hasher = DefaultHasher::new();
    hasher.write(&body);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let known = request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| matches!(known.trim(), "*") || known.trim().trim_start_matches("W/") == tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        body.into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// Adds the headers that every answer of a page or an asset carries, a refusal too.
fn secured(router: Router) -> Router {
    router.layer(map_response(async |mut response: Response| {
        let headers = response.headers_mut();
        if !headers.contains_key(CONTENT_SECURITY_POLICY) {
            headers.insert(
                CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(ASSET_POLICY),
            );
        }
        for (name, value) in [
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (X_FRAME_OPTIONS, "DENY"),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
            // Together with the line above: a clock fine enough for the console's round trips.
            (
                HeaderName::from_static("cross-origin-embedder-policy"),
                "require-corp",
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }))
}

#[cfg(test)]
mod tests;
