//! What the hub's tables have in common: entering, leaving, giving memory back, counting by kind.

use crate::members::Members;
use crate::{ConnectionId, Kind};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Tables larger than this give memory back when they are mostly empty.
pub(crate) const SHRINK_ABOVE: usize = 1024;

/// Enters a connection under a name and answers with the name as the table shares it.
pub(crate) fn join(
    table: &mut HashMap<Arc<str>, Members>,
    name: Arc<str>,
    connection: ConnectionId,
) -> Arc<str> {
    let shared = table
        .get_key_value(&name)
        .map_or(name, |(shared, _)| Arc::clone(shared));
    table
        .entry(Arc::clone(&shared))
        .and_modify(|members| members.insert(connection))
        .or_insert(Members::One(connection));
    shared
}

pub(crate) fn leave(
    table: &mut HashMap<Arc<str>, Members>,
    name: &Arc<str>,
    connection: ConnectionId,
) {
    if table
        .get_mut(name)
        .is_some_and(|members| members.remove(connection))
    {
        table.remove(name);
        shrink(table);
    }
}

/// Gives memory back after a crowd has left; rarely enough that coming and going does not pay for it.
pub(crate) fn shrink<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > SHRINK_ABOVE && table.len() < table.capacity() / 8 {
        table.shrink_to(table.len() * 2);
    }
}

/// How many connections of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KindCounts([u32; Kind::COUNT]);

impl KindCounts {
    pub(crate) fn one(kind: Kind) -> Self {
        let mut counts = Self::default();
        counts.add(kind);
        counts
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        if let Some(count) = self.0.get_mut(usize::from(kind.0)) {
            *count += 1;
        }
    }

    pub(crate) fn remove(&mut self, kind: Kind) {
        if let Some(count) = self.0.get_mut(usize::from(kind.0)) {
            *count = count.saturating_sub(1);
        }
    }

    pub(crate) fn total(self) -> usize {
        self.0.iter().map(|count| *count as usize).sum()
    }

    pub(crate) fn present(self) -> impl Iterator<Item = Kind> {
        Kind::all()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
            .map(|(kind, _)| kind)
    }
}
