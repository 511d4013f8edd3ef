//! Captures of redis-py and a real server on loopback, and what the client itself wrote down:
//!
//! ```text
//! tcpdump -i lo -w redis-py-resp2.pcap tcp port 16391
//! workloads/redis/client.py 16391 redis-py-resp2.log sync2 call simple,batches,errors,waits,scripts,messages
//! workloads/redis/client.py 16391 redis-py-resp3.log async3 call simple,batches,errors,waits,scripts,messages
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod oracle;

use std::collections::HashSet;

use serde::Deserialize;
use tracebee::trace::{Kind, Span};

use crate::outcome::{int, replay, text};
use crate::packets::{self, Capture, Run, fixtures_but};

const RUNS: [Run; 2] = [
    Run {
        name: "RESP2",
        file: include_bytes!("../fixtures/redis-py-resp2.pcap"),
        log: include_str!("../fixtures/redis-py-resp2.log"),
    },
    Run {
        name: "RESP3",
        file: include_bytes!("../fixtures/redis-py-resp3.pcap"),
        log: include_str!("../fixtures/redis-py-resp3.log"),
    },
];

#[derive(Deserialize)]
struct Truth {
    call: String,
    operation: String,
    size: Option<i64>,
    error: Option<String>,
    start: u64,
    end: u64,
}

fn size(span: &Span) -> Option<i64> {
    int(span, "db.operation.batch.size")
}

/// All that is said of a call, but for the database, which is not known everywhere.
fn essence(span: &Span) -> String {
    let attributes: Vec<_> =
        span.attributes.iter().filter(|(key, _)| *key != "db.namespace").collect();
    format!("{} {} {} {} {attributes:?}", span.start, span.end, span.name, span.error)
}

/// The same, but for what commands are that were sent where nothing was seen.
fn frame(span: &Span) -> String {
    let name = span.name.split(' ').next().unwrap_or_default();
    let code = text(span, "db.response.status_code");
    format!("{} {} {name} {:?} {code:?}", span.start, span.end, size(span))
}

/// Calls that are out of reach for good when a connection joined midway has pushes: its
/// subscriptions are not known.
fn of_subscriber(span: &Span) -> bool {
    span.name.contains("SUBSCRIBE")
}

#[test]
fn every_call_is_one_span() {
    for run in RUNS {
        let name = run.name;
        let outcome = replay(&[run.file]);
        assert_eq!(outcome.losses(), [], "{name}");
        assert!(outcome.spans.iter().all(|span| span.kind == Kind::Client));
        let mut found = 0;
        for truth in run.log::<Truth>() {
            let is_its = |span: &&Span| {
                text(span, "db.query.text").unwrap().split([' ', ':', ';']).any(|w| w == truth.call)
            };
            let spans: Vec<&Span> = outcome.spans.iter().filter(is_its).collect();
            // redis-py writes a long pipeline in pieces. One that was answered before the next was
            // sent is a call of its own: that the program had not read the answer is in no capture.
            let long = truth.size > Some(100);
            assert!(spans.len() == 1 || long, "{name} {}: {spans:#?}", truth.call);
            let sizes: Option<i64> = spans.iter().map(|span| size(span)).sum();
            assert_eq!(sizes, truth.size, "{name} {}", truth.call);
            for span in spans {
                let said = (&*span.name, text(span, "db.response.status_code"));
                let expected = (&*truth.operation, truth.error.as_deref());
                assert_eq!(said, expected, "{name} {}", truth.call);
                assert_eq!(text(span, "db.namespace"), Some("0"));
                // The capture's clock has microseconds.
                let within = span.start + 1000 >= truth.start && span.end <= truth.end;
                assert!(within, "{name} {said:?}");
            }
            found += 1;
        }
        assert!(found > 60, "{name}: {found}");
    }
}

/// From any packet on, and up to any: what is told is told as it was. A connection that is joined
/// midway is believed from its second turn on: the first may have begun before, or be in a value.
/// The first call that is told then is told when the client asks again.
#[test]
fn cut_anywhere() {
    for run in RUNS {
        let (name, capture, whole) = (run.name, run.capture(), run.whole());
        let all: HashSet<String> = whole.iter().map(essence).collect();
        let connections = capture.connections();
        assert_eq!(connections.iter().map(Vec::len).sum::<usize>(), whole.len());
        capture.cut_anywhere(|cut| {
            let at = cut.at;
            let told: HashSet<String> = cut.after.iter().map(essence).collect();
            for span in &told {
                assert!(all.contains(span), "{name}, from packet {at}: {span}");
            }
            let later = cut.later(&connections).filter(|(span, _)| !of_subscriber(span));
            for (span, is_last) in later.map(|(span, is_last)| (essence(span), is_last)) {
                let found = told.contains(&span) || is_last;
                assert!(found, "{name}, from packet {at}: not told: {span}");
            }
            for span in cut.before.iter().map(essence) {
                assert!(all.contains(&span), "{name}, to packet {at}: {span}");
            }
        });
    }
}

/// Packets are missing at random: nothing wrong is told, and what is not told is counted.
#[test]
fn one_packet_in_a_hundred_missing() {
    // Each loss costs a call or two.
    packets::one_packet_in_a_hundred_missing(&RUNS, 90, |whole| {
        let all: HashSet<String> = whole.iter().flat_map(|s| [essence(s), frame(s)]).collect();
        move |span: &Span, context: &str| {
            let cut = span.attribute("tracebee.db.response_cut").is_some();
            let unseen = &*span.name == "PIPELINE" && all.contains(&frame(span));
            let span = essence(span);
            assert!(cut || unseen || all.contains(&span), "{context}: {span}");
        }
    });
}

/// No other protocol's capture has a call of Redis in it, wherever it begins, and Redis is never
/// taken for another.
#[test]
fn each_to_its_own() {
    let is_redis = |span: &Span| text(span, "db.system.name") == Some("redis");
    for (name, bytes) in fixtures_but("redis") {
        let mut all = replay(&[&bytes]).spans;
        assert!(!all.is_empty(), "{name} has no calls at all");
        if name.ends_with(".pcap") {
            Capture::new(&bytes).cut_anywhere(|cut| all.extend(cut.after));
        }
        assert!(!all.iter().any(is_redis), "{name} has calls of Redis");
    }
    for run in RUNS {
        assert!(run.whole().iter().all(is_redis), "{}", run.name);
    }
}
