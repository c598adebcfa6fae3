//! A chat in an axum application: a page and a WebSocket on one router.
//!
//! ```text
//! cargo run -p rupor-server --example axum            # or: -- 0.0.0.0:9004
//! ```
//!
//! Then open <http://127.0.0.1:9004/> in two windows. A program of your own needs in its
//! `Cargo.toml`:
//!
//! ```toml
//! rupor-server = { version = "0.1", features = ["axum"] }
//! ```

use std::error::Error;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use rupor_server::{DeflateConfig, Upgraded, WebSocket, WebSocketUpgrade};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// Messages that one who reads slowly may be behind. Beyond, he misses the oldest.
const BEHIND_MAX: usize = 64;

const PAGE: &str = r#"<!doctype html><title>Chat</title>
<input placeholder="say something" onchange="ws.send(value); value = ''"><ul id="list"></ul>
<script>
  const ws = new WebSocket(`ws://${location.host}/chat`);
  ws.onmessage = (event) => list.append(Object.assign(document.createElement("li"), { textContent: event.data }));
</script>
"#;

/// Where all that is said goes.
type Chat = broadcast::Sender<String>;

pub(crate) fn application(origins: Vec<String>) -> Router {
    let (chat, _) = broadcast::channel(BEHIND_MAX);
    let enter = |State(chat): State<Chat>, upgrade: WebSocketUpgrade| async move {
        enter(chat, upgrade, &origins)
    };
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/chat", get(enter))
        .with_state(chat)
}

fn enter(chat: Chat, upgrade: WebSocketUpgrade, origins: &[String]) -> Response {
    upgrade
        // Without this any page that a visitor has open could speak in his name.
        .origins(origins)
        .deflate(&DeflateConfig::default())
        .on_upgrade(|socket| talk(socket, chat))
        .into_response()
}

async fn talk(mut socket: WebSocket<Upgraded>, chat: Chat) {
    let mut said = chat.subscribe();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                // The one who speaks is among those who listen.
                Some(message) => {
                    let _ = chat.send(message.as_text().unwrap_or("(bytes)").to_owned());
                }
                None => return,
            },
            text = said.recv() => {
                let text = text.unwrap_or_else(|_| "(you missed something)".to_owned());
                // An error says that the connection is ending; `recv` says so too.
                let _ = socket.send(text.as_str()).await;
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9004".to_owned());
    let listener = TcpListener::bind(&address).await?;
    let application = application(vec![format!("http://{address}")]);
    Ok(axum::serve(listener, application).await?)
}
