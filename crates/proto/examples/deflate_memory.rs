//! What context takeover costs a real server: opens many connections to an echo, lets each exchange
//! messages, every other connection's in between, and says how much more memory the server's process
//! has than before (Linux).
//!
//! ```sh
//! ulimit -n 20000        # here and where the server is started
//! rupor echo --listen 127.0.0.1:9001 &
//! cargo run --release --example deflate_memory -- 127.0.0.1:9001 $! 10000
//! cargo run --release --example deflate_memory -- 127.0.0.1:9001 $! 10000 plain
//! ```
#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it measures, and talks to people"
)]

mod messages;

use std::{
    env,
    error::Error,
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use messages::json;
use rupor_proto::{
    Config, Connection, DeflateConfig, DeflatePool, Event, Message, Time,
    handshake::ClientHandshake,
};

/// Messages that each connection sends and gets back.
const MESSAGES: usize = 20;
const START: Time = Time::from_millis(0);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, pid, count, flags @ ..] = &arguments[..] else {
        return Err("usage: deflate_memory HOST:PORT PID CONNECTIONS [plain]".into());
    };
    let deflate = !flags.iter().any(|flag| flag == "plain");
    let (count, before) = (count.parse()?, resident(pid)?);
    let mut peers = Vec::new();
    for _ in 0..count {
        peers.push(Peer::connect(address, deflate)?);
    }
    let opened = resident(pid)?;
    let (mut pool, mut plain, mut wire) = (DeflatePool::new(), 0, 0);
    for n in 0..MESSAGES {
        for (index, peer) in peers.iter_mut().enumerate() {
            let text = json(index, n);
            plain += text.len();
            wire += peer.exchange(&text, &mut pool)?;
        }
    }
    let each = |now: usize| now.saturating_sub(before) / count;
    println!(
        "{count} connections: {} bytes each when they were open, {} after {MESSAGES} messages each way; \
         frames of {:.3} of the messages' size",
        each(opened),
        each(resident(pid)?),
        wire as f64 / plain as f64
    );
    Ok(())
}

/// One connection of ours.
struct Peer {
    stream: TcpStream,
    connection: Connection,
}

impl Peer {
    /// Opens one that offers all of permessage-deflate, or nothing.
    fn connect(address: &str, deflate: bool) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut handshake = ClientHandshake::new(address, "/", [7; 16], &[], &[])?;
        if deflate {
            handshake = handshake.offer_deflate(&DeflateConfig {
                server_no_context_takeover: false,
                client_no_context_takeover: false,
                server_window_bits_max: 15,
                client_window_bits_max: 15,
                ..DeflateConfig::default()
            });
        }
        stream.write_all(handshake.request())?;
        // Nothing comes behind the answer: an echo says nothing first.
        let (mut head, mut piece) = (Vec::new(), [0; 2048]);
        let accepted = loop {
            let len = stream.read(&mut piece)?;
            head.extend_from_slice(piece.get(..len).unwrap_or_default());
            if let Some((accepted, _)) = handshake.receive(&head)? {
                break accepted;
            }
            if len == 0 {
                return Err("the connection ended inside the server's answer".into());
            }
        };
        let keys = Box::new(|| [1, 2, 3, 4]);
        let mut connection = Connection::client(Arc::new(Config::default()), START, 1, keys);
        match &accepted.deflate {
            Some(agreed) => connection = connection.with_deflate(agreed),
            None if deflate => return Err("the server does not compress".into()),
            None => {}
        }
        Ok(Self { stream, connection })
    }

    /// Sends a message and waits until it is back; how many bytes came.
    fn exchange(&mut self, text: &str, pool: &mut DeflatePool) -> Result<usize> {
        let (mut out, mut piece, mut wire) = (Vec::new(), [0; 2048], 0);
        self.connection
            .send_deflated(Message::Text(text), pool, &mut out)?;
        loop {
            self.stream.write_all(&out)?;
            out.clear();
            let len = self.stream.read(&mut piece)?;
            wire += len;
            let mut input = piece.get_mut(..len).unwrap_or_default();
            while let Some(event) = self
                .connection
                .receive_with(pool, &mut input, START, &mut out)
            {
                match event {
                    Event::Message(it) if it.as_message() == Message::Text(text) => {
                        return Ok(wire);
                    }
                    Event::Ping(_) | Event::Pong(_) => {}
                    Event::Message(_) => return Err("another message came back".into()),
                    Event::Closed(close) => return Err(format!("closed: {close:?}").into()),
                }
            }
            if len == 0 {
                return Err("the server ended the connection".into());
            }
        }
    }
}

/// Bytes that a process has in memory.
fn resident(pid: &str) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: usize = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmRSS")?
        .parse()?;
    Ok(kib * 1024)
}
