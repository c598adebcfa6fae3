//! Names of workers and connections.
//!
//! A [`ConnectionId`] says which worker owns the connection, so a command for it goes straight to
//! that worker's inbox, and carries a generation, so a slot that was given to somebody else is
//! never mistaken for its first owner.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The most workers that a server can have: [`ConnectionId`] has 8 bits for the worker.
pub const WORKERS_MAX: usize = 256;

/// The most connections that one worker can hold: [`ConnectionId`] has 24 bits for the slot.
pub(crate) const SLOTS_MAX: usize = 1 << 24;

/// Which worker: 0 to [`Handle::workers`](crate::Handle::workers) − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(u8);

impl WorkerId {
    /// The worker with that number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Every worker of a server that has `count` of them; at most [`WORKERS_MAX`].
    pub fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(count).map(Self)
    }

    /// The number, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one connection, unique for the life of the process (until a worker has opened 2³² of
/// them).
///
/// 8 bits worker, 24 bits slot, 32 bits generation. The generation starts at random, but an id is a
/// name and not a secret: who knows one may still be nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) const fn from_parts(worker: WorkerId, slot: u32, generation: u32) -> Self {
        Self((worker.0 as u64) << 56 | ((slot as u64) & 0xff_ffff) << 32 | generation as u64)
    }

    /// The id with these bits.
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The id's bits.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The worker that the connection belongs to.
    pub const fn worker(self) -> WorkerId {
        WorkerId((self.0 >> 56) as u8)
    }

    pub(crate) const fn slot(self) -> usize {
        ((self.0 >> 32) & 0xff_ffff) as usize
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

/// The text is not the 16 hexadecimal digits of a [`ConnectionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAConnectionId;

impl fmt::Display for NotAConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection id is 16 hexadecimal digits")
    }
}

impl std::error::Error for NotAConnectionId {}

impl From<ParseIntError> for NotAConnectionId {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for ConnectionId {
    type Err = NotAConnectionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // from_str_radix would also take a sign.
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAConnectionId);
        }
        Ok(Self(u64::from_str_radix(text, 16)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_holds_its_parts_and_survives_text() {
        let id = ConnectionId::from_parts(WorkerId::new(7), 0xabcdef, 0xdead_beef);
        assert_eq!(id.worker(), WorkerId::new(7));
        assert_eq!(id.slot(), 0xabcdef);
        assert_eq!(id.to_string(), "07abcdefdeadbeef");
        assert_eq!("07abcdefdeadbeef".parse(), Ok(id));
        assert_eq!(ConnectionId::from_u64(id.as_u64()), id);
    }

    #[test]
    fn what_is_not_16_hex_digits_is_no_id() {
        for text in [
            "",
            "7",
            "+7abcdefdeadbeef",
            "07abcdefdeadbeef0",
            "07abcdefdeadbeeg",
            "é7abcdefdeadbee",
        ] {
            assert_eq!(
                text.parse::<ConnectionId>(),
                Err(NotAConnectionId),
                "{text}"
            );
        }
    }
}
