//! A process that serves requests: how many are open, and which one if there is one.

use super::Place;
use crate::source::{ConnectionId, Time};

/// What is known of a process that serves requests.
pub(super) struct Process {
    /// How many are open, and the sums (exclusive or) of their places: of one, its place.
    pub(super) open: usize,
    connections: u64,
    positions: u64,
    /// When one of them ended last.
    pub(super) closed: Time,
    /// When it last read a request, or did [what nobody asked for](Self::asks).
    pub(super) served: Option<Time>,
    /// It asks others also when it serves nobody.
    has_own_work: bool,
    /// It may have been there before the agent.
    pub(super) older: bool,
    /// Until then it may be busy with requests that were not seen.
    pub(super) unseen: Time,
    /// When its runtime last said which request it works on.
    pub(super) has_contexts: Option<Time>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            open: 0,
            connections: 0,
            positions: 0,
            closed: Time::default(),
            served: None,
            has_own_work: false,
            older: true,
            unseen: Time::default(),
            has_contexts: None,
        }
    }
}

impl Process {
    /// It runs another program.
    pub(super) fn runs(&mut self, older: bool, has_contexts: Option<Time>) {
        self.has_contexts = has_contexts;
        self.unseen = Time::default();
        self.older = older;
        (self.served, self.has_own_work) = (None, false);
    }

    pub(super) fn opens(&mut self, place: Place, began: Time) {
        self.served = self.served.max(Some(began));
        self.open += 1;
        self.mix(place);
    }

    pub(super) fn closes(&mut self, place: Place, time: Time) {
        self.open = self.open.saturating_sub(1);
        self.mix(place);
        self.closed = self.closed.max(time);
    }

    /// It asks somebody else, and every request is seen: the one that it may be for. What it asks
    /// when none is open is nobody's (a timer, a housekeeper), and more of that may come while one is.
    /// Before the first request it only gets ready.
    pub(super) fn asks(&mut self, time: Time) -> Option<Place> {
        if self.open == 0 && self.served.is_some() {
            self.has_own_work = true;
            self.served = self.served.max(Some(time));
        }
        let only = (ConnectionId(self.connections), self.positions);
        (self.open == 1 && !self.has_own_work).then_some(only)
    }

    fn mix(&mut self, (id, position): Place) {
        self.connections ^= id.0;
        self.positions ^= position;
    }
}
