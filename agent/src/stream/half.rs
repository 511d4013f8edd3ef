//! One direction of a connection.

use tracebee_common::record::TAIL;

use crate::protocol::MAX_UNPARSED;
use crate::source::Time;

/// Bytes that the parser needs more of.
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    /// When the first of them went through.
    pub(super) time: Time,
}

/// The last bytes that went through: where they end, and how many of them are known; as many are kept
/// as the kernel tells of what it does not capture.
#[derive(Clone, Copy)]
struct Tail {
    end: u64,
    length: usize,
    bytes: [u8; TAIL],
}

impl Default for Tail {
    fn default() -> Self {
        Self { end: 0, length: 0, bytes: [0; TAIL] }
    }
}

/// Bytes after `from`, up to `to`.
#[derive(Clone, Copy, Default)]
struct Hole {
    from: u64,
    to: u64,
}

/// State of one direction. `understood <= wants()`; kept bytes begin at `understood`.
#[derive(Default)]
pub(super) struct Half {
    /// True once any position is known.
    pub(super) started: bool,
    /// Everything before is parsed, skipped or given up. May lie ahead of the stream.
    pub(super) understood: u64,
    /// Everything before went through for certain, and when it did.
    pub(super) reached: u64,
    pub(super) reached_at: Time,
    /// Everything before was announced, or went through for certain.
    known: u64,
    /// Went through unseen: nobody knows when its bytes did.
    hole: Hole,
    /// Events are missing since the last one of this direction.
    pub(super) unsure: bool,
    /// And whether the next bytes begin a message is known.
    resumes: bool,
    /// Nothing means anything until the next turn.
    pub(super) quiet: bool,
    /// Where the message under way begins.
    pub(super) begins: u64,
    /// Nothing will follow this position.
    pub(super) finish: Option<u64>,
    tail: Tail,
    kept: Option<Kept>,
}

impl Half {
    /// The first event of a stream that was joined midway is where it begins for us.
    pub(super) fn begin(&mut self, position: u64) {
        if !self.started {
            self.started = true;
            self.understood = position;
            self.reached = position;
            self.known = position;
        }
    }

    /// Whole exchanges were left out: the next bytes begin a message.
    pub(super) fn skip(&mut self) {
        self.resumes = true;
    }

    /// Something was told that begins at `from` and ends at `to`; what lies between it and what was
    /// told before went through unseen.
    pub(super) fn told(&mut self, from: u64, to: u64) {
        if from > self.known {
            self.hole = Hole { from: self.reached, to: from };
        }
        self.known = self.known.max(to);
        self.unsure = false;
    }

    /// Events are missing: what was announced may not have gone through, and more may have.
    /// `certain`: whether the next bytes begin a message is known.
    pub(super) fn lost(&mut self, certain: bool) {
        self.known = self.reached;
        self.unsure = true;
        self.resumes = certain;
    }

    /// The first bytes since then: that those before them are missing has been said.
    pub(super) fn resume(&mut self, position: u64) {
        if std::mem::take(&mut self.resumes) {
            self.jump(position);
        }
    }

    /// True if a byte range that ends at `end` went through at a time that nobody knows.
    pub(super) fn unseen(&self, end: u64) -> bool {
        self.hole.from < end && end <= self.hole.to
    }

    /// Position of the next byte that is of use.
    pub(super) fn wants(&self) -> u64 {
        self.understood + self.kept.as_ref().map_or(0, |kept| kept.bytes.len() as u64)
    }

    /// The part of `bytes` at `position` that is new and wanted; none if there is none.
    pub(super) fn fresh<'a>(&self, position: u64, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let known = usize::try_from(self.wants().checked_sub(position)?).ok()?;
        bytes.get(known..).filter(|fresh| !fresh.is_empty())
    }

    /// Notes the last of `length` bytes at `position`. They join what was known before if they are
    /// all: an ending may come in two reads.
    pub(super) fn ends_with(&mut self, position: u64, length: u64, last: &[u8]) {
        let known = &last[last.len().saturating_sub(TAIL)..];
        let joins = self.tail.end == position && known.len() as u64 == length;
        let before = if joins { self.tail.length.min(TAIL - known.len()) } else { 0 };
        let old = self.tail;
        self.tail = Tail { end: position + length, length: before + known.len(), bytes: [0; TAIL] };
        self.tail.bytes[..before].copy_from_slice(&old.bytes[old.length - before..old.length]);
        self.tail.bytes[before..before + known.len()].copy_from_slice(known);
    }

    /// The last bytes before `reached`, where they are known, the parser was not shown them, and
    /// none are missing after them.
    pub(super) fn tail(&self) -> Option<([u8; TAIL], usize)> {
        let Tail { end, length, bytes } = self.tail;
        let last = end == self.reached && !self.unsure;
        (self.quiet && length > 0 && last).then_some((bytes, length))
    }

    /// The same, once.
    pub(super) fn take_tail(&mut self) -> Option<([u8; TAIL], usize)> {
        let tail = self.tail();
        self.tail = Tail::default();
        tail
    }

    /// Takes what was kept, to put new bytes behind it.
    pub(super) fn take(&mut self) -> Option<Kept> {
        self.kept.take()
    }

    /// Keeps bytes for the parser; false if they are more than any message head may have.
    pub(super) fn keep(&mut self, bytes: &[u8], time: Time) -> bool {
        if bytes.len() > MAX_UNPARSED {
            return false;
        }
        self.kept = Some(Kept { bytes: bytes.to_vec(), time });
        true
    }

    /// Bytes of memory that are kept.
    pub(super) fn held(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes.capacity())
    }

    /// Gives up what was kept; true if that was the beginning of a message.
    pub(super) fn forget(&mut self) -> bool {
        let nothing_understood = self.understood <= self.begins;
        self.understood = self.wants();
        self.kept.take().is_some() && nothing_understood
    }

    /// Gives up everything before `to`. False if that was not wanted anyway.
    pub(super) fn jump(&mut self, to: u64) -> bool {
        if self.wants() >= to {
            return false;
        }
        self.kept = None;
        self.understood = to;
        !self.quiet
    }
}
