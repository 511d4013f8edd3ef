//! The parsers' half of the engine, and a fuzzer that drives a parser through anything.

use std::collections::{HashSet, VecDeque};

use tracebee_common::record::TAIL;

use super::{Detector, MAX_UNPARSED, Numbered, Parser, Part, Side, Step};

/// Plays the conversation that `data` describes to a parser of `protocol`, as the engine would, and
/// panics if the parser breaks its contract: no progress, or an answer to what nobody asked.
///
/// `data` is a list of steps: a byte that says what happens to which side, a byte that says to
/// how many bytes, and those.
pub(super) fn play(protocol: &Detector, data: &[u8]) {
    let (&[joined_midway, ..], mut rest) = data.split_at(data.len().min(1)) else { return };
    let mut driver = match joined_midway {
        0..128 => Driver::joined(protocol, 0, 0),
        _ => Driver::joined(protocol, 1000, 1000),
    };
    while let [what, length, tail @ ..] = rest {
        let side = if what & 1 == 0 { Side::Request } else { Side::Response };
        let length = usize::from(*length);
        match what >> 1 & 7 {
            0 => {
                driver.gap(side, 1 + length as u64);
                rest = tail;
            }
            1 => {
                driver.finish(side);
                rest = tail;
            }
            2 => {
                driver.rest(side);
                rest = tail;
            }
            7 => {
                // More than was captured, and these are the last bytes of it.
                let (bytes, tail) = tail.split_at(length.min(TAIL).min(tail.len()));
                driver.gap(side, 1 + length as u64);
                driver.tail(side, bytes);
                rest = tail;
            }
            _ => {
                let (bytes, tail) = tail.split_at(length.min(tail.len()));
                driver.data(side, bytes);
                rest = tail;
            }
        }
    }
    driver.finish(Side::Request);
    driver.finish(Side::Response);
    driver.gone();
    check(&driver.parts);
}

/// Feeds a parser as the engine would: keeps what it could not parse yet, skips what it does not
/// want, and tells it of gaps at once.
pub(super) struct Driver {
    parser: Box<dyn Parser>,
    streams: [Stream; 2],
    /// Who sent last.
    turn: Option<Side>,
    /// What the parser found.
    pub(super) parts: Vec<Part>,
    /// The step that ended it, if one did.
    pub(super) over: Option<Step>,
}

#[derive(Default)]
struct Stream {
    /// Position of the first byte of `unparsed`.
    at: u64,
    unparsed: Vec<u8>,
    /// The parser wants nothing before this position.
    skip_to: u64,
    /// The parser wants nothing of this turn.
    skip_turn: bool,
    /// The last bytes that went through, at most [`TAIL`].
    tail: Vec<u8>,
}

impl Driver {
    /// A driver of a connection whose streams are at these positions, 0 from its beginning.
    pub(super) fn joined(protocol: &Detector, requests: u64, responses: u64) -> Self {
        let stream = |at| Stream { at, ..Stream::default() };
        Self {
            parser: (protocol.parser)(),
            streams: [stream(requests), stream(responses)],
            turn: None,
            parts: Vec::new(),
            over: None,
        }
    }

    /// `side` sent `bytes`.
    pub(super) fn data(&mut self, side: Side, mut bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let new_turn = self.begin(side);
        let stream = &mut self.streams[side as usize];
        stream.skip_turn &= !new_turn;
        stream.tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        stream.tail.drain(..stream.tail.len().saturating_sub(TAIL));
        if stream.unparsed.is_empty() {
            let skip = match stream.skip_turn {
                true => bytes.len(),
                false => bytes.len().min(stream.skip_to.saturating_sub(stream.at) as usize),
            };
            stream.at += skip as u64;
            bytes = &bytes[skip..];
        }
        stream.unparsed.extend_from_slice(bytes);
        self.parse(side);
    }

    /// `side` sent `length` bytes that nobody saw.
    pub(super) fn gap(&mut self, side: Side, length: u64) {
        let new_turn = self.begin(side);
        let stream = &mut self.streams[side as usize];
        stream.skip_turn &= !new_turn;
        stream.tail.clear();
        let wanted = !stream.skip_turn;
        stream.at += stream.unparsed.len() as u64 + length;
        stream.unparsed.clear();
        if !wanted || stream.at <= stream.skip_to || self.over.is_some() {
            return;
        }
        let to = stream.at;
        let step = self.parser.gap(side, to, &mut self.parts);
        assert!(!matches!(step, Step::Took(_)), "took bytes of a gap");
        self.obey(side, step);
    }

    /// Records are missing, `length` bytes of `side` with them: anything may be among them.
    #[cfg(test)]
    pub(super) fn lost(&mut self, side: Side, length: u64) {
        for side in [Side::Request, Side::Response] {
            let stream = &mut self.streams[side as usize];
            stream.at += stream.unparsed.len() as u64;
            stream.unparsed.clear();
            stream.tail.clear();
            let to = stream.at;
            if self.over.is_none() {
                let step = self.parser.gap(side, to, &mut self.parts);
                self.obey(side, step);
            }
            self.streams[side as usize].skip_turn = true;
        }
        self.streams[side as usize].at += length;
        self.turn = Some(side);
    }

    /// The last bytes of what `side` was not seen to send, as the kernel tells them.
    pub(super) fn tail(&mut self, side: Side, bytes: &[u8]) {
        self.streams[side as usize].tail = bytes.to_vec();
    }

    /// `side` was silent for a while.
    pub(super) fn rest(&mut self, side: Side) {
        let Stream { at, tail, unparsed, skip_turn, .. } = &self.streams[side as usize];
        if self.over.is_none() {
            let tail = if *skip_turn { tail.as_slice() } else { &[] };
            self.parser.rested(side, at + unparsed.len() as u64, tail, &mut self.parts);
        }
    }

    /// `side` sends: true if it is its turn from here on.
    fn begin(&mut self, side: Side) -> bool {
        if self.turn.replace(side) == Some(side) {
            return false;
        }
        let other = if side == Side::Request { Side::Response } else { Side::Request };
        let Stream { at, tail, skip_turn, .. } = &self.streams[other as usize];
        if self.over.is_none() && *skip_turn && !tail.is_empty() {
            self.parser.turn_over(other, *at, tail, &mut self.parts);
        }
        true
    }

    /// Whether all bytes are to be seen.
    #[cfg(test)]
    pub(super) fn wants_everything(&self) -> bool {
        self.parser.needs_everything(0)
    }

    /// How far `side` has come.
    #[cfg(test)]
    pub(super) fn position(&self, side: Side) -> u64 {
        let stream = &self.streams[side as usize];
        stream.at + stream.unparsed.len() as u64
    }

    /// `side` will send nothing more.
    pub(super) fn finish(&mut self, side: Side) {
        let stream = &self.streams[side as usize];
        if self.over.is_none() {
            let at = stream.at + stream.unparsed.len() as u64;
            self.parser.finish(side, at, &mut self.parts);
        }
    }

    /// The connection is closed, and all of it was read.
    #[cfg(test)]
    pub(super) fn close(&mut self) {
        for side in [Side::Request, Side::Response] {
            let Stream { at, tail, skip_turn, .. } = &self.streams[side as usize];
            if self.over.is_none() && *skip_turn && !tail.is_empty() {
                self.parser.turn_over(side, *at, tail, &mut self.parts);
            }
        }
        for side in [Side::Request, Side::Response] {
            let at = self.streams[side as usize].at;
            if self.over.is_none() {
                self.parser.closed(side, at, &mut self.parts);
            }
        }
        self.finish(Side::Request);
        self.finish(Side::Response);
        self.gone();
    }

    /// The connection is gone.
    pub(super) fn gone(&mut self) {
        if self.over.is_none() {
            self.parser.gone(&mut self.parts);
        }
    }

    fn parse(&mut self, side: Side) {
        while self.over.is_none() {
            let Stream { at, unparsed, .. } = &self.streams[side as usize];
            if unparsed.is_empty() {
                return;
            }
            let step = self.parser.parse(side, *at, unparsed, &mut self.parts);
            if step == Step::Need {
                assert!(unparsed.len() < MAX_UNPARSED, "asks for more than it may");
                return;
            }
            self.obey(side, step);
        }
    }

    fn obey(&mut self, side: Side, step: Step) {
        let stream = &mut self.streams[side as usize];
        match step {
            Step::Took(n) => {
                assert!((1..=stream.unparsed.len()).contains(&n), "took {n}");
                stream.unparsed.drain(..n);
                stream.at += n as u64;
            }
            Step::Skip(n) => {
                assert!(n > 0, "skips nothing");
                stream.skip_to = stream.at.saturating_add(n);
                let here = stream.unparsed.len().min(usize::try_from(n).unwrap_or(usize::MAX));
                stream.unparsed.drain(..here);
                stream.at += here as u64;
            }
            Step::SkipTurn => {
                stream.skip_turn = true;
                stream.at += stream.unparsed.len() as u64;
                stream.unparsed.clear();
            }
            Step::Need => {}
            Step::Leave | Step::GiveUp | Step::NotMine | Step::Mistaken => self.over = Some(step),
        }
    }
}

/// Whether the parts make sense one after the other: at each point what ends or is answered was
/// there before.
pub(super) fn check(parts: &[Part]) {
    // Each open call: whether its response began.
    let mut calls = VecDeque::new();
    let mut unended = 0;
    let mut position = None;
    let mut numbered = HashSet::new();
    let mut last = None;
    for part in parts {
        match part {
            Part::Request { at, .. } => {
                assert!(position < Some(*at), "a request at {at} after one at {position:?}");
                position = Some(*at);
                unended = 1;
                calls.push_back(false);
            }
            Part::Asked(_) => assert!(!calls.is_empty(), "more of a request that is not open"),
            Part::Answering => {
                assert!(calls.contains(&false), "an answer without a request");
            }
            Part::Withdrawn => {
                assert_eq!(calls.pop_front(), Some(false), "nothing to withdraw");
                unended *= usize::from(!calls.is_empty());
            }
            Part::RequestEnd { at, .. } => {
                assert_eq!(unended, 1, "an end without a request");
                assert!(position <= Some(*at), "a request ends before it begins");
                unended = 0;
            }
            Part::Response { .. } => {
                let oldest = calls.iter().position(|answered| !answered);
                assert!(oldest.is_some(), "a response without a request");
                oldest.into_iter().for_each(|oldest| calls[oldest] = true);
            }
            Part::ResponseEnd { .. } => {
                assert_eq!(calls.pop_front(), Some(true), "an end without a response");
            }
            Part::Desync => {
                assert!(calls.pop_front().is_some(), "nothing to give up");
                unended *= usize::from(!calls.is_empty());
            }
            Part::Orphan | Part::Unreadable(_) | Part::Content { .. } => {}
            Part::Numbered(number, Numbered::Begins { .. }) => {
                assert!(Some(*number) > last, "number {number} after {last:?}");
                last = Some(*number);
                numbered.insert(number);
            }
            Part::Numbered(number, Numbered::Is(_) | Numbered::Whole { .. }) => {
                assert!(numbered.contains(number), "more of {number}, which is not open");
            }
            Part::Numbered(number, _) => {
                assert!(numbered.remove(number), "an end of {number}, which is not open");
            }
        }
    }
}
