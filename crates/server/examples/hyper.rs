//! An echo server beside a page, on plain hyper: no router, no framework.
//!
//! ```text
//! cargo run -p rupor-server --example hyper            # or: -- 0.0.0.0:9003
//! ```
//!
//! Then open <http://127.0.0.1:9003/>.

use std::convert::Infallible;
use std::error::Error;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rupor_server::{DeflateConfig, Upgraded, WebSocket, WebSocketUpgrade};
use tokio::net::TcpListener;

const PAGE: &str = r#"<!doctype html><title>Echo</title>
<input placeholder="say something" onchange="ws.send(value)"><ul id="list"></ul>
<script>
  const ws = new WebSocket(`ws://${location.host}/echo`);
  ws.onmessage = (event) => list.append(Object.assign(document.createElement("li"), { textContent: event.data }));
</script>
"#;

async fn answer(mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    if request.uri().path() != "/echo" {
        let mut page = Response::new(PAGE.to_owned());
        let html = http::HeaderValue::from_static("text/html; charset=utf-8");
        page.headers_mut().insert("content-type", html);
        return Ok(page);
    }
    Ok(match WebSocketUpgrade::from_request(&mut request) {
        Ok(upgrade) => upgrade.deflate(&DeflateConfig::default()).on_upgrade(echo),
        Err(refusal) => refusal.into_response(),
    })
}

async fn echo(mut socket: WebSocket<Upgraded>) {
    while let Some(message) = socket.recv().await {
        // An error says that the connection is ending; the next `recv` says so too.
        let _ = socket.send(&message).await;
    }
}

pub(crate) async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .with_upgrades();
        // A connection that breaks off is no failure of the server.
        tokio::spawn(connection);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9003".to_owned());
    serve(TcpListener::bind(address).await?).await
}
