//! What connections' calls become: spans with an identity.

use std::sync::Arc;

use opentelemetry::SpanId;

use super::early::{Early, Reads};
use super::owners::Owners;
use crate::call::Call;
use crate::call::search::{Meaning, Server, Servers};
use crate::clock::Clock;
use crate::limit::sample::Sampling;
use crate::limit::shed::Step;
use crate::link::consumers::Consumers;
use crate::link::queue::Queues;
use crate::link::serving::Serving;
use crate::link::threads::{Doing, Threads};
use crate::link::{Ancestor, Link, SameHost};
use crate::protocol::{Request, Response};
use crate::source::{Direction, Role, Time};
use crate::stats::{Stats, count};
use crate::trace::args::Attribution;
use crate::trace::context::{Ids, RANDOM, Remote, SAMPLED};
use crate::trace::{Identity, Kind, Parent, Span, Tracer};

/// What calls become, behind the connections.
pub(super) struct Calls {
    pub(super) stats: Arc<Stats>,
    pub(super) same_host: SameHost,
    pub(super) serving: Serving,
    pub(super) threads: Threads,
    pub(super) consumers: Consumers,
    pub(super) queues: Queues,
    /// Who reads or writes at the moment, if anyone does.
    pub(super) doing: Option<(Doing, Direction)>,
    pub(super) early: Early,
    pub(super) reads: Reads,
    servers: Servers,
    /// What is left out, and of calls, which.
    pub(super) step: Step,
    pub(super) sampling: Sampling,
    pub(super) ids: Ids,
    pub(super) tracer: Tracer,
    pub(super) owners: Owners,
    pub(super) clock: Clock,
    pub(super) spans: Vec<Span>,
}

impl Calls {
    /// No calls yet.
    pub(super) fn new(tracer: Tracer, stats: Arc<Stats>, owners: Owners, clock: Clock) -> Self {
        let serving = match (&owners, tracer.attribution()) {
            (Owners::Addressed(_), _) | (_, Attribution::None) => Serving::none(),
            (Owners::Processes(_) | Owners::Recorded(_), Attribution::Auto) => Serving::default(),
        };
        Self {
            stats,
            owners,
            same_host: SameHost::default(),
            serving,
            threads: Threads::default(),
            consumers: Consumers::default(),
            queues: Queues::default(),
            doing: None,
            early: Early::default(),
            reads: Reads::default(),
            servers: Servers::default(),
            step: Step::NONE,
            sampling: Sampling::default(),
            ids: Ids::new(),
            tracer,
            clock,
            spans: Vec::new(),
        }
    }

    /// A span that begins a trace.
    pub(super) fn root(&mut self) -> Identity {
        let trace_id = self.ids.trace_id();
        Identity {
            trace_id,
            span_id: self.ids.span_id(),
            parent: None,
            depth: 0,
            flags: self.tracer.sampler().root(SAMPLED | RANDOM, trace_id),
            trace_state: None,
        }
    }

    /// The span below one of somebody else's.
    pub(super) fn below(&mut self, remote: Remote) -> Identity {
        let Remote { trace_id, span_id: parent, flags, state } = remote;
        Identity {
            trace_id,
            span_id: self.ids.span_id(),
            parent: parent.map(|span_id| Parent { span_id, remote: true, link: Link::Header }),
            depth: 0,
            flags: self.tracer.sampler().child(flags, trace_id, state.as_deref()),
            trace_state: state,
        }
    }

    /// The span below `above`, which was found by `link`; `trace_state` is what the request says.
    pub(super) fn under(
        &self,
        above: Ancestor,
        link: Link,
        span_id: SpanId,
        trace_state: Option<Box<str>>,
    ) -> Identity {
        let Ancestor { trace_id, flags, .. } = above;
        Identity {
            trace_id,
            span_id,
            parent: Some(Parent { span_id: above.span_id, remote: false, link }),
            depth: above.depth.saturating_add(1),
            flags: self.tracer.sampler().child(flags, trace_id, trace_state.as_deref()),
            trace_state,
        }
    }

    /// Hands over a span that is finished.
    pub(super) fn tell(&mut self, span: Span) {
        if span.flags & SAMPLED == 0 {
            count(&self.stats.unsampled);
            return;
        }
        match &span.parent {
            Some(parent) => self.stats.linked(parent.link),
            None if span.kind != Kind::Server => count(&self.stats.unlinked),
            None => {}
        }
        self.spans.push(span);
    }

    /// Hands over the spans whose client did not come in time.
    pub(super) fn expire(&mut self, now: Time) {
        while let Some(span) = self.early.due(now) {
            self.tell(span);
        }
    }

    /// What a call means in the protocol that is spoken over HTTP in it, if one is: of the client's
    /// end, where alone such spans are known. A capture tells calls as the server's, but for these.
    pub(super) fn meaning(&mut self, call: &Call, netns: u32) -> Option<Meaning> {
        let Request::Http(http) = &call.request else { return None };
        let server = match call.endpoint.role {
            Role::Client => &call.endpoint.remote,
            Role::Server if matches!(self.owners, Owners::Addressed(_)) => &call.endpoint.local,
            Role::Server => return None,
        };
        let response = call.response.as_ref().and_then(Response::as_http);
        let server = || Server { netns, address: server.canonical() };
        self.servers.meaning(http, response, server, call.ended)
    }
}
