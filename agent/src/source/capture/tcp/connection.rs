//! Two flows become the events of one end, in an order in which they can have happened.
//!
//! A segment says what its sender had received when it sent it. It is told after that much of the
//! other direction was told, whatever the order in the file: captures reorder packets between
//! directions, too. What is missing is awaited for a while, and then is a gap of known size.

use std::net::SocketAddr;

use super::super::segment::Segment;
use super::flow::{Ending, Flow, Held, Lag};
use crate::source::{ConnectionId, Data, Direction, End, Event, Opened, Role, Thread, Time};

/// How long what was acknowledged may come late in the file. Cards and kernels reorder within
/// milliseconds, a ring that is read in blocks within tenths of seconds.
pub(super) const PATIENCE: u64 = 1_000_000_000;
/// The same in packets of the connection: where times are coarse, or wrong.
const PATIENCE_PACKETS: u64 = 128;
/// Most that one direction keeps, in bytes: a large window with a hole at its beginning.
const MAX_HELD: usize = 4 << 20;
/// Most bytes in one event, as in a record of the kernel.
const MAX_EVENT: usize = 32 * 1024;
/// How far ahead of what was captured a reset may be: what a capture that keeps up misses.
const MAX_AHEAD: u64 = 1 << 24;
/// Time after the end in which what comes is late, not new.
const LATE: u64 = 2_000_000_000;
/// The same for what looks like a repeat: how long an end waits for those (RFC 9293 3.6.1, with
/// the half minute that systems take for a lifetime).
const TIME_WAIT: u64 = 60_000_000_000;
/// `ECONNRESET`.
const RESET: i32 = 104;

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
    /// A repeat of one that has ended.
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
                self.tell(from, length - known, bytes.unwrap_or_default(), time, on);
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
        let flow = &mut self.flows[from];
        let at = at + u64::from(segment.length);
        if segment.reset {
            // One that its receiver would not believe is not believed (RFC 9293 3.10.7.4): a
            // stale one, or one that somebody made up.
            let believed =
                at >= flow.acknowledged && at <= flow.top_held().max(flow.acknowledged) + MAX_AHEAD;
            if believed || !flow.started {
                let at = if flow.started { at.max(flow.next) } else { 0 };
                flow.ending = Some(Ending { at, time, after, reset: true });
            }
        } else if segment.fin && !flow.finished && flow.ending.is_none() {
            flow.ending = Some(Ending { at, time, after, reset: false });
        }
    }

    /// Tells everything whose turn it is.
    fn pump(&mut self, on: &mut On<'_>) {
        while self.ended.is_none() {
            // Of what could be told next, what was captured first.
            let next = (0..2)
                .filter_map(|from| {
                    let held = self.flows[from].ready()?;
                    self.flows[1 - from].reached(held.after).then_some((held.packet, from))
                })
                .min();
            if let Some((_, from)) = next {
                self.tell_held(from, on);
            } else if !self.end_flow(0, on) && !self.end_flow(1, on) {
                return;
            }
        }
    }

    fn tell_held(&mut self, from: usize, on: &mut On<'_>) {
        let flow = &mut self.flows[from];
        let Some(at) = flow.first_held().map(|(at, _)| at) else { return };
        let Some(held) = flow.take() else { return };
        let known = flow.next.saturating_sub(at);
        if known >= held.length {
            return;
        }
        let bytes = usize::try_from(known).ok().and_then(|n| held.bytes.get(n..));
        // What waited for a part before it was of no use until that came.
        let time = held.time.max(flow.told);
        self.tell(from, held.length - known, bytes.unwrap_or_default(), time, on);
    }

    /// Tells the end of a flow if its turn has come.
    fn end_flow(&mut self, from: usize, on: &mut On<'_>) -> bool {
        let flow = &self.flows[from];
        let Some(ending) = flow.ending.filter(|ending| {
            let due = flow.reached(ending.at) && self.flows[1 - from].reached(ending.after);
            due && !self.ending
        }) else {
            return false;
        };
        let flow = &mut self.flows[from];
        flow.ending = None;
        if ending.reset {
            self.end(Some(RESET), ending.time, on);
            return true;
        }
        flow.finished = true;
        flow.clear();
        let at = flow.outward(ending.at);
        let end = match self.direction(from) {
            Direction::Received => End::PeerFinished(at),
            Direction::Sent => End::Finished(at),
        };
        if self.told.is_some() {
            on(Event::Ended { id: self.id, time: ending.time, end });
        }
        if self.flows[1 - from].finished {
            self.end(None, ending.time, on);
        }
        true
    }

    /// The connection is gone.
    fn end(&mut self, error: Option<i32>, time: Time, on: &mut On<'_>) {
        self.ending = true;
        self.flush(on);
        let position = |from: usize| self.flows[from].outward(self.flows[from].next);
        let (received, sent) = match self.server() {
            0 => (position(1), position(0)),
            _ => (position(0), position(1)),
        };
        if self.told.is_some() {
            let end = End::Closed { error, received, sent };
            on(Event::Ended { id: self.id, time, end });
        }
        self.close(time);
    }

    /// Nothing more of it will be seen, for whatever reason.
    pub(super) fn vanish(&mut self, time: Time, on: &mut On<'_>) {
        if self.ended.is_some() {
            return;
        }
        self.flush(on);
        // That may have been its end.
        if self.ended.is_none() && self.told.is_some() {
            on(Event::Ended { id: self.id, time, end: End::Unseen });
        }
        self.close(time);
    }

    fn close(&mut self, time: Time) {
        self.ended = Some(time);
        for flow in &mut self.flows {
            flow.clear();
        }
    }

    /// Tells all that is kept, with gaps for what is missing.
    pub(super) fn flush(&mut self, on: &mut On<'_>) {
        // Ends come last.
        let was_ending = std::mem::replace(&mut self.ending, true);
        for from in self.client_first() {
            if self.flows[from].is_known() {
                let held = self.flows[from].top_held();
                let top = self.acknowledged(from).map_or(held, |to| to.max(held));
                self.force(from, top, on);
            }
        }
        self.ending = was_ending;
        if !self.ending {
            self.pump(on);
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

    /// Gives up what was awaited for too long.
    pub(super) fn watch(&mut self, time: Time, on: &mut On<'_>) {
        for from in self.client_first() {
            let mut missing = self.missing(from);
            if let (Some(lag), Some(to)) = (self.flows[from].lag, missing)
                && !self.flows[from].reached(lag.to)
            {
                let patience = self.packets - lag.packet < PATIENCE_PACKETS
                    && time.0.saturating_sub(lag.time.0) < PATIENCE;
                if patience {
                    continue;
                }
                self.force(from, lag.to.min(to), on);
                missing = self.missing(from);
            }
            let packet = self.packets;
            self.flows[from].lag = missing.map(|to| Lag { to, packet, time });
        }
    }

    /// Up to where something is missing that will not be sent again.
    fn missing(&self, from: usize) -> Option<u64> {
        let flow = &self.flows[from];
        if self.ended.is_some() || self.ignored || flow.finished {
            return None;
        }
        let reset = flow.ending.filter(|ending| ending.reset).map(|ending| ending.at);
        let first = flow.first_held().map(|(at, _)| at);
        if !flow.started {
            // It waits for what may come before what came first.
            return flow.is_known().then(|| flow.acknowledged.max(flow.next));
        }
        let alone = !self.flows[1 - from].seen;
        [self.acknowledged(from), reset, first.filter(|_| alone)]
            .into_iter()
            .flatten()
            .filter(|to| *to > flow.next)
            .max()
    }

    /// Up to where bytes are acknowledged beyond what was told. One number after all bytes that
    /// are known is more likely that of a FIN that was not captured than a byte.
    fn acknowledged(&self, from: usize) -> Option<u64> {
        let flow = &self.flows[from];
        let (to, top) = (flow.acknowledged, flow.top_held());
        let is_fin = flow.started && to == top + 1 && !self.flows[1 - from].awaits(top);
        let to = if is_fin { top } else { to };
        (to > flow.next).then_some(to)
    }

    /// Has flow `from` reach `target`, with gaps where nothing is known. Each round tells, skips
    /// or releases something.
    fn force(&mut self, from: usize, target: u64, on: &mut On<'_>) {
        loop {
            self.pump(on);
            let flow = &self.flows[from];
            if self.ended.is_some() || flow.finished || (flow.started && flow.next >= target) {
                return;
            }
            let Some(after) = flow.ready().map(|held| held.after) else {
                self.skip(from, target, on);
                continue;
            };
            // It waits for the other direction.
            if self.flows[1 - from].ready().is_some() {
                // And that for it: no honest pair of ends says so.
                self.flows[from].release_first();
            } else {
                let after = self.flows[1 - from].clamp(after);
                self.skip(1 - from, after, on);
            }
        }
    }

    /// Gives up what is missing before the first segment that waits, but nothing after `to`,
    /// which was not reached.
    fn skip(&mut self, from: usize, to: u64, on: &mut On<'_>) {
        let flow = &mut self.flows[from];
        if !flow.started {
            flow.start();
            return;
        }
        let (to, time) = match flow.first_held() {
            Some((at, held)) if at <= to => (at, held.time),
            _ => (to, flow.lag.map_or(flow.told, |lag| lag.time)),
        };
        debug_assert!(to > flow.next);
        let length = to.saturating_sub(flow.next).max(1);
        let time = time.max(flow.told);
        self.gaps += 1;
        self.tell(from, length, &[], time, on);
    }

    /// Tells the next `length` bytes of a flow.
    fn tell(&mut self, from: usize, length: u64, bytes: &[u8], time: Time, on: &mut On<'_>) {
        self.open(time, on);
        let direction = self.direction(from);
        let flow = &mut self.flows[from];
        let mut position = flow.outward(flow.next);
        flow.next += length;
        flow.told = time;
        if self.ignored {
            return;
        }
        let end = position + length;
        let mut rest = bytes;
        while position < end {
            let (bytes, more) = rest.split_at(rest.len().min(MAX_EVENT));
            rest = more;
            let length = if rest.is_empty() { end - position } else { bytes.len() as u64 };
            on(Event::Data(Data {
                id: self.id,
                time,
                direction,
                position,
                length,
                bytes,
                tail: &[],
                pending: false,
                thread: Thread::default(),
                waited: 0,
            }));
            position += length;
        }
    }

    /// Tells that it exists, once.
    fn open(&mut self, time: Time, on: &mut On<'_>) {
        if self.told.is_some() {
            return;
        }
        let server = self.server();
        self.told = Some(server);
        on(Event::Opened(Opened {
            id: self.id,
            time,
            local: self.ends[server],
            remote: self.ends[1 - server],
            role: self.client.map(|_| Role::Server),
            midlife: !self.flows.iter().all(Flow::is_whole),
            pid: 0,
            netns: 0,
            // The two ends of a connection are one here: there is nothing to join.
            sent_base: None,
            received_base: None,
        }));
    }

    /// The end whose view is told: the server's. Where no SYN says which that is, the lower port
    /// is taken for it, until the protocol tells.
    fn server(&self) -> usize {
        self.told.unwrap_or_else(|| match self.client {
            Some(client) => 1 - client,
            None => usize::from(self.ends[1].port() < self.ends[0].port()),
        })
    }

    /// Where nothing else says what came first: who asks comes before who answers.
    fn client_first(&self) -> [usize; 2] {
        let server = self.server();
        [1 - server, server]
    }

    /// Which way the bytes of an end go in the view that is told.
    fn direction(&self, from: usize) -> Direction {
        if from == self.server() { Direction::Sent } else { Direction::Received }
    }
}
