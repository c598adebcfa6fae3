//! A client: prints what a server sends, or with `echo` sends it back.
//!
//! ```text
//! cargo run -p rupor-server --example client -- ws://127.0.0.1:9001/
//! cargo run -p rupor-server --example client -- wss://example.org/echo echo
//! ```
//!
//! A proxy is used if the environment names one (`https_proxy`, `http_proxy`, `no_proxy`). A program
//! of your own needs in its `Cargo.toml`:
//!
//! ```toml
//! rupor-server = { version = "0.1", features = ["client"] }
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to people"
)]

use std::error::Error;
use std::process::ExitCode;

use rupor_server::proto::{Config, Limits};
use rupor_server::{Client, Close, DeflateConfig, Message, WebSocketLimits};

/// Longest message that is taken, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(crate) async fn talk(url: &str, echo: bool) -> Result<Close, Box<dyn Error>> {
    // The default takes 64 KiB, which is much for a chat and little for a feed of data.
    let limits = Limits {
        message_bytes_max: MESSAGE_BYTES_MAX,
        ..Limits::default()
    };
    let limits = WebSocketLimits::with_protocol(Config {
        limits,
        ..Config::default()
    });
    let client = Client::new()
        .deflate(&DeflateConfig::default())
        .limits(&limits);

    let mut socket = client.connect(url).await?;
    while let Some(message) = socket.recv().await {
        if echo {
            // An error says that the connection is ending; `recv` says so too, and why.
            let _ = socket.send(&message).await;
            continue;
        }
        match message.as_message() {
            Message::Text(text) => println!("{}", text.escape_debug()),
            Message::Binary(bytes) => println!("({} bytes)", bytes.len()),
        }
    }
    socket.ended().cloned().ok_or("it has not ended".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (url, echo) = match &arguments[..] {
        [url] => (url, false),
        [url, how] if how == "echo" => (url, true),
        _ => {
            eprintln!("usage: client URL [echo]");
            return ExitCode::from(2);
        }
    };
    match talk(url, echo).await {
        Ok(close) => {
            eprintln!("closed: {} {}", close.code, close.reason);
            match close.error {
                None => ExitCode::SUCCESS,
                Some(error) => {
                    eprintln!("client: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::FAILURE
        }
    }
}
