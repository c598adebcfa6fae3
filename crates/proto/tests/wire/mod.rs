//! Frames by hand, and both roles of a connection to try them on. Nothing here shares code with
//! the crate under test.
#![allow(dead_code, reason = "every test binary uses its own part of it")]

use std::sync::Arc;

use rupor_proto::{Close, Config, Connection, Event, Kind, Limits, Time};

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

pub(crate) const NOW: Time = Time::from_millis(1_000_000);
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Which end is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

impl Role {
    pub(crate) fn peer(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }

    pub(crate) fn connect(self, config: Config) -> Connection {
        let config = Arc::new(config);
        match self {
            Self::Server => Connection::server(config, NOW, 7),
            Self::Client => Connection::client(config, NOW, 7, Box::new(|| KEY)),
        }
    }

    /// A frame that this end may receive.
    pub(crate) fn frame(self, first: u8, payload: &[u8]) -> Vec<u8> {
        raw(
            first,
            payload.len() as u64,
            Width::Shortest,
            self == Self::Server,
            payload,
        )
    }
}

/// How a length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Shortest,
    Two,
    Eight,
}

/// Any frame at all: the announced length need not be that of the payload.
pub(crate) fn raw(first: u8, len: u64, width: Width, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match width {
        Width::Shortest if len < 126 => bytes.push(mask | len as u8),
        Width::Shortest if len < 65_536 => return raw(first, len, Width::Two, masked, payload),
        Width::Two => {
            bytes.push(mask | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        Width::Shortest | Width::Eight => {
            bytes.push(mask | 127);
            bytes.extend(len.to_be_bytes());
        }
    }
    if masked {
        bytes.extend(KEY);
        bytes.extend(
            payload
                .iter()
                .zip(KEY.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// Frames that one end has sent: first byte and unmasked payload.
pub(crate) fn frames(sender: Role, mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (first, second) = (bytes[0], bytes[1]);
        assert_eq!(second & 0x80 != 0, sender == Role::Client, "mask bit");
        bytes = &bytes[2..];
        let len = match second & 0x7f {
            126 => {
                let len = u64::from(u16::from_be_bytes(bytes[..2].try_into().unwrap()));
                bytes = &bytes[2..];
                assert!(len > 125, "shortest form");
                len
            }
            127 => {
                let len = u64::from_be_bytes(bytes[..8].try_into().unwrap());
                bytes = &bytes[8..];
                assert!(len > 65_535, "shortest form");
                len
            }
            len => u64::from(len),
        };
        let key = if sender == Role::Client {
            let (key, rest) = bytes.split_at(4);
            bytes = rest;
            <[u8; 4]>::try_from(key).unwrap()
        } else {
            [0; 4]
        };
        let (payload, rest) = bytes.split_at(usize::try_from(len).unwrap());
        bytes = rest;
        let payload = payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key);
        frames.push((first, payload.collect()));
    }
    frames
}

/// An event that owns what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Message(Kind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closed(Close),
}

impl Seen {
    pub(crate) fn text(text: &str) -> Self {
        Self::Message(Kind::Text, text.into())
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(incoming) => {
                let message = incoming.as_message();
                Self::Message(message.kind(), message.as_bytes().to_vec())
            }
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Closed(close) => Self::Closed(close),
        }
    }
}

/// Feeds `bytes` in pieces of these sizes (the last one again and again), all at `NOW`.
pub(crate) fn feed_pieces(
    connection: &mut Connection,
    bytes: &[u8],
    sizes: &[usize],
    out: &mut Vec<u8>,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut sizes = sizes.iter().copied();
    let mut size = sizes.next().unwrap_or(usize::MAX);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at_mut(size.clamp(1, rest.len()));
        let mut input = piece;
        while let Some(event) = connection.receive(&mut input, NOW, out) {
            seen.push(event.into());
        }
        assert!(input.is_empty(), "None means that all input was used");
        rest = after;
        size = sizes.next().unwrap_or(size);
    }
    seen
}

/// Feeds `bytes` at once.
pub(crate) fn feed(connection: &mut Connection, bytes: &[u8], out: &mut Vec<u8>) -> Vec<Seen> {
    feed_pieces(connection, bytes, &[usize::MAX], out)
}

/// Limits and deadlines that stay out of the way.
pub(crate) fn wide() -> Config {
    Config {
        limits: Limits {
            message_bytes_max: 1 << 24,
            frames_per_message_max: u32::MAX,
            message_time_max_ms: 30_000,
            control_frames_per_second: 0,
            control_frames_burst: 0,
        },
        ..Config::default()
    }
}
