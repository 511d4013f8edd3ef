//! Calls that are not answered in their turn: each has a number on its connection, and is over when
//! the parser says so.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::open::{Open, Sink};
use super::{Endpoint, NoAnswer};
use crate::protocol::{Numbered, Side};
use crate::source::{Thread, Time};
use crate::stream::Streams;

/// Numbered calls that may be open on one connection. Parsers bound what they number themselves;
/// this is the limit where they do not.
const MAX_OPEN: usize = 8192;

/// The open calls of one connection that have numbers.
pub(super) struct NumberedCalls<I> {
    open: FxHashMap<u64, Going<I>>,
    /// Those that wait for a position to be reached, in the order in which that was said.
    awaited: Vec<u64>,
}

struct Going<I> {
    call: Open<I>,
    /// Where what began it ends, until that is reached.
    whole: Option<(Side, u64)>,
    /// When it was reached.
    whole_at: Option<Time>,
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    At(Side, u64),
    WhenWhole,
}

impl<I> Default for NumberedCalls<I> {
    fn default() -> Self {
        Self { open: FxHashMap::default(), awaited: Vec::new() }
    }
}

impl<I: Clone> NumberedCalls<I> {
    /// Takes in what is said of the call `number`.
    pub(super) fn take(
        &mut self,
        (number, what): (u64, Numbered),
        time: Time,
        (thread, waited): (Thread, u64),
        sink: &mut impl Sink<I>,
    ) {
        match what {
            Numbered::Begins { at, mut request, .. } => {
                let identity = sink.began(at, time, thread, &mut request);
                let told_as = identity.map(|identity| (identity, request));
                let call = Open::new(at, time, thread, waited, told_as);
                let going = Going { call, whole: None, whole_at: None, end: None };
                if self.open.len() >= MAX_OPEN {
                    going.call.lose(sink);
                } else if let Some(before) = self.open.insert(number, going) {
                    before.call.lose(sink);
                }
            }
            Numbered::Is(request) => {
                if let Some(Going { call, .. }) = self.open.get_mut(&number) {
                    let begun = call.begun();
                    if let Some((identity, known)) = &mut call.told_as {
                        *known = request;
                        sink.learned(begun, identity, known);
                    }
                }
            }
            Numbered::Whole { side, at } => {
                if let Some(going) = self.open.get_mut(&number) {
                    going.whole = Some((side, at));
                    self.awaited.push(number);
                }
            }
            Numbered::Ends { at, response } => {
                if let Some(going) = self.open.get_mut(&number) {
                    going.end = Some(at.map_or(End::WhenWhole, |(side, at)| End::At(side, at)));
                    going.call.response = response;
                    self.awaited.push(number);
                }
            }
            Numbered::Withdrawn => drop(self.open.remove(&number)),
            Numbered::Lost => {
                if let Some(going) = self.open.remove(&number) {
                    going.call.lose(sink);
                }
            }
        }
    }

    /// Ends the calls the last bytes of which went through.
    pub(super) fn complete(
        &mut self,
        streams: &Streams,
        endpoint: Option<&Arc<Endpoint>>,
        sink: &mut impl Sink<I>,
    ) {
        let Self { open, awaited } = self;
        awaited.retain(|number| {
            let Some(going) = open.get_mut(number) else { return false };
            if let Some((side, at)) = going.whole {
                let (reached, time) = streams.progress(side);
                if reached < at {
                    return true;
                }
                going.whole = None;
                going.whole_at = Some(time);
                if streams.unseen(side, at) {
                    open.remove(number).into_iter().for_each(|going| going.call.lose(sink));
                    return false;
                }
            }
            let time = match (going.end, going.whole_at) {
                (Some(End::At(side, at)), _) => {
                    let (reached, time) = streams.progress(side);
                    if reached < at {
                        return true;
                    }
                    if streams.unseen(side, at) { None } else { Some(time) }
                }
                (Some(End::WhenWhole), whole_at) => whole_at,
                // It goes on.
                (None, _) => return false,
            };
            let Some(going) = open.remove(number) else { return false };
            match (time, endpoint) {
                (Some(time), Some(endpoint)) => going.call.tell(endpoint, time, None, sink),
                _ => going.call.lose(sink),
            }
            false
        });
    }

    /// The connection is gone: every open call ends without a (whole) answer.
    pub(super) fn close(
        &mut self,
        endpoint: Option<&Arc<Endpoint>>,
        reason: NoAnswer,
        time: Time,
        sink: &mut impl Sink<I>,
    ) {
        for going in self.drain() {
            if let Some(endpoint) = endpoint {
                going.call.tell(endpoint, time, Some(reason), sink);
            }
        }
    }

    /// Gives up all open calls.
    pub(super) fn lose(&mut self, sink: &mut impl Sink<I>) {
        self.drain().for_each(|going| going.call.lose(sink));
    }

    /// Ends the calls that wait for an answer since more than `timeout` nanoseconds.
    pub(super) fn expire(
        &mut self,
        endpoint: &Arc<Endpoint>,
        timeout: u64,
        now: Time,
        sink: &mut impl Sink<I>,
    ) {
        // What is still being sent waits for nothing.
        for going in self.open.values_mut().filter(|going| going.whole_at.is_some()) {
            going.call.expire(endpoint, timeout, now, sink);
        }
    }

    /// Those open, in the order in which they began.
    fn drain(&mut self) -> impl Iterator<Item = Going<I>> + use<I> {
        self.awaited.clear();
        let mut all: Vec<_> = self.open.drain().collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, going)| going)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// How many open calls have no span.
    pub(super) fn untold(&self) -> u64 {
        self.open.values().filter(|going| !going.call.told).count() as u64
    }
}
