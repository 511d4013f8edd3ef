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

use std::collections::HashSet;

use serde::Deserialize;
use tracebee::trace::{Kind, Span};
use tracebee::value::Value;

use crate::outcome::{int, replay, text};
use crate::packets::{Capture, Cut, fixtures_but};

const RUNS: [(&str, &[u8], &str); 2] = [
    (
        "opensearch-py",
        include_bytes!("../fixtures/opensearch-py.pcap"),
        include_str!("../fixtures/opensearch-py.log"),
    ),
    (
        "aiohttp",
        include_bytes!("../fixtures/opensearch-aiohttp.pcap"),
        include_str!("../fixtures/opensearch-aiohttp.log"),
    ),
];

#[derive(Deserialize)]
struct Truth {
    call: String,
    operation: String,
    index: Option<String>,
    size: Option<i64>,
    text: Option<String>,
    status: u16,
    start: u64,
    end: u64,
}

fn size(span: &Span) -> Option<i64> {
    int(span, "db.operation.batch.size")
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

/// All that is said of a call to the server.
fn essence(span: &Span) -> String {
    format!("{} {} {} {} {:?}", span.start, span.end, span.name, span.error, span.attributes)
}

/// The same, without what only a body that was seen whole tells: the size and kind of a batch, and
/// the end of a text.
fn without_body(span: &Span) -> String {
    let of_body =
        ["db.query.text", "db.operation.name", "db.collection.name", "db.operation.batch.size"];
    let others: Vec<_> = span.attributes.iter().filter(|(key, _)| !of_body.contains(key)).collect();
    format!("{} {} {} {others:?}", span.start, span.end, span.error)
}

#[test]
fn every_call_is_one_span() {
    for (name, file, log) in RUNS {
        let outcome = Capture::new(file).with(|_| true);
        assert_eq!(outcome.losses(), [], "{name}");
        let mut calls = 0;
        for line in log.lines() {
            let truth: Truth = serde_json::from_str(line).unwrap();
            let context = format!("{name} {} {}", truth.operation, truth.call);
            let is_its = |span: &&Span| {
                text(span, "url.full")
                    .is_some_and(|url| url.contains(&format!("filter_path=-{}", truth.call)))
            };
            let spans: Vec<&Span> = outcome.spans.iter().filter(is_its).collect();
            let [span] = spans[..] else { panic!("{context}: {spans:#?}") };
            assert_eq!(span.kind, Kind::Client, "{context}");
            assert_eq!(text(span, "db.system.name"), Some("opensearch"), "{context}");
            assert_eq!(text(span, "db.operation.name"), Some(&*truth.operation), "{context}");
            assert_eq!(text(span, "db.collection.name"), truth.index.as_deref(), "{context}");
            assert_eq!(text(span, "db.query.text"), truth.text.as_deref(), "{context}");
            assert_eq!(size(span), truth.size, "{context}");
            let status = truth.status.to_string();
            assert_eq!(text(span, "db.response.status_code"), Some(&*status), "{context}");
            assert_eq!(span.error, truth.status >= 400, "{context}");
            assert_eq!(&*span.resource.service, "127.0.0.1", "{context}");
            // The capture's clock has microseconds.
            let within = span.start + 1000 >= truth.start && span.end <= truth.end;
            assert!(within, "{context}");
            assert!(!essence(span).contains("secret"), "{context}");
            calls += 1;
        }
        assert_eq!(outcome.spans.len(), calls, "{name}");
    }
}

/// From any packet on, and up to any: what is told is told as it was, or, where nothing tells any
/// more whom the call asks, as one over HTTP.
#[test]
fn cut_anywhere() {
    for (name, file, _) in RUNS {
        let capture = Capture::new(file);
        let whole = capture.with(|_| true).spans;
        let all: HashSet<String> = whole.iter().map(without_body).collect();
        let frames: HashSet<String> = whole.iter().map(frame).collect();
        let connections = capture.connections();
        capture.cut_anywhere(|Cut { at, time, after, before }| {
            for span in after.iter().chain(&before).filter(|span| !is_http(span)) {
                let known = all.contains(&without_body(span));
                assert!(known, "{name}, at packet {at}: {}", essence(span));
            }
            for span in after.iter().filter(|span| is_http(span)) {
                assert!(frames.contains(&frame(span)), "{name}, from packet {at}: {span:#?}");
                assert_eq!(name, "aiohttp", "from packet {at}: {span:#?}");
            }
            // The next call after the cut is told, whoever it asks.
            let told: HashSet<String> = after.iter().map(frame).collect();
            for connection in &connections {
                for span in connection.iter().filter(|span| span.start > time).skip(1) {
                    assert!(told.contains(&frame(span)), "{name}, from packet {at}: {span:#?}");
                }
            }
        });
    }
}

/// Packets are missing at random: nothing wrong is told, and what is not told is counted.
#[test]
fn one_packet_in_a_hundred_missing() {
    let (mut told, mut calls) = (0, 0);
    for (name, file, _) in RUNS {
        let capture = Capture::new(file);
        let whole = capture.with(|_| true).spans;
        let all: HashSet<String> =
            whole.iter().flat_map(|span| [without_body(span), frame(span)]).collect();
        let sizes: HashSet<_> = whole.iter().map(|span| (span.start, size(span))).collect();
        let [some, every] = capture.damaged(name, |span, context| {
            let known = all.contains(&without_body(span)) || all.contains(&frame(span));
            assert!(known, "{context}: {}", essence(span));
            let counted = size(span);
            let counted = counted.is_none() || sizes.contains(&(span.start, counted));
            assert!(counted, "{context}: a size that is none: {}", essence(span));
        });
        (told, calls) = (told + some, calls + every);
    }
    assert!(told * 100 > calls * 95, "{told} of {calls}");
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
