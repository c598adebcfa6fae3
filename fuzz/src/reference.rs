//! A receiver of frames that takes one byte at a time and keeps everything: slow, and written from
//! RFC 6455 without a look at the crate under test.

use crate::wire::Seen;

/// What to hold a peer to.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether the peer is a client, whose frames are masked (§5.1).
    pub peer_is_client: bool,
    /// The most bytes of a message.
    pub message_bytes_max: usize,
    /// The most frames of a message, empty ones that are not the last counted twice.
    pub frames_per_message_max: u32,
}

/// The state after some bytes.
#[derive(Debug)]
pub struct Reference {
    rules: Rules,
    /// The frame that is being read, as it came.
    frame: Vec<u8>,
    /// Opcode, payload and weight of the frames of the message that is being read.
    message: Option<(u8, Vec<u8>, u32)>,
    /// The close code of the first broken rule, or of the peer's Close frame.
    pub closed: Option<u16>,
    /// Bytes that came behind that.
    pub behind: usize,
    /// What has happened.
    pub seen: Vec<Seen>,
}

/// A frame's header, complete.
struct Header {
    fin: bool,
    opcode: u8,
    payload_len: u64,
    key: Option<[u8; 4]>,
    header_len: usize,
}

const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;

impl Reference {
    /// Nothing has been read.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            frame: Vec::new(),
            message: None,
            closed: None,
            behind: 0,
            seen: Vec::new(),
        }
    }

    /// Reads on.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// Whether a frame has begun and not ended.
    pub fn is_inside_a_frame(&self) -> bool {
        self.closed.is_none() && !self.frame.is_empty()
    }

    /// Reads one byte; behind the end it is only counted.
    pub fn byte(&mut self, byte: u8) {
        if self.closed.is_some() {
            self.behind += 1;
            return;
        }
        self.frame.push(byte);
        if let Err(code) = self.look() {
            self.closed = Some(code);
            self.seen.push(Seen::Failed(code));
        }
    }

    /// Looks at the frame so far, all of it again.
    fn look(&mut self) -> Result<(), u16> {
        let Some(header) = self.header()? else {
            return Ok(());
        };
        let got = self.frame.len() - header.header_len;
        if got == 0 {
            self.begin(&header)?;
        }
        let payload = self.payload(&header);
        let text = match (header.opcode, &self.message) {
            (1, _) => Some(payload.clone()),
            (0, Some((1, before, _))) => Some([&before[..], &payload].concat()),
            _ => None,
        };
        if let Some(text) = text {
            check_text(&text, false)?;
        }
        if got as u64 == header.payload_len {
            self.frame.clear();
            self.end(&header, payload)?;
        }
        Ok(())
    }

    /// §5.2, the bytes in their order.
    fn header(&self) -> Result<Option<Header>, u16> {
        let frame = &self.frame;
        let (fin, opcode) = (frame[0] & 0x80 != 0, frame[0] & 0x0f);
        if frame[0] & 0x70 != 0 {
            return Err(PROTOCOL_ERROR);
        }
        match opcode {
            0 if self.message.is_none() => return Err(PROTOCOL_ERROR),
            1 | 2 if self.message.is_some() => return Err(PROTOCOL_ERROR),
            3..=7 | 11..=15 => return Err(PROTOCOL_ERROR),
            8..=10 if !fin => return Err(PROTOCOL_ERROR),
            _ => {}
        }
        if frame.len() < 2 {
            return Ok(None);
        }
        let masked = frame[1] & 0x80 != 0;
        if masked != self.rules.peer_is_client {
            return Err(PROTOCOL_ERROR);
        }
        let short = frame[1] & 0x7f;
        if opcode >= 8 && short > 125 {
            return Err(PROTOCOL_ERROR);
        }
        let length_end = match short {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        if frame.len() < length_end {
            return Ok(None);
        }
        let mut payload_len = 0_u64;
        for byte in &frame[2..length_end] {
            payload_len = payload_len << 8 | u64::from(*byte);
        }
        match short {
            126 if payload_len < 126 => return Err(PROTOCOL_ERROR),
            127 if payload_len < 65_536 => return Err(PROTOCOL_ERROR),
            127 if payload_len >> 63 != 0 => return Err(PROTOCOL_ERROR),
            126 | 127 => {}
            _ => payload_len = u64::from(short),
        }
        let header_len = length_end + if masked { 4 } else { 0 };
        if frame.len() < header_len {
            return Ok(None);
        }
        let key = masked.then(|| {
            [
                frame[length_end],
                frame[length_end + 1],
                frame[length_end + 2],
                frame[length_end + 3],
            ]
        });
        Ok(Some(Header {
            fin,
            opcode,
            payload_len,
            key,
            header_len,
        }))
    }

    /// Limits, before any payload.
    fn begin(&mut self, header: &Header) -> Result<(), u16> {
        if header.opcode >= 8 {
            return Ok(());
        }
        let weight = if header.payload_len == 0 && !header.fin {
            2
        } else {
            1
        };
        let (before, frames) = match &mut self.message {
            Some((_, payload, frames)) => {
                *frames += weight;
                (payload.len(), *frames)
            }
            None => (0, weight),
        };
        if header.payload_len as u128 + before as u128 > self.rules.message_bytes_max as u128 {
            return Err(TOO_BIG);
        }
        if frames > self.rules.frames_per_message_max {
            return Err(POLICY);
        }
        Ok(())
    }

    /// §5.3.
    fn payload(&self, header: &Header) -> Vec<u8> {
        let mut payload = Vec::new();
        for (index, byte) in self.frame[header.header_len..].iter().enumerate() {
            payload.push(match header.key {
                Some(key) => byte ^ key[index % 4],
                None => *byte,
            });
        }
        payload
    }

    fn end(&mut self, header: &Header, payload: Vec<u8>) -> Result<(), u16> {
        match header.opcode {
            8 => return self.close(&payload),
            9 => self.seen.push(Seen::Ping(payload)),
            10 => self.seen.push(Seen::Pong(payload)),
            opcode => {
                let weight = if header.payload_len == 0 && !header.fin {
                    2
                } else {
                    1
                };
                let message = self.message.get_or_insert((opcode, Vec::new(), weight));
                message.1.extend(payload);
                if header.fin {
                    let (kind, message, _) = self.message.take().unwrap_or_default();
                    if kind == 1 {
                        check_text(&message, true)?;
                    }
                    self.seen.push(Seen::Message(kind == 1, message));
                }
            }
        }
        Ok(())
    }

    /// §5.5.1, §7.4.
    fn close(&mut self, payload: &[u8]) -> Result<(), u16> {
        let code = match payload {
            [] => 1005,
            [_] => return Err(PROTOCOL_ERROR),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                match code {
                    1000..=1003 | 1007..=1014 | 3000..=4999 => {}
                    _ => return Err(PROTOCOL_ERROR),
                }
                check_text(reason, true)?;
                code
            }
        };
        self.closed = Some(code);
        self.seen.push(Seen::Closed(code));
        Ok(())
    }
}

/// §8.1: whether it is UTF-8, or, if not `whole`, may become it.
fn check_text(bytes: &[u8], whole: bool) -> Result<(), u16> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) if error.error_len().is_none() && !whole => Ok(()),
        Err(_) => Err(NOT_UTF8),
    }
}
