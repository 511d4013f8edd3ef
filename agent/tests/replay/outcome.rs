//! What a capture came to.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracebee::replay::Replay;
use tracebee::select::Selection;
use tracebee::stats::{Loss, Stats};
use tracebee::trace::{Kind, Span, Tracer};
use tracebee::value::Value;
use tracebee_tests::capture::generator::Seen;

/// Spans and losses of a run.
pub(crate) struct Outcome {
    pub(crate) spans: Vec<Span>,
    pub(crate) stats: Arc<Stats>,
}

impl Outcome {
    /// The calls in the order of their paths.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        let mut calls: Vec<Seen> = self.spans.iter().map(seen).collect();
        calls.sort();
        calls
    }

    /// The calls as `path status-or-error`, in the order in which they ended.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |span: &Span| {
            let Seen { path, status, error, .. } = seen(span);
            match (status, error) {
                (Some(status), None) => format!("{path} {status}"),
                (None, Some(error)) => format!("{path} {error}"),
                (Some(status), Some(error)) => format!("{path} {status} {error}"),
                (None, None) => path,
            }
        };
        self.spans.iter().map(line).collect()
    }

    /// Losses by name, those that are none left out.
    pub(crate) fn losses(&self) -> Vec<(&'static str, u64)> {
        Loss::ALL
            .into_iter()
            .map(|loss| (loss.name(), self.stats.lost(loss)))
            .filter(|(_, n)| *n > 0)
            .collect()
    }

    /// How much was lost, whatever it was.
    pub(crate) fn lost(&self) -> u64 {
        self.losses().iter().map(|(_, n)| n).sum()
    }

    pub(crate) fn packets(&self) -> u64 {
        self.stats.events.load(Ordering::Relaxed)
    }
}

fn seen(span: &Span) -> Seen {
    assert_eq!(span.kind, Kind::Server, "one view of every call");
    assert_eq!(span.resource.pid, 0);
    assert!(span.start <= span.end);
    Seen {
        path: text(span, "url.path").unwrap_or_default().to_owned(),
        status: int(span, "http.response.status_code"),
        error: text(span, "error.type").map(str::to_owned),
        size: int(span, "http.response.body.size"),
    }
}

/// An attribute that is a text.
pub(crate) fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    match span.attribute(key)? {
        Value::Static(text) => Some(text),
        Value::Text(text) => Some(text),
        Value::Shared(text) => Some(text),
        Value::Int(_) | Value::Bool(_) => None,
    }
}

/// An attribute that is a number.
pub(crate) fn int(span: &Span, key: &str) -> Option<i64> {
    match span.attribute(key)? {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// All that is said of a call but its ids.
pub(crate) fn essence(span: &Span) -> String {
    format!("{} {} {} {} {:?}", span.start, span.end, span.name, span.error, span.attributes)
}

/// Replays files in order, without a timeout.
pub(crate) fn replay(files: &[&[u8]]) -> Outcome {
    replay_with(files, None)
}

/// The same with a timeout of requests.
pub(crate) fn replay_with(files: &[&[u8]], timeout: Option<Duration>) -> Outcome {
    let stats = Arc::new(Stats::default());
    let tracer = Tracer::default();
    let mut replay = Replay::new(Selection::default(), tracer, timeout, Arc::clone(&stats));
    let mut spans = Vec::new();
    for file in files {
        let read = replay.file("test", *file, |pipeline| {
            spans.append(pipeline.spans());
            true
        });
        read.expect("the file has a header");
    }
    spans.append(replay.finish().spans());
    Outcome { spans, stats }
}
