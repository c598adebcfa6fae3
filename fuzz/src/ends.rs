//! One end of a connection with all that went through it, and permessage-deflate for both.

use rupor_proto::handshake::{HttpVersion, Upgrade};
use rupor_proto::{
    ApiMisuse, Close, Connection, DeflateAgreement, DeflateConfig, DeflatePool, Event, Time,
};

use crate::wire::Seen;

/// Both directions alike; everything is compressed.
pub fn deflate_config(takeover: bool, window_bits: u8) -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_window_bits_max: window_bits,
        client_window_bits_max: window_bits,
        message_bytes_min: 0,
        takeover_message_bytes_min: 0,
        ..DeflateConfig::default()
    }
}

/// What is agreed to with a client that leaves everything to the server but its window, which it
/// keeps to too.
pub fn agree(config: &DeflateConfig) -> DeflateAgreement {
    let offer = format!(
        "permessage-deflate; client_max_window_bits; server_max_window_bits={}",
        config.server_window_bits_max
    );
    let upgrade = upgrade(&[offer.as_bytes()]).expect("an upgrade");
    config
        .accept(&upgrade.deflate_offers, None)
        .expect("an offer that can be agreed to")
}

/// An upgrade with these lines of `Sec-WebSocket-Extensions`.
pub fn upgrade(lines: &[&[u8]]) -> Result<Upgrade, rupor_proto::handshake::HandshakeError> {
    let mut headers: Vec<(&str, &[u8])> = vec![
        ("Host", b"example.org"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    headers.extend(lines.iter().map(|line| ("Sec-WebSocket-Extensions", *line)));
    Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers)
}

/// One end.
#[derive(Debug)]
pub struct End {
    /// The connection.
    pub connection: Connection,
    /// What it compresses with.
    pub pool: DeflatePool,
    /// Bytes that wait to travel.
    pub out: Vec<u8>,
    /// Messages that it sent, whole.
    pub sent: Vec<(bool, Vec<u8>)>,
    /// The message that it has begun to send.
    pub begun: Option<(bool, Vec<u8>)>,
    /// Messages that it received.
    pub received: Vec<(bool, Vec<u8>)>,
    /// How it ended.
    pub closed: Option<Close>,
}

impl End {
    /// Nothing has happened.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            pool: DeflatePool::new(),
            out: Vec::new(),
            sent: Vec::new(),
            begun: None,
            received: Vec::new(),
            closed: None,
        }
    }

    /// Receives.
    pub fn receive(&mut self, bytes: &[u8], now: Time) {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        while let Some(event) =
            self.connection
                .receive_with(&mut self.pool, &mut input, now, &mut self.out)
        {
            note(&mut self.received, &mut self.closed, event);
        }
        assert!(input.is_empty());
    }

    /// The time is `now`.
    pub fn wake(&mut self, now: Time) {
        while self.connection.poll_timeout().is_some_and(|at| at <= now) {
            let before = self.connection.poll_timeout();
            match self.connection.handle_timeout(now, &mut self.out) {
                Some(event) => note(&mut self.received, &mut self.closed, event),
                None => assert_ne!(self.connection.poll_timeout(), before, "it would spin"),
            }
        }
    }

    /// The transport has ended.
    pub fn end(&mut self, now: Time) {
        if let Some(event) = self.connection.receive_eof(now) {
            note(&mut self.received, &mut self.closed, event);
        }
    }

    /// Does what `act` does; if that is refused, nothing may have been written.
    pub fn act(
        &mut self,
        act: impl FnOnce(&mut Connection, &mut DeflatePool, &mut Vec<u8>) -> Result<(), ApiMisuse>,
    ) -> bool {
        let before = self.out.len();
        let done = act(&mut self.connection, &mut self.pool, &mut self.out).is_ok();
        assert!(done || self.out.len() == before, "refused, but written");
        done
    }
}

fn note(received: &mut Vec<(bool, Vec<u8>)>, closed: &mut Option<Close>, event: Event<'_>) {
    assert!(closed.is_none(), "an event behind the last");
    match event {
        Event::Closed(close) => *closed = Some(close),
        event => {
            if let Seen::Message(text, payload) = event.into() {
                received.push((text, payload));
            }
        }
    }
}
