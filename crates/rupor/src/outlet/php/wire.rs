//! Frames between gateway and worker process: docs/reference/worker-protocol.md.

use crate::gateway::{ConnectionId, Target};
use std::fmt;
use std::sync::Arc;

/// Version of the protocol.
pub(super) const PROTOCOL: u64 = 1;

/// Longest `length` of a frame that a worker may write, in bytes.
pub(super) const FRAME_BYTES_MAX: usize = 16 << 20;

/// Bytes of kind and subject.
const HEAD_BYTES: usize = 9;
/// Bytes of the length.
const LENGTH_BYTES: usize = 4;

/// What the gateway says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EventKind {
    Hello = 1,
    Upgrade = 2,
    Open = 3,
    Text = 4,
    Binary = 5,
    Close = 6,
    Timer = 7,
    Answer = 8,
    Stop = 9,
    Told = 10,
    Line = 11,
    Refused = 12,
}

/// Appends a frame. A body is never as long as a length can say: all of them are bounded far below.
pub(super) fn encode(out: &mut Vec<u8>, kind: EventKind, subject: u64, body: &[u8]) {
    let length = u32::try_from(HEAD_BYTES + body.len()).unwrap_or(u32::MAX);
    out.reserve(LENGTH_BYTES + HEAD_BYTES + body.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind as u8);
    out.extend_from_slice(&subject.to_be_bytes());
    out.extend_from_slice(body);
}

/// What a worker says, read out of its frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Hello(&'a [u8]),
    Done {
        count: u64,
        is_last: bool,
    },
    Text(ConnectionId, &'a [u8]),
    Binary(ConnectionId, &'a [u8]),
    Close(ConnectionId, u16, &'a [u8]),
    Subscribe(ConnectionId, &'a [u8]),
    Unsubscribe(ConnectionId, &'a [u8]),
    User(ConnectionId, &'a [u8]),
    Attach(ConnectionId, &'a [u8]),
    /// No target: its names are none.
    Publish {
        exclude: Option<ConnectionId>,
        target: Option<Target>,
        text: &'a [u8],
    },
    Disconnect {
        target: Option<Target>,
        code: u16,
        reason: &'a [u8],
    },
    Ask(u64, &'a [u8]),
    Accept(u64, &'a [u8]),
    Refuse(u64, u16, &'a [u8]),
    Tell(u16, &'a [u8]),
    Reply(u64, &'a [u8]),
}

/// Why bytes are no frames of this protocol: whoever wrote them is no worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFrames {
    /// The length is below the least or over [`FRAME_BYTES_MAX`].
    Length(u32),
    /// No such kind.
    Kind(u8),
    /// The body of this kind ends early or is none.
    Body(u8),
}

impl fmt::Display for NotFrames {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(
                formatter,
                "a frame of {length} bytes; they have 9 to {FRAME_BYTES_MAX}"
            ),
            Self::Kind(kind) => write!(formatter, "a frame of the unknown kind {kind}"),
            Self::Body(kind) => write!(formatter, "a frame of kind {kind} that ends early"),
        }
    }
}

/// The first frame in `bytes` and how long it is; `None`: not all of it is there.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Command<'_>, usize)>, NotFrames> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let announced = u32::from_be_bytes(*length);
    let length = usize::try_from(announced).unwrap_or(usize::MAX);
    if !(HEAD_BYTES..=FRAME_BYTES_MAX).contains(&length) {
        return Err(NotFrames::Length(announced));
    }
    let Some(frame) = rest.get(..length) else {
        return Ok(None);
    };
    let mut body = Body(frame);
    let kind = body.byte().ok_or(NotFrames::Length(announced))?;
    let command = command(kind, &mut body)?.ok_or(NotFrames::Body(kind))?;
    Ok(Some((command, LENGTH_BYTES + length)))
}

fn command<'a>(kind: u8, body: &mut Body<'a>) -> Result<Option<Command<'a>>, NotFrames> {
    let Some(subject) = body.long() else {
        return Ok(None);
    };
    let connection = ConnectionId(subject);
    let command = match kind {
        65 => Some(Command::Hello(body.rest())),
        66 => Some(Command::Done {
            count: subject,
            is_last: body.rest() == [1],
        }),
        67 => Some(Command::Text(connection, body.rest())),
        68 => Some(Command::Binary(connection, body.rest())),
        69 => body
            .short()
            .map(|code| Command::Close(connection, code, body.rest())),
        70 => Some(Command::Subscribe(connection, body.rest())),
        71 => Some(Command::Unsubscribe(connection, body.rest())),
        72 => Some(Command::User(connection, body.rest())),
        73 => Some(Command::Attach(connection, body.rest())),
        74 => body.target().map(|target| Command::Publish {
            exclude: (subject != 0).then_some(connection),
            target,
            text: body.rest(),
        }),
        75 => body.target().zip(body.short()).map(|(target, code)| {
            let reason = body.rest();
            Command::Disconnect {
                target,
                code,
                reason,
            }
        }),
        76 => Some(Command::Ask(subject, body.rest())),
        77 => Some(Command::Accept(subject, body.rest())),
        78 => body
            .short()
            .map(|status| Command::Refuse(subject, status, body.rest())),
        79 => body
            .short()
            .map(|worker| Command::Tell(worker, body.rest())),
        80 => Some(Command::Reply(subject, body.rest())),
        _ => return Err(NotFrames::Kind(kind)),
    };
    Ok(command)
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// `Some(None)`: it is whole, but there is no such target, or a name is not UTF-8.
    fn target(&mut self) -> Option<Option<Target>> {
        let kind = self.byte()?;
        let count = usize::from(self.short()?);
        // Each name has a length of two bytes, so that many there can be.
        let mut names = Vec::with_capacity(count.min(self.0.len() / 2));
        for _ in 0..count {
            let length = usize::from(self.short()?);
            let (name, rest) = self.0.split_at_checked(length)?;
            self.0 = rest;
            names.push(std::str::from_utf8(name).ok().map(Arc::from));
        }
        let names: Option<Vec<Arc<str>>> = names.into_iter().collect();
        Some(names.and_then(|names| target(kind, names)))
    }
}

fn target(kind: u8, names: Vec<Arc<str>>) -> Option<Target> {
    match (kind, &*names) {
        (0, []) => Some(Target::All),
        (1, [user]) => Some(Target::User(Arc::clone(user))),
        (1, [_, ..]) => Some(Target::Users(names)),
        (2, [channel]) => Some(Target::Channel(Arc::clone(channel))),
        (3, [value]) => Some(Target::Cookie(Arc::clone(value))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, subject: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(9 + body.len())
            .unwrap()
            .to_be_bytes()
            .to_vec();
        bytes.push(kind);
        bytes.extend(subject.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn frames_are_as_the_reference_says() {
        let mut out = Vec::new();
        encode(&mut out, EventKind::Text, 0x0102, b"hi");
        assert_eq!(out, b"\0\0\0\x0b\x04\0\0\0\0\0\0\x01\x02hi");
        let bytes = frame(69, 7, b"\x0f\xa0bye");
        let command = Command::Close(ConnectionId(7), 4000, b"bye");
        assert_eq!(decode(&bytes), Ok(Some((command, bytes.len()))));
    }

    #[test]
    fn targets() {
        let decoded = |body: &[u8]| match decode(&frame(74, 0, body)) {
            Ok(Some((Command::Publish { target, text, .. }, _))) => Ok((target, text.to_vec())),
            other => Err(format!("{other:?}")),
        };
        let users = Target::Users(vec!["a".into(), "b".into()]);
        for (body, target) in [
            (&b"\0\0\0text"[..], Some(Target::All)),
            (
                b"\x01\0\x01\0\x04annatext",
                Some(Target::User("anna".into())),
            ),
            (b"\x01\0\x02\0\x01a\0\x01btext", Some(users)),
            (b"\x01\0\0text", None),
            (b"\x02\0\x02\0\x01a\0\x01btext", None),
            (b"\x02\0\x01\0\x01\xfftext", None),
            (b"\x09\0\0text", None),
        ] {
            assert_eq!(decoded(body), Ok((target, b"text".to_vec())));
        }
        for cut in [&b""[..], b"\x02\0\x01\0\xffshort", b"\x02\xff\xff"] {
            assert!(decoded(cut).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn what_is_no_frame_is_named() {
        assert_eq!(decode(b"\0\0\0\x08"), Err(NotFrames::Length(8)));
        assert_eq!(decode(b"PHP "), Err(NotFrames::Length(0x5048_5020)));
        assert_eq!(decode(&frame(99, 0, b"")), Err(NotFrames::Kind(99)));
        assert_eq!(decode(&frame(78, 0, b"x")), Err(NotFrames::Body(78)));
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_cut(bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 60_u8..85) {
            let _ = decode(&bytes);
            let whole = frame(kind, 1, &bytes);
            if let Ok(Some((_, length))) = decode(&whole) {
                prop_assert_eq!(length, whole.len());
            }
            for cut in 0..whole.len() {
                prop_assert_eq!(decode(&whole[..cut]), Ok(None));
            }
        }
    }
}
