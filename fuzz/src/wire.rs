//! Frames, right and wrong, and what came of them.

use std::sync::Arc;

use arbitrary::Arbitrary;
use rupor_proto::{Config, Connection, DeflatePool, Event, Kind, Limits, Time};

/// When everything happens, unless the target has a clock.
pub const NOW: Time = Time::from_millis(1_000_000);

/// An event that owns what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A message, and whether it is text.
    Message(bool, Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// The end, by the peer's Close frame.
    Closed(u16),
    /// The end, by a rule that the peer broke.
    Failed(u16),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(incoming) => {
                let message = incoming.as_message();
                Self::Message(message.kind() == Kind::Text, message.as_bytes().to_vec())
            }
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Closed(close) if close.error.is_some() => Self::Failed(close.code.as_u16()),
            Event::Closed(close) => Self::Closed(close.code.as_u16()),
        }
    }
}

/// Bytes that a peer may send.
#[derive(Arbitrary, Debug)]
pub enum Piece {
    /// A frame that is mostly right.
    Frame(Frame),
    /// Anything.
    Bytes(Vec<u8>),
}

/// A frame with every part open.
#[derive(Arbitrary, Debug)]
pub struct Frame {
    /// FIN, RSV1 to 3, opcode.
    pub first: u8,
    /// Whether the RSV bits stay as they are; else they are 0.
    pub reserved: bool,
    /// Whether the mask bit is not what it should be.
    pub wrong_mask: bool,
    /// The masking key.
    pub key: [u8; 4],
    /// How the length is written: 0 shortest, 1 in two bytes, 2 in eight, 3 announces more.
    pub width: u8,
    /// What is announced in place of the length.
    pub announced: u64,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The bytes, from a client or a server.
    pub fn encode(&self, from_client: bool, out: &mut Vec<u8>) {
        let first = if self.reserved {
            self.first
        } else {
            self.first & 0x8f
        };
        out.push(first);
        let masked = from_client != self.wrong_mask;
        let mask_bit = if masked { 0x80 } else { 0 };
        let len = match self.width {
            3 => self.announced,
            _ => self.payload.len() as u64,
        };
        match (self.width, len) {
            (0 | 3..=u8::MAX, 0..=125) => out.push(mask_bit | len as u8),
            (0 | 1 | 3..=u8::MAX, 0..=65_535) => {
                out.push(mask_bit | 126);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 127);
                out.extend_from_slice(&len.to_be_bytes());
            }
        }
        if masked {
            out.extend_from_slice(&self.key);
            let keyed = self.payload.iter().zip(self.key.iter().cycle());
            out.extend(keyed.map(|(byte, key)| byte ^ key));
        } else {
            out.extend_from_slice(&self.payload);
        }
    }
}

/// All the pieces behind each other.
pub fn encode(pieces: &[Piece], from_client: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Frame(frame) => frame.encode(from_client, &mut bytes),
            Piece::Bytes(raw) => bytes.extend_from_slice(raw),
        }
    }
    bytes
}

/// A connection of either role.
pub fn connect(server: bool, config: Config) -> Connection {
    let config = Arc::new(config);
    if server {
        Connection::server(config, NOW, 7)
    } else {
        Connection::client(config, NOW, 7, Box::new(|| [0x37, 0xfa, 0x21, 0x3d]))
    }
}

/// Limits that stay out of the way.
pub fn wide() -> Config {
    Config {
        limits: Limits {
            message_bytes_max: 1 << 20,
            frames_per_message_max: u32::MAX,
            message_time_max_ms: u32::MAX,
            control_frames_per_second: 0,
            control_frames_burst: 0,
        },
        ping_interval_ms: 0,
        ..Config::default()
    }
}

/// Feeds `bytes` in pieces of these sizes, again and again; at once if there are none.
pub fn feed(
    connection: &mut Connection,
    pool: &mut DeflatePool,
    bytes: &[u8],
    sizes: &[u8],
    out: &mut Vec<u8>,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().map_or(usize::MAX, |size| usize::from(*size));
        let (mut input, after) = rest.split_at_mut(size.clamp(1, rest.len()));
        while let Some(event) = connection.receive_with(pool, &mut input, NOW, out) {
            seen.push(event.into());
        }
        assert!(input.is_empty(), "None means that all input was used");
        rest = after;
    }
    seen
}
