//! The path of a call, in one thread and without locks: events in, spans out.

mod about;
mod calls;
mod early;
mod hands;
mod recorded;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use self::about::About;
use self::calls::{Calls, Owners, Tally};
use self::hands::Hands;
use crate::call::pairing::Pairing;
use crate::call::{Endpoint, NoAnswer};
use crate::clock::Clock;
use crate::limit::budget::Budget;
use crate::limit::shed::Step;
use crate::link::SameHost;
use crate::link::threads::Doing;
use crate::protocol::{Ends, Side};
use crate::select::Selection;
use crate::source::{ConnectionId, Data, Direction, End, Event, Opened, Role, Thread, Time};
use crate::stats::{Loss, Stats};
use crate::stream::{Streams, Timed};
use crate::trace::{Identity, Span, Tracer};
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
const MAX_REFUSED: usize = 1024;

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
    /// It is gone: forget it.
    Release(ConnectionId),
}

struct Connection {
    opened: Opened,
    endpoint: Option<Arc<Endpoint>>,
    /// Which end the streams are of, as far as the endpoint tells.
    role: Option<Role>,
    streams: Streams,
    pairing: Pairing<Identity>,
    /// The last who read or wrote, and when that was.
    thread: Thread,
    last: Time,
    /// Bytes that are accounted for in [`Pipeline::held`].
    held: usize,
    /// Who said first that nothing more comes, and when.
    finished: Option<(Finisher, Time)>,
    ignored: bool,
    /// The streams are those of one end, but calls are told as the other's.
    turned: bool,
    /// More than one call is open at once: where one answer ends and the next begins must be seen.
    pipelined: bool,
    about: About,
    hands: Hands,
    tally: Tally,
}

/// An end of a connection, seen from the one that is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finisher {
    Peer,
    Own,
}

/// Everything between a source and the exporters.
pub struct Pipeline {
    connections: FxHashMap<ConnectionId, Connection>,
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
        self.calls.expire(now);
        self.calls.sampling.expire(now);
        self.forget_idle(now);
        let quiet = Time(now.0.saturating_sub(QUIET));
        for connection in self.connections.values_mut().filter(|c| !c.pairing.is_empty()) {
            connection.streams.rest(quiet, &mut self.parts);
            let thread = connection.thread;
            connection.take(&mut self.parts, thread, 0, &mut self.calls);
            if let Some(timeout) = self.request_timeout {
                let Connection { pairing, endpoint, opened, about, hands, tally, .. } = connection;
                let sink = &mut self.calls.of(opened, about, hands, tally);
                pairing.expire(endpoint.as_ref(), timeout, now, sink);
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
        self.wishes.drain(..)
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
            if opened.role == Some(Role::Server) {
                self.calls.serving.unreadable(opened.pid);
            }
            if self.refused.len() < MAX_REFUSED {
                self.refused.insert(opened.id, opened.clone());
            }
            self.wishes.push(Wish::Count(opened.id));
            return;
        }
        match &mut self.calls.owners {
            Owners::Processes(workloads) => {
                // Now, because a short-lived process is gone when its call ends.
                workloads.resource(opened.pid);
            }
            Owners::Recorded(recorded) => {
                // So that both forget the same processes.
                recorded.resource(opened.pid);
            }
            Owners::Addressed(_) => {}
        }
        let connection = Connection {
            endpoint: None,
            role: None,
            streams: Streams::new(opened.role, opened.midlife),
            pairing: Pairing::default(),
            thread: Thread::default(),
            last: opened.time,
            held: 0,
            finished: None,
            ignored: false,
            turned: false,
            pipelined: false,
            about: About::default(),
            hands: Hands::default(),
            tally: Tally::default(),
            opened,
        };
        self.connections.insert(connection.opened.id, connection);
        self.count_connections();
    }

    fn count_connections(&self) {
        self.calls.stats.connections.store(self.connections.len() as u64, Ordering::Relaxed);
    }

    fn data(&mut self, data: &Data<'_>) {
        let Some(connection) = self.connections.get_mut(&data.id) else { return };
        connection.thread = data.thread;
        connection.last = data.time;
        let since = data.losses.wrapping_sub(self.losses as u16) as i16;
        let losses = self.losses.saturating_add_signed(since.into());
        self.losses = self.losses.max(losses);
        let doing = Doing { thread: data.thread, time: data.time, losses };
        self.calls.doing = Some((doing, data.direction));
        match data.direction {
            Direction::Sent => {
                connection.about.sent(data);
                connection.hands.sent(data.thread);
                if let Some(reader) = connection.hands.reader {
                    self.calls.threads.answers(doing, reader, data.id);
                }
            }
            Direction::Received => {
                if data.work.is_some() {
                    self.calls.serving.has_contexts(data.thread.pid, data.time);
                }
                connection.hands.received();
                if let Some(asker) = connection.hands.asker.take() {
                    self.calls.threads.hears(doing, asker, data.id);
                }
            }
        }
        connection.streams.data(data, &mut self.parts);
        let waited = if data.direction == Direction::Received { data.waited } else { 0 };
        connection.take(&mut self.parts, data.thread, waited, &mut self.calls);
        self.calls.doing = None;
        if let Some(reader) = connection.hands.reader
            && connection.streams.endless(Side::Response)
        {
            self.calls.threads.is_endless(reader, data.id);
        }
        self.held = self.held - connection.held + connection.streams.held();
        connection.held = connection.streams.held();
        let none_kept = self.calls.step == Step::ALL;
        if connection.held > 0 && (none_kept || self.held > self.limits.unparsed) {
            self.calls.stats.lose(Loss::MemoryLimit, 1);
            connection.pairing.doubt();
            connection.streams.give_up(&mut self.parts);
            connection.take(&mut self.parts, data.thread, 0, &mut self.calls);
            self.held = self.held - connection.held + connection.streams.held();
            connection.held = connection.streams.held();
        }
        if connection.streams.left() && connection.pairing.is_empty() && !connection.ignored {
            connection.ignored = true;
            connection.waits_no_more(&mut self.calls);
            if connection.opened.role == Some(Role::Server) {
                self.calls.serving.unreadable(data.thread.pid);
            }
            // The kernel counts messages that nobody wants to see; a capture does not.
            let counted_here = matches!(self.calls.owners, Owners::Addressed(_));
            if !(connection.streams.given_up() && counted_here) {
                self.wishes.push(Wish::Ignore(data.id));
            }
        } else if !connection.pipelined
            && connection.streams.need_everything(connection.pairing.len())
        {
            connection.pipelined = true;
            if self.calls.step >= Step::BODIES {
                self.calls.stats.lose(Loss::Bodies, 1);
            }
            self.wishes.push(Wish::Everything(data.id));
        }
    }

    /// Whole calls were left out by the kernel.
    fn left_out(&mut self, id: ConnectionId, calls: u32) {
        let connection = self.connections.get_mut(&id);
        // Before its first record it waited for room, if there was ever none.
        let waited = connection.as_ref().is_none_or(|c| c.thread == Thread::default());
        let reason = if waited && self.was_full { Loss::ConnectionLimit } else { Loss::Shed };
        // Of others, where there was always room, nobody wants to know.
        if connection.is_some() || self.was_full {
            self.calls.stats.lose(reason, calls.into());
        }
        let Some(connection) = connection else {
            if let Some(opened) = self.refused.remove(&id) {
                Tally { lost: calls.into(), ..Tally::default() }.tell(&opened);
            }
            return;
        };
        connection.tally.lost += u64::from(calls);
        connection.serves_unseen(&mut self.calls);
        connection.waits_no_more(&mut self.calls);
        connection.pairing.doubt();
        connection.streams.left_out(&mut self.parts);
        let thread = connection.thread;
        connection.take(&mut self.parts, thread, 0, &mut self.calls);
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

    fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.held -= connection.held;
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
        match (end, connection.turned) {
            (End::PeerFinished(_), false) | (End::Finished(_), true) => {
                connection.finished.get_or_insert((Finisher::Peer, time));
            }
            (End::PeerFinished(_), true) | (End::Finished(_), false) => {
                connection.finished.get_or_insert((Finisher::Own, time));
            }
            (End::Closed { .. } | End::Unseen, _) => {}
        }
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

impl Connection {
    fn take(&mut self, parts: &mut Vec<Timed>, thread: Thread, waited: u64, calls: &mut Calls) {
        if self.streams.spoken()
            && let Some(role) = self.streams.role()
            && self.role.replace(role) != Some(role)
        {
            let ends = self.streams.protocol().map_or(Ends::Both, |protocol| protocol.ends);
            let told = match (&calls.owners, ends) {
                (Owners::Addressed(_), Ends::Both) => Role::Server,
                (Owners::Addressed(_), Ends::Client) => Role::Client,
                _ => role,
            };
            if self.turned != (told != role) {
                self.turn();
            }
            self.opened.role = Some(told);
            if ends == Ends::Client && told == Role::Server {
                // The client's end tells of the calls, on this host or another.
                self.streams.leave();
            }
            self.endpoint = Some(Arc::new(Endpoint {
                id: self.opened.id,
                role: self.opened.role.unwrap_or(role),
                local: self.opened.local.clone(),
                remote: self.opened.remote.clone(),
            }));
        }
        if self.endpoint.is_none() || self.is_others() {
            parts.clear();
            return;
        }
        let sink = &mut calls.of(&self.opened, &mut self.about, &mut self.hands, &mut self.tally);
        self.pairing.missed(self.streams.take_missed().unwrap_or(0), sink);
        self.pairing.take(parts, &self.streams, self.endpoint.as_ref(), thread, waited, sink);
        if self.streams.left() {
            self.pairing.lose(sink);
        }
    }

    /// What is missing may have been a request.
    fn serves_unseen(&self, calls: &mut Calls) {
        if self.opened.role != Some(Role::Client) {
            calls.serving.unseen(self.opened.pid);
            if self.thread.pid != self.opened.pid && self.thread != Thread::default() {
                calls.serving.unseen(self.thread.pid);
            }
        }
    }

    /// Whoever waits for an answer on it is given none that is seen.
    fn waits_no_more(&mut self, calls: &mut Calls) {
        if let Some(asker) = self.hands.asker.take() {
            calls.threads.gives_up(asker, self.opened.id);
        }
    }

    /// The other end tells of the calls.
    fn is_others(&self) -> bool {
        self.opened.role == Some(Role::Server)
            && self.streams.protocol().is_some_and(|protocol| protocol.ends == Ends::Client)
    }

    /// It was closed: what is open gets no answer any more.
    fn close(&mut self, error: Option<i32>, time: Time, calls: &mut Calls) {
        let (reason, when) = self.why_unanswered(error, time);
        let sink = &mut calls.of(&self.opened, &mut self.about, &mut self.hands, &mut self.tally);
        if self.streams.blind(Side::Response) {
            // Whether there was one nobody knows.
            self.pairing.lose(sink);
        }
        self.pairing.close(self.endpoint.as_ref(), reason, when, sink);
        self.conclude(calls);
    }

    /// Nothing more will be known of it.
    fn stop(&mut self, calls: &mut Calls) {
        let untold = self.pairing.untold();
        self.tally.lost += untold;
        calls.stats.lose(Loss::Stopped, untold);
        self.conclude(calls);
    }

    /// Says what was lost on it.
    fn conclude(&mut self, calls: &Calls) {
        let unrecognised = self.streams.unrecognised();
        calls.stats.lose(Loss::Unrecognised, unrecognised);
        self.tally.lost += unrecognised;
        self.tally.tell(&self.opened);
    }

    /// What was taken for the server is the client, or the reverse: calls are told as the other
    /// end's.
    fn turn(&mut self) {
        self.turned = !self.turned;
        let Opened { local, remote, .. } = &mut self.opened;
        std::mem::swap(local, remote);
        if let Some((finisher, _)) = &mut self.finished {
            *finisher = match finisher {
                Finisher::Peer => Finisher::Own,
                Finisher::Own => Finisher::Peer,
            };
        }
    }

    /// Why what is still open gets no answer, and since when that is certain.
    fn why_unanswered(&self, error: Option<i32>, closed: Time) -> (NoAnswer, Time) {
        if error.is_some() {
            return (NoAnswer::ConnectionReset, closed);
        }
        match (self.finished, self.opened.role) {
            (Some((Finisher::Peer, at)), Some(Role::Server)) => (NoAnswer::ClientClosed, at),
            (Some((Finisher::Peer, at)), _) => (NoAnswer::PeerClosed, at),
            (Some((Finisher::Own, at)), _) => (NoAnswer::Closed, at),
            (None, _) => (NoAnswer::Closed, closed),
        }
    }
}

#[cfg(test)]
mod tests;
