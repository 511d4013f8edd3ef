//! Streams: the events of one connection become the messages of its protocol.
//!
//! Per direction there is a position up to which everything is understood. Bytes before it are
//! repeats, bytes after it leave a gap of known size, and bytes that the parser asked to skip are
//! neither looked at nor kept. No body is ever buffered.

mod ends;
mod feed;
mod half;
mod missing;

use half::Half;
use missing::Missed;

use crate::protocol::{Detector, Numbered, Parser, Part, Side};
use crate::source::{Data, Direction, Role, Time};

/// A part and when its position was reached: the time of the read or write that carried it.
#[derive(Debug)]
pub struct Timed {
    /// What was found.
    pub part: Part,
    /// For a beginning, when its first byte went through; otherwise, now.
    pub time: Time,
}

/// What is known about a connection's protocol.
enum State {
    /// Not yet recognised.
    Unknown,
    /// Spoken by both sides.
    Spoken(Box<dyn Parser>),
    /// Nothing that we understand, or no longer.
    Left,
}

/// Both streams of one connection.
pub struct Streams {
    role: Option<Role>,
    /// True if the role was inferred from the bytes.
    inferred: bool,
    /// True if the first bytes that we see need not be a message's first.
    midway: bool,
    received: Half,
    sent: Half,
    last: Option<Direction>,
    state: State,
    protocol: Option<&'static Detector>,
    /// The protocol is still spoken, but its messages cannot be told apart any more.
    given_up: bool,
    missed: Missed,
    /// Turns that looked like nothing.
    strange: u32,
    parts: Vec<Part>,
}

impl Streams {
    /// A connection at its first event.
    pub fn new(role: Option<Role>, midway: bool) -> Self {
        Self {
            role,
            inferred: false,
            midway,
            received: Half::default(),
            sent: Half::default(),
            last: None,
            state: State::Unknown,
            strange: 0,
            protocol: None,
            given_up: false,
            missed: Missed::default(),
            parts: Vec::new(),
        }
    }

    /// Which end we watch, as soon as anything tells.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// True if nothing more will come of this connection.
    pub fn left(&self) -> bool {
        matches!(self.state, State::Left)
    }

    /// True if a protocol was recognised.
    pub fn spoken(&self) -> bool {
        matches!(self.state, State::Spoken(_))
    }

    /// The protocol that was recognised, also when the connection was left since.
    pub fn protocol(&self) -> Option<&'static Detector> {
        self.protocol
    }

    /// The protocol is spoken on, but its messages cannot be told apart any more: only counted.
    pub fn given_up(&self) -> bool {
        self.given_up
    }

    /// Nothing is wanted of this connection any more.
    pub fn leave(&mut self) {
        self.state = State::Left;
    }

    /// Whether all bytes have to be seen, not only the first of each turn; `open` calls are.
    pub fn need_everything(&self, open: usize) -> bool {
        match &self.state {
            State::Spoken(parser) => parser.needs_everything(open),
            State::Unknown | State::Left => false,
        }
    }

    /// True if where the message that `side` has begun ends shows with the next turn only.
    pub fn endless(&self, side: Side) -> bool {
        match self.direction(side) {
            Direction::Received => self.received.quiet,
            Direction::Sent => self.sent.quiet,
        }
    }

    /// How far `side` has come, and when it got there.
    pub fn progress(&self, side: Side) -> (u64, Time) {
        let half = match self.direction(side) {
            Direction::Received => &self.received,
            Direction::Sent => &self.sent,
        };
        (half.reached, half.reached_at)
    }

    /// Bytes went through.
    pub fn data(&mut self, data: &Data<'_>, out: &mut Vec<Timed>) {
        let turned = self.last != Some(data.direction);
        self.last = Some(data.direction);
        if self.given_up && turned {
            self.missed.add(data.direction, 1);
        }
        let unrecognised = self.midway && matches!(self.state, State::Unknown);
        if !self.left() {
            if turned {
                // What was announced the other way and never shown is missing now.
                self.catch_up(data.direction.reverse(), data.time, out);
                self.turn_over(data.direction.reverse(), data.time, out);
                if self.midway && !self.spoken() {
                    // What the last turn ended with is not the beginning of this one.
                    self.half(data.direction).forget();
                }
            }
            let half = self.half(data.direction);
            half.begin(data.position);
            half.resume(data.position);
            if turned {
                half.quiet = false;
                half.begins = data.position;
                if unrecognised {
                    // What did not tell what it is was the rest of something.
                    half.forget();
                }
            }
            if half.wants() < data.position {
                self.gap(data.direction, data.position, data.time, out);
            }
            self.feed(data, out);
            let end = data.position + data.length;
            let seen = data.position + data.bytes.len() as u64;
            if !data.pending && seen < end {
                if !data.tail.is_empty() {
                    // What was skipped may end among these.
                    let position = end - data.tail.len() as u64;
                    self.feed(&Data { position, bytes: data.tail, ..*data }, out);
                }
                self.gap(data.direction, end, data.time, out);
            }
        }
        let whole = data.bytes.len() as u64 == data.length;
        let last = if whole { data.bytes } else { data.tail };
        let end = data.position + data.length;
        let half = self.half(data.direction);
        half.ends_with(data.position, data.length, last);
        half.begin(data.position);
        half.told(data.position, end);
        let reached = match data.pending {
            true if data.rest => return,
            true => data.position,
            false => end,
        };
        self.reach(data.direction, reached, data.time, out);
    }

    /// The kernel accepted everything before `position`.
    pub fn sent(&mut self, position: u64, time: Time, out: &mut Vec<Timed>) {
        self.sent.begin(position);
        self.sent.told(position, position);
        if !self.left() && self.sent.wants() < position {
            self.gap(Direction::Sent, position, time, out);
        }
        self.reach(Direction::Sent, position, time, out);
    }

    /// Bytes of memory that messages take which were not read whole.
    pub fn held(&self) -> usize {
        self.received.held() + self.sent.held()
    }

    fn drain(&mut self, begun: Time, now: Time, out: &mut Vec<Timed>) {
        self.drain_from(begun, (u64::MAX, now), now, out);
    }

    /// The same where bytes from `fresh` on went through later than those before, which were kept.
    fn drain_from(&mut self, begun: Time, fresh: (u64, Time), now: Time, out: &mut Vec<Timed>) {
        out.extend(self.parts.drain(..).map(|part| {
            let time = match part {
                // A parser may read several at once.
                Part::Numbered(_, Numbered::Begins { at, .. }) if at >= fresh.0 => fresh.1,
                Part::Request { .. }
                | Part::Response { .. }
                | Part::Numbered(_, Numbered::Begins { .. }) => begun,
                _ => now,
            };
            Timed { part, time }
        }));
    }

    fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Received => &mut self.received,
            Direction::Sent => &mut self.sent,
        }
    }

    fn side(&self, direction: Direction) -> Option<Side> {
        Some(match (self.role?, direction) {
            (Role::Client, Direction::Sent) | (Role::Server, Direction::Received) => Side::Request,
            _ => Side::Response,
        })
    }

    fn direction(&self, side: Side) -> Direction {
        match (self.role, side) {
            (Some(Role::Client), Side::Request) | (Some(Role::Server), Side::Response) => {
                Direction::Sent
            }
            _ => Direction::Received,
        }
    }
}

#[cfg(test)]
mod tests;
