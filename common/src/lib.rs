//! What the kernel programs and the agent share: the records that go through the ring, the
//! per-connection control words, and nothing that needs an operating system.
//!
//! Only integers and byte arrays cross the border, with explicit padding: the kernel side writes
//! them whole, the user side reads them checked ([`zerocopy`]).
#![no_std]
#![forbid(unsafe_code)]

pub mod record;
pub mod sequence;

/// What the kernel captures of a connection. User space sets it by the socket cookie, at any
/// time; it may arrive late, so every value must be right whenever it takes effect.
pub mod mode {
    /// The head of each turn, up to [`super::HEAD_LIMIT`], and all short reads and writes.
    pub const HEADS: u32 = 0;
    /// As much of every read and write as one record holds.
    pub const EVERYTHING: u32 = 1;
    /// Nothing: no records at all.
    pub const IGNORE: u32 = 2;
}

/// Bytes captured of one turn (what one side says before the other speaks) in mode
/// [`mode::HEADS`]: message heads of 8 KiB and more must fit, bodies need not.
pub const HEAD_LIMIT: u32 = 16 * 1024;

/// Most bytes that one record carries. A power of two: the kernel side bounds lengths by masking.
pub const CAPTURE_MAX: usize = 32 * 1024;

/// One of so many parts of the ring is kept for the records that say how a connection ended, so
/// that what was lost on it is known in the end: 64 bytes each.
pub const RING_RESERVE: u32 = 4;

/// The reader of the ring is woken whenever so many bytes more are waiting, but at least eight
/// times before the ring is full; in between, its timer does. Each wake-up is an interrupt: one
/// per event is what makes agents expensive.
pub const RING_WAKE: u32 = 512 * 1024;

/// Value of the control map, key: the socket cookie.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Control {
    /// One of [`mode`].
    pub mode: u32,
    /// Explicit padding.
    pub reserved: u32,
    /// No record for sent bytes that end at or before this stream position.
    pub skip_sent: u64,
    /// No record for received bytes that end at or before this stream position.
    pub skip_received: u64,
}

/// Slots of the kernel's counter array.
pub mod counter {
    /// Records that found no room in the ring.
    pub const RING_FULL: u32 = 0;
    /// Bytes announced by a hook that could not be read from the process.
    pub const UNREADABLE: u32 = 1;
    /// Receives through a system call whose buffers are not known (io_uring, 32-bit callers).
    pub const UNKNOWN_CALL: u32 = 2;
    /// Connections for which the kernel had no memory.
    pub const NO_STORAGE: u32 = 3;
    /// How many slots there are.
    pub const COUNT: u32 = 4;
}
