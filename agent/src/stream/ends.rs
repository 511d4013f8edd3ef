//! How far the streams have come, and where turns, directions and connections end.

use tracebee_common::record::TAIL;

use super::{State, Streams, Timed};
use crate::source::{Direction, End, Time};

impl Streams {
    /// A direction or the connection ended.
    pub fn end(&mut self, end: End, time: Time, out: &mut Vec<Timed>) {
        match end {
            End::Unseen => return,
            End::PeerFinished(at) => self.received.finish = Some(at),
            End::Finished(at) => self.sent.finish = Some(at),
            End::Closed { error, received, sent } => {
                for direction in [Direction::Received, Direction::Sent] {
                    self.turn_over(direction, time, out);
                }
                for (half, end) in [(&mut self.received, received), (&mut self.sent, sent)] {
                    half.unsure &= end > half.reached;
                    if half.finish.is_some() && !half.unsure {
                        half.finish = Some(half.reached);
                    }
                }
                if error.is_none() {
                    self.closed(Direction::Received, received, time, out);
                    self.closed(Direction::Sent, sent, time, out);
                }
            }
        }
        self.finish(Direction::Received, time, out);
        self.finish(Direction::Sent, time, out);
        if let (End::Closed { .. }, State::Spoken(parser)) = (end, &mut self.state) {
            parser.gone(&mut self.parts);
            self.drain(time, time, out);
        }
    }

    /// Time went by: what ended before `before` without anything after it has ended.
    pub fn rest(&mut self, before: Time, out: &mut Vec<Timed>) {
        for direction in [Direction::Received, Direction::Sent] {
            if self.half(direction).reached_at < before {
                let tail = self.half(direction).take_tail().unwrap_or(([0; TAIL], 0));
                self.rested(direction, tail, out);
            }
        }
    }

    /// Nothing more will be seen: what looks like an end is one.
    pub fn stop(&mut self, out: &mut Vec<Timed>) {
        for direction in [Direction::Received, Direction::Sent] {
            if let Some(tail) = self.half(direction).take_tail() {
                self.rested(direction, tail, out);
            }
        }
        if let State::Spoken(parser) = &mut self.state {
            parser.stop(&mut self.parts);
            let (time, other) = (self.received.reached_at, self.sent.reached_at);
            let time = time.max(other);
            self.drain(time, time, out);
        }
    }

    fn rested(
        &mut self,
        direction: Direction,
        (tail, length): ([u8; TAIL], usize),
        out: &mut Vec<Timed>,
    ) {
        let side = self.side(direction);
        let half = self.half(direction);
        let (at, time) = (half.reached, half.reached_at);
        if let (State::Spoken(parser), Some(side)) = (&mut self.state, side) {
            parser.rested(side, at, &tail[..length], &mut self.parts);
            self.drain(time, time, out);
        }
    }

    /// The other side speaks, or nothing follows: tells the parser that skips the turn how it
    /// ended.
    pub(super) fn turn_over(&mut self, direction: Direction, time: Time, out: &mut Vec<Timed>) {
        let side = self.side(direction);
        let half = self.half(direction);
        let at = half.reached;
        let Some((tail, length)) = half.tail() else { return };
        if let (State::Spoken(parser), Some(side)) = (&mut self.state, side) {
            parser.turn_over(side, at, &tail[..length], &mut self.parts);
            self.drain(time, time, out);
        }
    }

    fn closed(&mut self, direction: Direction, end: u64, time: Time, out: &mut Vec<Timed>) {
        let side = self.side(direction);
        let at = self.half(direction).reached;
        // The peer's FIN may be counted in the end. Unread bytes are not the normal end: closing
        // with them resets the connection.
        let all_read = at + 1 >= end && !self.half(direction).unsure;
        if let (State::Spoken(parser), Some(side), true) = (&mut self.state, side, all_read) {
            parser.closed(side, at, &mut self.parts);
            self.drain(time, time, out);
        }
    }

    pub(super) fn reach(
        &mut self,
        direction: Direction,
        position: u64,
        time: Time,
        out: &mut Vec<Timed>,
    ) {
        let half = self.half(direction);
        if position > half.reached {
            half.reached = position;
            half.reached_at = time;
        }
        self.finish(direction, time, out);
    }

    fn finish(&mut self, direction: Direction, time: Time, out: &mut Vec<Timed>) {
        let side = self.side(direction);
        let half = self.half(direction);
        let Some(at) = half.finish.filter(|at| half.reached >= *at) else { return };
        half.finish = None;
        if let (State::Spoken(parser), Some(side)) = (&mut self.state, side) {
            parser.finish(side, at, &mut self.parts);
            self.drain(time, time, out);
        }
    }
}
