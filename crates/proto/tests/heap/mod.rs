//! An allocator that counts, so that no test needs a clock or a look at the whole process.
#![allow(dead_code, reason = "every test binary uses its own part of it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The system's allocator, counting for each thread: the tests do not disturb each other. What works
/// with threads of its own is counted by [`held_by_all`], and has to be alone in its process.
pub(crate) struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

static HELD_BY_ALL: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(layout.size()));
        TAKEN.set(TAKEN.get().wrapping_add(layout.size()));
        CALLS.set(CALLS.get().wrapping_add(1));
        PEAK.set(PEAK.get().max(HELD.get()));
        HELD_BY_ALL.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        HELD_BY_ALL.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a call did: bytes it left on the heap, bytes it took in all, allocations.
#[derive(Debug)]
pub(crate) struct Heap {
    pub(crate) held: isize,
    pub(crate) taken: usize,
    pub(crate) calls: usize,
    /// The most that it held at any time.
    pub(crate) peak: usize,
}

pub(crate) fn measure<T>(work: impl FnOnce() -> T) -> (Heap, T) {
    let (held, taken, calls) = (HELD.get(), TAKEN.get(), CALLS.get());
    PEAK.set(held);
    let result = work();
    let heap = Heap {
        held: HELD.get().wrapping_sub(held).cast_signed(),
        taken: TAKEN.get().wrapping_sub(taken),
        calls: CALLS.get().wrapping_sub(calls),
        peak: PEAK.get().wrapping_sub(held),
    };
    (heap, result)
}

/// Bytes that all threads have on the heap now.
pub(crate) fn held_by_all() -> usize {
    HELD_BY_ALL.load(Ordering::Relaxed)
}
