//! Upgrades of programs that speak HTTP with hyper and axum, asked by a client that shares no code
//! with them, over real connections.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure is the test's failure"
)]

mod agreed;
mod rules;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream};

use axum::Router;
use axum::routing::any;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rupor_server::{DeflateConfig, Upgraded, WebSocket, WebSocketLimits, WebSocketUpgrade};
use rupor_testkit::{DEADLINE, Opening};
use tokio::net::TcpListener;

/// Who parses the request.
#[derive(Debug, Clone, Copy)]
enum Parser {
    Hyper,
    Axum,
}

const PARSERS: [Parser; 2] = [Parser::Hyper, Parser::Axum];

/// What the servers here agree to.
type Agree = fn(WebSocketUpgrade) -> WebSocketUpgrade;

/// Starts an echo server, which runs until the test program ends.
fn serve(parser: Parser, agree: Agree) -> SocketAddr {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            match parser {
                Parser::Hyper => serve_hyper(listener, agree).await,
                Parser::Axum => serve_axum(listener, agree).await,
            }
        });
    });
    address
}

async fn serve_hyper(listener: TcpListener, agree: Agree) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |mut request: Request<Incoming>| async move {
            let response: Response<String> = match WebSocketUpgrade::from_request(&mut request) {
                Ok(upgrade) => agree(upgrade).on_upgrade(echo),
                Err(refusal) => refusal.into_response(),
            };
            Ok::<_, Infallible>(response)
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection.with_upgrades());
    }
}

async fn serve_axum(listener: TcpListener, agree: Agree) {
    let handler = move |upgrade: WebSocketUpgrade| async move { agree(upgrade).on_upgrade(echo) };
    let application: Router = Router::new().fallback(any(handler));
    axum::serve(listener, application).await.unwrap();
}

async fn echo(mut socket: WebSocket<Upgraded>) {
    while let Some(message) = socket.recv().await {
        match message.as_text() {
            Some("close") => drop(socket.close(4001, "as asked").await),
            Some("drop") => return,
            _ => drop(socket.send(&message).await),
        }
    }
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}
