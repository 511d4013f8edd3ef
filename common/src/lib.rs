//! What the kernel programs and the agent share: the records that go through the ring, the
//! per-connection control words, and nothing that needs an operating system.
//!
//! Only integers and byte arrays cross the border, with explicit padding: the kernel side writes
//! them whole, the user side reads them checked ([`zerocopy`]).
#![no_std]
#![forbid(unsafe_code)]

pub mod record;
pub mod runtime;
pub mod sample;
pub mod sequence;
pub mod tables;

use zerocopy::{FromBytes, IntoBytes};

/// What the kernel captures of a connection. User space sets it by the socket cookie, at any
/// time; it may arrive late, so every value must be right whenever it takes effect.
pub mod mode {
    /// The head of each turn, up to [`super::HEAD_LIMIT`], and all short reads and writes.
    pub const HEADS: u32 = 0;
    /// Of every read and write, up to [`super::MESSAGE_MAX`].
    pub const EVERYTHING: u32 = 1;
    /// Nothing: no records at all.
    pub const IGNORE: u32 = 2;
    /// No records, but calls are counted and told of when the connection ends.
    pub const COUNT: u32 = 3;
    /// As [`HEADS`]; and the connection is announced again, because user space forgot it.
    pub const ANNOUNCE: u32 = 4;
    /// As [`HEADS`], but of what is sent no more than [`super::BRIEF_LIMIT`] as long as nothing was
    /// received behind [`super::Control::asked`]: it answers a request of which nobody is told.
    pub const BRIEF_SENT: u32 = 5;
    /// The same the other way round.
    pub const BRIEF_RECEIVED: u32 = 6;
}

/// What the kernel leaves out of all connections under load: the one value of the load map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
#[repr(C)]
pub struct Load {
    /// Which share of calls is left out where they are asked ([`sample`]).
    pub asked: u32,
    /// The same where they are answered. It follows later when it rises, so that a request that
    /// was told of when it was sent is told of when it is read.
    pub answered: u32,
    /// Not 0: [`mode::EVERYTHING`] is no more than [`mode::HEADS`].
    pub no_bodies: u32,
    /// Not 0: connections that were not announced yet are not; their calls are counted.
    pub no_connections: u32,
}

/// Bytes captured of one turn (what one side says before the other speaks) in mode
/// [`mode::HEADS`]: message heads of 8 KiB and more must fit, bodies need not.
pub const HEAD_LIMIT: u32 = 16 * 1024;

/// The same of an answer of which nobody is told ([`mode::BRIEF_SENT`]), however it comes: nearly all
/// heads fit.
pub const BRIEF_LIMIT: u32 = 4 * 1024;

/// Most bytes that one record carries. A power of two: the kernel side bounds lengths by masking.
pub const CAPTURE_MAX: usize = 32 * 1024;

/// Most bytes of one read or write that are captured in mode [`mode::EVERYTHING`], in as many records
/// as it takes: asyncio reads 256 KiB at once, others less. Its last record has room for the end, too.
pub const MESSAGE_MAX: usize = 16 * CAPTURE_MAX - record::TAIL;

/// One of so many parts of the ring is kept for the records that say how a connection ended, so
/// that what was lost on it is known in the end: 64 bytes each.
pub const RING_RESERVE: u32 = 4;

/// The reader of the ring is woken whenever so many bytes more are waiting, but at least eight
/// times before the ring is full; in between, its timer does. Each wake-up is an interrupt: one
/// per event is what makes agents expensive.
pub const RING_WAKE: u32 = 512 * 1024;

/// Value of the control map, key: the socket cookie.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub struct Control {
    /// One of [`mode`].
    pub mode: u32,
    /// With [`mode::ANNOUNCE`], a number that no earlier such word about the connection had.
    pub told: u32,
    /// With [`mode::BRIEF_SENT`] and [`mode::BRIEF_RECEIVED`], the end of the request.
    pub asked: u64,
}

/// Key of the map of older UNIX sockets that says that it is complete: no inode has this number.
pub const OLDER_COMPLETE: u32 = 0;

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
