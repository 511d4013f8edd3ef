//! Captures of a real OpenSearch on loopback, and what its clients wrote down:
//!
//! ```text
//! dumpcap -i lo -P -f "tcp port 16392" -w opensearch-py.pcap
//! workloads/search/client.py 16392 opensearch-py.log ops opensearch indices,documents,bulks,searches
//! dumpcap -i lo -P -f "tcp port 16392" -w opensearch-aiohttp.pcap
//! workloads/search/plain.py 16392 opensearch-aiohttp.log aio 127.0.0.1 opensearch
//! ```
//!
//! opensearch-py says whom it asks with each call; aiohttp does not, but asks for `/` first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use tracebee::trace::{Kind, Span};
use tracebee::value::Value;

use crate::outcome::{Outcome, essence, int, replay, text};
use crate::packets::{self, Run, fixtures_but};

mod recorded;

const RUNS: [Run; 2] = [
    Run {
        name: "opensearch-py",
        file: include_bytes!("../fixtures/opensearch-py.pcap"),
        log: include_str!("../fixtures/opensearch-py.log"),
    },
    Run {
        name: "aiohttp",
        file: include_bytes!("../fixtures/opensearch-aiohttp.pcap"),
        log: include_str!("../fixtures/opensearch-aiohttp.log"),
    },
];

#[derive(Deserialize)]
struct Truth {
    call: String,
    operation: String,
    index: Option<String>,
    size: Option<i64>,
    #[serde(default)]
    failed: Option<i64>,
    text: Option<String>,
    status: u16,
    start: u64,
    end: u64,
}

fn size(span: &Span) -> Option<i64> {
    int(span, "db.operation.batch.size")
}

const TEXT: &str = "db.query.text";
const FAILED: &str = "tracebee.db.failed_operations";

fn failed(span: &Span) -> Option<i64> {
    int(span, FAILED)
}

/// True for a call over HTTP and no more, as far as is told.
fn is_http(span: &Span) -> bool {
    text(span, "db.system.name").is_none()
}

/// A call of which every client's span tells, whatever else is known of it.
fn frame(span: &Span) -> String {
    let url = text(span, "url.full").or(text(span, "url.query")).unwrap_or_default();
    let word = url.split_once("filter_path=-").map_or(url, |(_, word)| &word[..6]);
    let status = match (
        text(span, "db.response.status_code"),
        span.attribute("http.response.status_code"),
    ) {
        (Some(status), _) => status.to_owned(),
        (None, Some(Value::Int(status))) => status.to_string(),
        _ => "none".to_owned(),
    };
    format!("{} {} {word} {status}", span.start, span.end)
}

/// The same, without what only a body that was seen whole tells: the size and kind of a batch, and
/// the end of a text.
fn without_body(span: &Span) -> String {
    let of_body =
        [TEXT, "db.operation.name", "db.collection.name", "db.operation.batch.size", FAILED];
    let others: Vec<_> = span.attributes.iter().filter(|(key, _)| !of_body.contains(key)).collect();
    format!("{} {} {} {others:?}", span.start, span.end, span.error)
}

/// Every call that a client wrote down is one span of its end. How many there are.
fn all_are_told(outcome: &Outcome, run: &Run) -> usize {
    let name = run.name;
    let mut calls = 0;
    for truth in run.log::<Truth>() {
        let context = format!("{name} {} {}", truth.operation, truth.call);
        let word = format!("filter_path=-{}", truth.call);
        let is_its = |span: &&Span| {
            let url = text(span, "url.full").is_some_and(|url| url.contains(&word));
            span.kind == Kind::Client && url
        };
        let spans: Vec<&Span> = outcome.spans.iter().filter(is_its).collect();
        let [span] = spans[..] else { panic!("{context}: {spans:#?}") };
        assert_eq!(text(span, "db.system.name"), Some("opensearch"), "{context}");
        assert_eq!(text(span, "db.operation.name"), Some(&*truth.operation), "{context}");
        assert_eq!(text(span, "db.collection.name"), truth.index.as_deref(), "{context}");
        assert_eq!(text(span, "db.query.text"), truth.text.as_deref(), "{context}");
        assert_eq!(size(span), truth.size, "{context}");
        assert_eq!(failed(span), truth.failed, "{context}");
        let status = truth.status.to_string();
        assert_eq!(text(span, "db.response.status_code"), Some(&*status), "{context}");
        assert_eq!(span.error, truth.status >= 400, "{context}");
        // A capture's clock has microseconds.
        let within = span.start + 1000 >= truth.start && span.end <= truth.end;
        assert!(within, "{context}");
        assert!(!essence(span).contains("secret"), "{context}");
        calls += 1;
    }
    calls
}

#[test]
fn every_call_is_one_span() {
    for run in RUNS {
        let mut outcome = replay(&[run.file]);
        assert_eq!(outcome.losses(), [], "{}", run.name);
        // Recorded when this was not said yet.
        for span in &mut outcome.spans {
            span.attributes.retain(|(key, _)| *key != FAILED);
        }
        assert_eq!(outcome.spans.len(), all_are_told(&outcome, &run), "{}", run.name);
        assert!(outcome.spans.iter().all(|span| &*span.resource.service == "127.0.0.1"));
    }
}

/// From any packet on, and up to any: what is told is told as it was, or, where nothing tells any
/// more whom the call asks, as one over HTTP.
#[test]
fn cut_anywhere() {
    for run in RUNS {
        let (name, capture, whole) = (run.name, run.capture(), run.whole());
        let all: HashSet<String> = whole.iter().map(without_body).collect();
        let frames: HashSet<String> = whole.iter().map(frame).collect();
        let connections = capture.connections();
        capture.cut_anywhere(|cut| {
            let at = cut.at;
            let of_search = |span: &&Span| !is_http(span);
            for span in cut.after.iter().chain(&cut.before).filter(of_search) {
                let known = all.contains(&without_body(span));
                assert!(known, "{name}, at packet {at}: {}", essence(span));
            }
            for span in cut.after.iter().filter(|span| is_http(span)) {
                assert!(frames.contains(&frame(span)), "{name}, from packet {at}: {span:#?}");
                assert_eq!(name, "aiohttp", "from packet {at}: {span:#?}");
            }
            // The next call after the cut is told, whoever it asks.
            let told: HashSet<String> = cut.after.iter().map(frame).collect();
            for (span, _) in cut.later(&connections) {
                assert!(told.contains(&frame(span)), "{name}, from packet {at}: {span:#?}");
            }
        });
    }
}

/// Packets are missing at random: nothing wrong is told, and what is not told is counted.
#[test]
fn one_packet_in_a_hundred_missing() {
    packets::one_packet_in_a_hundred_missing(&RUNS, 95, |whole| {
        let of_span = |span: &Span| [without_body(span), frame(span)];
        let all: HashSet<String> = whole.iter().flat_map(of_span).collect();
        let counts = |span: &Span| [size(span), failed(span)];
        let counted: HashMap<_, _> = whole.iter().map(|span| (span.start, counts(span))).collect();
        move |span: &Span, context: &str| {
            let known = all.contains(&without_body(span)) || all.contains(&frame(span));
            assert!(known, "{context}: {}", essence(span));
            let told = counts(span).into_iter().zip(counted[&span.start]);
            let right = told.into_iter().all(|(told, real)| told.is_none() || told == real);
            assert!(right, "{context}: a number that is none: {}", essence(span));
        }
    });
}

/// No other capture has a call to a search server in it.
#[test]
fn each_to_its_own() {
    for (name, bytes) in fixtures_but("opensearch") {
        for span in replay(&[&bytes]).spans {
            let system = text(&span, "db.system.name");
            assert!(!matches!(system, Some("opensearch" | "elasticsearch")), "{name}: {span:#?}");
        }
    }
}
