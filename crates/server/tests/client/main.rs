//! The client against servers: ours over TCP and TLS, ones that a proxy stands before, and ones that
//! misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure is the test's failure"
)]

mod answers;
mod proxies;
mod servers;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rupor_server::{
    Admit, Admitted, Client, ClientTimeouts, ConnectError, Connection, DeflateConfig, Handler,
    Message, OpenError, ProxyError, ReachError, Refusal, Running, Server, UpgradeRequest,
    WebSocket,
};
use rupor_testkit::DEADLINE;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A client that no environment of whoever runs the tests has a say in.
fn plain() -> Client {
    Client::new().without_proxy()
}

/// Waits, but not for ever.
async fn soon<F: Future>(what: F) -> F::Output {
    timeout(DEADLINE, what).await.unwrap()
}

/// Sends a text and has it back.
async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocket<S>, text: &str) {
    socket.send(text).await.unwrap();
    let message = soon(socket.recv()).await.unwrap();
    assert_eq!(message.as_text(), Some(text));
}

/// Reads a request head to its empty line.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

struct Echo;

impl Handler for Echo {
    type Admission = ();
    type State = ();

    fn on_open(&mut self, connection: &mut Connection<'_>, (): ()) {
        let _ = connection.send(Message::Text("welcome"));
    }

    fn on_message(&mut self, connection: &mut Connection<'_>, (): &mut (), message: Message<'_>) {
        let _ = connection.send(message);
    }
}

/// Takes whoever asks for `/`, with the first subprotocol offered, and keeps what was asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<UpgradeRequest>>>);

impl Admit for Asked {
    type Admission = ();

    async fn admit(&self, request: UpgradeRequest) -> Result<Admitted<()>, Refusal> {
        let first = request.subprotocols.first().cloned();
        let refused = request.path() == "/refused";
        self.0.lock().unwrap().push(request);
        if refused {
            return Err(Refusal::new(403, "you are not on the list"));
        }
        Ok(Admitted::new(()).subprotocol(first))
    }
}
