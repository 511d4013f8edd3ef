//! The path of a call, in one thread and without locks: events in, spans out.

mod about;
mod calls;
mod connection;
mod data;
mod early;
mod hands;
mod messages;
mod owners;
mod recorded;
mod sink;
mod tally;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use self::calls::Calls;
use self::connection::Connection;
use self::owners::Owners;
use crate::clock::Clock;
use crate::limit::budget::Budget;
use crate::limit::shed::Step;
use crate::link::{MessageKey, SameHost};
use crate::select::Selection;
use crate::source::{ConnectionId, End, Event, Opened, Role, Time};
use crate::stats::{Loss, Stats};
use crate::stream::Timed;
use crate::trace::{Span, Tracer};
use crate::workload::Workloads;
use crate::workload::wire::Addressed;

/// A connection that was silent for so long, with nothing open, is forgotten: its end may have been
/// lost. If it speaks again it is announced again, as one that is joined midway.
const IDLE: u64 = 600_000_000_000;

/// How long a stream must be silent before an answer whose framing was not captured, and whose
/// last bytes look like its end, is taken for ended. The next request ends it earlier.
const QUIET: u64 = 500_000_000;

/// Connections for which there was no room that are remembered, to say in the end what was lost on
/// them. Of others only the sum is known.
const MAX_REFUSED: usize = 8192;

/// What the pipeline wants of the source for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No more records.
    Ignore(ConnectionId),
    /// All bytes, not only the first of each turn.
    Everything(ConnectionId),
    /// It is forgotten, but may still be there: announce it again if it speaks.
    Announce(ConnectionId),
    /// There is no room for it: no more records, but tell how many calls it made in the end.
    Count(ConnectionId),
    /// Less of the answer to the request that ended at `asked`: nobody is told of the call.
    Brief {
        /// The connection.
        id: ConnectionId,
        /// Which end of it.
        role: Role,
        /// Stream position behind the request.
        asked: u64,
    },
    /// It is gone: forget it.
    Release(ConnectionId),
}

/// Everything between a source and the exporters.
pub struct Pipeline {
    /// Each in a place of its own: the table has up to twice as many, and moves when it grows.
    connections: FxHashMap<ConnectionId, Box<Connection>>,
    limits: Budget,
    /// There was no room for a connection at some time.
    was_full: bool,
    /// Those for which there was none.
    refused: FxHashMap<ConnectionId, Opened>,
    /// Bytes of messages that were not read whole, of all connections.
    held: usize,
    selection: Selection,
    request_timeout: Option<u64>,
    parts: Vec<Timed>,
    wishes: Vec<Wish>,
    /// Those with a request under way, a moment ago, of which nobody is told.
    untold: Vec<ConnectionId>,
    /// [`Data::losses`], not wrapping.
    losses: u64,
    calls: Calls,
}

impl Pipeline {
    /// A pipeline for this host, without connections.
    pub fn new(
        selection: Selection,
        tracer: Tracer,
        request_timeout: Option<std::time::Duration>,
        stats: Arc<Stats>,
    ) -> Self {
        let owners = Owners::Processes(Workloads::new(Arc::clone(&stats)));
        Self::with(selection, tracer, request_timeout, stats, owners, Clock::live())
    }

    /// A pipeline for captures, the times of which are Unix time. Every call is told once, as the
    /// server's where its protocol knows such spans, else as the client's.
    pub fn replay(
        selection: Selection,
        tracer: Tracer,
        request_timeout: Option<std::time::Duration>,
        stats: Arc<Stats>,
    ) -> Self {
        let owners = Owners::Addressed(Addressed::default());
        Self::with(selection, tracer, request_timeout, stats, owners, Clock::fixed(0))
    }

    fn with(
        selection: Selection,
        tracer: Tracer,
        request_timeout: Option<std::time::Duration>,
        stats: Arc<Stats>,
        owners: Owners,
        clock: Clock,
    ) -> Self {
        Self {
            connections: FxHashMap::default(),
            limits: Budget::unlimited(),
            was_full: false,
            refused: FxHashMap::default(),
            held: 0,
            selection,
            request_timeout: request_timeout
                .map(|timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)),
            parts: Vec::new(),
            wishes: Vec::new(),
            untold: Vec::new(),
            losses: 0,
            calls: Calls::new(tracer, stats, owners, clock),
        }
    }

    /// The same within other limits.
    pub fn with_limits(mut self, limits: Budget) -> Self {
        self.calls.same_host = SameHost::with_max(limits.waiting);
        self.limits = limits;
        self
    }

    /// From `now` on, so much is left out.
    pub fn shed(&mut self, step: Step, now: Time) {
        if (Step::BODIES..).contains(&step) && self.calls.step == Step::NONE {
            let all_needed = self.connections.values().filter(|c| c.pipelined).count();
            self.calls.stats.lose(Loss::Bodies, all_needed as u64);
        }
        self.calls.step = step;
        self.calls.sampling.set(step.share(), now);
    }

    /// How many connections are followed, and how many can be.
    pub fn connections(&self) -> (usize, usize) {
        (self.connections.len(), self.limits.connections)
    }

    /// Takes in one event.
    pub fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Program(program) => {
                self.calls.serving.runs(program.pid, program.started, program.contexts);
                self.calls.threads.runs(program.pid);
                self.calls.consumers.runs(program.pid);
                if let Owners::Processes(workloads) = &mut self.calls.owners {
                    workloads.runs(&program);
                }
            }
            Event::Opened(opened) => self.open(opened),
            Event::Data(data) => self.data(&data),
            Event::Sent { id, time, position } => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.streams.sent(position, time, &mut self.parts);
                    let thread = connection.thread;
                    connection.take(&mut self.parts, thread, 0, &mut self.calls);
                }
            }
            Event::LeftOut { id, calls } => self.left_out(id, calls),
            Event::Ended { id, time, end } => self.end(id, time, end),
            Event::Lost(lost) => {
                if let Some(connection) = self.connections.get_mut(&lost.id) {
                    connection.tally.records += u64::from(lost.records);
                    connection.serves_unseen(&mut self.calls);
                    connection.waits_no_more(&mut self.calls);
                    connection.pairing.doubt();
                    connection.streams.lost(&lost, &mut self.parts);
                    let thread = connection.thread;
                    connection.take(&mut self.parts, thread, 0, &mut self.calls);
                }
            }
        }
    }

    /// What is to be done after time went by: at least every second.
    pub fn tick(&mut self, now: Time) {
        self.calls.clock.re_anchor();
        if let Owners::Processes(workloads) = &mut self.calls.owners {
            workloads.expire(now);
        }
        self.calls.same_host.expire(now);
        self.calls.serving.begins(now);
        self.calls.serving.expire(now);
        self.calls.threads.expire(now);
        self.calls.consumers.expire(now);
        self.calls.queues.expire(now);
        self.calls.expire(now);
        self.calls.sampling.expire(now);
        self.forget_idle(now);
        let quiet = Time(now.0.saturating_sub(QUIET));
        for connection in self.connections.values_mut().filter(|c| !c.pairing.is_empty()) {
            connection.streams.rest(quiet, &mut self.parts);
            let thread = connection.thread;
            connection.take(&mut self.parts, thread, 0, &mut self.calls);
            if let Some(timeout) = self.request_timeout {
                connection.expire(timeout, now, &mut self.calls);
            }
        }
    }

    /// How many spans wait for [`spans`](Self::spans).
    pub fn finished(&self) -> usize {
        self.calls.spans.len()
    }

    /// The agent stops: calls that are still under way get no span.
    pub fn stop(&mut self) {
        for connection in self.connections.values_mut() {
            if !connection.pairing.is_empty() {
                connection.streams.stop(&mut self.parts);
                let thread = connection.thread;
                connection.take(&mut self.parts, thread, 0, &mut self.calls);
            }
            connection.stop(&mut self.calls);
        }
        self.calls.expire(Time(u64::MAX));
    }

    /// The finished spans, for the caller to take out.
    pub fn spans(&mut self) -> &mut Vec<Span> {
        &mut self.calls.spans
    }

    /// What the source is to do now.
    pub fn wishes(&mut self) -> impl Iterator<Item = Wish> + '_ {
        let Self { connections, wishes, untold, calls, .. } = self;
        for id in untold.drain(..) {
            let Some(connection) = connections.get_mut(&id) else { continue };
            connection.untold = false;
            // Most are answered by now.
            if let Some((role, asked)) = connection.untold(&calls.serving) {
                wishes.push(Wish::Brief { id, role, asked });
            }
        }
        wishes.drain(..)
    }

    fn open(&mut self, opened: Opened) {
        if self.connections.contains_key(&opened.id) {
            // Two threads used it first, in the same instant.
            return;
        }
        if !self.selection.wants(&opened) {
            if opened.role == Some(Role::Server) {
                self.calls.serving.unreadable(opened.pid);
            }
            self.wishes.push(Wish::Ignore(opened.id));
            return;
        }
        if self.connections.len() >= self.limits.connections {
            // Its calls are counted when it ends.
            self.was_full = true;
            self.calls.queues.overlooks();
            if opened.role == Some(Role::Server) {
                self.calls.serving.unreadable(opened.pid);
            }
            if self.refused.len() < MAX_REFUSED {
                self.refused.insert(opened.id, opened.clone());
            }
            self.wishes.push(Wish::Count(opened.id));
            return;
        }
        self.calls.owners.connects(opened.pid);
        self.connections.insert(opened.id, Box::new(Connection::new(opened)));
        self.count_connections();
    }

    fn count_connections(&self) {
        self.calls.stats.connections.store(self.connections.len() as u64, Ordering::Relaxed);
    }

    /// In a capture the source does this: there is nobody to announce a connection again.
    fn forget_idle(&mut self, now: Time) {
        if matches!(self.calls.owners, Owners::Addressed(_)) {
            return;
        }
        let Self { connections, wishes, held, calls, .. } = self;
        connections.retain(|id, connection| {
            let idle = now.0.saturating_sub(connection.last.0) >= IDLE;
            // Those that are ignored are silent anyway.
            let kept = !connection.pairing.is_empty() || connection.ignored || !idle;
            if !kept {
                *held -= connection.held;
                connection.conclude(calls);
                wishes.push(Wish::Announce(*id));
            }
            kept
        });
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let connection = self.connections.remove(&id)?;
        self.held -= connection.held;
        if let Some(role) = connection.role
            && let Some(key) = MessageKey::new(connection.opened.pair, role, 0)
        {
            self.calls.queues.gone(key, role == Role::Client);
        }
        Some(connection)
    }

    fn end(&mut self, id: ConnectionId, time: Time, end: End) {
        let Some(connection) = self.connections.get_mut(&id) else {
            if matches!(end, End::Closed { .. } | End::Unseen) {
                self.refused.remove(&id);
                self.wishes.push(Wish::Release(id));
            }
            return;
        };
        connection.finish(end, time);
        connection.waits_no_more(&mut self.calls);
        connection.streams.end(end, time, &mut self.parts);
        let thread = connection.thread;
        connection.take(&mut self.parts, thread, 0, &mut self.calls);
        if let End::Closed { error, .. } = end {
            if let Some(mut connection) = self.remove(id) {
                connection.close(error, time, &mut self.calls);
            }
            self.wishes.push(Wish::Release(id));
        }
        if end == End::Unseen
            && let Some(mut connection) = self.remove(id)
        {
            connection.stop(&mut self.calls);
            self.wishes.push(Wish::Release(id));
        }
        self.count_connections();
    }
}

#[cfg(test)]
mod tests;
