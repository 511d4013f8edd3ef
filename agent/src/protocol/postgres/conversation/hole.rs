//! A request of which bytes are missing: what its answer proves of them.

use super::super::message::HEADER;

/// Lengths of the shortest messages that ask for what was answered: without a name.
const EXECUTE: u64 = HEADER as u64 + 1 + 4;
const DESCRIBE: u64 = HEADER as u64 + 2;
const CLOSE: u64 = DESCRIBE;
const SYNC: u64 = HEADER as u64;

/// How many bytes are missing, up to the end of the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// The turn goes on.
    Open,
    /// So many, the last of them a `Sync`.
    Known(u64),
    Unknown,
}

/// The end of a cycle that was not seen.
#[derive(Debug)]
pub(super) struct Hole {
    /// Where the messages that were seen end.
    from: u64,
    size: Size,
    /// The last of them was a `Bind` without a name, which is the call under way.
    bound: bool,
    /// Executions that are answered, but were not seen to be asked for.
    pub(super) executions: u32,
    /// The last of them has not ended.
    running: bool,
    /// The same for statements that were prepared.
    pub(super) parsed: bool,
    /// What was not seen failed.
    pub(super) failed: bool,
    /// Bytes of the shortest messages that are answered like this; none if there are no such.
    shortest: Option<u64>,
}

impl Hole {
    /// Bytes are missing from `from` on; `bound` if a `Bind` without a name lies right before them.
    pub(super) fn new(from: u64, bound: bool) -> Self {
        Self {
            from,
            size: Size::Open,
            bound,
            executions: 0,
            running: false,
            parsed: false,
            failed: false,
            shortest: Some(SYNC),
        }
    }

    /// Nobody knows how much is missing.
    pub(super) fn unknown() -> Self {
        Self { size: Size::Unknown, ..Self::new(0, false) }
    }

    /// The turn ends at `at`, with a `Sync` if that is what these bytes are.
    pub(super) fn turn_over(&mut self, at: u64, tail: &[u8]) {
        self.size = match (self.size, tail) {
            (Size::Open, [.., b'S', 0, 0, 0, 4]) => Size::Known(at.saturating_sub(self.from)),
            _ => Size::Unknown,
        };
    }

    /// More is missing.
    pub(super) fn grow(&mut self) {
        self.size = Size::Unknown;
    }

    /// An answer to what was not seen.
    pub(super) fn answered(&mut self, kind: u8) {
        let ends = matches!(kind, b'C' | b'I' | b's' | b'V');
        let length = match kind {
            _ if ends || matches!(kind, b'D' | b'G' | b'H' | b'd' | b'c') => {
                let goes_on = std::mem::replace(&mut self.running, !ends);
                self.executions = self.executions.saturating_add(u32::from(!goes_on));
                if goes_on { 0 } else { EXECUTE }
            }
            b'T' | b'n' => DESCRIBE,
            b'3' => CLOSE,
            _ => {
                self.parsed |= kind == b'1';
                self.shortest = None;
                return;
            }
        };
        self.shortest = self.shortest.and_then(|shortest| shortest.checked_add(length));
    }

    /// True if it is proven what was missing: the messages that were answered like this are so long
    /// if they are as short as can be. So they are those, and what they execute was bound right
    /// before them.
    pub(super) fn is_filled(&self) -> bool {
        let known = self.shortest.is_some_and(|length| self.size == Size::Known(length));
        known && (self.executions == 0 || self.bound)
    }
}
