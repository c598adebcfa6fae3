//! An echo server on axum, as its documentation has it: what many Rust programs run.

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use axum::serve::ListenerExt as _;
use std::error::Error;
use tokio::net::TcpListener;

async fn echo(mut connection: WebSocket) {
    while let Some(Ok(message)) = connection.recv().await {
        let sent = match message {
            Message::Text(_) | Message::Binary(_) => connection.send(message).await,
            _ => Ok(()),
        };
        if sent.is_err() {
            // The generator reports it.
            return;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: PORT")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let upgrade = |upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) };
        axum::serve(listener, Router::new().route("/", any(upgrade))).await?;
        Ok(())
    })
}
