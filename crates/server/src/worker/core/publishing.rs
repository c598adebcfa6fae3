//! Frames from outside on their way to connections: gathered while a batch of commands is done, then
//! written to each connection with one call.

use std::ops::Range;

use rupor_proto::Frame;

use super::super::context::Context;
use super::super::delivery::Droppable;
use super::super::runs::{Place, Runs};
use super::super::transport::Transport;
use super::{Core, Entry, find};
use crate::handler::Handler;
use crate::id::ConnectionId;
use crate::inbox::Command;
use crate::topic::Topic;

impl<H: Handler, T: Transport> Core<H, T> {
    /// Does what somebody asked for through the inbox.
    pub(crate) fn commands(&mut self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            self.command(command);
        }
        self.write_runs();
    }

    /// Gathers a frame for one connection.
    pub(super) fn send(&mut self, to: ConnectionId, frame: Frame) {
        if find(&mut self.entries, to).is_none() {
            return;
        }
        self.gather(frame, None);
        if let Ok(slot) = u32::try_from(to.slot()) {
            self.add(slot);
        }
    }

    /// Gathers a frame for all who are subscribed.
    pub(super) fn publish(
        &mut self,
        topic: &Topic,
        frame: Frame,
        droppable: Option<Droppable>,
        exclude: Option<ConnectionId>,
    ) {
        let topics = std::mem::take(&mut self.context.topics);
        let excluded = exclude
            .filter(|id| find(&mut self.entries, *id).is_some())
            .and_then(|id| u32::try_from(id.slot()).ok());
        // Gathered for the first who hears it: most workers have nobody for most publications.
        let mut fresh = Some((frame, droppable));
        for slot in topics.subscribers(topic) {
            if Some(slot) != excluded {
                if let Some((frame, droppable)) = fresh.take() {
                    self.gather(frame, droppable);
                }
                self.add(slot);
            }
        }
        self.context.topics = topics;
    }

    fn gather(&mut self, frame: Frame, droppable: Option<Droppable>) {
        if self.runs.is_full(frame.as_bytes().len()) {
            self.write_runs();
        }
        self.runs.push(frame, droppable);
    }

    /// The newest frame is for this slot too.
    fn add(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot as usize) else {
            return;
        };
        match self.runs.add(slot, || entry.link.takes_runs()) {
            Place::Waits => {}
            Place::Behind(run) => {
                let newest = self.runs.newest();
                deliver(entry, &self.runs, run, &mut self.context);
                deliver(entry, &self.runs, newest, &mut self.context);
            }
        }
    }

    /// Queues what waits for a slot, so that something else can be behind it.
    pub(super) fn queue_run(&mut self, slot: usize) {
        if let Some(entry) = self.entries.get_mut(slot) {
            let run = self.runs.take(entry.link.slot());
            deliver(entry, &self.runs, run, &mut self.context);
        }
    }

    /// Writes what was gathered.
    fn write_runs(&mut self) {
        let seen = self.runs.take_seen();
        for slot in &seen {
            let run = self.runs.take(*slot);
            if let Some(entry) = self.entries.get_mut(*slot as usize)
                && !run.is_empty()
            {
                write_run(entry, &mut self.runs, run, &mut self.context);
            }
        }
        self.runs.clear(seen);
    }
}

/// Queues frames of the batch.
fn deliver<S, T: Transport>(
    entry: &mut Entry<S, T>,
    runs: &Runs,
    run: Range<usize>,
    context: &mut Context,
) {
    let Entry {
        link, transport, ..
    } = entry;
    for one in runs.frames(run) {
        link.deliver(&one.frame, one.droppable.as_ref(), context, transport);
    }
}

/// Writes frames of the batch, and queues what the transport does not take.
fn write_run<S, T: Transport>(
    entry: &mut Entry<S, T>,
    runs: &mut Runs,
    run: Range<usize>,
    context: &mut Context,
) {
    let Entry {
        link, transport, ..
    } = entry;
    if !link.takes_runs() {
        return deliver(entry, runs, run, context);
    }
    let mut written = link.write_run(runs.bytes(run.clone()), context, transport);
    for one in runs.frames(run) {
        let len = one.frame.as_bytes().len();
        if written >= len {
            written -= len;
            context.tally.frames_out += 1;
        } else if written > 0 {
            link.queue_begun(&one.frame, written, context);
            written = 0;
        } else {
            link.deliver(&one.frame, one.droppable.as_ref(), context, transport);
        }
    }
}
