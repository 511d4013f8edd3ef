//! Streams: the events of one connection become the messages of its protocol.
//!
//! Per direction there is a position up to which everything is understood. Bytes before it are
//! repeats, bytes after it leave a gap of known size, and bytes that the parser asked to skip are
//! neither looked at nor kept. No body is ever buffered.

mod half;

use half::Half;

use crate::protocol::{DETECTORS, Detection, Detector, Parser, Part, Side, Step};
use crate::source::{Data, Direction, End, Lost, Role, Time};

/// Turns in which a connection that was joined midway may fail to look like any protocol before
/// it is left alone: enough for the rest of a body and the messages around it.
const STRANGE_TURNS: u32 = 16;
/// Parser steps for the bytes of one record. A record holds at most 32 KiB, a pipelined request
/// at least 18 bytes in a few steps; more than this is a parser that does not get on.
const MAX_STEPS: usize = 16 * 1024;

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

/// Messages that are not known but by their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    received: u64,
    sent: u64,
}

impl Missed {
    fn add(&mut self, direction: Direction, messages: u64) {
        match direction {
            Direction::Received => self.received += messages,
            Direction::Sent => self.sent += messages,
        }
    }
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
        let reached = if data.pending { data.position } else { end };
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
    fn forget(&mut self, direction: Direction, out: &mut Vec<Timed>) {
        let side = self.side(direction);
        let half = self.half(direction);
        let (to, time) = (half.wants(), half.reached_at);
        let begun = half.forget();
        if let (State::Spoken(parser), Some(side)) = (&mut self.state, side) {
            let step = parser.gap(side, to, &mut self.parts);
            self.obey(direction, step);
        }
        let known = self.parts.iter().any(|part| matches!(part, Part::Request { .. }));
        if begun && !known {
            // A message of which not enough was seen.
            self.missed.add(direction, 1);
        }
        self.drain(time, time, out);
        self.half(direction).quiet = true;
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
                let tail = self.half(direction).take_tail().unwrap_or_default();
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
    }

    fn rested(
        &mut self,
        direction: Direction,
        (tail, length): ([u8; half::TAIL], usize),
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
    fn turn_over(&mut self, direction: Direction, time: Time, out: &mut Vec<Timed>) {
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

    fn reach(&mut self, direction: Direction, position: u64, time: Time, out: &mut Vec<Timed>) {
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

    /// Announced bytes that were not captured become a gap once the other side speaks.
    fn catch_up(&mut self, direction: Direction, time: Time, out: &mut Vec<Timed>) {
        let half = self.half(direction);
        if half.started && half.wants() < half.reached {
            let to = half.reached;
            self.gap(direction, to, time, out);
        }
    }

    fn gap(&mut self, direction: Direction, to: u64, time: Time, out: &mut Vec<Timed>) {
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

    fn feed(&mut self, data: &Data<'_>, out: &mut Vec<Timed>) {
        let half = match data.direction {
            Direction::Received => &mut self.received,
            Direction::Sent => &mut self.sent,
        };
        let Some(fresh) = half.fresh(data.position, data.bytes) else { return };
        // Whole messages in one record, the normal case, are parsed where they lie.
        let mut kept = half.take();
        let first = kept.as_ref().map_or(data.began(), |kept| kept.time);
        let bytes = match &mut kept {
            Some(kept) => {
                kept.bytes.extend_from_slice(fresh);
                kept.bytes.as_slice()
            }
            None => fresh,
        };
        let mut at = 0;
        for _ in 0..MAX_STEPS {
            let rest = &bytes[at..];
            let half = match data.direction {
                Direction::Received => &mut self.received,
                Direction::Sent => &mut self.sent,
            };
            if rest.is_empty() || half.quiet || matches!(self.state, State::Left) {
                half.understood += rest.len() as u64;
                at = bytes.len();
                break;
            }
            let time = if at == 0 { first } else { data.time };
            let Some(side) = self.recognise(data.direction, rest, time) else {
                if self.left() || self.half(data.direction).quiet {
                    continue;
                }
                break;
            };
            let half = match data.direction {
                Direction::Received => &mut self.received,
                Direction::Sent => &mut self.sent,
            };
            let State::Spoken(parser) = &mut self.state else { break };
            let position = half.understood;
            let step = parser.parse(side, position, rest, &mut self.parts);
            match step {
                Step::Took(n) if n > 0 => {
                    let n = n.min(rest.len());
                    half.understood += n as u64;
                    at += n;
                }
                Step::Skip(n) if n > 0 => {
                    let here = n.min(rest.len() as u64);
                    half.understood += n;
                    at += here as usize;
                }
                Step::Need => {
                    if half.keep(rest, time) {
                        self.drain(time, data.time, out);
                        return;
                    }
                    // Longer than any message head may be.
                    half.quiet = true;
                    self.parts.push(Part::Desync);
                    self.state = State::Left;
                    self.given_up = true;
                }
                Step::Took(_) | Step::Skip(_) => {
                    self.state = State::Left;
                }
                other => {
                    self.obey(data.direction, other);
                    let half = self.half(data.direction);
                    if other == Step::Mistaken && position == half.begins {
                        // The first bytes of a turn, which are judged anew.
                        half.quiet = false;
                    }
                }
            }
            let time = if position <= data.position { first } else { data.time };
            self.drain(time, data.time, out);
        }
        debug_assert!(at <= bytes.len());
    }

    /// Whose bytes these are, once the protocol is known; bytes that do not tell yet are kept.
    fn recognise(&mut self, direction: Direction, bytes: &[u8], time: Time) -> Option<Side> {
        let State::Unknown = self.state else { return self.side(direction) };
        let expected = match self.role {
            Some(Role::Client) if direction == Direction::Sent => Some(Side::Request),
            Some(Role::Server) if direction == Direction::Received => Some(Side::Request),
            Some(_) => Some(Side::Response),
            None => None,
        };
        let mut unsure = false;
        for detector in DETECTORS {
            let judge = if self.midway { detector.resume } else { detector.detect };
            match judge(bytes) {
                Detection::Is(side) if expected.is_none_or(|expected| expected == side) => {
                    if self.role.is_none() {
                        let client = (direction == Direction::Sent) == (side == Side::Request);
                        self.role = Some(if client { Role::Client } else { Role::Server });
                        self.inferred = true;
                    }
                    self.state = State::Spoken((detector.parser)());
                    self.protocol = Some(detector);
                    if self.midway {
                        // What the other side said before, and was kept, answers nothing of this.
                        self.half(direction.reverse()).forget();
                    }
                    return Some(side);
                }
                Detection::Unsure => unsure = true,
                Detection::Is(_) | Detection::IsNot => {}
            }
        }
        self.strange += u32::from(!unsure);
        let give_up = if self.midway { self.strange >= STRANGE_TURNS } else { !unsure };
        let half = self.half(direction);
        if give_up || (unsure && !half.keep(bytes, time)) {
            self.state = State::Left;
        } else if !unsure {
            // Something under way: perhaps the next turn begins with a message.
            half.quiet = true;
        }
        None
    }

    fn obey(&mut self, direction: Direction, step: Step) {
        match step {
            Step::Skip(n) => self.half(direction).understood += n,
            Step::SkipTurn => self.half(direction).quiet = true,
            Step::Leave | Step::NotMine => self.state = State::Left,
            Step::GiveUp => {
                self.state = State::Left;
                self.given_up = true;
            }
            Step::Mistaken => self.mistaken(direction),
            Step::Took(_) | Step::Need => {}
        }
    }

    /// What was recognised was none.
    fn mistaken(&mut self, direction: Direction) {
        self.strange += 1;
        self.state = if self.strange < STRANGE_TURNS { State::Unknown } else { State::Left };
        self.protocol = None;
        if std::mem::take(&mut self.inferred) {
            self.role = None;
        }
        // What it kept was kept for another parser.
        self.half(direction.reverse()).forget();
        self.half(direction).quiet = true;
    }

    fn drain(&mut self, begun: Time, now: Time, out: &mut Vec<Timed>) {
        out.extend(self.parts.drain(..).map(|part| {
            let begins = matches!(part, Part::Request { .. } | Part::Response { .. });
            Timed { part, time: if begins { begun } else { now } }
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
