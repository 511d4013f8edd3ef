//! Both ends of calls to a real OpenSearch, as the kernel delivered them to `run --record`, traced by
//! `--port`, and what the clients wrote down:
//!
//! ```text
//! workloads/search/client.py 16392 py.log ops opensearch indices,bulks,medium,searches
//! workloads/search/plain.py 16392 aiohttp.log aio 127.0.0.1 opensearch
//! workloads/search/client.js 16392 js.log ojs
//! cat py.log aiohttp.log js.log > opensearch.log
//! ```

use tracebee::trace::{Kind, Span};

use super::{FAILED, TEXT, all_are_told, essence, failed, frame, is_http, size, without_body};
use crate::outcome::{replay, text};
use crate::packets::Run;
use crate::recorded::{Recorded, however_it_comes};

const RUN: Run = Run {
    name: "recorded",
    file: include_bytes!("../../fixtures/opensearch.rec"),
    log: include_str!("../../fixtures/opensearch.log"),
};

const RECORDED: Recorded = Recorded { file: RUN.file, says };

/// Of a body that was not seen whole less is said, and of a call of which nothing tells any more
/// whom it asks, only what HTTP tells.
fn says(found: &Span, real: &Span, context: &str) {
    if is_http(found) {
        assert_eq!(frame(found), frame(real), "{context}");
        return;
    }
    assert_eq!(without_body(found), without_body(real), "{context}");
    for count in [size, failed] {
        let told = count(found);
        assert!(told.is_none() || told == count(real), "{context}: {}", essence(found));
    }
    if let Some(said) = text(found, TEXT) {
        let whole = text(real, TEXT).expect("a text");
        let front = said.strip_suffix(" ...");
        let known = said == whole || front.is_some_and(|front| whole.starts_with(front));
        assert!(known, "{context}: {said}, not {whole}");
    }
}

/// Each call, and its server's end below it.
#[test]
fn as_it_was() {
    let outcome = replay(&[RUN.file]);
    assert_eq!(outcome.losses(), []);
    let calls = all_are_told(&outcome, &RUN);
    let (clients, servers): (Vec<&Span>, Vec<&Span>) =
        outcome.spans.iter().partition(|span| span.kind == Kind::Client);
    assert_eq!((clients.len(), servers.len()), (calls, calls));
    for client in clients {
        let is_below =
            |server: &&&Span| server.parent.is_some_and(|parent| parent.span_id == client.span_id);
        let below = servers.iter().filter(is_below);
        let [server] = below.collect::<Vec<_>>()[..] else { panic!("{client:#?}") };
        assert!(is_http(server) && client.start <= server.start && server.end <= client.end);
    }
    // What no request that was captured whole tells: how many operations it had, and how many failed.
    let answered =
        |count| move |span: &&Span| size(span) == count && span.attribute(FAILED).is_some();
    assert_eq!(outcome.spans.iter().filter(answered(Some(20))).count(), 1);
}

however_it_comes!(RECORDED);
