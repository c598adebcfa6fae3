//! Any mixture of messages for one, for many, compressed and plain, over connections that agreed to
//! different things and share one pool: each receiver, ours and the C zlib, reads what was sent.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rupor_fuzz::ends::{End, agree, deflate_config};
use rupor_fuzz::wire::{NOW, connect, wide};
use rupor_fuzz::zlib;
use rupor_proto::{DeflateConfig, DeflatePool, Frame, Message};

#[derive(Arbitrary, Debug)]
struct Input {
    configs: Vec<Settings>,
    acts: Vec<(Payload, Act)>,
}

#[derive(Arbitrary, Debug)]
struct Settings {
    takeover: bool,
    window_bits: u8,
    fast: bool,
    even_if_longer: bool,
}

impl Settings {
    fn window_bits(&self) -> u8 {
        9 + self.window_bits % 7
    }

    fn config(&self) -> DeflateConfig {
        DeflateConfig {
            level: if self.fast { 1 } else { 6 },
            even_if_longer: self.even_if_longer,
            ..deflate_config(self.takeover, self.window_bits())
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Payload {
    Bytes(Vec<u8>),
    Repeated(Vec<u8>, u8),
    /// One that was sent before, with something behind it.
    Again(u8, Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Act {
    /// To all, compressed.
    Share,
    /// To all, as it is.
    Plain,
    /// To one.
    Private(u8),
    /// To one, never compressed.
    Secret(u8),
    /// From one client.
    Up(u8),
}

/// A server's end and its client, and what an inflater of zlib has kept.
struct Link {
    server: End,
    client: End,
    window_bits: u8,
    takeover: bool,
    history: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let mut links: Vec<Link> = input.configs.iter().take(4).map(link).collect();
    let mut pool = DeflatePool::new();
    let mut before: Vec<Vec<u8>> = Vec::new();
    for (payload, act) in input.acts.iter().take(32) {
        let payload = make(payload, &before);
        perform(act, &payload, &mut links, &mut pool);
        before.push(payload);
    }
    for link in &links {
        assert_eq!(link.client.received, link.server.sent);
        assert_eq!(link.server.received, link.client.sent);
        assert!(link.client.closed.is_none() && link.server.closed.is_none());
    }
});

fn link(settings: &Settings) -> Link {
    let agreement = agree(&settings.config());
    let end = |server| End::new(connect(server, wide()).with_deflate(&agreement));
    Link {
        server: end(true),
        client: end(false),
        window_bits: settings.window_bits(),
        takeover: settings.takeover,
        history: Vec::new(),
    }
}

fn make(payload: &Payload, before: &[Vec<u8>]) -> Vec<u8> {
    let mut made = match payload {
        Payload::Bytes(bytes) => bytes.clone(),
        Payload::Repeated(bytes, times) => bytes.repeat(usize::from(*times)),
        Payload::Again(which, more) => {
            let which = usize::from(*which) % before.len().max(1);
            let earlier = before.get(which).cloned().unwrap_or_default();
            [&earlier[..], more].concat()
        }
    };
    made.truncate(2000);
    made
}

fn perform(act: &Act, payload: &[u8], links: &mut [Link], pool: &mut DeflatePool) {
    let message = Message::Binary(payload);
    let frame = Frame::new(message);
    let count = links.len().max(1);
    for (index, link) in links.iter_mut().enumerate() {
        let server = &mut link.server;
        match act {
            Act::Share => {
                let outgoing = server.connection.share(&frame, pool).expect("open");
                server.out.extend_from_slice(outgoing.as_bytes());
            }
            Act::Plain => server.out.extend_from_slice(frame.as_bytes()),
            Act::Private(which) if usize::from(*which) % count == index => server
                .connection
                .send_deflated(message, pool, &mut server.out)
                .expect("open"),
            Act::Secret(which) if usize::from(*which) % count == index => {
                server
                    .connection
                    .send(message, &mut server.out)
                    .expect("open");
            }
            Act::Up(which) if usize::from(*which) % count == index => {
                let client = &mut link.client;
                let done = client
                    .connection
                    .send_deflated(message, pool, &mut client.out);
                done.expect("open");
                client.sent.push((false, payload.to_vec()));
                server.receive(&std::mem::take(&mut client.out), NOW);
                continue;
            }
            Act::Private(_) | Act::Secret(_) | Act::Up(_) => continue,
        }
        server.sent.push((false, payload.to_vec()));
        let bytes = std::mem::take(&mut server.out);
        read_by_zlib(&bytes, payload, link);
        link.client.receive(&bytes, NOW);
    }
}

/// The one frame, as the C zlib reads it.
fn read_by_zlib(frame: &[u8], payload: &[u8], link: &mut Link) {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let (body, compressed) = (&frame[header..], frame[0] & 0x40 != 0);
    if !compressed {
        assert_eq!(body, payload);
        return;
    }
    let inflated = zlib::inflate(&link.history, link.window_bits, usize::MAX / 2, body);
    assert_eq!(inflated.as_deref(), Ok(payload));
    if link.takeover {
        link.history.extend_from_slice(payload);
    }
}
