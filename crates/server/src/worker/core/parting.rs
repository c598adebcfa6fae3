//! The end of connections: one by one, evenly spread, or all at once.

use std::io::ErrorKind;
use std::time::Duration;

use rupor_proto::{Close, CloseCode, Initiator};

use super::super::drain::Drain;
use super::super::flags::Flags;
use super::super::transport::Transport;
use super::{Core, Entry, count_panic, guard};
use crate::handler::{Connection, Handler};
use crate::inbox::End;
use crate::stats::add;

impl<H: Handler, T: Transport> Core<H, T> {
    /// Begins to end, gently or at once.
    pub(crate) fn end(&mut self, end: End) {
        match end {
            End::Drain(window) => {
                let ids = self
                    .entries
                    .iter()
                    .map(|(_, entry)| entry.link.id)
                    .collect();
                self.drain = Some(Drain::new(ids, self.context.now, window));
            }
            End::Stop => {
                self.drain = Some(Drain::new(Vec::new(), self.context.now, Duration::ZERO));
                let slots: Vec<usize> = self.entries.iter().map(|(slot, _)| slot).collect();
                for slot in slots {
                    self.stop(slot);
                }
            }
        }
    }

    /// Whether it was asked to end and nobody is left.
    pub(crate) fn is_finished(&self) -> bool {
        self.drain.is_some() && self.entries.is_empty()
    }

    fn stop(&mut self, slot: usize) {
        let Self {
            entries, context, ..
        } = self;
        let Some(Entry {
            link,
            transport,
            state,
        }) = entries.get_mut(slot)
        else {
            return;
        };
        if state.is_some() {
            link.close(CloseCode::GOING_AWAY, "the server stops", context);
            link.write_out(context, transport);
            self.part(
                slot,
                &Close {
                    code: CloseCode::GOING_AWAY,
                    reason: String::new(),
                    initiator: Initiator::Local,
                    clean: false,
                    error: None,
                },
            );
        }
        self.remove(slot);
    }

    pub(super) fn run_drain(&mut self) {
        while let Some(id) = self
            .drain
            .as_mut()
            .and_then(|drain| drain.next_due(self.context.now))
        {
            self.close(id, CloseCode::GOING_AWAY, "the server is going down");
        }
    }

    /// Tells the handler that a connection is over, and lets what is unsent leave.
    pub(super) fn part(&mut self, slot: usize, close: &Close) {
        let Self {
            entries,
            context,
            handler,
            ..
        } = self;
        let Some(Entry {
            link,
            transport,
            state,
        }) = entries.get_mut(slot)
        else {
            return;
        };
        let Some(state) = state.take() else { return };
        link.flags.insert(Flags::PARTING);
        drop(link.take_held());
        let linger = u64::from(context.limits.linger_ms);
        link.timer = context.now.saturating_add_ms(linger);
        // After a clean end nothing more comes, and after an abrupt one nobody is there.
        link.flags.set(
            Flags::LEAVE_WHEN_SENT,
            close.clean || close.code == CloseCode::ABNORMAL,
        );
        context.counters.closed(close.code);
        context.topics.remove(link.slot());
        let done = guard(|| {
            let mut connection = Connection::new(link, context, None);
            handler.on_close(&mut connection, state, close);
        });
        if done.is_none() {
            count_panic(context);
        }
        // It may have subscribed again.
        context.topics.remove(link.slot());
        link.write_out(context, transport);
    }

    /// Reads past a peer that has yet to notice its end, so that our last words reach it instead
    /// of a reset.
    pub(super) fn linger(&mut self, slot: usize) {
        let Self {
            entries,
            buffer,
            context,
            ..
        } = self;
        let Some(Entry {
            link, transport, ..
        }) = entries.get_mut(slot)
        else {
            return;
        };
        let mut rounds = context.limits.reads_per_turn_max.max(1);
        while link.flags.contains(Flags::READABLE)
            && !link.flags.contains(Flags::BROKEN)
            && rounds > 0
        {
            rounds -= 1;
            match transport.read(buffer) {
                Ok(0) => {
                    link.flags.remove(Flags::READABLE);
                    link.flags.insert(Flags::LEAVE_WHEN_SENT);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    link.flags.remove(Flags::READABLE)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => link.flags.insert(Flags::BROKEN),
            }
        }
        self.rest(slot);
    }

    pub(super) fn remove(&mut self, slot: usize) {
        if let Some(mut entry) = self.entries.try_remove(slot) {
            entry.link.release(&mut self.context);
            add(&self.context.counters.gone, 1);
        }
    }
}
