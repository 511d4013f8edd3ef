//! From the messages of one connection to its calls.

use std::collections::VecDeque;
use std::sync::Arc;

use super::numbered::NumberedCalls;
use super::open::{Open, Sink};
use super::{Endpoint, NoAnswer};
use crate::protocol::{Part, Request, Response, Side, http1};
use crate::source::{Thread, Time};
use crate::stream::{Streams, Timed};

/// Calls that may be open on one connection. Parsers bound what they pair themselves; this is
/// the limit where they do not.
const MAX_OPEN: usize = 1024;

/// The open calls of one connection.
pub struct Pairing<I> {
    /// Those that are answered in their turn, oldest first.
    open: VecDeque<Open<I>>,
    /// Those that have numbers; few protocols number any.
    numbered: Option<Box<NumberedCalls<I>>>,
    /// Calls are counted as lost the last of which may yet be answered.
    excused: bool,
}

impl<I> Default for Pairing<I> {
    fn default() -> Self {
        Self { open: VecDeque::new(), numbered: None, excused: false }
    }
}

impl<I: Clone> Pairing<I> {
    /// Takes in what the streams found; `thread` made the system call that carried it.
    pub fn take(
        &mut self,
        parts: &mut Vec<Timed>,
        streams: &Streams,
        endpoint: Option<&Arc<Endpoint>>,
        thread: Thread,
        waited: u64,
        sink: &mut impl Sink<I>,
    ) {
        for Timed { part, time } in parts.drain(..) {
            match part {
                Part::Request { at, mut request } => {
                    if self.open.len() >= MAX_OPEN
                        && let Some(oldest) = self.open.pop_front()
                    {
                        oldest.lose(sink);
                    }
                    self.excused = false;
                    let identity = sink.began(at, time, thread, &mut request);
                    if self.open.is_empty() {
                        // Most connections never have two open, and would keep room for four.
                        self.open.reserve_exact(1);
                    }
                    let told_as = identity.map(|identity| (identity, request));
                    self.open.push_back(Open::new(at, time, thread, waited, told_as));
                }
                Part::Asked(request) => {
                    let last = self.open.back_mut().and_then(|last| last.told_as.as_mut());
                    if let Some((_, known)) = last {
                        *known = request;
                    }
                }
                Part::RequestEnd { at, body } => {
                    if let Some(last) = self.open.back_mut() {
                        last.request_body = body;
                        last.asked = Some(at);
                        sink.asked(last.position, at);
                    }
                }
                Part::Answering => {
                    if let Some(call) = self.open.iter_mut().find(|call| call.response.is_none()) {
                        call.answering = true;
                    }
                }
                Part::Response { at, response } => {
                    if let Some(call) = self.open.iter_mut().find(|call| call.response.is_none()) {
                        call.answered_at = at;
                        call.response = Some(response);
                    }
                }
                Part::ResponseEnd { at, body } => {
                    let reached = streams.progress(Side::Response).0;
                    if let Some(call) = self.open.iter_mut().find(|call| call.end.is_none()) {
                        call.end = Some(at.unwrap_or(reached));
                        call.response_body = body;
                    }
                }
                Part::Content { side, at, content } => self.learn(side, at, content),
                Part::Withdrawn => {
                    self.remove_unanswered();
                }
                Part::Orphan => {
                    if !std::mem::take(&mut self.excused) {
                        sink.lost(None);
                    }
                }
                Part::Desync => {
                    if let Some(call) = self.remove_unanswered() {
                        call.lose(sink);
                    }
                }
                Part::Unreadable(why) => sink.unreadable(why),
                Part::Numbered(number, what) => {
                    let numbered = self.numbered.get_or_insert_default();
                    numbered.take((number, what), time, (thread, waited), sink);
                }
            }
        }
        self.complete(streams, endpoint, sink);
    }

    /// A body said something of its message, which may be told already.
    fn learn(&mut self, side: Side, at: u64, content: Box<http1::Content>) {
        let of = |call: &&mut Open<I>| match side {
            Side::Request => call.position == at,
            Side::Response => call.response.is_some() && call.answered_at == at,
        };
        let Some(call) = self.open.iter_mut().find(of) else { return };
        match (side, &mut call.told_as, &mut call.response) {
            (Side::Request, Some((_, Request::Http(http))), _) => http.content = Some(content),
            (Side::Response, _, Some(Response::Http(http))) => http.content = Some(content),
            _ => {}
        }
    }

    /// The oldest call whose answer has no end yet.
    fn remove_unanswered(&mut self) -> Option<Open<I>> {
        let oldest = self.open.iter().position(|call| call.end.is_none())?;
        self.open.remove(oldest)
    }

    /// Records are missing: what is open is about to be given up, and its answer may still come.
    pub fn doubt(&mut self) {
        self.excused |= !self.open.is_empty();
    }

    /// So many calls are known by nothing but their number.
    pub fn missed(&mut self, calls: u64, sink: &mut impl Sink<I>) {
        if calls > 0 {
            self.excused = true;
            sink.missed(calls);
        }
    }

    /// Ends the calls whose responses went through whole.
    fn complete(
        &mut self,
        streams: &Streams,
        endpoint: Option<&Arc<Endpoint>>,
        sink: &mut impl Sink<I>,
    ) {
        let (reached, time) = streams.progress(Side::Response);
        while self.open.front().is_some_and(|call| call.end.is_some_and(|end| end <= reached)) {
            let Some(call) = self.open.pop_front() else { break };
            if call.end.is_some_and(|end| streams.unseen(Side::Response, end)) {
                call.lose(sink);
            } else if let Some(endpoint) = endpoint {
                call.tell(endpoint, time, None, sink);
            }
        }
        if let Some(numbered) = &mut self.numbered {
            numbered.complete(streams, endpoint, sink);
        }
    }

    /// The connection is gone: every open call ends without a (whole) answer.
    pub fn close(
        &mut self,
        endpoint: Option<&Arc<Endpoint>>,
        reason: NoAnswer,
        time: Time,
        sink: &mut impl Sink<I>,
    ) {
        for call in self.open.drain(..) {
            if let Some(endpoint) = endpoint {
                call.tell(endpoint, time, Some(reason), sink);
            }
        }
        if let Some(numbered) = &mut self.numbered {
            numbered.close(endpoint, reason, time, sink);
        }
    }

    /// Gives up all open calls: their answers cannot be told apart any more.
    pub fn lose(&mut self, sink: &mut impl Sink<I>) {
        for call in self.open.drain(..) {
            call.lose(sink);
        }
        if let Some(numbered) = &mut self.numbered {
            numbered.lose(sink);
        }
    }

    /// Ends the calls that got not one byte of an answer within `timeout` nanoseconds.
    pub fn expire(
        &mut self,
        endpoint: Option<&Arc<Endpoint>>,
        timeout: u64,
        now: Time,
        sink: &mut impl Sink<I>,
    ) {
        let Some(endpoint) = endpoint else { return };
        for call in &mut self.open {
            call.expire(endpoint, timeout, now, sink);
        }
        if let Some(numbered) = &mut self.numbered {
            numbered.expire(endpoint, timeout, now, sink);
        }
    }

    /// The call that is open, if it is one and its request went through whole: who it is, and where
    /// that ended.
    pub fn only(&self) -> Option<(&I, &Request, u64)> {
        let call = self.open.front().filter(|_| self.len() == 1)?;
        let (identity, request) = call.told_as.as_ref()?;
        Some((identity, request, call.asked?))
    }

    /// How many calls are open.
    pub fn len(&self) -> usize {
        self.open.len() + self.numbered.as_ref().map_or(0, |numbered| numbered.len())
    }

    /// How many open calls have no span.
    pub fn untold(&self) -> u64 {
        let numbered = self.numbered.as_ref().map_or(0, |numbered| numbered.untold());
        numbered + self.open.iter().filter(|call| !call.told).count() as u64
    }

    /// True if nothing is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
