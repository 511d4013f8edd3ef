//! What is told of one connection's calls: who they are when they begin, their spans when they end.

use std::sync::Arc;

use tracebee_common::sample::{self, Share};

use super::about::About;
use super::calls::Calls;
use super::hands::Hands;
use super::tally::Tally;
use crate::call::open::{Begun, Sink};
use crate::call::search::Meaning;
use crate::call::{Call, Endpoint};
use crate::limit::shed::Step;
use crate::link::threads::Asked;
use crate::link::{Link, MessageKey};
use crate::protocol::{Request, Unreadable, search};
use crate::source::{Direction, Opened, Role, Thread, Time};
use crate::stats::{Loss, count};
use crate::trace::context::SAMPLED;
use crate::trace::{Identity, Parent};

/// The sink of one connection's calls.
pub(super) struct CallsOf<'a> {
    pub(super) calls: &'a mut Calls,
    pub(super) opened: &'a Opened,
    about: &'a mut About,
    hands: &'a mut Hands,
    tally: &'a mut Tally,
}

impl Calls {
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
            && {
                calls.consumers.serves(thread);
                calls.serving.asks_threads(thread.pid)
            }
        {
            let all_seen = calls.serving.sees_all(thread.pid, doing.time);
            calls.threads.reads(doing, (opened.id, position), all_seen);
            hands.reader = Some(thread);
        }
    }

    /// A thread begins a call: whose it is by that. One that is not `awaited` has no answer.
    fn asked_by(&mut self, started: Time, thread: Thread, awaited: bool) -> Asked {
        let Self { calls, opened, hands, .. } = self;
        let Some((doing, Direction::Sent)) = calls.doing else { return Asked::Unknown };
        if !awaited {
            let asked = calls.threads.asks(doing, None, started, hands.is_alone(thread));
            return self.for_message(false, asked);
        }
        if let Some(other) = hands.asker.replace(thread)
            && other != thread
        {
            calls.threads.gives_up(other, opened.id);
        }
        let asked = calls.threads.asks(doing, Some(opened.id), started, hands.is_alone(thread));
        self.for_message(true, asked)
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
        let asked = match (role, &*request) {
            (Role::Client, Request::Messaging(message)) => {
                // What the broker begins is nobody's request. No answer ends a message's sending.
                let asked = message.operation.is_asked();
                asked.then(|| self.asked_by(started, thread, false))
            }
            (Role::Client, _) => Some(self.asked_by(started, thread, true)),
            (Role::Server, _) => None,
        };
        let Self { calls, opened, .. } = self;
        let key = MessageKey::new(opened.pair, role, position);
        if (role == Role::Client || key.is_none())
            && calls.sampling.leaves_out(number(opened, key, position))
        {
            if role == Role::Server {
                calls.serving.unseen(thread.pid);
            }
            self.message_unseen(request, thread);
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
            // It carries no context, or says it later, and no server's span waits for it.
            Request::Database(_) | Request::Search(_) | Request::Messaging(_) => {
                if calls.step < Step::ALL {
                    return Some(self.identity(position, started, thread.pid, asked));
                }
                self.message_unseen(request, thread);
                return None;
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
        let mut identity = match remote {
            Some(remote) => calls.below(remote),
            None => self.identity(position, started, thread.pid, asked),
        };
        let Self { calls, opened, .. } = self;
        if role == Role::Server {
            calls.serving.began(opened.id, position, started, thread.pid, (&identity).into());
            if let Some(key) = key
                && identity.parent.is_none()
            {
                calls.reads.is_root(key, (&identity).into());
            }
            self.read(position, thread);
        } else if let Some(key) = key {
            if identity.parent.is_none()
                && let Some(server) = calls.reads.root(key)
            {
                // It has read the front of a long request, and asked others for it.
                (identity.trace_id, identity.flags) = (server.trace_id, server.flags);
            }
            match calls.early.join(key, &identity) {
                Some(span) => calls.tell(span),
                None => calls.same_host.sent(key, started, (&identity).into()),
            }
        }
        Some(identity)
    }

    fn ended(&mut self, mut call: Call, mut identity: Identity) {
        if call.endpoint.role == Role::Server {
            self.read_is_over(Some(call.thread), call.position, call.no_answer.is_none());
        }
        self.message_is_over(&call);
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
            && identity.parent.as_ref().is_none_or(|parent| parent.link != Link::Sequence)
            && let Some(key) = MessageKey::new(opened.pair, Role::Server, call.position)
            && let Some(client) = calls.same_host.received(key)
            && (!settled || client.trace_id == identity.trace_id)
        {
            let remote = match &call.request {
                Request::Http(http) => calls.tracer.propagators().extract(http),
                Request::Database(_) | Request::Search(_) | Request::Messaging(_) => None,
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
            _ if opened.after && call.endpoint.role == Role::Server => {
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
                Request::Http(_) | Request::Messaging(_) => false,
            };
        if trimmed {
            calls.stats.lose(Loss::Trimmed, 1);
        }
        tally.calls += 1;
        count(&calls.stats.calls);
        let ended = call.ended;
        let resource = calls.owners.of(&call);
        let span = calls.tracer.span(call, identity, resource, &calls.clock);
        let ready = match awaited {
            Some(key) => calls.early.hold(key, ended, span, settled),
            None => Some(span),
        };
        if let Some(span) = ready {
            calls.tell(span);
        }
    }

    fn learned(&mut self, begun: Begun, identity: &mut Identity, request: &Request) {
        if let Request::Messaging(message) = request {
            self.message(begun, identity, message);
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
            self.calls.consumers.settled((self.opened.id, position), None);
            self.read_is_over(self.hands.reader, position, false);
        }
        self.message_lost();
        let loss = match begun {
            None if self.opened.midlife => Loss::JoinedMidway,
            _ => Loss::Gap,
        };
        self.tally.lost += 1;
        self.calls.stats.lose(loss, 1);
    }

    fn missed(&mut self, calls: u64) {
        self.message_lost();
        self.tally.lost += calls;
        self.calls.stats.lose(Loss::Gap, calls);
    }

    fn left_out(&mut self) {
        self.message_lost();
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
