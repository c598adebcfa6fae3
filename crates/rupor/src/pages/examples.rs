//! The pages of the examples in PHP, at `/demo/…/`: as they are in `examples/`, or why they cannot be had.
//!
//! An example's page connects to its own address; what answers there is its handlers.

use super::{ASSET_POLICY, Asset, CSS, HTML, JS, page_policy, revalidated, secured, with_assets};
use crate::demo;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;

/// An example's page, and what it refers to.
pub(super) struct Page {
    pub(super) path: &'static str,
    pub(super) html: &'static str,
    pub(super) assets: &'static [Asset],
}

macro_rules! file {
    ($example:literal, $name:literal, $content_type:expr) => {
        Asset {
            path: concat!("/demo/", $example, "/", $name),
            content_type: $content_type,
            body: include_bytes!(concat!("../../demo/", $example, "/", $name)),
        }
    };
}

/// Where the page connects to is another place than in `examples/`.
macro_rules! gateway {
    ($example:literal) => {
        Asset {
            path: concat!("/demo/", $example, "/gateway.js"),
            content_type: JS,
            body: include_bytes!("../../pages/gateway.js"),
        }
    };
}

pub(super) const PAGES: &[Page] = &[
    Page {
        path: demo::CHAT,
        html: include_str!("../../demo/chat/index.html"),
        assets: &[
            gateway!("chat"),
            file!("chat", "style.css", CSS),
            file!("chat", "chat.js", JS),
        ],
    },
    Page {
        path: demo::TANKS,
        html: include_str!("../../demo/tanks/index.html"),
        assets: &[
            gateway!("tanks"),
            file!("tanks", "style.css", CSS),
            file!("tanks", "tanks.css", CSS),
            file!("tanks", "draw.js", JS),
            file!("tanks", "tanks.js", JS),
        ],
    },
];

const LACK_HTML: &str = include_str!("../../pages/no-php.html");
/// Where it says what is missing.
const LACK_MARK: &str = "replaced by the server";
/// It is read, and no more.
const LACK_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// The examples; `lack`: why there are none.
pub(super) fn router(lack: Option<&demo::Lack>) -> Router {
    let lack = lack.map(lack_html);
    PAGES.iter().fold(Router::new(), |router, page| {
        router.merge(one(page, lack.clone()))
    })
}

fn one(page: &'static Page, lack: Option<Bytes>) -> Router {
    let folder = page.path;
    let router = Router::new().route(
        folder.trim_end_matches('/'),
        get(async || Redirect::permanent(folder)),
    );
    let answer = async move |headers: HeaderMap| match lack {
        Some(html) => lacking(html),
        None => whole(page, &headers),
    };
    secured(with_assets(router.route(folder, get(answer)), page.assets))
}

fn whole(page: &Page, request: &HeaderMap) -> Response {
    let host = request.get(HOST).and_then(|value| value.to_str().ok());
    // Their icons are in them.
    let policy = page_policy(host.unwrap_or_default(), "data:");
    let mut response = revalidated(request, HTML, Bytes::from_static(page.html.as_bytes()));
    let policy =
        HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static(ASSET_POLICY));
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn lacking(html: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, HTML),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, LACK_POLICY),
    ];
    (StatusCode::SERVICE_UNAVAILABLE, headers, html).into_response()
}

fn lack_html(lack: &demo::Lack) -> Bytes {
    let escaped = lack
        .to_string()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    Bytes::from(LACK_HTML.replacen(LACK_MARK, &escaped, 1))
}
