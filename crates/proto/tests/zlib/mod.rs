//! An independent peer of permessage-deflate: the C zlib, by way of flate2, with one dedicated
//! stream per direction. And compressed messages by hand.
#![allow(dead_code, reason = "every test binary uses its own part of it")]

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use rupor_proto::{
    DeflateAgreement, DeflateConfig,
    handshake::{HandshakeError, HttpVersion, Upgrade},
};

pub(crate) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
pub(crate) const RSV1: u8 = 0x40;

/// An upgrade with these lines of `Sec-WebSocket-Extensions`.
pub(crate) fn upgrade(lines: &[&str]) -> Upgrade {
    try_upgrade(lines).unwrap()
}

/// The same, or why it fails.
pub(crate) fn try_upgrade(lines: &[&str]) -> Result<Upgrade, HandshakeError> {
    let mut headers = vec![
        ("Host", "example.org"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    headers.extend(lines.iter().map(|line| ("Sec-WebSocket-Extensions", *line)));
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, value.as_bytes()));
    Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers)
}

/// What the server agrees to for a client that leaves everything to it.
pub(crate) fn agree(config: &DeflateConfig) -> DeflateAgreement {
    let offers = upgrade(&["permessage-deflate; client_max_window_bits"]).deflate_offers;
    config.accept(&offers, None).unwrap()
}

/// Both directions alike; everything is compressed.
pub(crate) fn config(takeover: bool, window_bits: u8) -> DeflateConfig {
    let mut config = DeflateConfig::default();
    config.server_no_context_takeover = !takeover;
    config.client_no_context_takeover = !takeover;
    config.server_window_bits_max = window_bits;
    config.client_window_bits_max = window_bits;
    config.message_bytes_min = 0;
    config.takeover_message_bytes_min = 0;
    config
}

/// One direction's compressor, its state its own.
pub(crate) struct Compressor {
    stream: Compress,
    takeover: bool,
}

impl Compressor {
    pub(crate) fn new(takeover: bool, window_bits: u8, level: u32) -> Self {
        let level = Compression::new(level);
        Self {
            stream: Compress::new_with_window_bits(level, false, window_bits),
            takeover,
        }
    }

    pub(crate) fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        if payload.is_empty() {
            // zlib does not flush twice in a row (RFC 7692 §7.2.3.6).
            return vec![0];
        }
        if !self.takeover {
            self.stream.reset();
        }
        let mut out = vec![0; payload.len() * 2 + 1000];
        let before = (self.stream.total_in(), self.stream.total_out());
        self.stream
            .compress(payload, &mut out, FlushCompress::Sync)
            .unwrap();
        assert_eq!(self.stream.total_in() - before.0, payload.len() as u64);
        out.truncate((self.stream.total_out() - before.1) as usize);
        assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
        out
    }
}

/// One direction's inflater.
pub(crate) struct Inflater {
    stream: Decompress,
    takeover: bool,
}

impl Inflater {
    pub(crate) fn new(takeover: bool, window_bits: u8) -> Self {
        Self {
            stream: Decompress::new_with_window_bits(false, window_bits),
            takeover,
        }
    }

    /// `None`: zlib finds it wrong, or it does not end as it should.
    pub(crate) fn message(&mut self, compressed: &[u8]) -> Option<Vec<u8>> {
        if !self.takeover {
            // flate2 resets to the widest window: nothing that was agreed to is refused.
            self.stream.reset(false);
        }
        let input = [compressed, &TAIL].concat();
        let (mut out, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        let start = self.stream.total_in();
        loop {
            let used = (self.stream.total_in() - start) as usize;
            let before = self.stream.total_out();
            let status = self
                .stream
                .decompress(&input[used..], &mut buffer, FlushDecompress::Sync);
            let made = (self.stream.total_out() - before) as usize;
            out.extend_from_slice(&buffer[..made]);
            match status {
                Ok(Status::Ok) if made == buffer.len() => {}
                Ok(Status::Ok | Status::BufError) => {
                    let used = (self.stream.total_in() - start) as usize;
                    return (used == input.len()).then_some(out);
                }
                Ok(Status::StreamEnd) | Err(_) => return None,
            }
        }
    }
}

/// Writes DEFLATE bit by bit.
#[derive(Default)]
pub(crate) struct ByHand {
    bytes: Vec<u8>,
    bits: u32,
}

impl ByHand {
    /// Least significant bit first.
    pub(crate) fn bits(&mut self, value: u32, count: u32) -> &mut Self {
        for bit in 0..count {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (self.bits % 8);
            self.bits += 1;
        }
        self
    }

    fn code(&mut self, code: u32, len: u32) -> &mut Self {
        self.bits(code.reverse_bits() >> (32 - len), len)
    }

    pub(crate) fn fixed_block(&mut self, last: bool) -> &mut Self {
        self.bits(u32::from(last), 1).bits(1, 2)
    }

    /// A symbol of the fixed literal code (RFC 1951 §3.2.6).
    pub(crate) fn symbol(&mut self, symbol: u32) -> &mut Self {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    pub(crate) fn literals(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            self.symbol(u32::from(*byte));
        }
        self
    }

    /// Three bytes from so far back.
    pub(crate) fn copy3(&mut self, distance: u32) -> &mut Self {
        self.symbol(257);
        if distance <= 4 {
            return self.code(distance - 1, 5);
        }
        let extra = (distance - 1).ilog2() - 1;
        let half = (distance - 1) >> extra & 1;
        self.code(2 * extra + 2 + half, 5);
        self.bits((distance - 1) & ((1 << extra) - 1), extra)
    }

    pub(crate) fn end_block(&mut self) -> &mut Self {
        self.symbol(256)
    }

    pub(crate) fn stored(&mut self, last: bool, bytes: &[u8]) -> &mut Self {
        self.bits(u32::from(last), 1).bits(0, 2);
        self.bits = self.bits.next_multiple_of(8);
        self.bytes.extend((bytes.len() as u16).to_le_bytes());
        self.bytes.extend((!(bytes.len() as u16)).to_le_bytes());
        self.bytes.extend(bytes);
        self.bits = self.bytes.len() as u32 * 8;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The message: an empty stored block less its tail ends it.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.stored(false, b"");
        let len = self.bytes.len() - TAIL.len();
        self.bytes[..len].to_vec()
    }
}
