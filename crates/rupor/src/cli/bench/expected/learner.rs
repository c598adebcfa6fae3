//! What a server makes of the message when it compresses: learned from the first one that comes.
//!
//! A server that compresses each message on its own (`server_no_context_takeover`, RFC 7692 §7.1.1.1) makes the same
//! bytes of the same message each time. So one is inflated and compared with what was sent, and all others are compared
//! with that one, byte by byte, as without compression.

use super::{Unexpected, payload_bytes};
use rupor_proto::{Config, Connection, DeflateAgreement, Event, Limits, Message, Time};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(crate) struct Learner {
    agreement: DeflateAgreement,
    bytes_max: usize,
}

impl Learner {
    /// With what a connection agreed to, for messages of up to `bytes_max` bytes.
    pub(crate) fn new(agreement: DeflateAgreement, bytes_max: usize) -> Self {
        Self {
            agreement,
            bytes_max,
        }
    }

    /// Looks for the first message's frame in all that a connection has brought so far; `None`: it is not whole.
    ///
    /// # Errors
    /// It is another message, or not in one frame.
    pub(crate) fn learn(
        &self,
        bytes: &[u8],
        message: Message<'_>,
    ) -> Result<Option<Vec<u8>>, Unexpected> {
        let mut rest = bytes;
        loop {
            let Some(frame_bytes) = frame_bytes(rest) else {
                return Ok(None);
            };
            let Some(frame) = rest.get(..frame_bytes) else {
                return Ok(None);
            };
            let is_control = frame.first().is_some_and(|first| first & 0x08 != 0);
            if !is_control {
                return self.check(frame, message).map(Some);
            }
            rest = rest.get(frame_bytes..).unwrap_or_default();
        }
    }

    fn check(&self, frame: &[u8], message: Message<'_>) -> Result<Vec<u8>, Unexpected> {
        let config = Config {
            limits: Limits {
                message_bytes_max: self.bytes_max,
                ..Limits::default()
            },
            ..Config::default()
        };
        let begin = Time::from_millis(0);
        let client = Connection::client(Arc::new(config), begin, 0, Box::new(|| [0; 4]));
        let mut client = client.with_deflate(&self.agreement);
        let (mut copy, mut out) = (frame.to_vec(), Vec::new());
        match client.receive(&mut copy.as_mut_slice(), begin, &mut out) {
            Some(Event::Message(it)) if it.as_message() == message => Ok(frame.to_vec()),
            _ => Err(Unexpected::Differs),
        }
    }
}

/// The length of the frame at the front, once its header is whole.
fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let payload = usize::try_from(payload_bytes(bytes)?).ok()?;
    let header = match bytes.get(1)? {
        127 => 10,
        126 => 4,
        _ => 2,
    };
    payload.checked_add(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rupor_proto::handshake::{HttpVersion, Upgrade};
    use rupor_proto::{DeflateConfig, DeflatePool};

    fn agreement() -> DeflateAgreement {
        let headers: [(&str, &[u8]); 6] = [
            ("host", b"localhost"),
            ("upgrade", b"websocket"),
            ("connection", b"upgrade"),
            ("sec-websocket-version", b"13"),
            ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-extensions", b"permessage-deflate"),
        ];
        let upgrade = Upgrade::from_parts("GET", "/", HttpVersion::Http11, headers).unwrap();
        let config = DeflateConfig::default();
        config.accept(&upgrade.deflate_offers, None).unwrap()
    }

    #[test]
    fn what_the_first_message_becomes_is_learned() {
        let text = "again and ".repeat(100);
        let message = Message::Text(&text);
        let config = Arc::new(Config::default());
        let server = Connection::server(config, Time::from_millis(0), 0);
        let mut server = server.with_deflate(&agreement());
        let mut frame = Vec::new();
        server
            .send_deflated(message, &mut DeflatePool::new(), &mut frame)
            .unwrap();
        assert!(frame.len() < text.len() / 2, "it was compressed");
        let learner = Learner::new(agreement(), text.len());
        let bytes = [&b"\x89\x02hi"[..], &frame, &frame].concat();
        for cut in 0..4 + frame.len() {
            assert_eq!(learner.learn(&bytes[..cut], message), Ok(None), "{cut}");
        }
        assert_eq!(learner.learn(&bytes, message), Ok(Some(frame)));
        let other = learner.learn(&bytes, Message::Text("again"));
        assert_eq!(other, Err(Unexpected::Differs));
    }
}
