//! permessage-deflate (RFC 7692): messages are compressed one by one, on their own or with what
//! the same side has sent before ("context takeover").
//!
//! [`offer`] is what a handshake asks for and agrees to; [`inflate`] (with [`huffman`]) takes
//! messages apart in safe code of ours; [`compress`] makes them with zlib-rs. A connection's
//! [`context`] is nothing but the last bytes of each direction: the compressors and tables are in
//! a [`DeflatePool`], of which a worker needs one. [`shared`] compresses a message for many.
//!
//! Invariants: no zlib state belongs to a connection; a compressed message leaves only through the
//! connection whose history it was made with; only compressed messages become history (RFC 7692
//! §7.2.3.2 and §7.1.1), on both sides.

mod compress;
mod context;
mod huffman;
mod inflate;
mod offer;
mod pool;
mod shared;

pub(crate) use context::Context;
pub(crate) use inflate::InflateError;
pub use offer::{DeflateAgreement, DeflateConfig, DeflateOffer};
pub use pool::{DeflateCounts, DeflatePool, DeflateTraffic};
pub use shared::Outgoing;
