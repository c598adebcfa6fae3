//! What permessage-deflate costs: bytes sent, memory, time; the numbers of the decision record on
//! compression come from here.
//!
//! ```sh
//! cargo run --release --example deflate_cost
//! ```
#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "it measures, and talks to people"
)]

mod messages;

use std::{error::Error, hint::black_box, sync::Arc, time::Instant};

use messages::json;
use rupor_proto::{
    Config, Connection, DeflateAgreement, DeflateConfig, DeflatePool, Frame, Message, Time,
    handshake::{HttpVersion, Upgrade},
};

const CONNECTIONS: usize = 10_000;
const MESSAGES: usize = 20;
const START: Time = Time::from_millis(0);

fn agree(takeover: bool, window_bits: u8) -> Result<DeflateAgreement, Box<dyn Error>> {
    let config = DeflateConfig {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_window_bits_max: window_bits,
        client_window_bits_max: window_bits,
        message_bytes_min: 0,
        ..DeflateConfig::default()
    };
    let headers: [(&str, &[u8]); 6] = [
        ("host", b"example.org"),
        ("upgrade", b"websocket"),
        ("connection", b"upgrade"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (
            "sec-websocket-extensions",
            b"permessage-deflate; client_max_window_bits",
        ),
    ];
    let upgrade = Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers)?;
    let agreed = config.accept(&upgrade.deflate_offers, None);
    Ok(agreed.ok_or("declined")?)
}

/// Resident bytes of this process, where the system says.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn server(agreed: &DeflateAgreement, config: &Arc<Config>) -> Connection {
    Connection::server(Arc::clone(config), START, 1).with_deflate(agreed)
}

fn client(agreed: &DeflateAgreement, config: &Arc<Config>) -> Connection {
    let keys = Box::new(|| [1, 2, 3, 4]);
    Connection::client(Arc::clone(config), START, 1, keys).with_deflate(agreed)
}

/// Many connections take turns: both directions of each carry the messages of [`json`].
fn exchange(takeover: bool, window_bits: u8) -> Result<(), Box<dyn Error>> {
    let agreed = agree(takeover, window_bits)?;
    let config = Arc::new(Config::default());
    let mut pool = DeflatePool::new();
    let mut servers: Vec<_> = (0..CONNECTIONS).map(|_| server(&agreed, &config)).collect();
    let before = resident();
    let (mut plain, mut wire, mut received) = (0, 0, 0);
    let (mut sending, mut receiving) = (0, 0);
    // The clients come one after the other, so that only the servers stay in memory.
    for (index, server) in servers.iter_mut().enumerate() {
        let mut client = client(&agreed, &config);
        let (mut out, mut replies) = (Vec::new(), Vec::new());
        for n in 0..MESSAGES {
            let text = json(index, n);
            out.clear();
            client.send_deflated(Message::Text(&text), &mut pool, &mut out)?;
            let mut input = &mut out[..];
            let start = Instant::now();
            while let Some(event) = server.receive_with(&mut pool, &mut input, START, &mut replies)
            {
                received += 1;
                black_box(event);
            }
            receiving += start.elapsed().as_nanos() as usize;
            out.clear();
            let start = Instant::now();
            server.send_deflated(Message::Text(&text), &mut pool, &mut out)?;
            sending += start.elapsed().as_nanos() as usize;
            plain += text.len();
            wire += out.len() - 2;
        }
    }
    let grown = resident().saturating_sub(before);
    println!(
        "pooled, takeover {takeover}, window {window_bits}: {:.4} of the size, {:.1} us to send, \
         {:.1} us to receive, {} bytes a connection",
        wire as f64 / plain as f64,
        sending as f64 / received as f64 / 1e3,
        receiving as f64 / received as f64 / 1e3,
        grown / CONNECTIONS,
    );
    Ok(())
}

/// A compressor and an inflater of zlib-rs for each connection.
#[cfg(feature = "deflate")]
fn dedicated(window_bits: u8) -> Result<(), Box<dyn Error>> {
    // All of them would not fit.
    const KEPT: usize = CONNECTIONS / 20;
    let before = resident();
    let (mut streams, mut grown) = (Vec::new(), 0);
    let (mut plain, mut wire, mut sending, mut receiving) = (0, 0, 0, 0);
    for index in 0..CONNECTIONS {
        let mut deflate = zlib_rs::Deflate::new(6, false, window_bits);
        let mut inflate = zlib_rs::Inflate::new(false, window_bits);
        for n in 0..MESSAGES {
            let text = json(index, n);
            let mut out = [0; 1024];
            let made = deflate.total_out();
            let start = Instant::now();
            let flush = zlib_rs::DeflateFlush::SyncFlush;
            deflate
                .compress(text.as_bytes(), &mut out, flush)
                .map_err(|error| error.as_str())?;
            sending += start.elapsed().as_nanos() as usize;
            let len = (deflate.total_out() - made) as usize;
            let mut inflated = [0; 1024];
            let start = Instant::now();
            let flush = zlib_rs::InflateFlush::SyncFlush;
            inflate
                .decompress(&out[..len], &mut inflated, flush)
                .map_err(|error| error.as_str())?;
            receiving += start.elapsed().as_nanos() as usize;
            plain += text.len();
            wire += len - 4;
        }
        if streams.len() < KEPT {
            streams.push((deflate, inflate));
            grown = resident().saturating_sub(before);
        }
    }
    println!(
        "dedicated zlib-rs, window {window_bits}: {:.4} of the size, {:.1} us to send, {:.1} us to \
         receive, {} bytes a connection",
        wire as f64 / plain as f64,
        sending as f64 / (CONNECTIONS * MESSAGES) as f64 / 1e3,
        receiving as f64 / (CONNECTIONS * MESSAGES) as f64 / 1e3,
        grown / streams.len(),
    );
    Ok(())
}

/// zlib-rs inflaters that take turns: each is reset and primed with the history.
#[cfg(feature = "deflate")]
fn primed_inflater(history: usize) -> Result<(), Box<dyn Error>> {
    let texts: Vec<_> = (0..60).map(|n| json(1, n)).collect();
    let all = texts.concat();
    let history = &all.as_bytes()[..history.min(all.len())];
    let mut deflate = zlib_rs::Deflate::new(6, false, 15);
    deflate
        .set_dictionary(history)
        .map_err(|error| error.as_str())?;
    let mut out = vec![0; 1024];
    let flush = zlib_rs::DeflateFlush::SyncFlush;
    deflate
        .compress(texts[0].as_bytes(), &mut out, flush)
        .map_err(|error| error.as_str())?;
    out.truncate(deflate.total_out() as usize);
    let mut inflate = zlib_rs::Inflate::new(false, 15);
    let mut inflated = [0; 1024];
    let start = Instant::now();
    for _ in 0..20_000 {
        inflate.reset(false);
        inflate
            .set_dictionary(history)
            .map_err(|error| error.as_str())?;
        let flush = zlib_rs::InflateFlush::SyncFlush;
        inflate
            .decompress(&out, &mut inflated, flush)
            .map_err(|error| error.as_str())?;
        black_box(&inflated);
    }
    let each = start.elapsed().as_nanos() as f64 / 20_000e3;
    println!(
        "zlib-rs inflater primed with {} bytes: {each:.1} us to receive",
        history.len()
    );
    Ok(())
}

/// One large message: megabytes a second of what comes out.
fn large() -> Result<(), Box<dyn Error>> {
    let text: String = (0..9_000).map(|n| json(n / 20, n)).collect();
    let agreed = agree(false, 15)?;
    let mut config = Config::default();
    config.limits.message_bytes_max = text.len();
    let config = Arc::new(config);
    let (mut server, mut client) = (server(&agreed, &config), client(&agreed, &config));
    let (mut pool, mut out) = (DeflatePool::new(), Vec::new());
    client.send_deflated(Message::Text(&text), &mut pool, &mut out)?;
    let (mut replies, mut best) = (Vec::new(), f64::MAX);
    for _ in 0..10 {
        let mut bytes = out.clone();
        let mut input = &mut bytes[..];
        let start = Instant::now();
        black_box(server.receive_with(&mut pool, &mut input, START, &mut replies));
        best = best.min(start.elapsed().as_secs_f64());
    }
    let megabytes = text.len() as f64 / 1e6;
    println!(
        "{megabytes:.1} MB in {} KB: inflated at {:.0} MB/s",
        out.len() / 1000,
        megabytes / best
    );
    #[cfg(feature = "deflate")]
    {
        let mut compressed = vec![0; text.len()];
        let mut deflate = zlib_rs::Deflate::new(6, false, 15);
        let flush = zlib_rs::DeflateFlush::Finish;
        deflate
            .compress(text.as_bytes(), &mut compressed, flush)
            .map_err(|error| error.as_str())?;
        let (mut inflated, mut best) = (vec![0; text.len()], f64::MAX);
        for _ in 0..10 {
            let mut inflate = zlib_rs::Inflate::new(false, 15);
            let start = Instant::now();
            let flush = zlib_rs::InflateFlush::Finish;
            inflate
                .decompress(&compressed, &mut inflated, flush)
                .map_err(|error| error.as_str())?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!(
            "the same with zlib-rs, without allocation and UTF-8: {:.0} MB/s",
            megabytes / best
        );
    }
    Ok(())
}

/// One message for all connections, sent before the same.
fn broadcast() -> Result<(), Box<dyn Error>> {
    let agreed = agree(true, 12)?;
    let config = Arc::new(Config::default());
    let mut servers: Vec<_> = (0..CONNECTIONS).map(|_| server(&agreed, &config)).collect();
    let mut pool = DeflatePool::new();
    let start = Instant::now();
    let mut bytes = 0;
    for n in 0..MESSAGES {
        let frame = Frame::new(Message::Text(&json(1, n)));
        for server in &mut servers {
            bytes += server.share(&frame, &mut pool)?.as_bytes().len();
        }
    }
    let each = start.elapsed().as_nanos() as usize / (CONNECTIONS * MESSAGES);
    println!(
        "shared by {CONNECTIONS}: {each} ns a receiver, {} bytes",
        bytes / (CONNECTIONS * MESSAGES)
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    for (takeover, window_bits) in [(false, 12), (true, 10), (true, 12), (true, 15)] {
        exchange(takeover, window_bits)?;
    }
    #[cfg(feature = "deflate")]
    for window_bits in [12, 15] {
        dedicated(window_bits)?;
    }
    #[cfg(feature = "deflate")]
    for history in [1000, 4096] {
        primed_inflater(history)?;
    }
    broadcast()?;
    large()
}
