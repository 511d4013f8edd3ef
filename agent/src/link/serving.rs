//! The requests that processes of this host serve, or did a moment ago: the parents of the calls
//! that are made for them.

mod process;

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::FxHashMap;

use self::process::Process;
use super::Ancestor;
use crate::source::{ConnectionId, Time, Work};

/// How long work that a request started may go on after its answer. New work on the same connection
/// is never part of it, however soon it comes.
pub const AFTER: u64 = 10_000_000_000;
/// How long a process may be busy with requests that were not seen to begin or to end: those of one
/// that is older than the agent, those that were lost or left out, those without an answer. For so
/// long none of its own counts as the only one.
const UNSEEN: u64 = 30_000_000_000;
/// What is known of a process that serves nothing and asks nobody is forgotten after so long: the next
/// request that it reads tells again.
const IDLE: u64 = 600_000_000_000;
/// Requests that are remembered, at about 150 bytes each. At the limit the one that was answered
/// first is forgotten, and else no more are taken: calls stay unlinked.
const MAX_REQUESTS: usize = 65_536;
/// Processes that are remembered, at about 100 bytes each: those that serve requests now, or did so in
/// a way that matters. With more, no request is taken for the only one of its process any more.
const MAX_PROCESSES: usize = 65_536;

/// Where a request began.
pub type Place = (ConnectionId, u64);

/// The requests that are served.
#[derive(Default)]
pub struct Serving {
    /// In order of their positions on each connection.
    requests: BTreeMap<Place, Request>,
    processes: FxHashMap<u32, Process>,
    /// Since when requests are seen to begin.
    begun: Option<Time>,
    /// The latest time that was heard of.
    now: Time,
    /// Those that were answered, in that order; some are gone.
    answered: VecDeque<(Time, Place)>,
    /// There are no processes: nothing is remembered.
    none: bool,
    /// There were more processes than there is room for.
    crowded: bool,
}

struct Request {
    began: Time,
    /// After its last byte, once that is known.
    end: Option<u64>,
    answered: Option<Time>,
    pid: u32,
    ancestor: Ancestor,
    /// Calls were told to be under it.
    has_children: bool,
    /// It is a message that a broker has brought: whoever is busy with it, not every call is for it.
    is_message: bool,
}

impl Request {
    fn takes_a_child(&mut self) -> Ancestor {
        self.has_children = true;
        self.ancestor
    }
}

impl Serving {
    /// For captures, which know no processes: what they serve is never asked for.
    pub fn none() -> Self {
        Self { none: true, ..Self::default() }
    }

    /// A request began at `position`, in process `pid`; its span is `ancestor`.
    pub fn began(
        &mut self,
        id: ConnectionId,
        position: u64,
        began: Time,
        pid: u32,
        ancestor: Ancestor,
    ) {
        let (end, answered, has_children, is_message) = (None, None, false, false);
        let request = Request { began, end, answered, pid, ancestor, has_children, is_message };
        self.opens((id, position), request);
    }

    /// A message was brought to process `pid`, which is busy with it until it was
    /// [`answered`](Self::answered), or settled; its span is `ancestor`.
    pub fn brought(&mut self, place: Place, began: Time, pid: u32, ancestor: Ancestor) {
        let (end, answered, has_children, is_message) = (None, None, false, true);
        let request = Request { began, end, answered, pid, ancestor, has_children, is_message };
        self.opens(place, request);
    }

    fn opens(&mut self, place: Place, request: Request) {
        if self.none {
            return;
        }
        let Request { pid, began, .. } = request;
        self.now = self.now.max(began);
        if self.requests.len() >= MAX_REQUESTS && !self.forget_oldest() {
            self.unseen(pid);
            return;
        }
        if let Some(before) = self.requests.insert(place, request)
            && before.answered.is_none()
        {
            self.close(before.pid, place);
        }
        if let Some(process) = self.process(pid) {
            process.opens(place, began);
        }
    }

    /// The request that began at `position` ends before `end`.
    pub fn asked(&mut self, id: ConnectionId, position: u64, end: u64) {
        if let Some(request) = self.requests.get_mut(&(id, position)) {
            request.end = Some(end);
        }
    }

    /// It was answered. True if calls were told to be under it: then its trace must stay as it is.
    pub fn answered(&mut self, id: ConnectionId, position: u64, time: Time) -> bool {
        let place = (id, position);
        let Some(request) = self.requests.get_mut(&place) else { return false };
        request.answered = Some(time);
        let (pid, has_children) = (request.pid, request.has_children);
        self.now = self.now.max(time);
        let process = self.processes.get_mut(&pid);
        let has_contexts = process.is_some_and(|process| {
            process.closes(place, time);
            process.has_contexts.is_some()
        });
        if has_contexts {
            self.answered.push_back((time, place));
        } else {
            // What is not open any more is of use only to who is told what work is about.
            self.requests.remove(&place);
        }
        has_children
    }

    /// Nobody knows what became of it: there will be no span, but its process may be busy with it.
    pub fn lost(&mut self, id: ConnectionId, position: u64) {
        let place = (id, position);
        let Some(request) = self.requests.remove(&place) else { return };
        if request.answered.is_none() {
            self.close(request.pid, place);
            self.unseen(request.pid);
        }
    }

    /// A process may serve a request of which nothing is known.
    pub fn unseen(&mut self, pid: u32) {
        let until = Time(self.now.0.saturating_add(UNSEEN));
        if let Some(process) = self.process(pid) {
            process.unseen = process.unseen.max(until);
        }
    }

    /// A process accepted a connection whose requests cannot be read: whatever it serves, there may
    /// be more.
    pub fn unreadable(&mut self, pid: u32) {
        if let Some(process) = self.process(pid) {
            process.unseen = Time(u64::MAX);
        }
    }

    /// A process read bytes in a unit of work that its runtime names.
    pub fn has_contexts(&mut self, pid: u32, time: Time) {
        if let Some(process) = self.process(pid) {
            process.has_contexts = Some(time);
        }
    }

    /// It is `now`: everything that happens from here on is seen.
    pub fn begins(&mut self, now: Time) {
        self.begun.get_or_insert(now);
        self.now = self.now.max(now);
    }

    /// A process that was started at `started` runs another program from now on, whose runtime says
    /// what its `contexts` are about or does not yet.
    pub fn runs(&mut self, pid: u32, started: Time, contexts: bool) {
        let older = self.begun.is_none_or(|begun| begun >= started);
        let has_contexts = contexts.then_some(self.now);
        if let Some(process) = self.process(pid) {
            process.runs(older, has_contexts);
        }
    }

    /// The span of the request that `work` is part of, at `time`. None if that is not certain: bytes
    /// of two requests, of one that was not seen, or of one that waits behind another on its
    /// connection, for which nothing is asked yet.
    pub fn of(&mut self, work: &Work, time: Time) -> Option<Ancestor> {
        let after = work.position.saturating_add(work.length);
        // Those that begin before the end of the bytes, the last one first.
        let mut requests = self.requests.range_mut((work.id, 0)..(work.id, after)).rev();
        let (&(_, position), request) = requests.next()?;
        let goes_on = request.end.is_none_or(|end| end > work.position);
        // One before it has an end: it ends where this one begins, or sooner.
        let alone = requests.next().is_none_or(|(_, before)| {
            let over = before.end.is_some_and(|end| end <= work.position);
            before.answered.is_some() && (over || position <= work.position)
        });
        let over = request.answered.is_some_and(|at| time.0.saturating_sub(at.0) > AFTER);
        (goes_on && alone && !over).then(|| request.takes_a_child())
    }

    /// The span of the request that began at `place`, unless it was answered or lost.
    pub fn at(&mut self, place: Place) -> Option<Ancestor> {
        let request = self.requests.get_mut(&place)?;
        request.answered.is_none().then(|| request.takes_a_child())
    }

    /// True if its threads may say which request a process works on: its runtime does not.
    pub fn asks_threads(&self, pid: u32) -> bool {
        !self.none && self.processes.get(&pid).is_none_or(|it| it.has_contexts.is_none())
    }

    /// True if no request of a process can be under way at `time` that is not seen, but for those
    /// that are older than the agent.
    pub fn sees_all(&self, pid: u32, time: Time) -> bool {
        !self.crowded && self.processes.get(&pid).is_none_or(|process| process.unseen <= time)
    }

    /// The span of the one request that was open at `time` in a process without a better rule, which
    /// asks somebody else then. None if another was, or may have been, then or since: the call may have
    /// been that one's; nor if the process is known to ask others when it serves nobody: it may be that
    /// again.
    pub fn sole(&mut self, pid: u32, time: Time) -> Option<Ancestor> {
        let all_seen = self.all_seen();
        let process = self.processes.get_mut(&pid)?;
        let unseen = if process.older { all_seen } else { Time::default() };
        if self.crowded || process.has_contexts.is_some() {
            return None;
        }
        if time < unseen || time < process.unseen || time < process.closed {
            return None;
        }
        let request = self.requests.get_mut(&process.asks(time)?)?;
        // One that came after it has nothing to do with it: a process may call itself.
        (request.began <= time && !request.is_message).then(|| request.takes_a_child())
    }

    /// Forgets what was answered too long ago.
    pub fn expire(&mut self, now: Time) {
        while self.answered.front().is_some_and(|(at, _)| now.0.saturating_sub(at.0) > AFTER) {
            self.forget_oldest();
        }
        let all_seen = self.all_seen();
        // What is of use later must not keep others from being known.
        let has_room = self.processes.len() < MAX_PROCESSES / 2;
        self.processes.retain(|_, process| {
            let recent = |at: Time| now.0.saturating_sub(at.0) < IDLE;
            let told = process.has_contexts.is_some_and(recent);
            let serves = has_room && process.served.is_some_and(recent);
            let young = !process.older && now < all_seen;
            told || serves || young || now < process.unseen || process.open > 0
        });
    }

    /// When none of the requests can be under way any more that were there before the agent.
    fn all_seen(&self) -> Time {
        self.begun.map_or(Time(u64::MAX), |begun| Time(begun.0.saturating_add(UNSEEN)))
    }

    /// None if there is no room for it: then nobody is sure of any.
    fn process(&mut self, pid: u32) -> Option<&mut Process> {
        if self.none {
            return None;
        }
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&pid) {
            self.crowded = true;
            return None;
        }
        Some(self.processes.entry(pid).or_default())
    }

    fn close(&mut self, pid: u32, place: Place) {
        let now = self.now;
        if let Some(process) = self.processes.get_mut(&pid) {
            process.closes(place, now);
        }
    }

    /// Forgets the one that was answered first; false if there is none.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, place)) = self.answered.pop_front() else { return false };
        self.requests.remove(&place);
        true
    }
}

#[cfg(test)]
mod tests;
