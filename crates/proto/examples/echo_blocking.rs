//! An echo server over blocking sockets, one thread a connection: everything that a program has to
//! bring along for rupor-proto is in `serve`. It compresses if the client wants.
//!
//! ```sh
//! cargo run --example echo_blocking -- 127.0.0.1:9001
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to people"
)]

use std::{
    env,
    error::Error,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rupor_proto::{
    Config, Connection, DeflateConfig, DeflatePool, Event, Limits, State, Time,
    handshake::{HandshakeError, HeadLimits, HeadProgress, Upgrade, write_response_with},
};

/// How long a head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(address)?;
    println!("ws://{}/", listener.local_addr()?);
    // Wide limits, for test suites; Limits::default() suits a public server better.
    let limits = Limits {
        message_bytes_max: 16 << 20,
        frames_per_message_max: 1 << 20,
        ..Limits::default()
    };
    // Pings of ours confuse some test suites.
    let config = Arc::new(Config {
        limits,
        ping_interval_ms: 0,
        ..Config::default()
    });
    for stream in listener.incoming() {
        let (stream, config) = (stream?, Arc::clone(&config));
        thread::spawn(move || {
            if let Err(error) = serve(stream, config) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

/// Reads the request head; its upgrade, or why there is none, and the bytes behind it.
fn read_upgrade(
    stream: &mut TcpStream,
) -> Result<(std::result::Result<Upgrade, HandshakeError>, Vec<u8>)> {
    stream.set_read_timeout(Some(HEAD_TIMEOUT))?;
    let (mut head, mut progress) = (Vec::new(), HeadProgress::default());
    let mut piece = [0; 2048];
    loop {
        let len = stream.read(&mut piece)?;
        if len == 0 {
            return Err("the connection ended inside the request head".into());
        }
        head.extend_from_slice(&piece[..len]);
        match progress.parse_request(&head, &HeadLimits::default()) {
            Ok(None) => {}
            Ok(Some((request, used))) => {
                let upgrade = request.upgrade();
                return Ok((upgrade, head.split_off(used)));
            }
            Err(error) => return Ok((Err(error), Vec::new())),
        }
    }
}

/// As much compression as the client wants, for test suites; DeflateConfig::default() suits a public
/// server better.
fn all_compression() -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_window_bits_max: 15,
        client_window_bits_max: 15,
        message_bytes_min: 0,
        takeover_message_bytes_min: 0,
        even_if_longer: true,
        ..DeflateConfig::default()
    }
}

fn serve(mut stream: TcpStream, config: Arc<Config>) -> Result<()> {
    let (upgrade, mut first) = read_upgrade(&mut stream)?;
    let mut out = Vec::new();
    let deflate = match upgrade {
        Ok(upgrade) => {
            let deflate = all_compression().accept(&upgrade.deflate_offers, None);
            write_response_with(&upgrade, None, deflate.as_ref(), &[], &mut out)?;
            deflate
        }
        Err(error) => {
            let (status, body) = (error.status(), error.as_str());
            write!(out, "HTTP/1.1 {status} Refused\r\nConnection: close\r\n")?;
            for (name, value) in error.headers() {
                write!(out, "{name}: {value}\r\n")?;
            }
            write!(out, "Content-Length: {}\r\n\r\n{body}", body.len())?;
            return Ok(stream.write_all(&out)?);
        }
    };

    let epoch = Instant::now();
    let now = || Time::from_millis(u64::try_from(epoch.elapsed().as_millis()).unwrap_or(u64::MAX));
    let (mut connection, mut pool) = (Connection::server(config, now(), 1), DeflatePool::new());
    if let Some(deflate) = &deflate {
        connection = connection.with_deflate(deflate);
    }
    // What the client sent behind its request are frames already.
    echo(&mut connection, &mut pool, &mut first, now(), &mut out)?;
    let mut buffer = vec![0; 64 * 1024];
    while connection.state() != State::Closed {
        stream.write_all(&out)?;
        out.clear();
        let wait = connection
            .poll_timeout()
            .map(|due| due.saturating_since(now()).max(1));
        stream.set_read_timeout(wait.map(Duration::from_millis))?;
        match stream.read(&mut buffer) {
            Ok(0) => drop(connection.receive_eof(now())),
            Ok(len) => echo(
                &mut connection,
                &mut pool,
                &mut buffer[..len],
                now(),
                &mut out,
            )?,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        connection.handle_timeout(now(), &mut out);
    }
    stream.write_all(&out)?;
    stream.shutdown(Shutdown::Write)?;
    // Closing with unread bytes would reset the connection, and the peer might lose our Close.
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    while stream.read(&mut buffer).is_ok_and(|len| len > 0) {}
    Ok(())
}

/// Answers all messages in `input`.
fn echo(
    connection: &mut Connection,
    pool: &mut DeflatePool,
    mut input: &mut [u8],
    now: Time,
    out: &mut Vec<u8>,
) -> Result<()> {
    while let Some(event) = connection.receive_with(pool, &mut input, now, out) {
        if let Event::Message(message) = event {
            connection.send_deflated(message.as_message(), pool, out)?;
        }
    }
    Ok(())
}
