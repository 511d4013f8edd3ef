//! Real clients of a real PostgreSQL, as the kernel delivered them to `run --record`:
//! `tests/workloads/postgres/fixture.py` (psycopg2, then asyncpg), traced by `--port`.
//!
//! However the bytes come, the spans are the same. Joined anywhere, or with bytes missing, those
//! that are left are true, and what is missing is counted. Recovery is the next request at the
//! beginning of a client's turn.

use std::collections::HashMap;

use tracebee::source::recording::{File, Item, Next, encode, header};
use tracebee::source::{Data, Direction, Event, Lost};
use tracebee::trace::{Kind, Span, Value};
use tracebee_tests::capture::random::Random;

use crate::outcome::{Outcome, replay};

const RECORDING: &[u8] = include_bytes!("../fixtures/postgres.rec");

/// The recording with each of its records changed into any number of others.
fn rewrite(mut change: impl FnMut(Item<'_>, &mut dyn FnMut(&Item<'_>))) -> Vec<u8> {
    let mut file = File::open(RECORDING).expect("a recording");
    let mut out = header(file.offset()).to_vec();
    while let Next::Item(item) = file.record().expect("it is whole") {
        change(item, &mut |item| encode(item, &mut out));
    }
    out
}

/// What a span says, but for its ids.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    end: u64,
    error: bool,
    name: String,
    text: Option<String>,
    code: Option<String>,
    rows: [Option<i64>; 2],
    batch: Option<i64>,
    cut: bool,
}

/// The spans by when they began.
fn seen(outcome: &Outcome) -> HashMap<u64, Seen> {
    let read = |span: &Span| {
        assert_eq!(span.kind, Kind::Client);
        let text = |key| match span.attribute(key)? {
            Value::Static(text) => Some((*text).to_owned()),
            Value::Text(text) => Some(text.to_string()),
            Value::Shared(text) => Some(text.to_string()),
            _ => None,
        };
        let int = |key| match span.attribute(key)? {
            Value::Int(number) => Some(*number),
            _ => None,
        };
        let seen = Seen {
            end: span.end,
            error: span.error,
            name: span.name.to_string(),
            text: text("db.query.text"),
            code: text("db.response.status_code"),
            rows: [int("db.response.returned_rows"), int("tracebee.db.affected_rows")],
            batch: int("db.operation.batch.size"),
            cut: span.attribute("tracebee.db.response_cut").is_some(),
        };
        (span.start, seen)
    };
    let seen: HashMap<u64, Seen> = outcome.spans.iter().map(read).collect();
    assert_eq!(seen.len(), outcome.spans.len(), "two spans of one call");
    seen
}

/// Whether every span is one of the `truth`, or says less. How many of them are missing.
#[track_caller]
fn are_true(outcome: &Outcome, truth: &HashMap<u64, Seen>, context: &str) -> usize {
    let found = seen(outcome);
    for (start, seen) in &found {
        let Some(real) = truth.get(start) else { panic!("{context}: no such call: {seen:?}") };
        let known = seen.text.is_some();
        assert!(
            !known || (seen.text == real.text && seen.name == real.name),
            "{context}: {seen:?}"
        );
        assert_eq!(seen.end, real.end, "{context}: {seen:?}");
        if !seen.cut {
            let outcome = |seen: &Seen| (seen.error, seen.code.clone(), seen.rows, seen.cut);
            assert_eq!(outcome(seen), outcome(real), "{context}: {seen:?}");
        }
    }
    truth.len() - found.len()
}

fn lost(outcome: &Outcome) -> u64 {
    outcome.losses().iter().map(|(_, n)| n).sum()
}

fn truth() -> HashMap<u64, Seen> {
    let outcome = replay(&[RECORDING]);
    assert_eq!(outcome.losses(), []);
    seen(&outcome)
}

#[test]
fn as_it_was() {
    let truth = truth();
    let count = |name: &str| truth.values().filter(|seen| seen.name == name).count();
    let code =
        |code: &str| truth.values().filter(|seen| seen.code.as_deref() == Some(code)).count();
    // psycopg2: 10 one by one; asyncpg: a batch, one refused, one more.
    assert_eq!(count("INSERT fix"), 10 + 3);
    // psycopg2: 10; asyncpg: 10, and a cursor in three steps.
    assert_eq!(count("SELECT fix"), 20 + 3);
    assert_eq!(count("UPDATE fix"), 10);
    assert_eq!(count("SELECT fix UPDATE fix") + count("SELECT fix DELETE fix"), 2);
    assert_eq!(
        (count("COPY fix"), count("SELECT generate_series"), count("CREATE TABLE fix")),
        (2, 1, 1)
    );
    assert_eq!((code("42P01"), code("25P02"), code("23505")), (1, 1, 1));
    assert_eq!(truth.values().filter(|seen| seen.batch == Some(20)).count(), 1);
    assert!(
        truth.values().filter_map(|seen| seen.text.as_ref()).all(|text| !text.contains("secret"))
    );
}

#[test]
fn in_pieces_of_any_size() {
    let truth = truth();
    for size in [1, 2, 5, 6, 7, 100, 1000] {
        let file = rewrite(|item, out| match item {
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

fn records() -> usize {
    let mut count = 0;
    rewrite(|_, _| count += 1);
    count
}

#[test]
fn that_ends_anywhere() {
    let truth = truth();
    for last in 0..records() {
        let mut n = 0;
        let file = rewrite(|item, out| {
            n += 1;
            if n <= last {
                out(&item);
            }
        });
        are_true(&replay(&[&file]), &truth, &format!("until {last}"));
    }
}

/// The agent starts after `first` records: all it was told before are processes and connections,
/// which are older than it.
#[test]
fn from_the_middle() {
    let truth = truth();
    let whole = truth.len();
    for first in 0..records() {
        let mut n = 0;
        let mut before = 0;
        let file = rewrite(|item, out| {
            n += 1;
            match item {
                item if n > first => out(&item),
                Item::Event(Event::Opened(mut opened)) => {
                    opened.midlife = true;
                    opened.role = None;
                    out(&Item::Event(Event::Opened(opened)));
                }
                Item::Event(Event::Data(data)) => {
                    before += usize::from(truth.contains_key(&data.time.0));
                }
                Item::Event(Event::Sent { .. } | Event::Ended { .. }) => {}
                item => out(&item),
            }
        });
        let outcome = replay(&[&file]);
        are_true(&outcome, &truth, &format!("from {first}"));
        if first == 0 {
            assert_eq!(outcome.spans.len(), whole);
        }
    }
}

/// Records that found no room in the ring: the kernel numbers them, so the loss is known, its
/// contents are not.
#[test]
fn with_records_lost() {
    with_losses(|data, out| {
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
#[test]
fn with_bytes_missing() {
    with_losses(|data, out| {
        out(&Item::Event(Event::Data(Data { bytes: &[], tail: &[], ..*data })))
    });
}

fn with_losses(mut lose: impl FnMut(&Data<'_>, &mut dyn FnMut(&Item<'_>))) {
    let truth = truth();
    let (mut missing, mut all) = (0, 0);
    for seed in 0..100 {
        let mut random = Random::new(seed);
        // One in a hundred, and more.
        let percentage = 1 + seed as usize % 3 * 4;
        let file = rewrite(|item, out| match item {
            Item::Event(Event::Data(data)) if random.chance(percentage) => lose(&data, out),
            item => out(&item),
        });
        let outcome = replay(&[&file]);
        let gone = are_true(&outcome, &truth, &format!("seed {seed}"));
        assert!(gone == 0 || lost(&outcome) > 0, "seed {seed}: {gone} lost in silence");
        (missing, all) = (missing + gone, all + truth.len());
    }
    println!("{missing} of {all} calls lost, all counted");
    assert!(missing < all / 2, "{missing} of {all}: it does not recover");
}
