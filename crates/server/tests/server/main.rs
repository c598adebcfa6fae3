//! The whole server over real sockets, asked by a client that shares no code with it.
//!
//! No test here waits for a time to pass: what must not come is shown by something that was sent
//! later and came.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure is the test's failure"
)]

mod carrying;
mod deflate;
mod ending;
mod faults;
mod http;
mod http2;
mod opening;
mod proxies;
mod tls;
mod upgrades;

use std::net::TcpStream;
use std::sync::Mutex;

use rupor_server::{
    Close, CloseCode, Connection, ConnectionId, Frame, Handle, Handler, Limits, Message, Running,
    Server, UpgradeRequest,
};
use rupor_testkit::{Client, Opening};

/// A handler that the tests talk to: a word is a command, anything else is echoed.
#[derive(Debug)]
struct Talk;

/// What happened on any worker.
static CLOSED: Mutex<Vec<(ConnectionId, CloseCode)>> = Mutex::new(Vec::new());

impl Handler for Talk {
    type Admission = UpgradeRequest;
    type State = ();

    fn on_open(&mut self, connection: &mut Connection<'_>, request: UpgradeRequest) {
        if request.path() == "/id" {
            connection.send_text(&connection.id().to_string()).unwrap();
        }
        if let Some(topics) = request.query() {
            for topic in topics.split('&') {
                connection.subscribe(&topic.into());
            }
        }
    }

    fn on_message(&mut self, connection: &mut Connection<'_>, (): &mut (), message: Message<'_>) {
        let Message::Text(text) = message else {
            let _ = connection.send(message);
            return;
        };
        match text.split_once(' ').unwrap_or((text, "")) {
            ("panic", _) => panic!("asked for"),
            ("close", reason) => connection.close(4000.into(), reason),
            ("subscribe", topic) => {
                let done = connection.subscribe(&topic.into());
                connection.send_text(&done.to_string()).unwrap();
            }
            ("publish", rest) => {
                let (topic, text) = rest.split_once(' ').unwrap();
                let frame = Frame::new(Message::Text(text));
                connection.publish(&topic.into(), &frame).unwrap();
            }
            ("uncompressed", text) => connection.send_uncompressed(Message::Text(text)).unwrap(),
            ("flood", bytes) => {
                let text = "f".repeat(bytes.parse().unwrap());
                let _ = connection.send_text(&text);
            }
            _ => {
                let _ = connection.send(message);
            }
        }
    }

    fn on_close(&mut self, connection: &mut Connection<'_>, (): (), close: &Close) {
        CLOSED.lock().unwrap().push((connection.id(), close.code));
    }
}

/// Ends its server when dropped, and waits for that.
struct Up(Option<Running>);

impl Up {
    fn of(running: Running) -> Self {
        Self(Some(running))
    }

    fn running(&self) -> &Running {
        self.0.as_ref().unwrap()
    }

    fn address(&self) -> std::net::SocketAddr {
        self.running().addresses()[0]
    }

    fn handle(&self) -> &Handle {
        self.running().handle()
    }

    fn connect(&self, target: &str) -> Client {
        Client::connect(self.address(), target)
    }

    fn opening(&self, target: &str) -> Opening {
        Opening::new(self.address(), target)
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream
            .set_read_timeout(Some(rupor_testkit::DEADLINE))
            .unwrap();
        stream
    }

    /// A connection and its id.
    fn connect_with_id(&self, query: &str) -> (Client, ConnectionId) {
        let mut client = self.connect(&format!("/id{query}"));
        let id = client.receive_text().parse().unwrap();
        (client, id)
    }

    fn refused(&self, label: &str) -> u64 {
        let stats = self.handle().stats();
        stats
            .refused
            .iter()
            .find(|(reason, _)| reason.label() == label)
            .unwrap()
            .1
    }

    fn dropped(&self, label: &str) -> u64 {
        let stats = self.handle().stats();
        stats
            .dropped
            .iter()
            .find(|(reason, _)| reason.label() == label)
            .unwrap()
            .1
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.handle().stop();
            running.wait();
        }
    }
}

fn server(limits: Limits) -> Server<Talk> {
    Server::new(|_, _| Talk).workers(2).limits(limits)
}

fn up(limits: Limits) -> Up {
    Up::of(
        server(limits)
            .listen("127.0.0.1:0")
            .unwrap()
            .start()
            .unwrap(),
    )
}

fn text(text: &str) -> Frame {
    Frame::new(Message::Text(text))
}
