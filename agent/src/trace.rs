//! Calls become spans: ids, names, attributes, status.

use std::sync::Arc;

use opentelemetry::{SpanId, TraceId};

use crate::call::{Call, Endpoint, NoAnswer};
use crate::clock::Clock;
use crate::link::{Ancestor, Link};
use crate::protocol::{Request, Response};
use crate::source::Role;
use crate::value::Value;
use crate::workload::Resource;

mod addresses;
pub mod args;
pub mod client_address;
pub mod context;
mod database;
mod http;
mod messaging;
mod method;
mod names;
pub mod propagation;
mod redact;
pub mod sampler;
mod search;
mod target;
mod template;

pub use database::WAITS;

use addresses::Addresses;
use args::Attribution;
use client_address::TrustedProxies;
use names::Names;
use propagation::Propagators;
use sampler::Sampler;

/// Which end of a call, or of a message's way, a span tells about (the kinds of OTLP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The caller's end.
    Client,
    /// The callee's end.
    Server,
    /// Who sends a message.
    Producer,
    /// Who is brought one.
    Consumer,
}

/// Whom a span hangs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The parent's span id.
    pub span_id: SpanId,
    /// True if the parent comes from a header: somebody else's span.
    pub remote: bool,
    /// How it was found: the `tracebee.link` attribute (`seq`, `header`, ...).
    pub link: Link,
}

/// Another span that a span has to do with, and is not below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLink {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span itself.
    pub span_id: SpanId,
    /// W3C trace flags, as they were said.
    pub flags: u8,
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
    /// Which end it tells about.
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
    /// What it has to do with: who sent the message that was brought.
    pub links: Vec<SpanLink>,
}

impl Span {
    /// The value of an attribute, if it is set.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }
}

/// Where a span stands in its trace. Decided when the request was seen, because the calls that the
/// request causes need its ids before it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Trace id, never zero.
    pub trace_id: TraceId,
    /// Span id, never zero.
    pub span_id: SpanId,
    /// Its parent, if one is known exactly.
    pub parent: Option<Parent>,
    /// How many ancestors of it are known on this host.
    pub depth: u8,
    /// W3C trace flags.
    pub flags: u8,
    /// W3C `tracestate` as received.
    pub trace_state: Option<Box<str>>,
}

impl From<&Identity> for Ancestor {
    fn from(identity: &Identity) -> Self {
        let Identity { trace_id, span_id, depth, flags, .. } = *identity;
        Self { trace_id, span_id, depth, flags }
    }
}

/// What is known of a call, whatever its kind.
struct Known<'a> {
    /// Name of the service that the process belongs to.
    service: &'a Arc<str>,
    kind: Kind,
    endpoint: &'a Endpoint,
    no_answer: Option<NoAnswer>,
    request_body: Option<u64>,
    response_body: Option<u64>,
    waited: u64,
}

type Attributes = Vec<(&'static str, Value)>;

/// What a kind of call knows of its span.
struct Described {
    name: Arc<str>,
    error: bool,
    attributes: Attributes,
}

/// Longest text of an attribute, in bytes. Longer ones exist to attack somebody.
const MAX_TEXT: usize = 4096;

/// Text of at most `most` bytes, cut between characters.
fn bounded(text: Box<str>, most: usize) -> Box<str> {
    if text.len() <= most { text } else { text[..text.floor_char_boundary(most)].into() }
}

/// Makes spans of calls. Owned by the one thread that the pipeline runs on.
#[derive(Debug, Default)]
pub struct Tracer {
    names: Names,
    addresses: Addresses,
    trusted: TrustedProxies,
    propagators: Propagators,
    sampler: Sampler,
    attribution: Attribution,
}

impl Tracer {
    /// A tracer that believes what these proxies say about the original request, and trace context in
    /// these formats, and tells the traces that `sampler` keeps.
    pub fn new(trusted: TrustedProxies, propagators: Propagators, sampler: Sampler) -> Self {
        Self { trusted, propagators, sampler, ..Self::default() }
    }

    /// A tracer with the same settings that has seen nothing.
    pub fn fresh(&self) -> Self {
        Self::new(self.trusted.clone(), self.propagators.clone(), self.sampler.clone())
            .with_attribution(self.attribution)
    }

    /// The same, but the parents of calls are looked for in this way.
    pub fn with_attribution(self, attribution: Attribution) -> Self {
        Self { attribution, ..self }
    }

    /// How the parents of calls are looked for.
    pub fn attribution(&self) -> Attribution {
        self.attribution
    }

    /// Which traces are told.
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// The formats of trace context that are believed.
    pub fn propagators(&self) -> &Propagators {
        &self.propagators
    }

    /// The span of a finished call of the process `resource`.
    pub fn span(
        &mut self,
        call: Call,
        identity: Identity,
        resource: Arc<Resource>,
        clock: &Clock,
    ) -> Span {
        let Identity { trace_id, span_id, parent, depth, flags, trace_state } = identity;
        let trace_state = trace_state.or_else(|| self.sampler.state(flags));
        let kind = match (&call.request, call.endpoint.role) {
            (Request::Messaging(request), _) => messaging::kind(request.operation),
            (_, Role::Client) => Kind::Client,
            (_, Role::Server) => Kind::Server,
        };
        let links = match (&call.request, &parent) {
            (
                Request::Messaging(message),
                Some(Parent { span_id, link: Link::Header | Link::Queue, .. }),
            ) if message.operation.brings() => {
                vec![SpanLink { trace_id, span_id: *span_id, flags }]
            }
            _ => Vec::new(),
        };
        let (start, end) = clock.interval(call.started, call.ended);
        let Call { request, response, endpoint, no_answer, .. } = call;
        let known = Known {
            service: &resource.service,
            kind,
            endpoint: &endpoint,
            no_answer,
            request_body: call.request_body,
            response_body: call.response_body,
            waited: call.waited,
        };
        // Each kind of call is described in its own words; all else is the same for all.
        let described = match (request, response) {
            (Request::Http(request), response) => {
                let response = response.and_then(Response::http);
                http::describe(self, *request, response.as_ref(), &known)
            }
            (Request::Search(request), response) => {
                let response = response.and_then(Response::http);
                search::describe(self, *request, response.as_ref(), &known)
            }
            (Request::Database(request), response) => {
                let response = response.and_then(Response::database);
                database::describe(self, &request, response.as_deref(), &known)
            }
            (Request::Messaging(request), response) => {
                let response = response.and_then(Response::messaging);
                messaging::describe(self, *request, response.as_deref(), &known)
            }
        };
        let Described { name, error, mut attributes } = described;
        if let Some(parent) = &parent {
            attributes.push(("tracebee.link", Value::Static(parent.link.name())));
        }
        Span {
            resource,
            trace_id,
            span_id,
            parent,
            depth,
            flags,
            trace_state,
            kind,
            name,
            start,
            end,
            error,
            attributes,
            links,
        }
    }

    /// How many spans got a coarse name (`GET /movies/*`) because their service has more than the
    /// 200 templates that are kept apart.
    pub fn folded(&self) -> u64 {
        self.names.folded()
    }
}

#[cfg(test)]
mod tests;
