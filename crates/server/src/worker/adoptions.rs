//! Opened connections that wait for their worker. Bounded; what does not fit goes back to the
//! opening side, which can still answer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A bounded queue that can be shut.
#[derive(Debug)]
pub(crate) struct Adoptions<T> {
    waiting: Mutex<Option<VecDeque<T>>>,
    room: usize,
}

impl<T> Adoptions<T> {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            waiting: Mutex::new(Some(VecDeque::new())),
            room,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<T>>> {
        // Nothing panics while it is held; even so the queue would be whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more would be taken now.
    pub(crate) fn has_room(&self) -> bool {
        self.lock()
            .as_ref()
            .is_some_and(|waiting| waiting.len() < self.room)
    }

    /// Leaves one; gives it back when the queue is full or shut. The worker has to be woken.
    pub(crate) fn push(&self, adoption: T) -> Result<(), T> {
        match &mut *self.lock() {
            Some(waiting) if waiting.len() < self.room => {
                waiting.push_back(adoption);
                Ok(())
            }
            _ => Err(adoption),
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().as_ref().map_or(0, VecDeque::len)
    }

    /// Takes the next one.
    pub(crate) fn pop(&self) -> Option<T> {
        self.lock().as_mut()?.pop_front()
    }

    /// Takes no more, if nothing waits; says whether it is shut.
    pub(crate) fn shut_if_empty(&self) -> bool {
        let mut waiting = self.lock();
        if waiting.as_ref().is_some_and(VecDeque::is_empty) {
            *waiting = None;
        }
        waiting.is_none()
    }

    /// Takes no more and drops what waits.
    pub(crate) fn shut(&self) {
        // Dropped outside the lock: a socket's end may take a while.
        let waiting = self.lock().take();
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_or_shut_gives_it_back() {
        let adoptions = Adoptions::new(2);
        assert_eq!(adoptions.push(1), Ok(()));
        assert_eq!(adoptions.push(2), Ok(()));
        assert!(!adoptions.has_room());
        assert_eq!(adoptions.push(3), Err(3));
        assert_eq!(adoptions.len(), 2);
        assert!(!adoptions.shut_if_empty());
        assert_eq!(
            (adoptions.pop(), adoptions.pop(), adoptions.pop()),
            (Some(1), Some(2), None)
        );
        assert!(adoptions.has_room());
        assert!(adoptions.shut_if_empty());
        assert_eq!(adoptions.push(4), Err(4));
        assert!(!adoptions.has_room());
    }
}
