//! What the hub's tables have in common: entering, leaving, giving memory back.

use crate::ConnectionId;
use crate::members::Members;
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
