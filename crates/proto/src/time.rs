//! Time as the protocol sees it: milliseconds since an epoch that the caller keeps to.

/// A moment, in milliseconds since any epoch that the caller keeps to for one connection.
///
/// It must come from a clock that does not go backwards; should it do so all the same, deadlines
/// come later, nothing worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// A moment further away than any deadline.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The moment `millis` milliseconds after the caller's epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the caller's epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `ms` milliseconds later, at most the last one that can be expressed.
    #[must_use]
    pub const fn saturating_add_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 if `earlier` is the later one.
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn arithmetic_saturates() {
        let (early, late) = (Time::from_millis(5), Time::from_millis(12));
        assert_eq!(late.saturating_since(early), 7);
        assert_eq!(early.saturating_since(late), 0);
        assert_eq!(early.saturating_add_ms(7), late);
        assert_eq!(late.saturating_add_ms(u64::MAX), Time::NEVER);
    }
}
