//! What the connections of a thread take turns with: compression's memory, and random bytes for
//! masking keys.
//!
//! A compressor is 140 to 380 KB and nothing of it belongs to a connection, so there is one set for
//! each thread that polls connections, wherever tokio moves them: no lock, and nothing that grows
//! with their number. It is lent for calls in which nothing is awaited and no code of others runs.

use std::cell::RefCell;

use rupor_proto::DeflatePool;

/// Masking keys that are drawn at once.
const KEYS_DRAWN: usize = 256;

thread_local! {
    static POOL: RefCell<DeflatePool> = RefCell::default();
    static KEYS: RefCell<Keys> = const { RefCell::new(Keys(Vec::new())) };
}

/// Lends this thread's pool.
pub(super) fn with_pool<T>(work: impl FnOnce(&mut DeflatePool) -> T) -> T {
    POOL.with(|pool| match pool.try_borrow_mut() {
        Ok(mut pool) => work(&mut pool),
        // Not reached: `work` does not come back here. A pool of its own would still be right.
        Err(_) => work(&mut DeflatePool::new()),
    })
}

/// Random bytes that no key was made of yet.
struct Keys(Vec<u8>);

/// A fresh key for a frame, which nobody could foretell (RFC 6455 §10.3).
pub(super) fn masking_key() -> [u8; 4] {
    KEYS.with(|keys| match keys.try_borrow_mut() {
        Ok(mut keys) => keys.next(),
        Err(_) => drawn(),
    })
}

impl Keys {
    fn next(&mut self) -> [u8; 4] {
        if let Some(at) = self.0.len().checked_sub(4)
            && let Some(key) = self.0.last_chunk::<4>().copied()
        {
            self.0.truncate(at);
            return key;
        }
        self.0.resize(KEYS_DRAWN * 4, 0);
        if getrandom::fill(&mut self.0).is_err() {
            self.0.clear();
        }
        let key = self.0.last_chunk::<4>().copied();
        self.0.truncate(self.0.len().saturating_sub(4));
        key.unwrap_or_else(drawn)
    }
}

/// A single key. A system that gave the handshake its nonce and has no random bytes now leaves
/// none to give: zeros are right on the wire, and protect nobody's proxy.
fn drawn() -> [u8; 4] {
    let mut key = [0; 4];
    let _ = getrandom::fill(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_differ_also_behind_what_was_drawn_at_once() {
        let keys: HashSet<_> = (0..KEYS_DRAWN * 3).map(|_| masking_key()).collect();
        // Two equal ones among 768 of four bytes are possible once in 14,000 runs.
        assert!(keys.len() >= KEYS_DRAWN * 3 - 1);
    }
}
