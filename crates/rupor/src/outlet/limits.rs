//! Bounds of what waits for handlers, in their processes or elsewhere.

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Events.
    pub(super) events_max: usize,
    /// Bytes of them.
    pub(super) bytes_max: usize,
}

/// There is no room, or nobody to handle anything: the event was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Limits {
    /// Whether one more may wait, beside so many, with so many bytes in all.
    pub(super) fn check(&self, waiting: usize, bytes: usize) -> Result<(), Full> {
        if waiting < self.events_max && bytes <= self.bytes_max {
            Ok(())
        } else {
            Err(Full)
        }
    }
}
