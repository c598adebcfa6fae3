//! Frames: the units on the wire (RFC 6455 §5.2).

mod shared;

pub use shared::Frame;
