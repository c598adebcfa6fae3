//! How many connections of each kind there are.

use crate::Kind;

/// How many connections of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KindCounts([u32; Kind::COUNT]);

impl KindCounts {
    pub(crate) fn of(kind: Kind, count: usize) -> Self {
        let mut counts = Self::default();
        if let Some(of_kind) = counts.0.get_mut(usize::from(kind.0)) {
            *of_kind = u32::try_from(count).unwrap_or(u32::MAX);
        }
        counts
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        if let Some(count) = self.0.get_mut(usize::from(kind.0)) {
            *count = count.saturating_add(1);
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

/// The kinds of a channel's subscribers. Nearly always there is one, and then nothing has to be counted.
#[derive(Debug)]
pub(crate) enum Kinds {
    /// All are of this kind.
    Only(Kind),
    /// There are several, or were.
    Mixed(Box<KindCounts>),
}

impl Kinds {
    /// Adds one of a kind to `count` others.
    pub(crate) fn add(&mut self, kind: Kind, count: usize) {
        match self {
            Self::Only(only) if *only == kind => {}
            Self::Only(only) => {
                let mut counts = KindCounts::of(*only, count);
                counts.add(kind);
                *self = Self::Mixed(Box::new(counts));
            }
            Self::Mixed(counts) => counts.add(kind),
        }
    }

    /// Takes one of a kind out.
    pub(crate) fn remove(&mut self, kind: Kind) {
        if let Self::Mixed(counts) = self {
            counts.remove(kind);
        }
    }

    /// The counts, when there are `count` in all.
    pub(crate) fn counts(&self, count: usize) -> KindCounts {
        match self {
            Self::Only(only) => KindCounts::of(*only, count),
            Self::Mixed(counts) => **counts,
        }
    }
}
