//! Calls become spans: ids, names, attributes, status.

use std::sync::Arc;

use opentelemetry::{SpanId, TraceId};

use crate::workload::Resource;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text known at compile time.
    Static(&'static str),
    /// Text of this span.
    Text(Box<str>),
    /// Text shared by many spans.
    Shared(Arc<str>),
    /// A number.
    Int(i64),
    /// A truth.
    Bool(bool),
}

/// Which end of a call a span tells about (the two kinds of OTLP that calls have).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The caller's end.
    Client,
    /// The callee's end.
    Server,
}

/// Whom a span hangs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The parent's span id.
    pub span_id: SpanId,
    /// True if the parent comes from a header: somebody else's span.
    pub remote: bool,
    /// How it was found: the `tracebee.link` attribute (`seq`, `header`, ...).
    pub link: &'static str,
}

/// A finished span, ready for any exporter.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The process that it belongs to.
    pub resource: Arc<Resource>,
    /// Trace id, never zero.
    pub trace_id: TraceId,
    /// Span id, never zero.
    pub span_id: SpanId,
    /// Its parent, if one is known exactly.
    pub parent: Option<Parent>,
    /// How many ancestors of it are known on this host; indents the text output.
    pub depth: u8,
    /// W3C trace flags.
    pub flags: u8,
    /// W3C `tracestate` as received.
    pub trace_state: Option<Box<str>>,
    /// Client or server.
    pub kind: Kind,
    /// Low-cardinality name.
    pub name: Arc<str>,
    /// Unix time in nanoseconds.
    pub start: u64,
    /// Unix time in nanoseconds, not before `start`.
    pub end: u64,
    /// True: status `Error`; false: `Unset`.
    pub error: bool,
    /// Attributes; `tracebee.link` included where there is a parent.
    pub attributes: Vec<(&'static str, Value)>,
}

impl Span {
    /// The value of an attribute, if it is set.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }
}
