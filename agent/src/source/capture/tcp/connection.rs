//! Two flows become the events of one end, in an order in which they can have happened.
//!
//! A segment says what its sender had received when it sent it. It is told after that much of the
//! other direction was told, whatever the order in the file: captures reorder packets between
//! directions, too. What is missing is awaited for a while, and then is a gap of known size.

mod events;
mod order;

use std::net::SocketAddr;

use super::super::segment::Segment;
use super::flow::{Ending, Flow, Held};
use crate::source::{ConnectionId, Event, Time};

/// Most that one direction keeps, in bytes: a large window with a hole at its beginning.
const MAX_HELD: usize = 4 << 20;
/// How far from what was captured a reset may be, or one of the numbers of any segment: what a
/// capture that keeps up misses.
const MAX_AHEAD: u64 = 1 << 24;
/// Time after the end in which what comes is late, not new.
const LATE: u64 = 2_000_000_000;
/// The same for what looks like a repeat: how long an end waits for those (RFC 9293 3.6.1, with
/// the half minute that systems take for a lifetime).
const TIME_WAIT: u64 = 60_000_000_000;

pub(super) use order::PATIENCE;

/// Where a connection's events go.
pub(super) type On<'a> = dyn FnMut(Event<'_>) + 'a;

/// One connection in a capture. Its ends are numbered 0 and 1; flow `n` is what end `n` sends.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    ends: [SocketAddr; 2],
    flows: [Flow; 2],
    /// Which end connected, if that was seen.
    client: Option<usize>,
    /// Which end's view is told, once anything was told.
    told: Option<usize>,
    packets: u64,
    ended: Option<Time>,
    ending: bool,
    /// One end said that it is done after the other may have, unseen.
    hidden: bool,
    /// Nobody wants its data.
    ignored: bool,
    /// Bytes that are missing, in runs.
    pub(super) gaps: u64,
    /// It stands in the queue of those that wait.
    pub(super) queued: bool,
    /// Number of the last packet of the capture that was its own.
    pub(super) touched: u64,
}

/// What a segment is to a connection of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// A part of it.
    Here,
    /// A repeat of one that has ended, or of another connection and without bytes.
    Late,
    /// Of another connection that took its addresses.
    Elsewhere,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, ends: [SocketAddr; 2]) -> Self {
        Self {
            id,
            ends,
            flows: Default::default(),
            client: None,
            told: None,
            packets: 0,
            ended: None,
            ending: false,
            hidden: false,
            ignored: false,
            gaps: 0,
            queued: false,
            touched: 0,
        }
    }

    /// Whether a segment that end `from` sent is part of this connection.
    pub(super) fn belongs(&self, from: usize, segment: &Segment<'_>, time: Time) -> Belongs {
        let flow = &self.flows[from];
        if segment.syn {
            return match (flow.begins_with(segment.sequence.wrapping_add(1)), self.ended) {
                (true, None) => Belongs::Here,
                (true, Some(_)) => Belongs::Late,
                (false, _) => Belongs::Elsewhere,
            };
        }
        if self.is_strange(from, segment) {
            // Without bytes there is nothing that another one could begin with.
            return if segment.length > 0 { Belongs::Elsewhere } else { Belongs::Late };
        }
        let Some(ended) = self.ended else { return Belongs::Here };
        let age = time.0.saturating_sub(ended.0);
        let repeat = flow
            .position(segment.sequence)
            .is_none_or(|at| at + u64::from(segment.length) <= flow.next);
        if segment.length == 0 || age < LATE || (repeat && age < TIME_WAIT) {
            Belongs::Late
        } else {
            Belongs::Elsewhere
        }
    }

    /// True if neither what a segment carries nor what it acknowledges lies anywhere near this
    /// connection: the ports were used again, and the new connection's SYN was not captured. A
    /// capture that missed so much in both directions goes on as if it joined midway.
    fn is_strange(&self, from: usize, segment: &Segment<'_>) -> bool {
        let far = |flow: &Flow, sequence| {
            flow.position(sequence).is_some_and(|at| at.abs_diff(flow.next) > MAX_AHEAD)
        };
        let Some(acknowledged) = segment.acknowledged else { return false };
        far(&self.flows[from], segment.sequence) && far(&self.flows[1 - from], acknowledged)
    }

    /// True once its end was told.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// True if something is awaited for a limited time.
    pub(super) fn waits(&self) -> bool {
        self.flows.iter().any(|flow| flow.lag.is_some())
    }

    /// What is kept of it, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.flows.iter().map(|flow| flow.cost).sum()
    }

    /// Takes in a segment that end `from` sent.
    pub(super) fn segment(
        &mut self,
        from: usize,
        segment: &Segment<'_>,
        time: Time,
        on: &mut On<'_>,
    ) {
        let other = 1 - from;
        self.packets += 1;
        self.flows[from].seen = true;
        let mut sequence = segment.sequence;
        if segment.syn {
            sequence = sequence.wrapping_add(1);
            self.flows[from].begin(sequence);
            self.client.get_or_insert(if segment.acknowledged.is_some() { other } else { from });
        } else {
            self.flows[from].anchor(sequence);
        }
        let mut after = 0;
        if let Some(acknowledged) = segment.acknowledged {
            let flow = &mut self.flows[other];
            if segment.syn {
                flow.begin(acknowledged);
            }
            after = flow.acknowledge(acknowledged);
        }
        if let Some(at) = self.flows[from].position(sequence) {
            self.data(from, at, segment, after, time, on);
            self.note_end(from, at, segment, after, time);
        }
        self.pump(on);
        self.watch(time, on);
    }

    /// The bytes of a segment.
    fn data(
        &mut self,
        from: usize,
        at: u64,
        segment: &Segment<'_>,
        after: u64,
        time: Time,
        on: &mut On<'_>,
    ) {
        let length = u64::from(segment.length);
        let flow = &mut self.flows[from];
        if length == 0 || flow.finished {
            return;
        }
        if self.ignored {
            // No order is needed any more.
            flow.started = true;
            flow.next = flow.next.max(at + length);
            return;
        }
        let in_turn = flow.started && at <= flow.next && flow.first_held().is_none();
        if in_turn && self.flows[1 - from].reached(after) {
            let known = self.flows[from].next - at;
            if known < length {
                let bytes = usize::try_from(known).ok().and_then(|n| segment.bytes.get(n..));
                let late = self.is_too_late(from, after);
                self.tell(from, length - known, bytes.unwrap_or_default(), time, on);
                self.doubt_order(late, on);
            }
            return;
        }
        let packet = self.packets;
        let bytes = segment.bytes.to_vec();
        self.flows[from].hold(at, &Held { length, bytes, time, after, packet });
        while self.flows[from].cost > MAX_HELD
            && let Some((at, held)) = self.flows[from].first_held()
        {
            let end = at + held.length;
            self.force(from, end, on);
        }
    }

    fn note_end(&mut self, from: usize, at: u64, segment: &Segment<'_>, after: u64, time: Time) {
        let packet = self.packets;
        let flow = &mut self.flows[from];
        let at = at + u64::from(segment.length);
        if segment.reset {
            // One that its receiver would not believe is not believed (RFC 9293 3.10.7.4): a
            // stale one, or one that somebody made up.
            let believed =
                at >= flow.acknowledged && at <= flow.top_held().max(flow.acknowledged) + MAX_AHEAD;
            if believed || !flow.started {
                let at = if flow.started { at.max(flow.next) } else { 0 };
                flow.ending = Some(Ending { at, time, after, packet, reset: true });
            }
        } else if segment.fin && !flow.finished && flow.ending.is_none() {
            flow.ending = Some(Ending { at, time, after, packet, reset: false });
        }
    }

    /// Nobody wants its data: only its end is followed.
    pub(super) fn ignore(&mut self) {
        self.ignored = true;
        for flow in &mut self.flows {
            flow.clear();
            if flow.is_known() && !flow.started {
                flow.start();
            }
        }
    }
}
