//! Publications from the broker to this node's connections: a batch is decided under one lock of the hub, and goes into the
//! workers' inboxes at once.

use super::{Gateway, PublishError, Receipt, effects};
use crate::broker::{Node, Receipts};
use crate::gateway::Publish;
use rupor_hub::Publication;
use std::sync::atomic::Ordering;

/// Commands for workers that are gathered before they go into the inboxes and the hub is unlocked for others. One publication
/// more at most.
pub(super) const COMMANDS_AT_ONCE: usize = 256;

impl Node for Gateway {
    fn deliver(&self, batch: &[Publish]) -> Receipts {
        let mut receipts = Receipts::with_capacity(batch.len());
        let mut has_room = true;
        while has_room && receipts.len() < batch.len() {
            has_room = self.deliver_some(&batch[receipts.len()..], &mut receipts);
        }
        self.count(&receipts);
        receipts.resize(batch.len(), Err(PublishError::Overloaded));
        receipts
    }
}

impl Gateway {
    /// Delivers publications from the front of a batch; at least one. False: the last of them found no room, and nothing
    /// behind it may overtake it.
    fn deliver_some(&self, batch: &[Publish], receipts: &mut Receipts) -> bool {
        let server = self.server.get();
        let before = receipts.len();
        let (mut effects, mut commands, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let hub = self.hub();
        for publish in batch {
            let publication = Publication {
                text: publish.body.clone(),
                compress: publish.compress,
                key: publish.key.clone(),
                id: publish.id.clone(),
            };
            let outcome = hub.publish(&publish.target, publish.exclude, &publication, &mut effects);
            let receipt = match (outcome, server) {
                (Err(refused), _) => Err(refused.into()),
                (Ok(_), None) if !effects.is_empty() => Err(PublishError::Unavailable),
                (Ok(outcome), _) => Ok(Receipt {
                    connections: outcome.connections,
                }),
            };
            receipts.push(receipt);
            let workers = server.map_or(0, |server| server.workers());
            effects::to_commands(
                effects.drain(..),
                &self.settings.channels,
                workers,
                &mut commands,
            );
            ends.push(commands.len());
            if commands.len() >= COMMANDS_AT_ONCE {
                break;
            }
        }
        let fitting = server.map_or(ends.len(), |server| server.submit_groups(commands, &ends));
        drop(hub);
        let has_room = fitting == ends.len();
        if !has_room {
            receipts.truncate(before + fitting);
            receipts.push(Err(PublishError::Overloaded));
        }
        has_room
    }

    fn count(&self, receipts: &Receipts) {
        let (mut published, mut overloaded, mut refused) = (0, 0, 0);
        for receipt in receipts {
            match receipt {
                Ok(_) => published += 1,
                Err(PublishError::Overloaded) => overloaded += 1,
                Err(_) => refused += 1,
            }
        }
        let counters = &self.counters;
        counters
            .publications
            .fetch_add(published, Ordering::Relaxed);
        counters
            .publications_overloaded
            .fetch_add(overloaded, Ordering::Relaxed);
        counters
            .publications_refused
            .fetch_add(refused, Ordering::Relaxed);
    }
}
