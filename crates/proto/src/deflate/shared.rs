//! A message for many: compressed once for all receivers that have the same history.
//!
//! What keeps it right: compressed bytes come out of [`Context::share`] only, which checks that
//! they were made with this very connection's settings and history, byte by byte where it is not
//! known to be the same, and moves the history on in the same step. There is no other way from a
//! [`Frame`] to compressed bytes, and a [`Frame`] itself is never compressed.

use alloc::{sync::Arc, vec::Vec};
use core::fmt;

use super::{Context, DeflatePool, compress::Settings, context::History};
use crate::{
    Frame,
    frame::{Opcode, encode},
};

/// Kinds of receivers of one message that are remembered.
const KINDS_MAX: usize = 16;

/// The bytes of one message frame for one connection: what
/// [`Connection::share`](crate::Connection::share) makes of a [`Frame`]. The bytes may be shared
/// with others that need the very same; writing them elsewhere would break the receiver's context,
/// so this cannot be cloned.
#[must_use = "the connection counts it as sent: write it, or close the connection"]
pub struct Outgoing {
    bytes: Arc<[u8]>,
    compressed: bool,
    /// What is compressed from now on builds on it.
    remembered: bool,
}

/// The frame as it is, not compressed.
impl From<&Frame> for Outgoing {
    fn from(frame: &Frame) -> Self {
        Self {
            bytes: frame.bytes(),
            compressed: false,
            remembered: false,
        }
    }
}

impl Outgoing {
    /// The frame as it goes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether its payload is compressed.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Whether it may be left out, as long as none of its bytes were written: nothing that was or
    /// will be compressed for this connection builds on it.
    pub fn is_droppable(&self) -> bool {
        !self.remembered
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({} bytes)", self.bytes.len())
    }
}

/// The message that was shared last, and what it became for each kind of receiver.
#[derive(Default)]
pub(super) struct Cache {
    frame: Option<Frame>,
    kinds: Vec<ReceiverKind>,
}

/// Receivers that get the same bytes: they compress alike, and were sent the same before.
struct ReceiverKind {
    settings: Settings,
    takeover: bool,
    before: History,
    after: History,
    /// `None`: it goes plain.
    bytes: Option<Arc<[u8]>>,
}

impl ReceiverKind {
    fn is_for(&self, context: &Context) -> bool {
        let sent = context.sent();
        self.settings == context.settings()
            && self.takeover == context.takes_over()
            && (Arc::ptr_eq(&self.before, sent) || self.before == *sent)
    }
}

impl Context {
    /// What `frame` becomes for this connection, which counts it as sent.
    pub(crate) fn share(&mut self, frame: &Frame, pool: &mut DeflatePool) -> Outgoing {
        if !frame.is_compressible() || !self.wants(frame.payload_len()) {
            return Outgoing::from(frame);
        }
        pool.turn_to(frame);
        let known = pool.cache.kinds.iter().position(|kind| kind.is_for(self));
        let index = match known {
            // Where many kinds come and go, those that return stay.
            Some(index) => {
                let front = index / 2;
                pool.cache.kinds.swap(front, index);
                front
            }
            None => self.add_kind(frame, pool),
        };
        match pool.cache.kinds.get(index) {
            Some(ReceiverKind {
                bytes: Some(bytes),
                after,
                ..
            }) => {
                self.set_sent(after);
                pool.counts.sent.add(frame.payload_len(), bytes.len());
                Outgoing {
                    bytes: Arc::clone(bytes),
                    compressed: true,
                    remembered: self.takes_over(),
                }
            }
            _ => Outgoing::from(frame),
        }
    }

    /// Compresses `frame` for a kind of receiver that was not met yet; its place.
    fn add_kind(&self, frame: &Frame, pool: &mut DeflatePool) -> usize {
        let settings = self.settings();
        let takeover = self.takes_over();
        let compressed = pool.compress(settings, takeover, self.sent(), frame.payload());
        let bytes = compressed.map(|compressed| {
            let mut bytes = Vec::new();
            encode::compressed_frame(&mut bytes, Opcode::from(frame.kind()), compressed, None);
            Arc::from(bytes)
        });
        let after = match bytes {
            Some(_) => self.sent_after(frame.payload()),
            None => Arc::clone(self.sent()),
        };
        pool.cache.kinds.truncate(KINDS_MAX.saturating_sub(1));
        pool.cache.kinds.push(ReceiverKind {
            settings,
            takeover,
            before: Arc::clone(self.sent()),
            after,
            bytes,
        });
        pool.cache.kinds.len().saturating_sub(1)
    }
}

impl DeflatePool {
    /// Forgets what another frame became.
    fn turn_to(&mut self, frame: &Frame) {
        let same = self
            .cache
            .frame
            .as_ref()
            .is_some_and(|cached| cached.is_same(frame));
        if !same {
            self.cache.kinds.clear();
            self.cache.frame = Some(frame.clone());
        }
    }

    /// Forgets the message that was shared last, which is otherwise held until the next one.
    pub fn forget_shared(&mut self) {
        self.cache = Cache::default();
    }
}
