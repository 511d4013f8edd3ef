//! How full the ring is.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The positions of reader and writer, in the first two pages of every ring buffer map
/// (kernel/bpf/ringbuf.c, `struct bpf_ringbuf`): bytes since the beginning, one word each.
#[derive(Debug)]
pub(super) struct Fill {
    pages: NonNull<u8>,
    page: usize,
    /// Bytes of the ring.
    size: usize,
    /// Most that waited since it was last asked.
    most: usize,
}

// SAFETY: the pages belong to this value alone and are only read.
unsafe impl Send for Fill {}

impl Fill {
    /// Of the ring with this descriptor and so many bytes.
    pub(super) fn of(ring: BorrowedFd<'_>, size: usize) -> io::Result<Self> {
        let page = rustix::param::page_size();
        // SAFETY: a new mapping at an address that the kernel chooses.
        let pages = unsafe {
            libc::mmap(
                ptr::null_mut(),
                2 * page,
                libc::PROT_READ,
                libc::MAP_SHARED,
                ring.as_raw_fd(),
                0,
            )
        };
        if pages == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = NonNull::new(pages.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { pages, page, size, most: 0 })
    }

    /// Looks at what waits now.
    pub(super) fn look(&mut self) {
        // SAFETY: both words are aligned, inside the mapping, and change under us: atomics.
        let position = |at: usize| unsafe {
            (*self.pages.as_ptr().add(at).cast::<AtomicUsize>()).load(Ordering::Relaxed)
        };
        let (read, written) = (position(0), position(self.page));
        self.most = self.most.max(written.wrapping_sub(read).min(self.size));
    }

    /// How full the ring was at most since the last time, in percent.
    pub(super) fn most(&mut self) -> u32 {
        (std::mem::take(&mut self.most) * 100 / self.size.max(1)) as u32
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        // SAFETY: the mapping of `of`.
        unsafe { libc::munmap(self.pages.as_ptr().cast(), 2 * self.page) };
    }
}
