//! The state of one connection: what was asked, and what of it was answered.
//!
//! The rules, and why they are right, are in the documentation of the [parent module](super).

mod asked;
mod call;
mod cycle;
mod hole;
mod requests;
mod responses;

use std::collections::VecDeque;
use std::sync::Arc;

use self::cycle::Cycle;
use super::message::ready_for_query;
use super::statements::Statements;
use crate::protocol::{Parser, Part, Side, Step, Unreadable};
use crate::sql::{Backslash, Dialect};

/// Cycles that may be outstanding. A client that pipelines has a few; beyond this we do not see
/// the answers at all.
const MAX_CYCLES: usize = 512;

/// Bytes of one turn beyond which a client that pipelines is to be seen whole, with room up to what is
/// captured of a turn. Many send a `BEGIN` along with the first of a transaction: that is no reason to
/// copy a result of a hundred megabytes that follows.
const WIDE: u64 = 8 * 1024;

/// Before the server told its settings, or when it may have changed them unseen.
const UNKNOWN: Dialect = Dialect { backslash: Backslash::Unknown, ..Dialect::POSTGRES };

/// One connection that speaks PostgreSQL.
pub(super) struct Conversation {
    requests: Requests,
    responses: Responses,
    /// What is not answered in full, oldest first: each ends with a `ReadyForQuery`.
    cycles: VecDeque<Cycle>,
    /// How many cycles there were.
    count: u64,
    statements: Statements,
    /// Requests are missing, and what answers them has not come to its end: names may mean
    /// something else as soon as it says so.
    renamed: bool,
    /// `db.namespace`: the database.
    namespace: Option<Arc<str>>,
    dialect: Dialect,
    /// True if, in the encoding of texts, a byte of a character may look like a quote or backslash;
    /// `None`: not known.
    unsafe_encoding: Option<bool>,
    /// The transaction's state, from the last `ReadyForQuery`; 0 if that is not known.
    transaction: u8,
    /// The request that began last has no [`Part::RequestEnd`] yet.
    unended: bool,
    /// The last message of the client was a `Bind` without a name.
    bound: bool,
    /// Where the messages that were seen of a side end.
    reached: [u64; 2],
    /// What the server said last of what was not seen to be asked.
    last: Last,
    /// A `ReadyForQuery` that nothing was seen to ask for was the last of the answers.
    orphaned: bool,
    /// Bytes of a side were seen; its stream is joined midway if the first is not at position 0.
    joined: [bool; 2],
    /// Something is not known of the streams since the connection began.
    doubt: bool,
    /// The client sent a request before the one before it was answered.
    pipelined: bool,
    /// The client's requests are longer than what is captured of a turn.
    long: bool,
    /// The same may be, with several under way, or their answers.
    wide: bool,
    /// Who spoke last, and where that began.
    turn: Option<(Side, u64)>,
    /// Nothing more is said of this connection.
    left: bool,
}

/// What the stream of requests is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requests {
    /// Before the session: messages without a type.
    Startup,
    /// At the start of a message.
    Messages,
    /// Somewhere: a message begins where it looks like one, at the first bytes of a turn, when
    /// nothing is outstanding.
    Lost,
    /// The client said that it will send nothing more.
    Done,
}

/// What the stream of responses is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Responses {
    /// So many answers of one byte come first: may the connection be encrypted?
    Negotiation(u8),
    /// At the start of a message.
    Messages,
    /// Somewhere in an answer: it ends with the turn, and a message begins with the first turn
    /// after the next request.
    Lost,
}

/// Whether the server has answered all that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// Its last message was a `ReadyForQuery`.
    Ready,
    /// It was another.
    Other,
    /// It was not seen.
    Unknown,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            requests: Requests::Startup,
            responses: Responses::Messages,
            cycles: VecDeque::new(),
            count: 0,
            statements: Statements::default(),
            renamed: false,
            namespace: None,
            dialect: UNKNOWN,
            unsafe_encoding: None,
            transaction: 0,
            unended: false,
            bound: false,
            reached: [0; 2],
            last: Last::Ready,
            orphaned: false,
            joined: [false; 2],
            doubt: false,
            pipelined: false,
            long: false,
            wide: false,
            turn: None,
            left: false,
        }
    }
}

impl Parser for Conversation {
    fn parse(&mut self, side: Side, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        if self.left {
            return Step::Leave;
        }
        if !std::mem::replace(&mut self.joined[side as usize], true) && at > 0 {
            self.join(side);
        }
        let step = match side {
            Side::Request => self.parse_request(at, bytes, parts),
            Side::Response => self.parse_response(at, bytes, parts),
        };
        self.reached[side as usize] = step.reaches(at);
        let (_, begun) = *self.turn.insert(match self.turn {
            Some((speaker, begun)) if speaker == side => (side, begun),
            _ => (side, at),
        });
        self.wide |= self.cycles.len() > 1 && self.reached[side as usize] - begun > WIDE;
        step
    }

    fn gap(&mut self, side: Side, to: u64, parts: &mut Vec<Part>) -> Step {
        self.joined[side as usize] = true;
        if self.left {
            return Step::Leave;
        }
        if side == Side::Response {
            self.dialect = UNKNOWN;
            self.unsafe_encoding = None;
        }
        if to <= self.reached[side as usize] {
            return self.unknown_gap(side, parts);
        }
        match side {
            Side::Request => self.request_gap(parts),
            Side::Response => self.response_gap(parts),
        }
    }

    /// An end without `ReadyForQuery` is none.
    fn finish(&mut self, _side: Side, _at: u64, _parts: &mut Vec<Part>) {}

    fn rested(&mut self, side: Side, at: u64, tail: &[u8], parts: &mut Vec<Part>) {
        if side == Side::Response && !self.left && ready_for_query(tail).is_some() {
            self.lost_answer_over(at, tail, parts);
        }
    }

    fn turn_over(&mut self, side: Side, at: u64, tail: &[u8], parts: &mut Vec<Part>) {
        match side {
            _ if self.left => {}
            Side::Request => self.lost_request_over(at, tail),
            Side::Response => self.lost_answer_over(at, tail, parts),
        }
    }

    /// Where bytes are missing, an answer may have been there.
    fn gone(&mut self, parts: &mut Vec<Part>) {
        let known = self.responses == Responses::Messages && self.requests != Requests::Lost;
        if !self.left && !known {
            self.desync_all(parts);
        }
    }

    fn needs_everything(&self, _open: usize) -> bool {
        self.long || self.wide
    }
}

/// What both streams do when something is not known.
impl Conversation {
    /// The connection is older than what is seen of it.
    fn join(&mut self, side: Side) {
        self.doubt = true;
        self.last = Last::Unknown;
        match side {
            Side::Request if self.requests == Requests::Startup => self.requests = Requests::Lost,
            // Answers to what was asked before.
            Side::Response if self.cycles.is_empty() => self.responses = Responses::Lost,
            _ => {}
        }
    }

    /// A `ReadyForQuery` may come for each of the cycles.
    fn all_sent(&self) -> bool {
        self.cycles.iter().all(|cycle| cycle.synced || cycle.hole.is_some())
    }

    /// Gives up all that is open.
    fn desync_all(&mut self, parts: &mut Vec<Part>) {
        for mut cycle in self.cycles.drain(..) {
            cycle.desync(parts);
            self.statements.fail(cycle.number, cycle.parsed);
        }
        self.unended = false;
    }

    /// Anything may have happened, and nobody knows when.
    fn unknown_gap(&mut self, side: Side, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.statements.forget();
        (self.renamed, self.orphaned, self.last) = (false, false, Last::Unknown);
        self.transaction = 0;
        match side {
            Side::Request if self.requests != Requests::Done => self.requests = Requests::Lost,
            Side::Request => {}
            Side::Response => self.responses = Responses::Lost,
        }
        self.doubt_from_here(parts)
    }

    /// Something is not known from here on: [`Step::GiveUp`] if that can never be repaired.
    fn doubt_from_here(&mut self, parts: &mut Vec<Part>) -> Step {
        self.doubt = true;
        if self.pipelined { self.give_up(parts) } else { Step::SkipTurn }
    }

    /// Its calls can never be told apart again.
    fn give_up(&mut self, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.left = true;
        Step::GiveUp
    }

    /// Nothing on it is a call.
    fn leave(&mut self, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.left = true;
        Step::Leave
    }

    /// Left because of what it is, not because of what was missed.
    fn unreadable(&mut self, why: Unreadable, parts: &mut Vec<Part>) -> Step {
        parts.push(Part::Unreadable(why));
        self.leave(parts)
    }
}
