//! Frames: the units on the wire (RFC 6455 §5.2).
//!
//! [`header`] reads headers and judges all that a header alone can break; [`encode`] writes
//! frames; [`mask`] is the XOR between the two. [`Frame`] is a message encoded once for many.
//! Nothing here knows about messages beyond "one is unfinished".

pub(crate) mod encode;
pub(crate) mod header;
pub(crate) mod mask;
mod opcode;
mod shared;

pub(crate) use opcode::Opcode;
pub use shared::Frame;
