//! Counters of one thing by what became of it, each with its label in the [metrics](crate::metrics).

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// What something is counted by. Made by [`labels`].
pub(crate) trait Label: Copy + 'static {
    /// Of all, in the order of the variants.
    const LABELS: &'static [&'static str];

    /// Its place among them.
    fn place(self) -> usize;

    fn label(self) -> &'static str {
        Self::LABELS[self.place()]
    }
}

/// An enum whose variants have labels.
macro_rules! labels {
    ($(#[$doc:meta])* $seen:vis enum $name:ident { $($(#[$of:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $seen enum $name { $($(#[$of])* $variant,)* }

        impl crate::by_label::Label for $name {
            const LABELS: &'static [&'static str] = &[$($label),*];

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use labels;

/// The numbers at one moment, of all labels.
pub(crate) type Counts = Vec<(&'static str, u64)>;

/// A counter for each label.
#[derive(Debug)]
pub(crate) struct ByLabel<L> {
    counters: Box<[AtomicU64]>,
    of: PhantomData<L>,
}

impl<L: Label> Default for ByLabel<L> {
    fn default() -> Self {
        Self {
            counters: L::LABELS.iter().map(|_| AtomicU64::new(0)).collect(),
            of: PhantomData,
        }
    }
}

impl<L: Label> ByLabel<L> {
    pub(crate) fn count(&self, of: L) {
        self.add(of, 1);
    }

    pub(crate) fn add(&self, of: L, count: u64) {
        self.counters[of.place()].fetch_add(count, Ordering::Relaxed);
    }

    /// What was counted up to now.
    pub(crate) fn counts(&self) -> Counts {
        let counts = self
            .counters
            .iter()
            .map(|counter| counter.load(Ordering::Relaxed));
        L::LABELS.iter().copied().zip(counts).collect()
    }
}
