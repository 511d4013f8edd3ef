//! The requests that processes of this host serve, or did a moment ago: the parents of the calls
//! that are made for them.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Ancestor;
use crate::source::{ConnectionId, Time, Work};

/// How long work that a request started may go on after its answer. New work on the same connection
/// is never part of it, however soon it comes.
pub const AFTER: u64 = 10_000_000_000;
/// A process that is older than the agent may be serving requests that were not seen to begin: for
/// so long none of its own counts as the only one.
const UNSEEN: u64 = 30_000_000_000;
/// What is known of a process that serves nothing is forgotten after so long: the next request that
/// it reads tells again.
const IDLE: u64 = 600_000_000_000;
/// Requests that are remembered, at about 150 bytes each. At the limit the one that was answered
/// first is forgotten, and else no more are taken: calls stay unlinked.
const MAX_REQUESTS: usize = 65_536;

/// The requests that are served.
#[derive(Default)]
pub struct Serving {
    /// By position.
    by_connection: FxHashMap<ConnectionId, VecDeque<Request>>,
    by_process: FxHashMap<u32, Process>,
    count: usize,
    /// Since when requests are seen to begin.
    begun: Option<Time>,
    /// Those that were answered, in that order; some are gone.
    answered: VecDeque<(Time, ConnectionId, u64)>,
}

struct Request {
    /// Of its first byte.
    position: u64,
    /// After its last byte, once that is known.
    end: Option<u64>,
    answered: Option<Time>,
    pid: u32,
    ancestor: Ancestor,
    /// Calls were told to be under it.
    has_children: bool,
}

impl Request {
    fn takes_a_child(&mut self) -> Ancestor {
        self.has_children = true;
        self.ancestor
    }
}

/// What is known of a process that serves requests.
#[derive(Default)]
struct Process {
    /// The requests that are open.
    open: FxHashSet<(ConnectionId, u64)>,
    /// It was started after that.
    young: bool,
    /// When its runtime last said which request it works on.
    has_contexts: Option<Time>,
}

impl Serving {
    /// A request began at `position`, in process `pid`; its span is `ancestor`.
    pub fn began(&mut self, id: ConnectionId, position: u64, pid: u32, ancestor: Ancestor) {
        if self.count >= MAX_REQUESTS && !self.forget_oldest() {
            return;
        }
        let requests = self.by_connection.entry(id).or_default();
        if requests.back().is_some_and(|last| last.position >= position) {
            return;
        }
        requests.push_back(Request {
            position,
            end: None,
            answered: None,
            pid,
            ancestor,
            has_children: false,
        });
        self.count += 1;
        self.by_process.entry(pid).or_default().open.insert((id, position));
    }

    /// The request that began at `position` ends before `end`.
    pub fn asked(&mut self, id: ConnectionId, position: u64, end: u64) {
        if let Some(request) = self.get(id, position) {
            request.end = Some(end);
        }
    }

    /// It was answered. True if calls were told to be under it: then its trace must stay as it is.
    pub fn answered(&mut self, id: ConnectionId, position: u64, time: Time) -> bool {
        let Some(request) = self.get(id, position) else { return false };
        request.answered = Some(time);
        let (pid, has_children) = (request.pid, request.has_children);
        let process = self.by_process.get(&pid);
        if process.is_none_or(|process| process.has_contexts.is_none()) {
            // What is not open any more is of use only to who is told what work is about.
            self.lost(id, position);
            return has_children;
        }
        self.answered.push_back((time, id, position));
        self.close(pid, id, position);
        has_children
    }

    /// Nobody knows what became of it: there will be no span.
    pub fn lost(&mut self, id: ConnectionId, position: u64) {
        let Some(requests) = self.by_connection.get_mut(&id) else { return };
        let Ok(at) = requests.binary_search_by_key(&position, |request| request.position) else {
            return;
        };
        let pid = requests.remove(at).map_or(0, |request| request.pid);
        if requests.is_empty() {
            self.by_connection.remove(&id);
        }
        self.count -= 1;
        self.close(pid, id, position);
    }

    /// A process read bytes in a unit of work that its runtime names.
    pub fn has_contexts(&mut self, pid: u32, time: Time) {
        self.by_process.entry(pid).or_default().has_contexts = Some(time);
    }

    /// It is `now`: everything that happens from here on is seen.
    pub fn begins(&mut self, now: Time) {
        self.begun.get_or_insert(now);
    }

    /// A process that was started at `started` runs another program from now on.
    pub fn runs(&mut self, pid: u32, started: Time) {
        let process = self.by_process.entry(pid).or_default();
        process.has_contexts = None;
        process.young = self.begun.is_some_and(|begun| begun < started);
    }

    /// The span of the request that `work` is part of, at `time`. None if that is not certain: bytes
    /// of two requests, or of one that was not seen.
    pub fn of(&mut self, work: &Work, time: Time) -> Option<Ancestor> {
        let requests = self.by_connection.get_mut(&work.id)?;
        let after = work.position.saturating_add(work.length);
        // The last one that begins before the end of the bytes.
        let next = requests.partition_point(|request| request.position < after);
        let last = next.checked_sub(1)?;
        let request = requests.get(last)?;
        let goes_on = request.end.is_none_or(|end| end > work.position);
        // One before it has an end: it ends where this one begins, or sooner.
        let alone = request.position <= work.position
            || requests
                .get(next.wrapping_sub(2))
                .is_none_or(|before| before.end.is_some_and(|end| end <= work.position));
        let over = request.answered.is_some_and(|at| time.0.saturating_sub(at.0) > AFTER);
        if !goes_on || !alone || over {
            return None;
        }
        requests.get_mut(last).map(Request::takes_a_child)
    }

    /// The span of the one request that is open at `time` in a process without a better rule.
    pub fn sole(&mut self, pid: u32, time: Time) -> Option<Ancestor> {
        let process = self.by_process.get(&pid).filter(|process| process.has_contexts.is_none())?;
        if !process.young && time.0.saturating_sub(self.begun?.0) < UNSEEN {
            return None;
        }
        let mut open = process.open.iter();
        let (Some((id, position)), None) = (open.next(), open.next()) else { return None };
        let (id, position) = (*id, *position);
        self.get(id, position).map(Request::takes_a_child)
    }

    /// Forgets what was answered too long ago.
    pub fn expire(&mut self, now: Time) {
        while self.answered.front().is_some_and(|(at, ..)| now.0.saturating_sub(at.0) > AFTER) {
            self.forget_oldest();
        }
        let all_seen = self.begun.is_none_or(|begun| now.0.saturating_sub(begun.0) >= UNSEEN);
        self.by_process.retain(|_, process| {
            let told = process.has_contexts.is_some_and(|at| now.0.saturating_sub(at.0) < IDLE);
            told || process.young && !all_seen || !process.open.is_empty()
        });
    }

    fn get(&mut self, id: ConnectionId, position: u64) -> Option<&mut Request> {
        let requests = self.by_connection.get_mut(&id)?;
        let at = requests.binary_search_by_key(&position, |request| request.position).ok()?;
        requests.get_mut(at)
    }

    fn close(&mut self, pid: u32, id: ConnectionId, position: u64) {
        if let Some(process) = self.by_process.get_mut(&pid) {
            process.open.remove(&(id, position));
        }
    }

    /// Forgets the one that was answered first; false if there is none.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, id, position)) = self.answered.pop_front() else { return false };
        self.lost(id, position);
        true
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{SpanId, TraceId};

    use super::*;

    const CONNECTION: ConnectionId = ConnectionId(7);

    fn ancestor(n: u64) -> Ancestor {
        let (trace_id, span_id) = (TraceId::from(u128::from(n)), SpanId::from(n));
        Ancestor { trace_id, span_id, depth: 0, flags: 1 }
    }

    fn work(position: u64, length: u64) -> Work {
        Work { id: CONNECTION, position, length }
    }

    fn found(serving: &mut Serving, position: u64, length: u64, time: u64) -> Option<SpanId> {
        serving.of(&work(position, length), Time(time)).map(|ancestor| ancestor.span_id)
    }

    #[test]
    fn bytes_of_a_request_lead_to_it() {
        let mut serving = Serving::default();
        serving.began(CONNECTION, 0, 1, ancestor(1));
        assert_eq!(found(&mut serving, 0, 100, 0), Some(SpanId::from(1)));
        assert_eq!(found(&mut serving, 50, 10, 0), Some(SpanId::from(1)), "a part of its body");
        serving.asked(CONNECTION, 0, 100);
        assert_eq!(found(&mut serving, 100, 10, 0), None, "of the next one, which was not seen");
        serving.began(CONNECTION, 100, 1, ancestor(2));
        assert_eq!(found(&mut serving, 100, 10, 0), Some(SpanId::from(2)));
        assert_eq!(found(&mut serving, 90, 20, 0), None, "of both");
        serving.asked(CONNECTION, 100, 110);
        assert_eq!(found(&mut serving, 0, 200, 0), None, "of both");
    }

    #[test]
    fn work_goes_on_after_the_answer_for_a_while() {
        let mut serving = Serving::default();
        serving.has_contexts(1, Time(0));
        serving.began(CONNECTION, 0, 1, ancestor(1));
        serving.asked(CONNECTION, 0, 100);
        assert!(!serving.answered(CONNECTION, 0, Time(5)), "no calls yet");
        assert_eq!(found(&mut serving, 0, 100, 5 + AFTER), Some(SpanId::from(1)));
        assert_eq!(found(&mut serving, 0, 100, 6 + AFTER), None);
        serving.expire(Time(6 + AFTER));
        assert_eq!((serving.count, serving.by_connection.len()), (0, 0));
        serving.expire(Time(IDLE));
        assert!(serving.by_process.is_empty() && serving.answered.is_empty());
    }

    #[test]
    fn the_sole_request_is_the_one_that_is_open() {
        let mut serving = Serving::default();
        let sole = |serving: &mut Serving, pid| serving.sole(pid, Time(5));
        assert_eq!(sole(&mut serving, 1), None);
        serving.begins(Time(3));
        serving.runs(1, Time(4));
        serving.began(CONNECTION, 0, 1, ancestor(1));
        assert_eq!(sole(&mut serving, 1), Some(ancestor(1)));
        assert_eq!(sole(&mut serving, 2), None, "another process");
        serving.began(ConnectionId(8), 0, 1, ancestor(2));
        assert_eq!(sole(&mut serving, 1), None, "two are open");
        assert!(serving.answered(CONNECTION, 0, Time(1)), "a call is under it");
        assert_eq!(sole(&mut serving, 1), Some(ancestor(2)));
        serving.lost(ConnectionId(8), 0);
        assert_eq!(sole(&mut serving, 1), None);
        serving.began(CONNECTION, 9, 1, ancestor(3));
        serving.has_contexts(1, Time(0));
        assert_eq!(sole(&mut serving, 1), None, "there is a better rule");
    }

    #[test]
    fn a_process_older_than_the_agent_may_serve_what_was_not_seen() {
        let mut serving = Serving::default();
        serving.begins(Time(100));
        serving.runs(1, Time(4));
        serving.began(CONNECTION, 0, 1, ancestor(1));
        assert_eq!(serving.sole(1, Time(99 + UNSEEN)), None);
        assert_eq!(serving.sole(1, Time(100 + UNSEEN)), Some(ancestor(1)));
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut serving = Serving::default();
        serving.has_contexts(1, Time(0));
        for n in 0..MAX_REQUESTS as u64 + 10 {
            serving.began(ConnectionId(n), 0, 1, ancestor(n));
            if n < 5 {
                serving.answered(ConnectionId(n), 0, Time(n));
            }
        }
        assert_eq!(serving.count, MAX_REQUESTS);
        assert!(!serving.by_connection.contains_key(&ConnectionId(4)));
    }
}
