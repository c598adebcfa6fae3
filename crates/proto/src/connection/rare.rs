//! What few connections have at any time, so that it costs the others a pointer: a client's masking
//! keys, a Pong that is held, a message of ours that has begun.

use alloc::{boxed::Box, vec::Vec};

use super::Connection;
use crate::{Control, Kind, frame::Opcode, message::utf8::Utf8};

/// Gives one fresh masking key a frame.
pub(super) type MaskingKeys = Box<dyn FnMut() -> [u8; 4] + Send>;

/// What few connections have at any time, so that it costs the others nothing.
#[derive(Default)]
pub(super) struct Rare {
    /// Of a client; a server has none.
    masking_keys: Option<MaskingKeys>,
    /// The newest Ping that came while [`Connection::holds_pongs`].
    held_pong: Option<Box<Control>>,
    /// The message that [`Connection::send_fragment`] has begun and not ended.
    pub(super) sending: Option<Sending>,
}

/// A message of ours whose last fragment is not out.
#[derive(Clone, Copy)]
pub(super) struct Sending {
    pub(super) kind: Kind,
    pub(super) utf8: Utf8,
}

impl Rare {
    pub(super) fn of_client(masking_keys: MaskingKeys) -> Box<Self> {
        Box::new(Self {
            masking_keys: Some(masking_keys),
            ..Self::default()
        })
    }

    fn is_empty(&self) -> bool {
        self.masking_keys.is_none() && self.held_pong.is_none() && self.sending.is_none()
    }
}

impl Connection {
    /// From here to [`release_pong`](Self::release_pong) no Pong is appended to `out`: only that of
    /// the newest Ping is kept (RFC 6455 §5.5.3). It is for as long as what was appended before
    /// cannot leave, so that a peer that pings and does not read is owed one Pong and not one for
    /// each Ping.
    pub fn hold_pongs(&mut self) {
        self.holds_pongs = true;
    }

    /// Ends [`hold_pongs`](Self::hold_pongs) and appends the Pong that was kept, if one was, to
    /// `out`. It may overtake messages that wait, but not go inside a frame.
    pub fn release_pong(&mut self, out: &mut Vec<u8>) {
        self.holds_pongs = false;
        if let Some(rare) = &mut self.rare
            && let Some(payload) = rare.held_pong.take()
        {
            self.write_frame(true, Opcode::Pong, &payload, out);
            self.free_rare();
        }
    }

    /// Answers a Ping, now or later.
    pub(super) fn answer_ping(&mut self, payload: Control, out: &mut Vec<u8>) {
        if !self.holds_pongs {
            self.write_frame(true, Opcode::Pong, &payload, out);
        } else {
            let rare = self.rare.get_or_insert_default();
            match &mut rare.held_pong {
                Some(held) => **held = payload,
                none => *none = Some(Box::new(payload)),
            }
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.sending.is_some())
    }

    /// A client's key for its next frame.
    pub(super) fn masking_key(&mut self) -> Option<[u8; 4]> {
        let masking_keys = self.rare.as_mut()?.masking_keys.as_mut();
        masking_keys.map(|next| next())
    }

    pub(super) fn free_rare(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }
}
