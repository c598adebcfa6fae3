//! Rows between the table and the workers: in the order of their numbers, and those for nobody held back for a while.
//!
//! Invariants:
//! - what is for one user leaves in the order in which it came: while a row for him is held, so are those behind it;
//! - at most [`ROWS_MAX`] rows and [`BYTES_MAX`] bytes are held; over that the oldest is let go at once.

use crate::gateway::{Publish, Target};
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Most rows that are held.
const ROWS_MAX: usize = 20_000;
/// Most bytes of messages in them, and of whom they are for.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What one of several users takes beside the bytes of his name.
const NAME_COST: usize = 64;
/// How often it is looked whether somebody came.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A row that is a publication.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    /// Its number.
    pub(super) id: i64,
    /// What it says.
    pub(super) publish: Publish,
    /// When it does not wait any more.
    pub(super) until: Instant,
}

/// Rows that wait for somebody who would hear them.
#[derive(Debug, Default)]
pub(super) struct Hold {
    rows: VecDeque<Claimed>,
    bytes: usize,
    /// Whom they are for; several users one by one.
    targets: HashSet<Target>,
    looked: Option<Instant>,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// To be published, in this order.
    pub(super) ready: VecDeque<Claimed>,
    /// Rows that waited long enough, or had no room.
    pub(super) unheard: Vec<i64>,
}

impl Hold {
    /// The numbers of what is held.
    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.rows.iter().map(|row| row.id)
    }

    /// How many rows are held.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes rows in, and gives those out for which `is_heard` says that somebody is there.
    pub(super) fn pass(
        &mut self,
        fresh: Vec<Claimed>,
        now: Instant,
        is_heard: impl Fn(&Target) -> bool,
    ) -> Released {
        let is_due = |looked: Instant| now.duration_since(looked) >= LOOK_INTERVAL;
        let mut candidates = VecDeque::new();
        if self.looked.is_none_or(is_due) {
            self.looked = Some(now);
            self.targets.clear();
            self.bytes = 0;
            candidates = std::mem::take(&mut self.rows);
        }
        candidates.extend(fresh);
        let mut released = Released::default();
        for row in candidates {
            if !self.holds(&row.publish.target) && is_heard(&row.publish.target) {
                released.ready.push_back(row);
            } else if row.until <= now {
                released.unheard.push(row.id);
            } else {
                self.keep(row, &mut released);
            }
        }
        released
    }

    fn holds(&self, target: &Target) -> bool {
        each(target, |one| self.targets.contains(one))
    }

    fn keep(&mut self, row: Claimed, released: &mut Released) {
        each(&row.publish.target, |one| {
            self.targets.insert(one.clone());
            false
        });
        self.bytes += bytes(&row.publish);
        self.rows.push_back(row);
        while (self.rows.len() > ROWS_MAX || self.bytes > BYTES_MAX)
            && let Some(oldest) = self.rows.pop_front()
        {
            self.bytes -= bytes(&oldest.publish);
            released.unheard.push(oldest.id);
        }
    }
}

/// What a publication takes.
fn bytes(publish: &Publish) -> usize {
    let names = match &publish.target {
        Target::Users(names) => names.iter().map(|name| NAME_COST + name.len()).sum(),
        _ => 0,
    };
    publish.body.len() + names
}

/// Whether `question` is true of a target, or of one of the users in it.
fn each(target: &Target, mut question: impl FnMut(&Target) -> bool) -> bool {
    match target {
        Target::Users(names) => names
            .iter()
            .any(|name| question(&Target::User(name.clone()))),
        one => question(one),
    }
}

#[cfg(test)]
mod tests;
