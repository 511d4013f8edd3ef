//! What connections' calls become: spans with an identity.

use std::sync::Arc;

use opentelemetry::SpanId;
use tracebee_common::sample::{self, Share};

use super::about::About;
use super::early::{Early, Reads};
use super::hands::Hands;
use crate::call::pairing::Sink;
use crate::call::search::{Meaning, Server, Servers};
use crate::call::{Call, Endpoint};
use crate::clock::Clock;
use crate::limit::sample::Sampling;
use crate::limit::shed::Step;
use crate::link::serving::Serving;
use crate::link::threads::{Asked, Doing, Threads};
use crate::link::{Ancestor, Link, MessageKey, SameHost};
use crate::protocol::{Request, Response, Unreadable, search};
use crate::source::{Direction, Opened, Role, Thread, Time};
use crate::stats::{Loss, Stats, count};
use crate::trace::context::{Ids, RANDOM, Remote, SAMPLED};
use crate::trace::{Identity, Kind, Parent, Span, Tracer};
use crate::workload::Workloads;
use crate::workload::recorded::Recorded;
use crate::workload::wire::Addressed;

/// What calls become, behind the connections.
pub(super) struct Calls {
    pub(super) stats: Arc<Stats>,
    pub(super) same_host: SameHost,
    pub(super) serving: Serving,
    pub(super) threads: Threads,
    /// Who reads or writes at the moment, if anyone does.
    pub(super) doing: Option<(Doing, Direction)>,
    early: Early,
    reads: Reads,
    servers: Servers,
    /// What is left out, and of calls, which.
    pub(super) step: Step,
    pub(super) sampling: Sampling,
    ids: Ids,
    tracer: Tracer,
    pub(super) owners: Owners,
    pub(super) clock: Clock,
    pub(super) spans: Vec<Span>,
}

/// Whose calls they are.
pub(super) enum Owners {
    /// Live: of the process that made the system call.
    Processes(Workloads),
    /// In a recording: of the process that made it then.
    Recorded(Recorded),
    /// In a capture, which knows no processes: of an address.
    Addressed(Addressed),
}

impl Calls {
    /// No calls yet.
    pub(super) fn new(tracer: Tracer, stats: Arc<Stats>, owners: Owners, clock: Clock) -> Self {
        let serving = match owners {
            Owners::Addressed(_) => Serving::none(),
            Owners::Processes(_) | Owners::Recorded(_) => Serving::default(),
        };
        Self {
            stats,
            owners,
            same_host: SameHost::default(),
            serving,
            threads: Threads::default(),
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
    fn root(&mut self) -> Identity {
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

    /// The span below `above`, which was found by `link`; `trace_state` is what the request says.
    fn under(
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
    fn tell(&mut self, span: Span) {
        if span.flags & SAMPLED == 0 {
            count(&self.stats.unsampled);
            return;
        }
        match &span.parent {
            Some(parent) => self.stats.linked(parent.link),
            None if span.kind == Kind::Client => count(&self.stats.unlinked),
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
    fn meaning(&mut self, call: &Call, netns: u32) -> Option<Meaning> {
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

    /// The sink of a connection.
    pub(super) fn of<'a>(
        &'a mut self,
        opened: &'a Opened,
        about: &'a mut About,
        hands: &'a mut Hands,
        tally: &'a mut Tally,
    ) -> CallsOf<'a> {
        CallsOf { calls: self, opened, about, hands, tally }
    }
}

/// What became of one connection's calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Calls with a span.
    pub(super) calls: u64,
    /// Calls without, or what may have been some.
    pub(super) lost: u64,
    /// Kernel records that are missing.
    pub(super) records: u64,
}

impl Tally {
    /// Says what was lost on the connection, if anything was.
    pub(super) fn tell(self, opened: &Opened) {
        let Tally { calls, lost, records } = self;
        if lost + records == 0 {
            return;
        }
        let Opened { local, remote, pid, role, .. } = opened;
        let end = match role {
            Some(Role::Client) => "client",
            Some(Role::Server) => "server",
            None => "unknown end",
        };
        tracing::info!(
            "connection {local} to {remote}, {end}, pid {pid}: {calls} calls told, {lost} \
             lost; {records} kernel records missing"
        );
    }
}

/// The sink of one connection's calls.
pub(super) struct CallsOf<'a> {
    calls: &'a mut Calls,
    opened: &'a Opened,
    about: &'a mut About,
    hands: &'a mut Hands,
    tally: &'a mut Tally,
}

impl CallsOf<'_> {
    /// Who a call is that names no other parent. That of a client (`asked`) is part of a request that
    /// its process serves, if it is certain which.
    fn identity(
        &mut self,
        position: u64,
        started: Time,
        pid: u32,
        asked: Option<Asked>,
    ) -> Identity {
        let Self { calls, about, .. } = self;
        let above = asked.and_then(|asked| match (about.of(position), asked) {
            (Some(work), _) => calls.serving.of(&work, started).map(|above| (above, Link::Context)),
            (None, Asked::For(place)) => calls.serving.at(place).map(|above| (above, Link::Thread)),
            (None, Asked::Nobody) => None,
            (None, Asked::Unknown) => {
                calls.serving.sole(pid, started).map(|above| (above, Link::Sole))
            }
        });
        match above {
            Some((above, link)) => {
                let span_id = calls.ids.span_id();
                calls.under(above, link, span_id, None)
            }
            None => calls.root(),
        }
    }

    /// A thread has read a request.
    fn read(&mut self, position: u64, thread: Thread) {
        let Self { calls, opened, hands, .. } = self;
        if let Some((doing, Direction::Received)) = calls.doing
            && calls.serving.asks_threads(thread.pid)
        {
            let all_seen = calls.serving.sees_all(thread.pid, doing.time);
            calls.threads.reads(doing, (opened.id, position), all_seen);
            hands.reader = Some(thread);
        }
    }

    /// A thread begins a call: whose it is by that.
    fn asked_by(&mut self, started: Time, thread: Thread) -> Asked {
        let Self { calls, opened, hands, .. } = self;
        let Some((doing, Direction::Sent)) = calls.doing else { return Asked::Unknown };
        if let Some(other) = hands.asker.replace(thread)
            && other != thread
        {
            calls.threads.gives_up(other, opened.id);
        }
        calls.threads.asks(doing, opened.id, started, hands.is_alone(thread))
    }

    /// A request that was read is over, `whole` if it was answered.
    fn read_is_over(&mut self, reader: Option<Thread>, position: u64, whole: bool) {
        if let Some(reader) = reader {
            self.calls.threads.answered(reader, (self.opened.id, position), whole);
        }
    }
}

impl Sink<Identity> for CallsOf<'_> {
    /// Precedence: a header's parent is the client span's; the client span is the server span's;
    /// the header's is the server span's only if the client span is not ours.
    ///
    /// What is left out is decided here for the asking end and for calls whose two ends have no
    /// key in common. The answering end follows the other, which may not have been seen yet: that
    /// is decided when the call is over.
    fn began(
        &mut self,
        position: u64,
        started: Time,
        thread: Thread,
        request: &mut Request,
    ) -> Option<Identity> {
        let role = self.opened.role.unwrap_or(Role::Server);
        let asked = match role {
            Role::Client => Some(self.asked_by(started, thread)),
            Role::Server => None,
        };
        let Self { calls, opened, .. } = self;
        let key = MessageKey::new(opened.pair, role, position);
        if (role == Role::Client || key.is_none())
            && calls.sampling.leaves_out(number(opened, key, position))
        {
            if role == Role::Server {
                calls.serving.unseen(thread.pid);
            }
            return None;
        }
        if role == Role::Server
            && opened.after
            && let Some(key) = key
        {
            calls.reads.began(key, started);
        }
        let http = match request {
            Request::Http(http) => http,
            // It carries no context, and no server's span waits for it.
            Request::Database(_) | Request::Search(_) => {
                let told = calls.step < Step::ALL;
                return told.then(|| self.identity(position, started, thread.pid, asked));
            }
        };
        if calls.step >= Step::TEXT && http.trim() {
            calls.stats.lose(Loss::Trimmed, 1);
        }
        let remote = calls.tracer.propagators().extract(http);
        if role == Role::Server
            && let Some(client) = key.and_then(|key| calls.same_host.received(key))
        {
            let (link, span_id) = (Link::Sequence, calls.ids.span_id());
            let identity =
                calls.under(client, link, span_id, remote.and_then(|remote| remote.state));
            calls.serving.began(opened.id, position, started, thread.pid, (&identity).into());
            self.read(position, thread);
            return Some(identity);
        }
        if calls.step == Step::ALL {
            if role == Role::Server {
                calls.serving.unseen(thread.pid);
            }
            return None;
        }
        let identity = match remote {
            Some(Remote { trace_id, span_id: parent, flags, state }) => Identity {
                trace_id,
                span_id: calls.ids.span_id(),
                parent: parent.map(|span_id| Parent { span_id, remote: true, link: Link::Header }),
                depth: 0,
                flags: calls.tracer.sampler().child(flags, trace_id, state.as_deref()),
                trace_state: state,
            },
            None => self.identity(position, started, thread.pid, asked),
        };
        let Self { calls, opened, .. } = self;
        if role == Role::Server {
            calls.serving.began(opened.id, position, started, thread.pid, (&identity).into());
            self.read(position, thread);
        } else if let Some(key) = key {
            match calls.early.join(key, &identity) {
                Some(span) => calls.tell(span),
                None => calls.same_host.sent(key, started, &identity),
            }
        }
        Some(identity)
    }

    fn ended(&mut self, mut call: Call, mut identity: Identity) {
        if call.endpoint.role == Role::Server {
            self.read_is_over(Some(call.thread), call.position, call.no_answer.is_none());
        }
        let Self { calls, opened, tally, .. } = self;
        let mut settled = false;
        if call.endpoint.role == Role::Server {
            // Calls were told in its trace: it is too late for another.
            settled = calls.serving.answered(opened.id, call.position, call.ended);
            if call.no_answer.is_some() {
                calls.serving.unseen(call.thread.pid);
            }
        } else if opened.after
            && let Some(key) = MessageKey::new(opened.pair, Role::Client, call.position)
            && let Some(read) = calls.reads.take(key)
        {
            // Of a long request it is known when its last byte went, and that the first did not
            // go after it was read.
            call.started = call.started.min(read);
        }
        // A server may read the front of a long head before its client has sent the rest.
        if call.endpoint.role == Role::Server
            && !settled
            && identity.parent.as_ref().is_none_or(|parent| parent.link != Link::Sequence)
            && let Some(key) = MessageKey::new(opened.pair, Role::Server, call.position)
            && let Some(client) = calls.same_host.received(key)
        {
            let remote = match &call.request {
                Request::Http(http) => calls.tracer.propagators().extract(http),
                Request::Database(_) | Request::Search(_) => None,
            };
            let trace_state = remote.and_then(|remote| remote.state);
            identity = calls.under(client, Link::Sequence, identity.span_id, trace_state);
        }
        if call.endpoint.role == Role::Server
            && identity.parent.as_ref().is_none_or(|parent| parent.link != Link::Sequence)
            && let Some(key) = MessageKey::new(opened.pair, Role::Server, call.position)
            && calls.sampling.may_have_left_out(key.number())
        {
            // The other end, here or on another host, is not told of, or need not be.
            tally.lost += 1;
            calls.stats.lose(Loss::Shed, 1);
            return;
        }
        let awaited = match &identity.parent {
            Some(Parent { link: Link::Sequence, .. }) => None,
            _ if opened.after && !settled && call.endpoint.role == Role::Server => {
                MessageKey::new(opened.pair, Role::Server, call.position)
            }
            _ => None,
        };
        if awaited.is_none() && identity.flags & SAMPLED == 0 {
            count(&calls.stats.unsampled);
            return;
        }
        if let Some(meaning) = calls.meaning(&call, opened.netns) {
            tell_meaning(&mut call, meaning);
        }
        let trimmed = calls.step >= Step::TEXT
            && match &mut call.request {
                Request::Database(database) => database.trim(),
                Request::Search(search) => search.trim(),
                // When it began.
                Request::Http(_) => false,
            };
        if trimmed {
            calls.stats.lose(Loss::Trimmed, 1);
        }
        tally.calls += 1;
        count(&calls.stats.calls);
        let ended = call.ended;
        let resource = match &mut calls.owners {
            Owners::Processes(workloads) => workloads.resource(call.thread.pid),
            Owners::Recorded(recorded) => recorded.resource(call.thread.pid),
            Owners::Addressed(servers) => servers.resource(&call.endpoint),
        };
        let span = calls.tracer.span(call, identity, resource, &calls.clock);
        let ready = match awaited {
            Some(key) => calls.early.hold(key, ended, span),
            None => Some(span),
        };
        if let Some(span) = ready {
            calls.tell(span);
        }
    }

    fn asked(&mut self, position: u64, end: u64) {
        if self.opened.role == Some(Role::Server) {
            self.calls.serving.asked(self.opened.id, position, end);
        }
    }

    fn lost(&mut self, begun: Option<u64>) {
        if let Some(position) = begun {
            self.calls.serving.lost(self.opened.id, position);
            self.read_is_over(self.hands.reader, position, false);
        }
        let loss = match begun {
            None if self.opened.midlife => Loss::JoinedMidway,
            _ => Loss::Gap,
        };
        self.tally.lost += 1;
        self.calls.stats.lose(loss, 1);
    }

    fn missed(&mut self, calls: u64) {
        self.tally.lost += calls;
        self.calls.stats.lose(Loss::Gap, calls);
    }

    fn left_out(&mut self) {
        self.tally.lost += 1;
        self.calls.stats.lose(Loss::Shed, 1);
    }

    fn unreadable(&mut self, why: Unreadable) {
        let loss = match why {
            Unreadable::Encrypted => Loss::Encrypted,
            Unreadable::Compressed => Loss::Compressed,
            Unreadable::Unanswered => Loss::Unanswered,
        };
        self.calls.stats.lose(loss, 1);
    }
}

/// Puts a call over HTTP in the words of what it means, told as the client's.
fn tell_meaning(call: &mut Call, meaning: Meaning) {
    let Request::Http(http) = &mut call.request else { return };
    let Meaning { system, endpoint, values } = meaning;
    let request = search::Request { http: std::mem::take(&mut **http), system, endpoint, values };
    call.request = Request::Search(Box::new(request));
    if call.endpoint.role == Role::Server {
        let Endpoint { id, local, remote, .. } = Endpoint::clone(&call.endpoint);
        let role = Role::Client;
        call.endpoint = Arc::new(Endpoint { id, role, local: remote, remote: local });
    }
}

/// The number that decides whether a call is left out: the same at both ends, where they have a
/// key in common.
fn number(opened: &Opened, key: Option<MessageKey>, position: u64) -> Share {
    let own = || {
        let id = opened.id.0;
        sample::number((id >> 32) as u32, id as u32, position)
    };
    key.map_or_else(own, MessageKey::number)
}
