//! What is so of a connection or is not: independent facts, in two bytes of every silent one.

bitflags::bitflags! {
    /// Where a connection is, beyond what the protocol knows.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Flags: u16 {
        /// There may be something to read.
        const READABLE = 1 << 0;
        /// The peer closed its side, so a short read does not mean that all was read.
        const READ_CLOSED = 1 << 1;
        /// The transport took less than it was given.
        const BLOCKED = 1 << 2;
        /// It stands in [`Context::dirty`](super::Context::dirty).
        const DIRTY = 1 << 3;
        /// It stands in [`Context::again`](super::Context::again).
        const AGAIN = 1 << 4;
        /// The transport failed.
        const BROKEN = 1 << 5;
        /// `on_close` was called; what is unsent may leave, then it goes.
        const PARTING = 1 << 6;
        /// Nothing is waited for once everything has left.
        const LEAVE_WHEN_SENT = 1 << 7;
        /// Our side was shut down.
        const SHUT = 1 << 8;
        /// `on_open` runs: the 101 is in `out` and may not leave yet.
        const OPENING = 1 << 9;
        /// Something received was thrown away, so what follows may begin inside a frame: no more is understood.
        const DEAF = 1 << 10;
        /// permessage-deflate was agreed to.
        const DEFLATE = 1 << 11;
        /// The system was told to have little unsent.
        const KEEPS_UNSENT = 1 << 12;
    }
}
