//! Sends that are told of when they are over, and what overtakes them.
//!
//! The peer may have answered by then, and the answer may have been read and told of by another
//! thread. Such a record says how far the stream had been sent when it was made: it waits, and what
//! comes after it, until the send that it overtook is told of. A send whose place is gone when it
//! comes would be taken for another's: it is lost.

use std::collections::VecDeque;

use tracebee_common::record::{self, FLAG_OVERTAKES, FLAG_SENT};
use zerocopy::FromBytes as _;

/// One connection. Positions are the low 32 bits of those in the sent stream.
#[derive(Default)]
pub(super) struct Overtaking {
    /// The end of what was told of as sent.
    sent: u32,
    /// Only where a send was ever overtaken, which is rare.
    late: Option<Box<Late>>,
}

#[derive(Default)]
struct Late {
    /// What waits; the first of them for the sends that it overtook.
    waiting: VecDeque<Box<[u8]>>,
    /// Sends before this are not awaited any more.
    passed: Option<u32>,
}

/// What to do with a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is next.
    Pass,
    /// It has to wait.
    Wait,
    /// It is next, and then what waits, as far as it is due.
    Due,
    /// It is next, after everything that waits: that waits in vain.
    GiveIn,
    /// It is none any more.
    Late,
}

/// No send is longer: a position that is as far ahead of another is one behind it.
const FAR: u32 = 1 << 30;

/// True if position `a` is before `b`.
fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) >= FAR
}

/// What a record says of the sent stream.
enum Told {
    Nothing,
    /// These bytes were sent.
    Sent(u32, u32),
    /// All bytes before this position were sent before.
    Overtakes(u32),
}

impl Told {
    fn of(bytes: &[u8]) -> Self {
        let Ok((header, _)) = record::Header::ref_from_prefix(bytes) else { return Self::Nothing };
        let overtakes = header.flags & FLAG_OVERTAKES != 0;
        match header.kind {
            record::DATA => match record::Data::ref_from_prefix(bytes) {
                Ok((data, _)) if header.flags & FLAG_SENT != 0 => {
                    let from = data.position as u32;
                    Self::Sent(from, from.wrapping_add(data.length))
                }
                Ok((data, _)) if overtakes => Self::Overtakes(data.sent),
                _ => Self::Nothing,
            },
            record::STATE if overtakes => match record::State::ref_from_prefix(bytes) {
                Ok((state, _)) => Self::Overtakes(state.sent as u32),
                Err(_) => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }
}

impl Overtaking {
    /// What to do with the next record by number.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        let told = Told::of(bytes);
        let awaited = self.front().map(Told::of);
        match (told, awaited) {
            (Told::Sent(from, to), Some(Told::Overtakes(until))) => {
                if !before(from, until) {
                    return Step::GiveIn;
                }
                self.sent = to;
                if before(to, until) { Step::Pass } else { Step::Due }
            }
            (_, Some(_)) => Step::Wait,
            (Told::Overtakes(until), None) if before(self.sent, until) => Step::Wait,
            (Told::Sent(from, to), None) => {
                let passed = self.late.take().and_then(|late| late.passed);
                if let Some(passed) = passed.filter(|passed| before(from, *passed)) {
                    self.late().passed = Some(passed);
                    return Step::Late;
                }
                self.sent = to;
                Step::Pass
            }
            (_, None) => Step::Pass,
        }
    }

    /// Has a record wait.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.late().waiting.push_back(bytes.into());
    }

    /// What waits and is due.
    pub(super) fn pop(&mut self) -> Option<Box<[u8]>> {
        match Told::of(self.front()?) {
            Told::Overtakes(until) if before(self.sent, until) => None,
            _ => self.late.as_mut()?.waiting.pop_front(),
        }
    }

    /// What waits, due or not: then true, for a send is missing before it.
    pub(super) fn give_in(&mut self) -> Option<(Box<[u8]>, bool)> {
        let bytes = self.late.as_mut()?.waiting.pop_front()?;
        let Told::Overtakes(until) = Told::of(&bytes) else { return Some((bytes, false)) };
        let missing = before(self.sent, until);
        if missing {
            self.sent = until;
            self.late().passed = Some(until);
        }
        Some((bytes, missing))
    }

    fn front(&self) -> Option<&[u8]> {
        self.late.as_ref()?.waiting.front().map(|bytes| &**bytes)
    }

    fn late(&mut self) -> &mut Late {
        self.late.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use tracebee_common::record::{Data, Header, State};
    use zerocopy::IntoBytes as _;

    use super::*;

    fn header(kind: u8, flags: u8) -> Header {
        Header { kind, flags, ..Header::default() }
    }

    fn sent(from: u64, length: u32) -> Vec<u8> {
        let header = header(record::DATA, FLAG_SENT);
        Data { header, position: from, length, ..Data::default() }.as_bytes().into()
    }

    fn received(overtakes: Option<u32>) -> Vec<u8> {
        let flags = if overtakes.is_some() { FLAG_OVERTAKES } else { 0 };
        let header = header(record::DATA, flags);
        Data { header, sent: overtakes.unwrap_or(0), ..Data::default() }.as_bytes().into()
    }

    /// Has it wait.
    fn wait(order: &mut Overtaking, bytes: &[u8]) {
        assert_eq!(order.step(bytes), Step::Wait);
        order.push(bytes);
    }

    #[test]
    fn an_answer_waits_for_what_it_answers() {
        let mut order = Overtaking::default();
        assert_eq!(order.step(&sent(0, 10)), Step::Pass);
        assert_eq!(order.step(&received(None)), Step::Pass);
        wait(&mut order, &received(Some(20)));
        wait(&mut order, &received(None));
        assert_eq!(order.step(&sent(10, 5)), Step::Pass, "not all of it");
        assert_eq!(order.step(&sent(15, 9)), Step::Due);
        assert!(order.pop().is_some() && order.pop().is_some() && order.pop().is_none());
        assert_eq!(order.step(&received(Some(24))), Step::Pass, "told of already");
    }

    #[test]
    fn each_waits_for_its_own() {
        let mut order = Overtaking::default();
        wait(&mut order, &received(Some(10)));
        wait(&mut order, &received(Some(20)));
        assert_eq!(order.step(&sent(0, 10)), Step::Due);
        assert!(order.pop().is_some() && order.pop().is_none());
        assert_eq!(order.step(&sent(10, 10)), Step::Due);
        assert!(order.pop().is_some() && order.pop().is_none());
    }

    #[test]
    fn a_send_that_comes_too_late_is_none() {
        let mut order = Overtaking::default();
        wait(&mut order, &received(Some(10)));
        assert!(matches!(order.give_in(), Some((_, true))));
        assert!(order.give_in().is_none());
        assert_eq!(order.step(&sent(0, 10)), Step::Late);
        assert_eq!(order.step(&sent(10, 10)), Step::Pass);
    }

    #[test]
    fn what_was_never_told_of_is_not_awaited_after_what_follows_it() {
        let mut order = Overtaking::default();
        wait(&mut order, &received(Some(10)));
        assert_eq!(order.step(&sent(10, 10)), Step::GiveIn);
        assert!(matches!(order.give_in(), Some((_, true))));
    }

    #[test]
    fn an_end_waits_too() {
        let mut order = Overtaking::default();
        let header = header(record::STATE, FLAG_OVERTAKES);
        let end = State { header, sent: (1 << 32) + 5, ..State::default() };
        assert_eq!(order.step(&sent((1 << 32) - 5, 5)), Step::Pass);
        wait(&mut order, end.as_bytes());
        assert_eq!(order.step(&sent(1 << 32, 5)), Step::Due);
    }
}
