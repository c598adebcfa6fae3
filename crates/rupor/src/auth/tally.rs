//! How often each way knew who a connection is, and why it did not.

use super::AuthError;
use crate::config::Way;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a way came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It knew who it is.
    Accepted,
    /// It did not find what it looks for: the next way is asked.
    Absent,
    /// What it found is not believed.
    Refused(AuthError),
}

/// The counters, by way and result. There are as many as ways and reasons, all of them named in code.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// By way and result: `accepted`, `absent`, `refused`, `failed`.
    pub(crate) results: BTreeMap<[&'static str; 2], u64>,
    /// By way and reason, of what was refused or failed.
    pub(crate) reasons: BTreeMap<[&'static str; 2], u64>,
}

impl Tally {
    /// Counters at 0 of each of these ways.
    pub(super) fn new(ways: &[Way]) -> Self {
        let results = ["accepted", "absent", "refused", "failed"];
        let each = ways.iter().map(|way| way.name());
        let pairs = each.flat_map(|way| results.map(|result| ([way, result], 0)));
        Self(Mutex::new(Counts {
            results: pairs.collect(),
            reasons: BTreeMap::new(),
        }))
    }

    pub(super) fn count(&self, way: Way, outcome: Outcome) {
        let mut counts = self.counters();
        let result = match outcome {
            Outcome::Accepted => "accepted",
            Outcome::Absent => "absent",
            Outcome::Refused(error) if error.is_failure() => "failed",
            Outcome::Refused(_) => "refused",
        };
        *counts.results.entry([way.name(), result]).or_default() += 1;
        if let Outcome::Refused(error) = outcome {
            *counts
                .reasons
                .entry([way.name(), error.label()])
                .or_default() += 1;
        }
    }

    /// What was counted up to now.
    pub(crate) fn counts(&self) -> Counts {
        self.counters().clone()
    }

    fn counters(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
