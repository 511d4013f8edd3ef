//! What every protocol is held to, whatever it says: its own tests bring conversations, these take
//! them apart.

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::fuzz::play;
use super::{DETECTORS, Detection, Detector, Side};

/// Who sends what, one entry per write.
pub(super) type Turns = [(Side, Vec<u8>)];

/// The same in any pieces.
pub(super) type Pieces<'a> = dyn Iterator<Item = (Side, &'a [u8])> + 'a;

/// Positions of a conversation at which it is cut one by one; behind them a prime's multiples
/// have to do, which fall on every part of what is long.
const CUTS: usize = 2500;
const STEP: usize = 997;

/// Longest part of a write that a fuzzer is given: the rest would be more of the same.
const MAX_WRITE: usize = 3000;

/// A conversation, and how it is told.
pub(super) struct Subject {
    /// What the protocol's tests call it.
    pub(super) name: String,
    /// What is said.
    pub(super) turns: Vec<(Side, Vec<u8>)>,
    /// The calls of a connection that is seen from its beginning to its end, the writes as they
    /// come.
    pub(super) told: fn(&mut Pieces<'_>) -> Vec<String>,
}

impl Subject {
    /// The calls when it is seen in whole writes.
    fn whole(&self) -> Vec<String> {
        (self.told)(&mut self.turns.iter().map(|(side, bytes)| (*side, &bytes[..])))
    }

    fn length(&self) -> usize {
        self.turns.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Where it is cut and stopped.
    fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.length()).filter(|place| *place < CUTS || place % STEP == 0)
    }

    /// The calls when each write is cut where `after` says so of a position in the conversation.
    fn cut(&self, after: impl Fn(usize) -> bool) -> Vec<String> {
        let mut pieces = Vec::new();
        let mut position = 0;
        for (side, bytes) in &self.turns {
            let mut start = 0;
            for end in 1..=bytes.len() {
                position += 1;
                if end == bytes.len() || after(position) {
                    pieces.push((*side, &bytes[start..end]));
                    start = end;
                }
            }
        }
        (self.told)(&mut pieces.into_iter())
    }

    /// Cut anywhere, and byte by byte: the calls are the same.
    pub(super) fn cut_at_any_byte(&self) {
        let (name, whole) = (&self.name, self.whole());
        for cut in self.places() {
            assert_eq!(self.cut(|position| position == cut), whole, "{name}, cut at {cut}");
        }
        assert_eq!(self.cut(|_| true), whole, "{name}, byte by byte");
    }

    /// The same in the pieces that `cuts` makes, again and again.
    pub(super) fn cut_into(&self, cuts: &[bool]) -> Result<(), TestCaseError> {
        let found = self.cut(|position| cuts[position % cuts.len()]);
        prop_assert_eq!(found, self.whole(), "{}", self.name);
        Ok(())
    }

    /// If it stops anywhere, it has had the calls that it would have had so far, but for those that
    /// `open` says have not ended.
    pub(super) fn stopped_anywhere(&self, open: fn(&str) -> bool) {
        let (name, whole) = (&self.name, self.whole());
        for stop in self.places() {
            let mut left = stop;
            let mut until = self.turns.iter().map(|(side, bytes)| {
                let bytes = &bytes[..bytes.len().min(left)];
                left -= bytes.len();
                (*side, bytes)
            });
            let mut ended = (self.told)(&mut until);
            ended.retain(|call| !open(call));
            assert!(whole.starts_with(&ended), "{name}, stopped at {stop}: {ended:#?}");
        }
    }
}

/// Pieces for [`Subject::cut_into`].
pub(super) fn cuts() -> impl Strategy<Value = Vec<bool>> {
    proptest::collection::vec(any::<bool>(), 1..97)
}

/// Bytes of anything for a fuzz target.
pub(super) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..2000)
}

/// A conversation as [`play`] reads it.
pub(super) fn encode(turns: &Turns) -> Vec<u8> {
    let mut data = vec![0];
    for (side, bytes) in turns {
        for piece in bytes[..bytes.len().min(MAX_WRITE)].chunks(255) {
            data.extend([6 + *side as u8, piece.len() as u8]);
            data.extend(piece);
        }
    }
    data
}

/// Every beginning of the conversations, as a fuzzer would cut them.
pub(super) fn all_prefixes(protocol: &Detector, conversations: &[Vec<u8>]) {
    for data in conversations {
        (0..=data.len()).for_each(|length| play(protocol, &data[..length]));
    }
}

/// What a fuzzer does, without one: the conversations, changed `times` times, with `words` put in
/// that mean something. The same in each run.
pub(super) fn mutated<Word: AsRef<[u8]>>(
    protocol: &Detector,
    conversations: &[Vec<u8>],
    words: &[Word],
    times: usize,
) {
    let mut random = StdRng::seed_from_u64(54);
    for i in 0..times {
        let mut data = conversations[i % conversations.len()].clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..data.len());
            match random.random_range(0..4) {
                0 => data[at] = random.random(),
                1 => drop(data.remove(at)),
                2 => {
                    let word = words[random.random_range(0..words.len())].as_ref();
                    data.splice(at..at, word.iter().copied());
                }
                _ => {
                    let other = &conversations[random.random_range(0..conversations.len())];
                    data.truncate(at + 1);
                    data.extend(&other[random.random_range(0..other.len())..]);
                }
            }
        }
        play(protocol, &data);
    }
}

/// `judge` knows whose `bytes` are, and says nothing else of any beginning of them.
#[track_caller]
pub(super) fn recognised(judge: fn(&[u8]) -> Detection, side: Side, bytes: &[u8]) {
    assert_eq!(judge(bytes), Detection::Is(side), "{bytes:?}");
    for length in 0..bytes.len().min(200) {
        let judged = judge(&bytes[..length]);
        let fits = judged == Detection::Unsure || judged == Detection::Is(side);
        assert!(fits, "{length} of {bytes:?}: {judged:?}");
    }
}

/// No bytes are a message of two protocols: not of those that know what these writes are, nor of
/// another.
#[track_caller]
pub(super) fn of_one_protocol<'a>(writes: impl IntoIterator<Item = &'a [u8]>) {
    for bytes in writes {
        for midway in [false, true] {
            let judge = |d: &Detector| if midway { d.resume } else { d.detect };
            let is = |detection| matches!(detection, Detection::Is(_));
            let count = DETECTORS.iter().filter(|d| is(judge(d)(bytes))).count();
            assert!(count <= 1, "{bytes:?}");
        }
    }
}
