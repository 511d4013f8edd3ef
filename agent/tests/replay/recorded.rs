//! A recording of real clients of a database, taken apart.
//!
//! However the bytes come, the spans are the same. Joined anywhere, or with bytes missing, those
//! that are left are true, and what is missing is counted. Recovery is the next request at the
//! beginning of a client's turn.

use std::collections::HashMap;

use tracebee::source::recording::{File, Item, Next, encode, header};
use tracebee::source::{Data, Direction, Event, Lost};
use tracebee::trace::{Kind, Span};
use tracebee_tests::capture::random::Random;

use crate::outcome::{Outcome, int, replay, text};

/// Rows that an answer brought, and rows that were written.
pub(crate) type Rows = [Option<i64>; 2];

/// What a span says, but for its ids.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) end: u64,
    pub(crate) error: bool,
    pub(crate) name: String,
    pub(crate) system: String,
    pub(crate) namespace: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) rows: Rows,
    pub(crate) batch: Option<i64>,
    pub(crate) cut: bool,
}

/// The spans by when they began.
fn seen(outcome: &Outcome) -> HashMap<u64, Seen> {
    let read = |span: &Span| {
        assert_eq!(span.kind, Kind::Client);
        let owned = |key| text(span, key).map(str::to_owned);
        let seen = Seen {
            end: span.end,
            error: span.error,
            name: span.name.to_string(),
            system: owned("db.system.name").expect("a system"),
            namespace: owned("db.namespace"),
            text: owned("db.query.text"),
            code: owned("db.response.status_code"),
            rows: ["db.response.returned_rows", "tracebee.db.affected_rows"]
                .map(|key| int(span, key)),
            batch: int(span, "db.operation.batch.size"),
            cut: span.attribute("tracebee.db.response_cut").is_some(),
        };
        (span.start, seen)
    };
    let seen: HashMap<u64, Seen> = outcome.spans.iter().map(read).collect();
    assert_eq!(seen.len(), outcome.spans.len(), "two spans of one call");
    seen
}

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
    /// What is said of rows where the text of the statement is not known.
    pub(crate) without_text: fn(Rows) -> Rows,
}

impl Recorded {
    /// The calls in it.
    pub(crate) fn truth(&self) -> HashMap<u64, Seen> {
        let outcome = replay(&[self.file]);
        assert_eq!(outcome.losses(), []);
        seen(&outcome)
    }

    /// Whether every span is one of the `truth`, or says less. How many of them are missing.
    #[track_caller]
    fn are_true(&self, outcome: &Outcome, truth: &HashMap<u64, Seen>, context: &str) -> usize {
        let found = seen(outcome);
        for (start, seen) in &found {
            let Some(real) = truth.get(start) else { panic!("{context}: no such call: {seen:?}") };
            let known = seen.text.is_some();
            assert!(
                !known || (seen.text == real.text && seen.name == real.name),
                "{context}: {seen:?}"
            );
            assert_eq!(seen.end, real.end, "{context}: {seen:?}");
            let namespace = seen.namespace.is_none() || seen.namespace == real.namespace;
            assert!(namespace, "{context}: {seen:?}, not {real:?}");
            let rows = |seen: &Seen| match known {
                true => seen.rows,
                false => (self.without_text)(seen.rows),
            };
            // What is told of an answer that was not seen whole is all there is.
            let told = rows(seen).iter().zip(rows(real)).all(|(n, m)| n.is_none() || *n == m);
            assert!(
                told || real.cut && real.rows == [None; 2],
                "{context}: {seen:?}, not {real:?}"
            );
            if !seen.cut {
                let outcome = |seen: &Seen| (seen.error, seen.code.clone(), rows(seen), seen.cut);
                assert_eq!(outcome(seen), outcome(real), "{context}: {seen:?}");
            }
        }
        truth.len() - found.len()
    }

    /// The bytes come in smaller pieces.
    pub(crate) fn in_pieces_of_any_size(&self) {
        let truth = self.truth();
        for size in [1, 2, 5, 6, 7, 100, 1000] {
            let file = in_pieces(self.file, size);
            let outcome = replay(&[&file]);
            assert_eq!(outcome.losses(), [], "pieces of {size}");
            assert_eq!(seen(&outcome), truth, "pieces of {size}");
        }
    }

    /// It ends after any record.
    pub(crate) fn that_ends_anywhere(&self) {
        let truth = self.truth();
        for last in 0..records(self.file) {
            let file = until(self.file, last);
            self.are_true(&replay(&[&file]), &truth, &format!("until {last}"));
        }
    }

    /// The agent starts after any record: all it was told before are processes and connections,
    /// which are older than it.
    pub(crate) fn joined_anywhere(&self) {
        let truth = self.truth();
        for first in 0..records(self.file) {
            let file = from(self.file, first);
            let outcome = replay(&[&file]);
            self.are_true(&outcome, &truth, &format!("from {first}"));
            if first == 0 {
                assert_eq!(outcome.spans.len(), truth.len());
            }
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
            let gone = self.are_true(&outcome, &truth, &format!("seed {seed}"));
            assert!(gone == 0 || outcome.lost() > 0, "seed {seed}: {gone} lost in silence");
            (missing, all) = (missing + gone, all + truth.len());
        }
        println!("{missing} of {all} calls lost, all counted");
        assert!(missing < all / 2, "{missing} of {all}: it does not recover");
    }
}
