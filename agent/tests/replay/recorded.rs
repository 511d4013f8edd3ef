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

/// A recording of which everything is known.
pub(crate) struct Recorded {
    /// The file.
    pub(crate) file: &'static [u8],
    /// What is said of rows where the text of the statement is not known.
    pub(crate) without_text: fn(Rows) -> Rows,
}

impl Recorded {
    /// The recording with each of its records changed into any number of others.
    fn rewrite(&self, mut change: impl FnMut(Item<'_>, &mut dyn FnMut(&Item<'_>))) -> Vec<u8> {
        let mut file = File::open(self.file).expect("a recording");
        let mut out = header(file.offset()).to_vec();
        while let Next::Item(item) = file.record().expect("it is whole") {
            change(item, &mut |item| encode(item, &mut out));
        }
        out
    }

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
            let file = self.rewrite(|item, out| match item {
                Item::Event(Event::Data(data)) if data.bytes.len() as u64 == data.length => {
                    for (n, bytes) in data.bytes.chunks(size).enumerate() {
                        let position = data.position + (n * size) as u64;
                        let length = bytes.len() as u64;
                        out(&Item::Event(Event::Data(Data { position, length, bytes, ..data })));
                    }
                }
                item => out(&item),
            });
            let outcome = replay(&[&file]);
            assert_eq!(outcome.losses(), [], "pieces of {size}");
            assert_eq!(seen(&outcome), truth, "pieces of {size}");
        }
    }

    fn records(&self) -> usize {
        let mut count = 0;
        self.rewrite(|_, _| count += 1);
        count
    }

    /// It ends after any record.
    pub(crate) fn that_ends_anywhere(&self) {
        let truth = self.truth();
        for last in 0..self.records() {
            let mut n = 0;
            let file = self.rewrite(|item, out| {
                n += 1;
                if n <= last {
                    out(&item);
                }
            });
            self.are_true(&replay(&[&file]), &truth, &format!("until {last}"));
        }
    }

    /// The agent starts after any record: all it was told before are processes and connections,
    /// which are older than it.
    pub(crate) fn joined_anywhere(&self) {
        let truth = self.truth();
        for first in 0..self.records() {
            let mut n = 0;
            let file = self.rewrite(|item, out| {
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
            });
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
        self.with_losses(|data, out| {
            let from = |direction| u32::from(data.direction == direction);
            let lost = Lost {
                id: data.id,
                records: 1,
                received: from(Direction::Received),
                sent: from(Direction::Sent),
                last: Some(data.direction),
            };
            out(&Item::Event(Event::Lost(lost)));
        });
    }

    /// Bytes that could not be read, or a packet that a capture misses.
    pub(crate) fn with_bytes_missing(&self) {
        self.with_losses(|data, out| {
            out(&Item::Event(Event::Data(Data { bytes: &[], tail: &[], ..*data })))
        });
    }

    fn with_losses(&self, mut lose: impl FnMut(&Data<'_>, &mut dyn FnMut(&Item<'_>))) {
        let truth = self.truth();
        let (mut missing, mut all) = (0, 0);
        for seed in 0..100 {
            let mut random = Random::new(seed);
            // One in a hundred, and more.
            let percentage = 1 + seed as usize % 3 * 4;
            let file = self.rewrite(|item, out| match item {
                Item::Event(Event::Data(data)) if random.chance(percentage) => lose(&data, out),
                item => out(&item),
            });
            let outcome = replay(&[&file]);
            let gone = self.are_true(&outcome, &truth, &format!("seed {seed}"));
            assert!(gone == 0 || outcome.lost() > 0, "seed {seed}: {gone} lost in silence");
            (missing, all) = (missing + gone, all + truth.len());
        }
        println!("{missing} of {all} calls lost, all counted");
        assert!(missing < all / 2, "{missing} of {all}: it does not recover");
    }
}
