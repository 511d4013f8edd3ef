//! What is missing from the streams: bytes, messages, whole exchanges.

use super::{State, Streams, Timed};
use crate::protocol::{Part, Side};
use crate::source::{Direction, Lost, Time};

/// Messages that are not known but by their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missed {
    received: u64,
    sent: u64,
}

impl Missed {
    pub(super) fn add(&mut self, direction: Direction, messages: u64) {
        match direction {
            Direction::Received => self.received += messages,
            Direction::Sent => self.sent += messages,
        }
    }
}

impl Streams {
    /// How many messages began unseen since the last call, or cannot be understood: those of the
    /// requesting side, each perhaps a call. `None` as long as nobody knows which side that is.
    pub fn take_missed(&mut self) -> Option<u64> {
        let missed = std::mem::take(&mut self.missed);
        match self.side(Direction::Received) {
            Some(Side::Request) => Some(missed.received),
            Some(Side::Response) => Some(missed.sent),
            None => {
                self.missed = missed;
                None
            }
        }
    }

    /// Messages of the requesting side that began unseen, where no protocol was ever recognised:
    /// each perhaps a call.
    pub fn unrecognised(&mut self) -> u64 {
        if !matches!(self.state, State::Unknown) {
            return 0;
        }
        let missed = self.missed;
        self.take_missed().unwrap_or(missed.received.max(missed.sent))
    }

    /// True if `side` came to `end` at a time that nobody knows, because events are missing.
    pub fn unseen(&self, side: Side, end: u64) -> bool {
        match self.direction(side) {
            Direction::Received => self.received.unseen(end),
            Direction::Sent => self.sent.unseen(end),
        }
    }

    /// True if `side`, in the end, had come further than anybody saw, as events are missing.
    pub fn blind(&self, side: Side) -> bool {
        match self.direction(side) {
            Direction::Received => self.received.unsure,
            Direction::Sent => self.sent.unsure,
        }
    }

    /// Whole exchanges were left out: both streams go on with the first bytes of a turn, wherever
    /// that is.
    pub fn left_out(&mut self, out: &mut Vec<Timed>) {
        self.rest(Time(u64::MAX), out);
        self.give_up(out);
        self.received.skip();
        self.sent.skip();
    }

    /// Gives up the messages that are under way, as if the rest of them were missing.
    pub fn give_up(&mut self, out: &mut Vec<Timed>) {
        self.midway = true;
        for direction in [Direction::Received, Direction::Sent] {
            self.forget(direction, out);
        }
    }

    /// What follows in this direction may be anything, whatever it looks like.
    pub(super) fn forget(&mut self, direction: Direction, out: &mut Vec<Timed>) {
        let side = self.side(direction);
        let half = self.half(direction);
        let (to, time) = (half.wants(), half.reached_at);
        let begun = half.forget();
        let mut goes_on = false;
        if let (State::Spoken(parser), Some(side)) = (&mut self.state, side) {
            let step = parser.gap(side, to, &mut self.parts);
            goes_on = parser.resumes_anywhere();
            self.obey(direction, step);
        }
        let known = self.parts.iter().any(|part| matches!(part, Part::Request { .. }));
        if begun && !known {
            // A message of which not enough was seen.
            self.missed.add(direction, 1);
        }
        self.drain(time, time, out);
        self.half(direction).quiet |= !goes_on;
    }

    /// Records were lost: any message of either side may be among them.
    pub fn lost(&mut self, lost: &Lost, out: &mut Vec<Timed>) {
        if !self.given_up && (self.left() || lost.records == 0) {
            // Messages that nobody wanted to hear of.
            return;
        }
        self.missed.add(Direction::Received, lost.received.into());
        self.missed.add(Direction::Sent, lost.sent.into());
        self.midway = true;
        self.last = lost.last.or(self.last);
        for direction in [Direction::Received, Direction::Sent] {
            self.half(direction).lost(lost.last.is_some());
            self.forget(direction, out);
        }
    }

    /// Announced bytes that were not captured become a gap once the other side speaks.
    pub(super) fn catch_up(&mut self, direction: Direction, time: Time, out: &mut Vec<Timed>) {
        let half = self.half(direction);
        if half.started && half.wants() < half.reached {
            let to = half.reached;
            self.gap(direction, to, time, out);
        }
    }

    pub(super) fn gap(&mut self, direction: Direction, to: u64, time: Time, out: &mut Vec<Timed>) {
        let side = self.side(direction);
        let half = self.half(direction);
        if !half.jump(to) {
            return;
        }
        match (&mut self.state, side) {
            (State::Spoken(parser), Some(side)) => {
                let step = parser.gap(side, to, &mut self.parts);
                self.obey(direction, step);
                self.drain(time, time, out);
            }
            _ => {
                self.midway = true;
                // What follows is not the beginning of anything, whatever it looks like.
                self.half(direction).quiet = true;
            }
        }
    }
}
