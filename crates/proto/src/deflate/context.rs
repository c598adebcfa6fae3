//! What a connection keeps for permessage-deflate: what was agreed to, and the last bytes of what
//! went each way.

use alloc::{sync::Arc, vec::Vec};

use super::{
    DeflateAgreement, DeflatePool, InflateError, compress::Settings, inflate, offer::Direction,
};

/// Of one connection. At most two windows of memory with context takeover both ways, and none
/// without.
pub(crate) struct Context {
    receive: Direction,
    send: Direction,
    level: u8,
    even_if_longer: bool,
    message_bytes_min: u32,
    /// The end of all that was inflated: at most a window of it.
    received: Vec<u8>,
    sent: History,
}

/// The end of all that was compressed, at most a window of it. Connections that were sent the same
/// share it.
pub(super) type History = Arc<Vec<u8>>;

impl Context {
    pub(crate) fn new(agreement: &DeflateAgreement, server: bool) -> Self {
        let (receive, send) = if server {
            (agreement.client, agreement.server)
        } else {
            (agreement.server, agreement.client)
        };
        Self {
            receive,
            send,
            level: agreement.level,
            even_if_longer: agreement.even_if_longer,
            message_bytes_min: if send.takeover {
                agreement.takeover_message_bytes_min
            } else {
                agreement.message_bytes_min
            },
            received: Vec::new(),
            sent: History::default(),
        }
    }

    /// Inflates a message of at most `bytes_max`.
    pub(crate) fn inflate(
        &mut self,
        message: &[u8],
        bytes_max: usize,
        pool: &mut DeflatePool,
    ) -> Result<Vec<u8>, InflateError> {
        let window = window_bytes(self.receive.window_bits);
        let context = inflate::Context {
            history: &self.received,
            window,
            bytes_max,
        };
        let inflated = pool.inflater().inflate(message, context)?;
        pool.counts.received.add(inflated.len(), message.len());
        if self.receive.takeover {
            slide(&mut self.received, &inflated, window);
        }
        Ok(inflated)
    }

    /// Whether a message of this length is to be compressed.
    pub(crate) fn wants(&self, len: usize) -> bool {
        u32::try_from(len).is_ok_and(|len| len >= self.message_bytes_min)
    }

    /// Compresses `payload` into the pool's buffer and makes it history, unless that is not worth
    /// while: then it must be sent plain.
    pub(crate) fn compress<'p>(
        &mut self,
        payload: &[u8],
        pool: &'p mut DeflatePool,
    ) -> Option<&'p [u8]> {
        let settings = self.settings();
        let compressed = pool.compress(settings, self.send.takeover, &self.sent, payload)?;
        if self.send.takeover {
            // Where others share the history, this one goes its own way from here.
            let bytes_max = self.sent_bytes_max();
            slide(Arc::make_mut(&mut self.sent), payload, bytes_max);
        }
        Some(compressed)
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            window_bits: self.send.own_window_bits,
            level: self.level,
            even_if_longer: self.even_if_longer,
        }
    }

    pub(crate) fn takes_over(&self) -> bool {
        self.send.takeover
    }

    /// What the next message is compressed behind; empty without context takeover.
    pub(super) fn sent(&self) -> &History {
        &self.sent
    }

    pub(super) fn set_sent(&mut self, sent: &History) {
        self.sent = Arc::clone(sent);
    }

    /// The history behind `payload`.
    pub(super) fn sent_after(&self, payload: &[u8]) -> History {
        if !self.send.takeover {
            return History::default();
        }
        let bytes_max = self.sent_bytes_max();
        let kept = bytes_max.saturating_sub(payload.len()).min(self.sent.len());
        let mut after = Vec::with_capacity(payload.len().min(bytes_max).saturating_add(kept));
        after.extend_from_slice(end_of(&self.sent, kept));
        after.extend_from_slice(end_of(payload, bytes_max));
        Arc::new(after)
    }

    fn sent_bytes_max(&self) -> usize {
        window_bytes(self.send.own_window_bits)
    }
}

fn window_bytes(bits: u8) -> usize {
    1_usize << (bits & 15)
}

fn end_of(bytes: &[u8], len: usize) -> &[u8] {
    bytes
        .get(bytes.len().saturating_sub(len)..)
        .unwrap_or_default()
}

/// Adds `bytes` to a history and forgets what is beyond `window`.
fn slide(history: &mut Vec<u8>, bytes: &[u8], window: usize) {
    let bytes = end_of(bytes, window);
    let kept = window.saturating_sub(bytes.len()).min(history.len());
    history.drain(..history.len().saturating_sub(kept));
    let needed = history.len().saturating_add(bytes.len());
    if needed > history.capacity() {
        let capacity = history.capacity().saturating_mul(2).max(needed).min(window);
        history.reserve_exact(capacity.saturating_sub(history.len()));
    }
    history.extend_from_slice(bytes);
}
