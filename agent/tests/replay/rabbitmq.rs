//! Real clients of a real RabbitMQ, as the kernel delivered them to `run --record`:
//! `tests/workloads/rabbitmq/fixture.py` (pika), then `fixture.js` (amqplib), traced by `--port`.
//!
//! However the bytes come, the spans are the same. Joined anywhere, or with bytes missing, those that
//! are left are true, and what is missing is counted. What a span may lack then is what was said where
//! nothing was seen: the queue, the confirm, how the message was settled.

use std::collections::{HashMap, HashSet};

use tracebee::link::Link;
use tracebee::trace::{Kind, Span};

use crate::outcome::{Outcome, int, replay, text};
use crate::recorded::{Lose, bytes_missing, damaged, from, in_pieces, record_lost, records, until};

const FILE: &[u8] = include_bytes!("../fixtures/rabbitmq.rec");

/// The same programs on another day, captured on the wire; the suite `rabbitmq` has Wireshark decode it.
const CAPTURE: &[u8] = include_bytes!("../fixtures/rabbitmq.pcap");

/// Records between two places where it is cut; the parser's own tests cut at every byte.
const STEP: usize = 3;

/// When a call began, which it is, the message's id and its delivery tag.
type Key = (u64, String, Option<String>, Option<i64>);

/// What is said of it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    end: u64,
    destination: Option<String>,
    size: Option<i64>,
    error: Option<String>,
    confirmed: bool,
    settled: Option<String>,
    sender: Option<String>,
}

fn seen(outcome: &Outcome) -> HashMap<Key, Seen> {
    let read = |span: &Span| {
        let owned = |key| text(span, key).map(str::to_owned);
        let operation = owned("messaging.operation.name").expect("an operation");
        let kind = match &*operation {
            "publish" => Kind::Producer,
            "consume" => Kind::Consumer,
            _ => Kind::Client,
        };
        assert_eq!(span.kind, kind);
        assert_eq!(text(span, "messaging.system"), Some("rabbitmq"));
        let error = owned("error.type");
        assert_eq!(span.error, error.is_some());
        let tag = int(span, "messaging.rabbitmq.message.delivery_tag");
        let key = (span.start, operation, owned("messaging.message.id"), tag);
        let seen = Seen {
            end: span.end,
            destination: owned("messaging.destination.name"),
            size: int(span, "messaging.message.body.size"),
            error,
            confirmed: span.attribute("tracebee.messaging.confirmed").is_some(),
            settled: owned("tracebee.messaging.settled"),
            // The ids of our own spans differ each time.
            sender: span
                .parent
                .filter(|parent| parent.remote)
                .map(|parent| format!("{} {}", span.trace_id, parent.span_id)),
        };
        (key, seen)
    };
    let seen: HashMap<Key, Seen> = outcome.spans.iter().map(read).collect();
    assert_eq!(seen.len(), outcome.spans.len(), "two spans of one call");
    by_evidence(outcome);
    seen
}

/// How many messages hang under their publishing without a word of it: each under that of the same id.
fn by_evidence(outcome: &Outcome) -> usize {
    let id = |span: &Span| text(span, "messaging.message.id").map(str::to_owned);
    let published = outcome.spans.iter().filter(|span| span.kind == Kind::Producer);
    let published: HashMap<_, _> = published.map(|span| (span.span_id, id(span))).collect();
    let mut count = 0;
    for span in &outcome.spans {
        let Some(parent) = span.parent.filter(|parent| parent.link == Link::Queue) else {
            continue;
        };
        count += 1;
        assert_eq!(
            span.links.iter().map(|link| link.span_id).collect::<Vec<_>>(),
            [parent.span_id]
        );
        // The publishing may be lost, later.
        if let Some(sent) = published.get(&parent.span_id) {
            assert_eq!(*sent, id(span));
        }
    }
    count
}

fn truth() -> HashMap<Key, Seen> {
    let outcome = replay(&[FILE]);
    assert_eq!(outcome.losses(), []);
    seen(&outcome)
}

/// Whether every span is one of the `truth`, or says less. How many of them are missing.
#[track_caller]
fn are_true(outcome: &Outcome, truth: &HashMap<Key, Seen>, context: &str) -> usize {
    let found = seen(outcome);
    let returned: HashSet<_> = truth
        .iter()
        .filter(|(_, seen)| seen.error.as_deref() == Some("312"))
        .map(|((_, _, id, _), _)| id)
        .collect();
    // What the broker says of nothing that was seen is told by itself.
    let unasked = |(_, operation, id, _): &Key, seen: &Seen| match &**operation {
        "return" => returned.contains(id),
        "close" => truth.values().any(|real| real.error.is_some() && real.error == seen.error),
        _ => false,
    };
    let mut known = 0;
    for (key, seen) in &found {
        let Some(real) = truth.get(key) else {
            assert!(unasked(key, seen), "{context}: no such call: {key:?} {seen:?}");
            continue;
        };
        known += 1;
        let context = format!("{context}: {seen:?}, not {real:?}");
        let (there, said) = (seen.destination.as_deref(), real.destination.as_deref());
        let without_queue = said.zip(there).is_some_and(|(said, there)| said.starts_with(there));
        assert!(there == said || without_queue, "{context}");
        assert_eq!((seen.size, &seen.sender), (real.size, &real.sender), "{context}");
        let says_less = seen.settled.is_none() && real.settled.is_some()
            || !seen.confirmed && (real.confirmed || key.1 == "publish" && real.error.is_some());
        if says_less {
            assert!(seen.end <= real.end && seen.error.is_none(), "{context}");
        } else {
            assert_eq!(seen, &Seen { destination: seen.destination.clone(), ..real.clone() });
        }
    }
    truth.len() - known
}

#[test]
fn as_it_was() {
    let truth = truth();
    let count = |operation: &str, destination: &str| {
        let is_it = |(key, seen): &(&Key, &Seen)| {
            key.1 == operation && seen.destination.as_deref() == Some(destination)
        };
        truth.iter().filter(is_it).count()
    };
    // pika.
    assert_eq!((count("publish", "fix:job"), count("publish", "work")), (12, 12));
    assert_eq!(count("publish", "fix:nowhere"), 3 + 1);
    assert_eq!(count("get", "fix:job:work") + count("get", "work"), 2);
    assert_eq!(count("consume", "fix:job:work") + count("consume", "work"), 23);
    // amqplib.
    assert_eq!((count("publish", "tasks"), count("consume", "tasks")), (20 + 10, 30));
    let settled = |how: &str| truth.values().filter(|s| s.settled.as_deref() == Some(how)).count();
    assert_eq!((settled("ack"), settled("reject"), settled("requeue")), (18 + 30, 4, 1));
    let error = |code: &str| truth.values().filter(|s| s.error.as_deref() == Some(code)).count();
    assert_eq!((error("312"), error("404")), (3 + 1, 1));
    assert_eq!(truth.values().filter(|seen| seen.confirmed).count(), 12 + 3 + 20);
    // To and from the queue that the broker named.
    let anonymous: Vec<_> = truth
        .iter()
        .filter(|(_, seen)| {
            seen.destination.as_deref().is_some_and(|name| name.starts_with("amq.gen-"))
        })
        .collect();
    assert_eq!(anonymous.len(), 10 + 10);
    assert_eq!(truth.len(), 12 + 12 + 3 + 1 + 1 + 2 + 1 + 23 + 40 + 40);
    let outcome = replay(&[FILE]);
    // All that are brought but those that say who sent them.
    assert_eq!(by_evidence(&outcome), 2 + 23 + 40 - 13);
    let named = |span: &Span| span.parent.is_some_and(|parent| parent.remote);
    let brought = |span: &Span| named(span) && !span.links.is_empty();
    let links: Vec<_> = outcome.spans.into_iter().filter(brought).collect();
    let sent_by = |span: &Span| {
        let link = span.links[0];
        assert_eq!(span.parent.map(|parent| parent.span_id), Some(link.span_id));
        format!("{} {}", link.trace_id, link.span_id)
    };
    assert_eq!(links.len(), 12 + 1, "one of them was brought twice");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7";
    assert!(links.iter().all(|span| sent_by(span) == trace));
}

#[test]
fn on_the_wire() {
    let count = |outcome: &Outcome| {
        let mut count: HashMap<_, usize> = HashMap::new();
        for ((_, operation, id, _), seen) in seen(outcome) {
            let Seen { size, error, confirmed, settled, sender, .. } = seen;
            *count.entry((operation, id, size, error, confirmed, settled, sender)).or_default() +=
                1;
        }
        count
    };
    let outcome = replay(&[CAPTURE]);
    assert_eq!(outcome.losses(), []);
    assert_eq!(count(&outcome), count(&replay(&[FILE])));
}

#[test]
fn in_pieces_of_any_size() {
    let truth = truth();
    for size in [1, 2, 7, 8, 9, 100, 1000] {
        let outcome = replay(&[&in_pieces(FILE, size)]);
        assert_eq!(outcome.losses(), [], "pieces of {size}");
        assert_eq!(seen(&outcome), truth, "pieces of {size}");
    }
}

#[test]
fn that_ends_anywhere() {
    let truth = truth();
    for last in (0..records(FILE)).step_by(STEP) {
        are_true(&replay(&[&until(FILE, last)]), &truth, &format!("until {last}"));
    }
}

#[test]
fn from_the_middle() {
    let truth = truth();
    for first in (0..records(FILE)).step_by(STEP) {
        let outcome = replay(&[&from(FILE, first)]);
        let missing = are_true(&outcome, &truth, &format!("from {first}"));
        assert!(first > 0 || missing == 0);
    }
}

#[test]
fn with_records_lost() {
    with_losses(record_lost);
}

#[test]
fn with_bytes_missing() {
    with_losses(bytes_missing);
}

fn with_losses(lose: Lose) {
    let truth = truth();
    let (mut missing, mut all) = (0, 0);
    for seed in 0..100 {
        let outcome = replay(&[&damaged(FILE, seed, lose)]);
        let gone = are_true(&outcome, &truth, &format!("seed {seed}"));
        assert!(gone == 0 || outcome.lost() > 0, "seed {seed}: {gone} lost in silence");
        (missing, all) = (missing + gone, all + truth.len());
    }
    println!("{missing} of {all} calls lost, all counted");
    assert!(missing < all / 2, "{missing} of {all}: it does not recover");
}
