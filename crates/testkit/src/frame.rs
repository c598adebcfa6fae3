//! Frames as bytes (RFC 6455 §5.2), including ones that no honest peer would send.

/// The opcodes of RFC 6455 §11.8.
pub mod opcode {
    /// A fragment after the first.
    pub const CONTINUATION: u8 = 0;
    /// A text message or its first fragment.
    pub const TEXT: u8 = 1;
    /// A binary message or its first fragment.
    pub const BINARY: u8 = 2;
    /// The closing handshake.
    pub const CLOSE: u8 = 8;
    /// A ping.
    pub const PING: u8 = 9;
    /// A pong.
    pub const PONG: u8 = 10;
}

/// One frame with every field open to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The FIN bit.
    pub fin: bool,
    /// The three RSV bits, RSV1 being the highest: 0 to 7.
    pub rsv: u8,
    /// The opcode, 0 to 15.
    pub opcode: u8,
    /// The masking key; `None` leaves the frame unmasked, which a server must not accept.
    pub masking_key: Option<[u8; 4]>,
    /// The unmasked payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole, masked frame as a client sends it.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        let masking_key = Some([0x37, 0xfa, 0x21, 0x3d]);
        Self {
            fin: true,
            rsv: 0,
            opcode,
            masking_key,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// A fragment: `opcode` is `CONTINUATION` for all but the first.
    pub fn fragment(opcode: u8, payload: impl AsRef<[u8]>, last: bool) -> Self {
        Self {
            fin: last,
            ..Self::new(opcode, payload)
        }
    }

    /// A close frame.
    pub fn close(code: u16, reason: &str) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Self::new(opcode::CLOSE, payload)
    }

    /// The frame as bytes, its length in the shortest form.
    pub fn encode(&self) -> Vec<u8> {
        let length = self.payload.len();
        let mut out = Vec::with_capacity(length + 14);
        out.push(u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | (self.opcode & 15));
        let mask_bit = u8::from(self.masking_key.is_some()) << 7;
        if let Some(short) = u8::try_from(length).ok().filter(|length| *length < 126) {
            out.push(mask_bit | short);
        } else if let Ok(medium) = u16::try_from(length) {
            out.push(mask_bit | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        } else {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
        let key = self.masking_key.unwrap_or([0; 4]);
        if self.masking_key.is_some() {
            out.extend_from_slice(&key);
        }
        out.extend(
            self.payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        out
    }

    /// The frame at the front of `bytes` and how many bytes it took; `None` while it is unfinished.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, mut at) = match second & 0x7f {
            126 => (
                u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
                4,
            ),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let masking_key = if second & 0x80 == 0 {
            None
        } else {
            at += 4;
            Some(<[u8; 4]>::try_from(bytes.get(at - 4..at)?).ok()?)
        };
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        let key = masking_key.unwrap_or([0; 4]);
        let payload = bytes.get(at..end)?;
        let payload = payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        let frame = Self {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 7,
            opcode: first & 15,
            masking_key,
            payload,
        };
        Some((frame, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6455 §5.7.
    #[test]
    fn encodes_the_examples_of_the_rfc() {
        let masked = Frame::new(opcode::TEXT, "Hello");
        let expected = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(masked.encode(), expected);
        let unmasked = Frame {
            masking_key: None,
            ..masked
        };
        assert_eq!(
            unmasked.encode(),
            [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
        );
        let binary = Frame {
            masking_key: None,
            ..Frame::new(opcode::BINARY, vec![0; 256])
        };
        assert_eq!(binary.encode()[..4], [0x82, 0x7e, 0x01, 0x00]);
        let large = Frame {
            masking_key: None,
            ..Frame::new(opcode::BINARY, vec![0; 65_536])
        };
        assert_eq!(large.encode()[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn decodes_what_it_encodes_and_waits_for_the_rest() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let frame = Frame::fragment(opcode::BINARY, vec![0xa5; length], false);
            let bytes = frame.encode();
            assert_eq!(Frame::decode(&bytes), Some((frame, bytes.len())));
            assert_eq!(Frame::decode(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Frame::decode(&[]), None);
        assert_eq!(Frame::decode(&[0x81]), None);
    }
}
