//! What few connections have at any time, so that it costs the others a pointer: input that waits,
//! notes of what was left out, and the like; and what a connection knows in short, in full.
//!
//! Invariant: it is there only while something is in it.

use std::net::SocketAddr;

use rupor_proto::Time;

use super::context::Context;
use super::delivery::LeftOutNotes;
use super::flags::Flags;
use super::link::{Link, NEVER};

/// Input that was received and may not be served yet.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: usize,
}

/// Of one connection.
#[derive(Debug)]
pub(crate) struct Rare {
    held: Option<Held>,
    /// Publications that were left out and the handler has not been told of.
    pub(super) left_out: Option<Box<LeftOutNotes>>,
    /// Since when it has been over its inbound rate.
    over_since: Time,
    /// What of it is counted in the worker's backlog.
    counted: u64,
    /// Where the worker's list of names is full.
    subprotocol: Option<Box<str>>,
    /// Of an IPv6 address, where it is not 0.
    pub(super) scope_id: u32,
}

impl Default for Rare {
    fn default() -> Self {
        Self {
            held: None,
            left_out: None,
            over_since: NEVER,
            counted: 0,
            subprotocol: None,
            scope_id: 0,
        }
    }
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.held.is_none()
            && self.left_out.is_none()
            && self.over_since == NEVER
            && self.counted == 0
            && self.subprotocol.is_none()
            && self.scope_id == 0
    }
}

impl Link {
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn free_rare(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }

    fn held(&self) -> Option<&Held> {
        self.rare.as_ref()?.held.as_ref()
    }

    /// Whether input waits.
    pub(crate) fn has_held(&self) -> bool {
        self.held().is_some()
    }

    /// Bytes of it, those that were served already among them.
    pub(super) fn held_bytes(&self) -> usize {
        self.held().map_or(0, |held| held.bytes.len())
    }

    /// Keeps input for later.
    pub(crate) fn hold(&mut self, held: Held) {
        self.rare_mut().held = Some(held);
    }

    /// Takes the input that waits.
    pub(crate) fn take_held(&mut self) -> Option<Held> {
        let held = self.rare.as_mut()?.held.take();
        self.free_rare();
        held
    }

    /// Since when it has been over its inbound rate.
    pub(crate) fn over_since(&self) -> Time {
        self.rare.as_ref().map_or(NEVER, |rare| rare.over_since)
    }

    pub(super) fn set_over_since(&mut self, at: Time) {
        if at != self.over_since() {
            self.rare_mut().over_since = at;
            self.free_rare();
        }
    }

    /// What of it is counted in the worker's backlog, in bytes.
    pub(super) fn counted(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.counted)
    }

    pub(super) fn set_counted(&mut self, bytes: u64) {
        if bytes != self.counted() {
            self.rare_mut().counted = bytes;
            self.free_rare();
        }
    }

    /// The client's address.
    pub(crate) fn remote(&self) -> SocketAddr {
        let scope_id = self.rare.as_ref().map_or(0, |rare| rare.scope_id);
        self.remote.address(scope_id)
    }

    /// The subprotocol that was agreed on.
    pub(crate) fn subprotocol<'a>(&'a self, context: &'a Context) -> Option<&'a str> {
        match self.subprotocol {
            Some(number) => context.subprotocols.name(number),
            None => self.rare.as_ref()?.subprotocol.as_deref(),
        }
    }

    /// Keeps a name that was agreed on.
    pub(super) fn set_subprotocol(&mut self, name: Box<str>, context: &mut Context) {
        match context.subprotocols.enter(name) {
            Ok(number) => self.subprotocol = Some(number),
            Err(name) => self.rare_mut().subprotocol = Some(name),
        }
    }

    /// Sets when the handler wants `on_timer`. When it is parting, there is none.
    pub(crate) fn set_timer(&mut self, at: Time) {
        if !self.flags.contains(Flags::PARTING) {
            self.timer = at;
        }
    }
}
