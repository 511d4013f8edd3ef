//! What the process holds on its heap, counted where it is taken: exact for every table, queue and
//! library, without a walk over any of them.
//!
//! Not in it: what the allocator keeps of what was given back, stacks, the program itself, the ring
//! and the kernel's tables. The resident size of the process has the first three and is looked at
//! as a check ([`resident`]).

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

/// The allocator of the system, and the sum of what it gave out.
#[derive(Debug)]
pub struct Counted;

static HELD: AtomicIsize = AtomicIsize::new(0);

/// What a thread that counts for itself has not yet added, at most.
const BATCH: isize = 16 * 1024;

thread_local! {
    /// `None`: the thread adds at once.
    static OWN: Cell<Option<isize>> = const { Cell::new(None) };
}

/// From now on this thread adds up for itself what it takes and gives back: the thread that makes
/// spans does both a million times a second. It must not end before the process does, as up to
/// 16 KiB would stay uncounted.
pub fn count_here() {
    OWN.set(Some(0));
}

/// Bytes held by all threads, headers of the allocator included.
pub fn held() -> u64 {
    u64::try_from(HELD.load(Ordering::Relaxed)).unwrap_or(0)
}

/// glibc puts 8 bytes before each piece and rounds up to 16, 32 at least (malloc/malloc.c,
/// `request2size`).
fn cost(size: usize) -> isize {
    ((size + 8 + 15) & !15).max(32) as isize
}

fn add(bytes: isize) {
    // During the end of a thread its own sum may be gone.
    let own = OWN.try_with(|own| {
        let Some(sum) = own.get() else { return false };
        let sum = sum + bytes;
        if sum.abs() < BATCH {
            own.set(Some(sum));
        } else {
            own.set(Some(0));
            HELD.fetch_add(sum, Ordering::Relaxed);
        }
        true
    });
    if own != Ok(true) {
        HELD.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the allocator of the system as it is; counting allocates
// nothing, because neither the atomic nor the thread's cell needs any set-up.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let given = unsafe { System.alloc(layout) };
        if !given.is_null() {
            add(cost(layout.size()));
        }
        given
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let given = unsafe { System.alloc_zeroed(layout) };
        if !given.is_null() {
            add(cost(layout.size()));
        }
        given
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) };
        add(-cost(layout.size()));
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        let given = unsafe { System.realloc(pointer, layout, size) };
        if !given.is_null() {
            add(cost(size) - cost(layout.size()));
        }
        given
    }
}

/// Bytes of memory of the process itself (`RssAnon` of `/proc/self/status`: without the ring, which
/// is the kernel's, and without the program's file); none if that cannot be read.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Gives free memory that the allocator keeps back to the kernel.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no arguments that could be wrong; safe to call from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others allocate meanwhile only if the counting allocator is the global one, which it is not
    /// in unit tests: the sum is that of this test.
    #[test]
    fn everything_that_is_given_back_is_taken_off() {
        let layout = Layout::array::<u8>(100_000).expect("a size");
        let larger = Layout::array::<u8>(300_000).expect("a size");
        let before = HELD.load(Ordering::Relaxed);
        // SAFETY: the layouts are those of the pieces.
        unsafe {
            let piece = Counted.alloc(layout);
            assert_eq!(HELD.load(Ordering::Relaxed) - before, cost(100_000));
            let piece = Counted.realloc(piece, layout, 300_000);
            assert_eq!(HELD.load(Ordering::Relaxed) - before, cost(300_000));
            Counted.dealloc(piece, larger);
            let zeros = Counted.alloc_zeroed(layout);
            assert_eq!(*zeros, 0);
            Counted.dealloc(zeros, layout);
        }
        assert_eq!(HELD.load(Ordering::Relaxed), before);
        count_here();
        // SAFETY: as above.
        unsafe {
            let small = Layout::array::<u8>(100).expect("a size");
            let piece = Counted.alloc(small);
            assert_eq!(HELD.load(Ordering::Relaxed), before, "added up by the thread");
            Counted.dealloc(piece, small);
            let piece = Counted.alloc(layout);
            assert_eq!(HELD.load(Ordering::Relaxed) - before, cost(100_000));
            Counted.dealloc(piece, layout);
        }
        assert_eq!(HELD.load(Ordering::Relaxed), before);
        OWN.set(None);
    }

    #[test]
    fn pieces_cost_what_glibc_takes() {
        assert_eq!([0, 1, 24, 25, 40, 4096].map(cost), [32, 32, 32, 48, 48, 4112]);
    }

    #[test]
    fn a_process_has_memory() {
        assert!(resident().expect("on Linux") > 100_000);
    }
}
