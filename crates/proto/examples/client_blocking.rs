//! A client over a blocking socket: what a program has to bring along for rupor-proto in the client
//! role is in `Client`. It prints the messages that come until the server closes; with `echo` it
//! sends each of them back instead, which is what a conformance suite's server mode asks for. With
//! `alone` it offers to compress each message on its own, else with what it has sent before.
//!
//! ```sh
//! cargo run --example client_blocking -- 127.0.0.1:8000 '/?user=tester01'
//! cargo run --example client_blocking -- 127.0.0.1:9001 '/runCase?case=1&agent=rupor' echo
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to people"
)]

use std::{
    env,
    error::Error,
    hash::{BuildHasher, RandomState},
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use rupor_proto::{
    Close, Config, Connection, DeflateConfig, DeflatePool, Event, Limits, Message, State, Time,
    handshake::{Accepted, ClientHandshake},
};

/// How long the server may take to answer the request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server that said goodbye may take to end the TCP connection.
const END_TIMEOUT: Duration = Duration::from_secs(2);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, target, flags @ ..] = &arguments[..] else {
        return Err("usage: client_blocking HOST:PORT TARGET [echo] [alone]".into());
    };
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    let echo = has("echo");
    let mut client = Client::connect(address, target, &all_compression(has("alone")))?;
    if let Some(agreed) = &client.accepted.deflate {
        eprintln!("compressed: {agreed:?}");
    }
    let close = client.run(|message| match message {
        _ if echo => true,
        Message::Text(text) => {
            println!("{text}");
            false
        }
        Message::Binary(bytes) => {
            println!("({} bytes)", bytes.len());
            false
        }
    })?;
    eprintln!("closed: {} {}", close.code, close.reason);
    close.error.map_or(Ok(()), |error| Err(error.into()))
}

/// One connection with all that it needs around the state machine.
struct Client {
    stream: TcpStream,
    connection: Connection,
    /// What compresses and inflates; a program with many connections has one a thread.
    pool: DeflatePool,
    accepted: Accepted,
    /// What came behind the server's answer: frames already.
    first: Vec<u8>,
    epoch: Instant,
}

impl Client {
    fn connect(address: &str, target: &str, compression: &DeflateConfig) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut nonce = [0; 16];
        for bytes in nonce.chunks_mut(8) {
            bytes.copy_from_slice(&random());
        }
        let mut handshake =
            ClientHandshake::new(address, target, nonce, &[], &[])?.offer_deflate(compression);
        stream.write_all(handshake.request())?;
        let (accepted, first) = read_answer(&mut stream, &mut handshake)?;

        let keys = Box::new(|| {
            let [a, b, c, d, ..] = random();
            [a, b, c, d]
        });
        let (start, seed) = (Time::from_millis(0), u64::from_le_bytes(random()));
        let mut connection = Connection::client(Arc::new(wide()), start, seed, keys);
        if let Some(agreed) = &accepted.deflate {
            connection = connection.with_deflate(agreed);
        }
        Ok(Self {
            stream,
            connection,
            pool: DeflatePool::new(),
            accepted,
            first,
            epoch: Instant::now(),
        })
    }

    /// Gives each message to `handle`, which says whether to send it back, until the end.
    fn run(&mut self, mut handle: impl FnMut(Message<'_>) -> bool) -> Result<Close> {
        let (mut buffer, mut out) = (vec![0; 64 * 1024], Vec::new());
        let mut first = std::mem::take(&mut self.first);
        let mut close = self.take(&mut first, &mut handle, &mut out)?;
        while self.connection.state() != State::Closed {
            // A server that has closed already may refuse what is still sent to it; how it ended
            // stands in what is still to be read.
            drop(self.stream.write_all(&out));
            out.clear();
            let wait = self.connection.poll_timeout();
            let wait = wait.map(|due| due.saturating_since(self.now()).max(1));
            self.stream
                .set_read_timeout(wait.map(Duration::from_millis))?;
            let ended = match self.stream.read(&mut buffer) {
                Ok(0) => true,
                Ok(len) => {
                    close = self.take(&mut buffer[..len], &mut handle, &mut out)?;
                    false
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => false,
                    ErrorKind::ConnectionReset => true,
                    _ => return Err(error.into()),
                },
            };
            let now = self.now();
            let event = if ended {
                self.connection.receive_eof(now)
            } else {
                self.connection.handle_timeout(now, &mut out)
            };
            if let Some(Event::Closed(end)) = event {
                close = Some(end);
            }
        }
        drop(self.stream.write_all(&out));
        // The server ends the TCP connection, the client waits for that (RFC 6455 §7.1.1).
        self.stream.set_read_timeout(Some(END_TIMEOUT))?;
        while self.stream.read(&mut buffer).is_ok_and(|len| len > 0) {}
        close.ok_or_else(|| "the connection did not say how it ended".into())
    }

    /// Takes `input` apart; how the connection ended, if it did.
    fn take(
        &mut self,
        mut input: &mut [u8],
        handle: &mut impl FnMut(Message<'_>) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<Close>> {
        let now = self.now();
        while let Some(event) = self
            .connection
            .receive_with(&mut self.pool, &mut input, now, out)
        {
            match event {
                Event::Message(message) => {
                    let message = message.as_message();
                    if handle(message) {
                        self.connection
                            .send_deflated(message, &mut self.pool, out)?;
                    }
                }
                Event::Closed(close) => return Ok(Some(close)),
                Event::Ping(_) | Event::Pong(_) => {}
            }
        }
        Ok(None)
    }

    fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Reads the server's answer; what it agreed to, and the bytes behind it.
fn read_answer(
    stream: &mut TcpStream,
    handshake: &mut ClientHandshake,
) -> Result<(Accepted, Vec<u8>)> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let (mut head, mut piece) = (Vec::new(), [0; 2048]);
    loop {
        let len = stream.read(&mut piece)?;
        if len == 0 {
            return Err("the connection ended inside the server's answer".into());
        }
        head.extend_from_slice(&piece[..len]);
        if let Some((accepted, used)) = handshake.receive(&head)? {
            return Ok((accepted, head.split_off(used)));
        }
    }
}

/// Wide limits and no Pings of ours, for test suites; Config::default() suits a public server better.
fn wide() -> Config {
    Config {
        limits: Limits {
            message_bytes_max: 16 << 20,
            frames_per_message_max: 1 << 20,
            control_frames_burst: 1000,
            ..Limits::default()
        },
        ping_interval_ms: 0,
        ..Config::default()
    }
}

/// As much compression as the server gives, for test suites; DeflateConfig::default() keeps less.
fn all_compression(alone: bool) -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: false,
        client_no_context_takeover: alone,
        server_window_bits_max: 15,
        client_window_bits_max: 15,
        message_bytes_min: 0,
        takeover_message_bytes_min: 0,
        even_if_longer: true,
        ..DeflateConfig::default()
    }
}

/// Unpredictable bytes from the standard library alone: an empty message under SipHash with a key
/// that it drew from the system. A program that has a source of randomness takes that.
fn random() -> [u8; 8] {
    RandomState::new().hash_one(()).to_le_bytes()
}
