//! A recording of real clients of a server, taken apart.
//!
//! However the bytes come, the spans are the same. Joined anywhere, or with bytes missing, those
//! that are left are true, and what is missing is counted. Recovery is the next request at the
//! beginning of a client's turn.

use std::collections::HashMap;

use tracebee::source::recording::{File, Item, Next, encode, header};
use tracebee::source::{Data, Direction, Event, Lost};
use tracebee::trace::{Kind, Span};
use tracebee_tests::capture::random::Random;

use crate::outcome::{Outcome, essence, replay};

/// A recording with each of its records changed into any number of others.
pub(crate) fn rewrite(
    file: &[u8],
    mut change: impl FnMut(Item<'_>, &mut dyn FnMut(&Item<'_>)),
) -> Vec<u8> {
    let mut file = File::open(file).expect("a recording");
    let mut out = header(file.offset()).to_vec();
    while let Next::Item(item) = file.record().expect("it is whole") {
        change(item, &mut |item| encode(item, &mut out));
    }
    out
}

/// The bytes in pieces of at most `size`.
pub(crate) fn in_pieces(file: &[u8], size: usize) -> Vec<u8> {
    rewrite(file, |item, out| match item {
        Item::Event(Event::Data(data)) if data.bytes.len() as u64 == data.length => {
            for (n, bytes) in data.bytes.chunks(size).enumerate() {
                let position = data.position + (n * size) as u64;
                let length = bytes.len() as u64;
                out(&Item::Event(Event::Data(Data { position, length, bytes, ..data })));
            }
        }
        item => out(&item),
    })
}

/// Only its first records.
pub(crate) fn until(file: &[u8], last: usize) -> Vec<u8> {
    let mut n = 0;
    rewrite(file, |item, out| {
        n += 1;
        if n <= last {
            out(&item);
        }
    })
}

/// Without its first records, but for processes and connections, which are older than the agent then.
pub(crate) fn from(file: &[u8], first: usize) -> Vec<u8> {
    let mut n = 0;
    rewrite(file, |item, out| {
        n += 1;
        match item {
            item if n > first => out(&item),
            Item::Event(Event::Opened(mut opened)) => {
                opened.midlife = true;
                opened.role = None;
                out(&Item::Event(Event::Opened(opened)));
            }
            Item::Event(Event::Data(_) | Event::Sent { .. } | Event::Ended { .. }) => {}
            item => out(&item),
        }
    })
}

/// How many records it has.
pub(crate) fn records(file: &[u8]) -> usize {
    let mut count = 0;
    rewrite(file, |_, _| count += 1);
    count
}

/// Some of its records, one in a hundred and more, with their bytes changed by `lose`.
pub(crate) fn damaged(file: &[u8], seed: u64, lose: Lose) -> Vec<u8> {
    let mut random = Random::new(seed);
    let percentage = 1 + seed as usize % 3 * 4;
    rewrite(file, |item, out| match item {
        Item::Event(Event::Data(data)) if random.chance(percentage) => lose(&data, out),
        item => out(&item),
    })
}

/// What becomes of a record that is damaged.
pub(crate) type Lose = fn(&Data<'_>, &mut dyn FnMut(&Item<'_>));

/// A record found no room in the ring: the kernel numbers them, so the loss is known, its contents are
/// not.
pub(crate) fn record_lost(data: &Data<'_>, out: &mut dyn FnMut(&Item<'_>)) {
    let from = |direction| u32::from(data.direction == direction);
    let lost = Lost {
        id: data.id,
        records: 1,
        received: from(Direction::Received),
        sent: from(Direction::Sent),
        last: Some(data.direction),
    };
    out(&Item::Event(Event::Lost(lost)));
}

/// Bytes that could not be read, or a packet that a capture misses.
pub(crate) fn bytes_missing(data: &Data<'_>, out: &mut dyn FnMut(&Item<'_>)) {
    out(&Item::Event(Event::Data(Data { bytes: &[], tail: &[], ..*data })));
}

/// A recording of which everything is known.
pub(crate) struct Recorded {
    /// The file.
    pub(crate) file: &'static [u8],
    /// Holds that a span says nothing of a call but what the true one does, or less; and where.
    pub(crate) says: fn(&Span, &Span, &str),
}

/// Tests that every recording has.
macro_rules! however_it_comes {
    ($recorded:expr) => {
        #[test]
        fn in_pieces_of_any_size() {
            $recorded.in_pieces_of_any_size();
        }

        #[test]
        fn that_ends_anywhere() {
            $recorded.that_ends_anywhere();
        }

        #[test]
        fn from_the_middle() {
            $recorded.joined_anywhere();
        }

        #[test]
        fn with_records_lost() {
            $recorded.with_records_lost();
        }

        #[test]
        fn with_bytes_missing() {
            $recorded.with_bytes_missing();
        }
    };
}
pub(crate) use however_it_comes;

/// The clients' spans by when they began.
fn calls(outcome: Outcome) -> HashMap<u64, Span> {
    let spans = outcome.spans.into_iter().filter(|span| span.kind == Kind::Client);
    let mut calls = HashMap::new();
    for span in spans {
        let other = calls.insert(span.start, span);
        assert!(other.is_none(), "two spans of one call: {other:?}");
    }
    calls
}

fn essences(calls: &HashMap<u64, Span>) -> HashMap<u64, String> {
    calls.iter().map(|(start, span)| (*start, essence(span))).collect()
}

impl Recorded {
    /// The calls in it, by when they began.
    pub(crate) fn truth(&self) -> HashMap<u64, Span> {
        let outcome = replay(&[self.file]);
        assert_eq!(outcome.losses(), []);
        calls(outcome)
    }

    /// Whether every span is one of the `truth`, or says less. How many of them are missing.
    #[track_caller]
    fn are_true(&self, outcome: Outcome, truth: &HashMap<u64, Span>, context: &str) -> usize {
        let found = calls(outcome);
        for (start, span) in &found {
            let Some(real) = truth.get(start) else { panic!("{context}: no such call: {span:#?}") };
            (self.says)(span, real, context);
        }
        truth.len() - found.len()
    }

    /// The bytes come in smaller pieces.
    pub(crate) fn in_pieces_of_any_size(&self) {
        let truth = essences(&self.truth());
        for size in [1, 2, 5, 6, 7, 100, 1000] {
            let file = in_pieces(self.file, size);
            let outcome = replay(&[&file]);
            assert_eq!(outcome.losses(), [], "pieces of {size}");
            assert_eq!(essences(&calls(outcome)), truth, "pieces of {size}");
        }
    }

    /// It ends after any record.
    pub(crate) fn that_ends_anywhere(&self) {
        let truth = self.truth();
        for last in 0..records(self.file) {
            let file = until(self.file, last);
            self.are_true(replay(&[&file]), &truth, &format!("until {last}"));
        }
    }

    /// The agent starts after any record: all it was told before are processes and connections,
    /// which are older than it.
    pub(crate) fn joined_anywhere(&self) {
        let truth = self.truth();
        for first in 0..records(self.file) {
            let file = from(self.file, first);
            let missing = self.are_true(replay(&[&file]), &truth, &format!("from {first}"));
            assert!(first > 0 || missing == 0);
        }
    }

    /// Records that found no room in the ring: the kernel numbers them, so the loss is known, its
    /// contents are not.
    pub(crate) fn with_records_lost(&self) {
        self.with_losses(record_lost);
    }

    /// Bytes that could not be read, or a packet that a capture misses.
    pub(crate) fn with_bytes_missing(&self) {
        self.with_losses(bytes_missing);
    }

    fn with_losses(&self, lose: Lose) {
        let truth = self.truth();
        let (mut missing, mut all) = (0, 0);
        for seed in 0..100 {
            let file = damaged(self.file, seed, lose);
            let outcome = replay(&[&file]);
            let lost = outcome.lost();
            let gone = self.are_true(outcome, &truth, &format!("seed {seed}"));
            assert!(gone == 0 || lost > 0, "seed {seed}: {gone} lost in silence");
            (missing, all) = (missing + gone, all + truth.len());
        }
        println!("{missing} of {all} calls lost, all counted");
        assert!(missing < all / 2, "{missing} of {all}: it does not recover");
    }
}
