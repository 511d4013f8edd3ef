//! Calls that are under way, and who is told what became of them.

use std::sync::Arc;

use super::{Call, Endpoint, NoAnswer};
use crate::protocol::{Request, Response, Unreadable};
use crate::source::{Thread, Time};

/// How a call began.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// Position of its first byte.
    pub position: u64,
    /// When that went through.
    pub started: Time,
    /// Who read or wrote it.
    pub thread: Thread,
}

/// What came of a connection's parts.
pub trait Sink<I> {
    /// A request began: decides who the call is; none if it is left out, whatever comes of it.
    fn began(
        &mut self,
        position: u64,
        started: Time,
        thread: Thread,
        request: &mut Request,
    ) -> Option<I>;
    /// More is known of what is asked by a call that has a number; it may say who the call is.
    fn learned(&mut self, begun: Begun, identity: &mut I, request: &Request);
    /// The request that began at `position` ends before `end`.
    fn asked(&mut self, position: u64, end: u64);
    /// A call ended.
    fn ended(&mut self, call: Call, identity: I);
    /// A call is lost: `None` if it was never seen to begin, else where it did.
    fn lost(&mut self, begun: Option<u64>);
    /// A call that was left out is over.
    fn left_out(&mut self);
    /// No call of the connection will be seen from here on.
    fn unreadable(&mut self, why: Unreadable);
    /// So many calls went by in records that are lost.
    fn missed(&mut self, calls: u64);
}

/// One that has begun.
#[derive(Clone)]
pub(super) struct Open<I> {
    /// What it becomes; none if it is left out: nobody is told of it.
    pub(super) told_as: Option<(I, Request)>,
    pub(super) position: u64,
    started: Time,
    waited: u64,
    thread: Thread,
    pub(super) request_body: Option<u64>,
    /// Where its request ends, once that is known.
    pub(super) asked: Option<u64>,
    /// The first of its answer was seen.
    pub(super) answering: bool,
    pub(super) response: Option<Response>,
    /// Where that begins.
    pub(super) answered_at: u64,
    /// Where its response ends, once that is known.
    pub(super) end: Option<u64>,
    pub(super) response_body: Option<u64>,
    /// It is accounted for already (a timeout): the answer is only awaited, not told.
    pub(super) told: bool,
}

impl<I> Open<I> {
    /// One that begins.
    pub(super) fn new(
        position: u64,
        started: Time,
        thread: Thread,
        waited: u64,
        told_as: Option<(I, Request)>,
    ) -> Self {
        Self {
            told_as,
            position,
            started,
            waited,
            thread,
            request_body: None,
            asked: None,
            answering: false,
            response: None,
            answered_at: 0,
            end: None,
            response_body: None,
            told: false,
        }
    }

    /// How it began.
    pub(super) fn begun(&self) -> Begun {
        let Self { position, started, thread, .. } = *self;
        Begun { position, started, thread }
    }

    /// Ends it if it got not one byte of an answer within `timeout` nanoseconds.
    pub(super) fn expire(
        &mut self,
        endpoint: &Arc<Endpoint>,
        timeout: u64,
        now: Time,
        sink: &mut impl Sink<I>,
    ) where
        I: Clone,
    {
        let certain = Time(self.started.0.saturating_add(timeout));
        let silent = !self.answering && self.response.is_none();
        let waits = self.told_as.as_ref().is_some_and(|(_, request)| request.waits());
        if silent && !waits && !self.told && certain < now {
            self.clone().tell(endpoint, certain, Some(NoAnswer::Timeout), sink);
            self.told = true;
        }
    }

    /// What becomes of it is not known.
    pub(super) fn lose(self, sink: &mut impl Sink<I>) {
        match self.told_as {
            // It has its span.
            _ if self.told => {}
            Some(_) => sink.lost(Some(self.position)),
            None => sink.left_out(),
        }
    }

    /// It is over.
    pub(super) fn tell(
        self,
        endpoint: &Arc<Endpoint>,
        ended: Time,
        no_answer: Option<NoAnswer>,
        sink: &mut impl Sink<I>,
    ) {
        if self.told {
            return;
        }
        let Some((identity, request)) = self.told_as else {
            sink.left_out();
            return;
        };
        let call = Call {
            endpoint: Arc::clone(endpoint),
            thread: self.thread,
            position: self.position,
            started: self.started,
            ended: ended.max(self.started),
            waited: self.waited,
            request,
            response: self.response,
            no_answer,
            request_body: self.request_body,
            response_body: self.response_body,
        };
        sink.ended(call, identity);
    }
}
