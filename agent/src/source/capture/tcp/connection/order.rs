//! What is told when: nothing before what its sender had received, what is missing after a while.

use super::super::flow::{Ending, Lag};
use super::{Connection, On};
use crate::source::{Direction, End, Event, Lost, Time};

/// How long what was acknowledged may come late in the file. Cards and kernels reorder within
/// milliseconds, a ring that is read in blocks within tenths of seconds.
pub(in super::super) const PATIENCE: u64 = 1_000_000_000;
/// The same in packets of the connection: where times are coarse, or wrong.
const PATIENCE_PACKETS: u64 = 128;
/// `ECONNRESET`.
const RESET: i32 = 104;

impl Connection {
    /// Tells everything whose turn it is.
    pub(super) fn pump(&mut self, on: &mut On<'_>) {
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
        // What waited for a part before it was of no use until that came.
        let time = held.time.max(flow.told);
        if at > flow.next {
            let given_up = at - flow.next;
            self.tell(from, given_up, &[], time, on);
        }
        let bytes = usize::try_from(known).ok().and_then(|n| held.bytes.get(n..));
        let late = self.is_too_late(from, held.after);
        self.tell(from, held.length - known, bytes.unwrap_or_default(), time, on);
        self.doubt_order(late, on);
    }

    /// True if what flow `from` has next was sent before a hole of the other direction was
    /// received, and that was told already: it was given up too early, for packets that come too
    /// late in the file.
    pub(super) fn is_too_late(&self, from: usize, after: u64) -> bool {
        after < self.flows[1 - from].hole
    }

    /// After what was told too `late`: what is asked in it may be answered in the hole.
    pub(super) fn doubt_order(&self, late: bool, on: &mut On<'_>) {
        if late && !self.ignored {
            // Nothing is missing, so no message is counted: what is open is not paired any more.
            let lost = Lost { id: self.id, records: 1, received: 0, sent: 0, last: None };
            on(Event::Lost(lost));
        }
    }

    /// Tells the end of a flow if its turn has come.
    fn end_flow(&mut self, from: usize, on: &mut On<'_>) -> bool {
        let (flow, other) = (&self.flows[from], &self.flows[1 - from]);
        let Some(ending) = flow.ending.filter(|ending| {
            let due = flow.reached(ending.at) && other.reached(ending.after);
            due && !self.ending && !comes_first(other.ending, ending)
        }) else {
            return false;
        };
        // The last number of a hole that nothing follows may be that of the other's end.
        self.hidden |= !other.finished && ending.after > 0 && ending.after == other.hole;
        if ending.reset {
            self.end(Some(RESET), ending.time, on);
            return true;
        }
        let flow = &mut self.flows[from];
        flow.ending = None;
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

    /// Tells all that is kept, with gaps for what is missing.
    pub(in super::super) fn flush(&mut self, on: &mut On<'_>) {
        // Ends come last.
        let was_ending = std::mem::replace(&mut self.ending, true);
        for from in self.client_first() {
            if self.flows[from].is_known() {
                let held = Some(self.flows[from].top_held());
                let top = held.max(self.acknowledged(from)).max(self.reset(from));
                self.force(from, top.unwrap_or_default(), on);
            }
        }
        self.ending = was_ending;
        if !self.ending {
            self.pump(on);
        }
    }

    /// Gives up what was awaited for too long.
    pub(in super::super) fn watch(&mut self, time: Time, on: &mut On<'_>) {
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
        let first = flow.first_held().map(|(at, _)| at);
        if !flow.started {
            // It waits for what may come before what came first.
            return flow.is_known().then(|| flow.acknowledged.max(flow.next));
        }
        let alone = !self.flows[1 - from].seen;
        [self.acknowledged(from), self.reset(from), first.filter(|_| alone)]
            .into_iter()
            .flatten()
            .filter(|to| *to > flow.next)
            .max()
    }

    /// Where the sender of flow `from` was when it reset the connection.
    fn reset(&self, from: usize) -> Option<u64> {
        self.flows[from].ending.filter(|ending| ending.reset).map(|ending| ending.at)
    }

    /// Up to where bytes are acknowledged beyond what was told. One number after all bytes that
    /// are known is more likely that of a FIN that was not captured than a byte, unless the end was
    /// captured: before a reset either may be missing, and is a gap.
    fn acknowledged(&self, from: usize) -> Option<u64> {
        let flow = &self.flows[from];
        let (to, top) = (flow.acknowledged, flow.top_held());
        let fin_captured = flow.ending.is_some_and(|ending| !ending.reset);
        let reset = (0..2).any(|from| self.reset(from).is_some());
        let is_fin = flow.finished
            || flow.started
                && to == top + 1
                && !fin_captured
                && !reset
                && !self.flows[1 - from].awaits(top);
        let to = if is_fin { top } else { to };
        (to > flow.next).then_some(to)
    }

    /// Has flow `from` reach `target`, with gaps where nothing is known. Each round tells, skips
    /// or releases something.
    pub(super) fn force(&mut self, from: usize, target: u64, on: &mut On<'_>) {
        loop {
            self.pump(on);
            let flow = &self.flows[from];
            if self.ended.is_some() || flow.finished || (flow.started && flow.next >= target) {
                return;
            }
            let other = &self.flows[1 - from];
            let waits = other.ready().map(|held| held.after);
            let first = flow.first_held().map(|(at, held)| (at, held.after));
            match (first, waits) {
                // It waits for the other direction, and that for the end of a hole that is given
                // up, or for it: no honest pair of ends says so.
                (Some((at, _)), Some(_)) if flow.ready().is_some() => {
                    if at > flow.next {
                        self.skip(from, at, on);
                    } else {
                        self.flows[from].release_first();
                    }
                }
                (Some((_, after)), None) if flow.ready().is_some() => {
                    let after = other.clamp(after);
                    self.skip(1 - from, after, on);
                }
                (Some((at, after)), _) if at <= target && flow.started => {
                    // Nobody knows whether the hole comes before or after what the other direction
                    // says meanwhile, unless that says so: it is told now, but for the last byte,
                    // and ends where the stream goes on.
                    let before = other.reached(after) || waits.is_some_and(|after| after >= at);
                    if !before && at - flow.next > 1 {
                        self.flows[from].given_up = at;
                        self.skip(from, at - 1, on);
                    } else {
                        self.skip(from, at, on);
                    }
                }
                _ => self.skip(from, target, on),
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
        let noticed = flow.lag.map_or(flow.told, |lag| lag.time);
        let (to, time) = match flow.first_held() {
            Some((at, held)) if at <= to => (at, held.time),
            // What is missing was there before what came behind it.
            Some((_, held)) => (to, held.time.min(noticed)),
            None => (to, noticed),
        };
        debug_assert!(to > flow.next);
        let length = to.saturating_sub(flow.next).max(1);
        let time = time.max(flow.told);
        self.flows[from].hole = to;
        let flow = &self.flows[from];
        self.gaps += u64::from(to < flow.given_up || flow.given_up <= flow.next);
        self.tell(from, length, &[], time, on);
    }

    /// Where nothing else says what came first: who asks comes before who answers.
    fn client_first(&self) -> [usize; 2] {
        let server = self.server();
        [1 - server, server]
    }
}

/// True if `other` was sent before `ending`, whose sender says that it has it. If each says so,
/// one of them was sent again: the one that was captured last.
fn comes_first(other: Option<Ending>, ending: &Ending) -> bool {
    other.is_some_and(|other| {
        let known = other.at < ending.after;
        let returned = ending.at < other.after;
        known && !other.reset && (!returned || other.packet > ending.packet)
    })
}
