//! A recording as a source of events: what the kernel delivered to `run --record`.
//!
//! The format, described for people in `docs/recording.md`, is a header and then records, each
//! with its length and a checksum. Records are what a [`Pipeline`](crate::pipeline::Pipeline) was
//! given and cannot find out for itself on another host or at another time: events, when it was
//! told that time went by, the wall clock, and which program a process was.

mod bytes;
mod decode;
mod encode;
mod file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Event, Opened, Time};
use crate::stats::Loss;
use crate::workload::Resource;

pub use decode::decode;
pub(crate) use encode::frame;
pub use encode::{encode, header};
pub use file::{File, Next, is_recording};

/// What a recording begins with.
pub const MAGIC: [u8; 8] = *b"tracebee";
/// The version of the format. Records of an unknown kind are skipped and counted, so that new
/// kinds need no new version; a changed meaning does.
pub const VERSION: u16 = 1;
/// Bytes of the header: magic, version, two unused, clock offset, checksum.
pub const HEADER: usize = 8 + 2 + 2 + 8 + 4;
/// Bytes before the kind of a record: its length and its checksum.
const FRAME: usize = 4 + 4;
/// Longest record in bytes, kind included. Captured bytes of one event are at most 64 KiB, what a
/// process says of itself at most 128 KiB.
pub const MAX_RECORD: usize = 1 << 20;
/// Largest time, position and length that is believed: far beyond any real one, and no sum of two
/// of them overflows.
const MAX_NUMBER: u64 = 1 << 61;

/// One record.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// The pipeline was given this event. Of a program only its id, start and short name are kept:
    /// command line and environment may hold secrets.
    Event(Event<'a>),
    /// A connection that was not followed: not selected, or there was no room for it.
    Refused(Opened),
    /// Time went by: it is now.
    Tick(Time),
    /// From here on Unix time is boot time and so many nanoseconds.
    Anchor(i64),
    /// From here on this is the identity of the process `pid`.
    Process(Arc<Resource>),
    /// The kernel side lost so much since the recording began.
    Lost {
        /// Why.
        reason: Loss,
        /// How much in all.
        total: u64,
    },
    /// Events are missing here, so many since the recording began, because writing could not keep
    /// up. What was known of connections means nothing any more; those that go on are announced
    /// again.
    Unrecorded(u64),
    /// The recording ends, whatever follows.
    End(Ending),
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The agent stopped.
    Stopped,
    /// The recording reached its size limit.
    Limit,
}

/// Kinds of records.
mod kind {
    pub(super) const PROGRAM: u8 = 1;
    pub(super) const OPENED: u8 = 2;
    pub(super) const DATA: u8 = 3;
    pub(super) const SENT: u8 = 4;
    pub(super) const ENDED: u8 = 5;
    pub(super) const LOST: u8 = 6;
    pub(super) const TICK: u8 = 7;
    pub(super) const ANCHOR: u8 = 8;
    pub(super) const PROCESS: u8 = 9;
    pub(super) const KERNEL_LOST: u8 = 10;
    pub(super) const UNRECORDED: u8 = 11;
    pub(super) const END: u8 = 12;
    pub(super) const LEFT_OUT: u8 = 13;
}

/// Flags of records.
mod flag {
    /// Opened: older than the agent, or its first events are unknown.
    pub(super) const MIDLIFE: u8 = 1;
    /// Opened: not followed.
    pub(super) const REFUSED: u8 = 2;
    /// Opened: the sequence number of the first byte sent is known; of a UNIX socket, its inode.
    pub(super) const OWN: u8 = 4;
    /// Opened: that of the first byte received; of a UNIX socket, its peer's inode.
    pub(super) const PEER: u8 = 8;
    /// Opened: sends may be told of after the peer answered to them.
    pub(super) const AFTER: u8 = 16;
    /// Data: written by the process, otherwise read.
    pub(super) const SENT: u8 = 1;
    /// Data: not yet accepted to its end.
    pub(super) const PENDING: u8 = 2;
    /// Data: how many records were lost before follows the captured bytes.
    pub(super) const LOSSES: u8 = 4;
    /// Data: the rest of a read or write.
    pub(super) const REST: u8 = 8;
}

/// Ways in which something ended.
mod end {
    pub(super) const PEER_FINISHED: u8 = 1;
    pub(super) const FINISHED: u8 = 2;
    pub(super) const CLOSED: u8 = 3;
    pub(super) const FAILED: u8 = 4;
    pub(super) const UNSEEN: u8 = 5;
}

/// The checksum of a record or header: CRC-32 as in gzip.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
