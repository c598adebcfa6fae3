//! Frames as no good client sends them, by hand.

use std::io::{ErrorKind, Read, Write};

use rustls::{ClientConnection, StreamOwned};

use super::super::tls::client_config;
use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The request of RFC 8441 §5.1.
const GOOD: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/"),
    (":authority", "localhost"),
    ("sec-websocket-version", "13"),
];

struct Raw(StreamOwned<ClientConnection, TcpStream>);

#[derive(Debug)]
struct Seen {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Seen {
    fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

impl Raw {
    fn connect(up: &Up, pair: &Pair) -> Self {
        let config = client_config(&pair.certificate, &[b"h2"]);
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(config, name).unwrap();
        let mut raw = Self(StreamOwned::new(connection, up.tcp()));
        raw.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        raw.send(SETTINGS, 0, 0, &[]);
        raw
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        assert!(self.try_send(kind, flags, stream, payload));
    }

    /// Whether the other end still took it.
    fn try_send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.0
            .write_all(&raw_frame(kind, flags, stream, payload))
            .is_ok()
    }

    /// A head as literals without indexing (RFC 7541 §6.2.2).
    fn head(&mut self, stream: u32, headers: &[(&str, &str)]) {
        assert!(self.try_head(stream, headers));
    }

    fn try_head(&mut self, stream: u32, headers: &[(&str, &str)]) -> bool {
        let mut block = Vec::new();
        for (name, value) in headers {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.try_send(HEADERS, 4, stream, &block)
    }

    /// The connection ends; if that is said, then as the peer's fault.
    fn expect_end(&mut self) {
        while let Some(frame) = self.frame() {
            assert!(frame.kind != GOAWAY || frame.error() == ENHANCE_YOUR_CALM);
        }
    }

    /// The next frame; `None` at the end of the connection.
    fn frame(&mut self) -> Option<Seen> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing came in time"),
            Err(_) => return None,
        }
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).unwrap();
        let stream = u32::from_be_bytes(stream);
        let seen = Seen {
            kind,
            flags,
            stream,
            payload,
        };
        if kind == SETTINGS && flags & 1 == 0 {
            self.send(SETTINGS, 1, 0, &[]);
        }
        Some(seen)
    }

    /// The next frame of that kind.
    fn next(&mut self, kind: u8) -> Seen {
        loop {
            let frame = self.frame().unwrap();
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The next frame that answers a request: its head or its reset. A reset without an error only
    /// says that the rest of an answered request is not wanted (RFC 9113 §8.1).
    fn answer(&mut self) -> Seen {
        loop {
            let frame = self.frame().unwrap();
            let answers = match frame.kind {
                HEADERS => true,
                RST_STREAM => frame.error() != NO_ERROR,
                _ => false,
            };
            if answers {
                return frame;
            }
        }
    }
}

/// RFC 9113 §4.1.
fn raw_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The status 200 of an indexed header (RFC 7541 appendix A).
const STATUS_200: u8 = 0x88;

#[test]
fn settings_announce_extended_connect_and_the_limits() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let mut raw = Raw::connect(&up, &pair);
    let settings = raw.next(SETTINGS).payload;
    let value = |id: u16| {
        settings.chunks(6).find_map(|setting| {
            let (name, value) = setting.split_at(2);
            (name == id.to_be_bytes()).then(|| u32::from_be_bytes(value.try_into().unwrap()))
        })
    };
    assert_eq!(value(8), Some(1), "SETTINGS_ENABLE_CONNECT_PROTOCOL");
    assert_eq!(value(3), Some(100), "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(
        value(4).unwrap_or(65_535),
        65_536,
        "SETTINGS_INITIAL_WINDOW_SIZE"
    );
    assert_eq!(
        value(5).unwrap_or(16_384),
        16_384,
        "SETTINGS_MAX_FRAME_SIZE"
    );
    assert_eq!(value(6), Some(8192), "SETTINGS_MAX_HEADER_LIST_SIZE");
}

#[test]
fn malformed_requests_are_reset_and_the_next_is_served() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let mut raw = Raw::connect(&up, &pair);
    let without = |name: &str| {
        let mut headers = GOOD.to_vec();
        headers.retain(|(other, _)| *other != name);
        headers
    };
    let plus = |name, value| [&GOOD[..], &[(name, value)]].concat();
    let mut get = GOOD.to_vec();
    get[0].1 = "GET";
    let mut stream = 1;
    for (what, headers) in [
        (":protocol without CONNECT", get),
        ("no :scheme", without(":scheme")),
        ("no :path", without(":path")),
        ("two :path", plus(":path", "/")),
        ("connection", plus("connection", "Upgrade")),
        ("upgrade", plus("upgrade", "websocket")),
    ] {
        raw.head(stream, &headers);
        let answer = raw.answer();
        assert_eq!((answer.kind, answer.stream), (RST_STREAM, stream), "{what}");
        assert_eq!(answer.error(), PROTOCOL_ERROR, "{what}");
        stream += 2;
    }
    // Without an authority HTTP/2 lets it pass, and we do not.
    raw.head(stream, &without(":authority"));
    let answer = raw.answer();
    assert_eq!((answer.kind, answer.stream), (HEADERS, stream));
    assert_ne!(answer.payload[0], STATUS_200);
    raw.head(stream + 2, &GOOD);
    let answer = raw.answer();
    assert_eq!((answer.kind, answer.stream), (HEADERS, stream + 2));
    assert_eq!(answer.payload[0], STATUS_200);
}

#[test]
fn one_stream_over_the_limit_is_refused() {
    let pair = Pair::new();
    let limits = Limits {
        http2_streams_max: 2,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let mut raw = Raw::connect(&up, &pair);
    for stream in [1, 3] {
        raw.head(stream, &GOOD);
        assert_eq!(raw.answer().payload[0], STATUS_200);
    }
    raw.head(5, &GOOD);
    let answer = raw.answer();
    assert_eq!((answer.kind, answer.stream), (RST_STREAM, 5));
    assert_eq!(answer.error(), REFUSED_STREAM);
    // The end of one makes room.
    raw.send(RST_STREAM, 0, 1, &8u32.to_be_bytes());
    wait_until("it is gone", || up.handle().stats().connections == 1);
    raw.head(7, &GOOD);
    assert_eq!(raw.answer().payload[0], STATUS_200);
}

#[test]
fn streams_that_break_rules_are_counted_to_the_end() {
    let pair = Pair::new();
    let limits = Limits {
        http2_resets_max: 3,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let mut raw = Raw::connect(&up, &pair);
    for n in 0..4 {
        raw.head(2 * n + 1, &[(":method", "GET")]);
    }
    assert_eq!(raw.next(GOAWAY).error(), ENHANCE_YOUR_CALM);
}

#[test]
fn empty_and_tiny_frames_end_the_connection() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let mut raw = Raw::connect(&up, &pair);
    raw.head(1, &GOOD);
    assert_eq!(raw.answer().payload[0], STATUS_200);
    for _ in 0..101 {
        raw.send(DATA, 0, 1, &[]);
    }
    assert_eq!(raw.next(GOAWAY).error(), ENHANCE_YOUR_CALM);
    wait_until("all of it is gone", || up.handle().stats().connections == 0);
}

#[test]
fn more_than_the_window_ends_the_stream() {
    let pair = Pair::new();
    let limits = Limits {
        http2_window_bytes: 1000,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let mut raw = Raw::connect(&up, &pair);
    raw.head(1, &GOOD);
    assert_eq!(raw.answer().payload[0], STATUS_200);
    // A frame header that asks for more is to come, so nothing of this is a message.
    let mut payload = vec![0; 1001];
    payload[..2].copy_from_slice(&[0x82, 0xfe]);
    raw.send(DATA, 0, 1, &payload);
    let answer = raw.answer();
    assert_eq!((answer.kind, answer.stream), (RST_STREAM, 1));
    assert_eq!(answer.error(), FLOW_CONTROL_ERROR);
    raw.head(3, &GOOD);
    assert_eq!(raw.answer().payload[0], STATUS_200);
}

#[test]
fn ping_that_is_not_acknowledged_ends_the_connection() {
    let pair = Pair::new();
    let limits = Limits {
        http2_ping_interval_ms: 50,
        http2_ping_timeout_ms: 200,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let mut raw = Raw::connect(&up, &pair);
    raw.head(1, &GOOD);
    assert_eq!(raw.answer().payload[0], STATUS_200);
    let ping = raw.next(PING);
    assert_eq!(ping.flags & 1, 0);
    raw.send(PING, 1, 0, &ping.payload);
    // The next one stays without an answer.
    raw.next(PING);
    while raw.frame().is_some() {}
    wait_until("all of it is gone", || up.handle().stats().connections == 0);
}

/// Requests that are taken back at once cost the peer its connection, not the server its time
/// (CVE-2023-44487).
#[test]
fn requests_that_are_taken_back_at_once_end_the_connection() {
    let pair = Pair::new();
    let limits = Limits {
        http2_resets_max: 50,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let mut raw = Raw::connect(&up, &pair);
    for n in 0..200 {
        let stream = 2 * n + 1;
        if !raw.try_head(stream, &GOOD)
            || !raw.try_send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
        {
            break;
        }
    }
    raw.expect_end();
    wait_until("all of it is gone", || up.handle().stats().connections == 0);
    let mut other = Raw::connect(&up, &pair);
    other.head(1, &GOOD);
    assert_eq!(other.answer().payload[0], STATUS_200);
}

/// A head that goes on in frame after frame ends the connection before it is held
/// (RUSTSEC-2024-0332).
#[test]
fn head_without_end_ends_the_connection() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let mut raw = Raw::connect(&up, &pair);
    raw.send(HEADERS, 0, 1, &[]);
    // A literal without indexing: the name "x", a value of 100 bytes (RFC 7541 §6.2.2).
    let header = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat();
    for _ in 0..1000 {
        if !raw.try_send(CONTINUATION, 0, 1, &header.repeat(10)) {
            break;
        }
    }
    raw.expect_end();
    wait_until("all of it is gone", || up.handle().stats().openings == 0);
    assert_eq!(up.handle().stats().opened, 0);
}

/// Pings and settings whose acknowledgements nobody reads: they are not queued without end, the
/// server reads no more of that connection (CVE-2019-9512, CVE-2019-9515).
#[test]
fn floods_that_ask_for_acknowledgements_are_not_read_on() {
    const FAR_TOO_MANY_BYTES: usize = 64 * 1024 * 1024;
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    for (kind, payload) in [(PING, &b"12345678"[..]), (SETTINGS, &[])] {
        let mut raw = Raw::connect(&up, &pair);
        raw.head(1, &GOOD);
        assert_eq!(raw.answer().payload[0], STATUS_200);
        // What is not taken for so long is taken for not read; a server that only is slow passes.
        let patience = Some(std::time::Duration::from_millis(200));
        raw.0.sock.set_write_timeout(patience).unwrap();
        let frame = raw_frame(kind, 0, 0, payload);
        let many = frame.repeat(1000);
        let mut sent = 0;
        while raw.0.write_all(&many).is_ok() {
            sent += many.len();
            assert!(sent < FAR_TOO_MANY_BYTES, "kind {kind} is read without end");
        }
    }
    let mut other = Raw::connect(&up, &pair);
    other.head(1, &GOOD);
    assert_eq!(other.answer().payload[0], STATUS_200);
}
