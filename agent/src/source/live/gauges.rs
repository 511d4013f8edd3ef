//! What can be read of the kernel side at any time, by any thread, without disturbing it.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::param::page_size;

/// The ring and the programs. Holding it keeps no program attached.
#[derive(Clone, Debug)]
pub struct Gauges {
    /// How full the ring is.
    pub ring: Arc<RingFill>,
    programs: Arc<[(&'static str, OwnedFd)]>,
}

/// What the kernel counts of one program (`/proc/PID/fdinfo`, `bpf_prog_show_fdinfo`). What a
/// kernel does not have is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// How often it ran (`run_cnt`), while `kernel.bpf_stats_enabled` was 1.
    pub runs: u64,
    /// For how long (`run_time_ns`), likewise.
    pub run_time: Duration,
    /// How often it did not run because it was running on that CPU: what it would have seen is
    /// lost. Since Linux 5.12.
    pub recursion_misses: u64,
}

impl Gauges {
    /// Of a ring of `size` bytes, and programs with their names.
    ///
    /// # Errors
    /// If the ring's positions cannot be mapped.
    pub(super) fn new(
        ring: BorrowedFd<'_>,
        size: u32,
        programs: Vec<(&'static str, OwnedFd)>,
    ) -> io::Result<Self> {
        Ok(Self { ring: Arc::new(RingFill::map(ring, size)?), programs: programs.into() })
    }

    /// The programs as they are now.
    pub fn programs(&self) -> Vec<Program> {
        let programs = self.programs.iter();
        programs
            .map(|(name, fd)| {
                let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
                parse(name, &std::fs::read_to_string(path).unwrap_or_default())
            })
            .collect()
    }
}

fn parse(name: &'static str, text: &str) -> Program {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Program {
        name,
        runs: value("run_cnt"),
        run_time: Duration::from_nanos(value("run_time_ns")),
        recursion_misses: value("recursion_misses"),
    }
}

/// The positions of a BPF ring buffer: two pages that the kernel shares
/// (`kernel/bpf/ringbuf.c`, `struct bpf_ringbuf`), mapped read-only.
#[derive(Debug)]
pub struct RingFill {
    /// Page of the consumer position, then page of the producer position.
    pages: NonNull<AtomicUsize>,
    page: usize,
    size: u64,
}

// SAFETY: the pages are mapped as long as this lives and only read, as atomics.
unsafe impl Send for RingFill {}
// SAFETY: as above.
unsafe impl Sync for RingFill {}

impl RingFill {
    fn map(ring: BorrowedFd<'_>, size: u32) -> io::Result<Self> {
        let page = page_size();
        // SAFETY: a new mapping, of which nothing but this struct knows.
        let pages = unsafe {
            let shared = libc::MAP_SHARED;
            libc::mmap(ptr::null_mut(), 2 * page, libc::PROT_READ, shared, ring.as_raw_fd(), 0)
        };
        if pages == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = NonNull::new(pages.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { pages, page, size: u64::from(size) })
    }

    /// Bytes of the ring.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that wait to be read, with the heads that the ring puts before its records.
    pub fn waiting(&self) -> u64 {
        // SAFETY: both pages are mapped and begin with an aligned `unsigned long`.
        let (consumer, producer) =
            unsafe { (self.pages.as_ref(), self.pages.byte_add(self.page).as_ref()) };
        // In this order: the consumer is never ahead of a producer that is read later.
        let consumed = consumer.load(Ordering::Acquire);
        let produced = producer.load(Ordering::Acquire);
        (produced.wrapping_sub(consumed) as u64).min(self.size)
    }
}

impl Drop for RingFill {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and nothing refers to it any more.
        unsafe {
            libc::munmap(self.pages.as_ptr().cast(), 2 * self.page);
        }
    }
}

#[cfg(test)]
impl Gauges {
    /// Of a ring of 64 KiB with these positions, and one program.
    pub(crate) fn made_up(consumed: usize, produced: usize) -> Self {
        use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
        use rustix::io::pwrite;
        let file = memfd_create("ring", MemfdFlags::CLOEXEC).expect("a file in memory");
        let page = page_size() as u64;
        ftruncate(&file, 2 * page).expect("two pages");
        for (at, position) in [(0, consumed), (page, produced)] {
            pwrite(&file, &position.to_ne_bytes(), at).expect("a position");
        }
        let program = file.try_clone().expect("a descriptor");
        Self::new(file.as_fd(), 65_536, vec![("a_program", program)]).expect("a mapping")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill() {
        assert_eq!(Gauges::made_up(0, 0).ring.waiting(), 0);
        assert_eq!(Gauges::made_up(4096, 5000).ring.waiting(), 904);
        assert_eq!(Gauges::made_up(usize::MAX - 7, 8).ring.waiting(), 16, "positions wrap");
        assert_eq!(Gauges::made_up(0, usize::MAX).ring.waiting(), 65_536);
        assert_eq!(Gauges::made_up(0, 0).ring.size(), 65_536);
    }

    #[test]
    fn fdinfo() {
        let text = "pos:\t0\nprog_type:\t26\nprog_tag:\t0f\nrun_time_ns:\t1500\nrun_cnt:\t7\n\
                    recursion_misses:\t3\nverified_insns:\t99\n";
        let expected = Program {
            name: "a",
            runs: 7,
            run_time: Duration::from_nanos(1500),
            recursion_misses: 3,
        };
        assert_eq!(parse("a", text), expected);
        assert_eq!(parse("a", "run_cnt:\tmany\n"), Program { name: "a", ..Program::default() });
    }
}
