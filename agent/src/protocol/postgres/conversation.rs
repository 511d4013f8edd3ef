//! The state of one connection: what was asked, and what of it was answered.
//!
//! The rules, and why they are right, are in the documentation of the [parent module](super).

mod cycle;
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
    /// Where the messages that were seen of a side end.
    reached: [u64; 2],
    /// A `ReadyForQuery` that nothing was seen to ask for was the last of the answers.
    orphaned: bool,
    /// Bytes of a side were seen; its stream is joined midway if the first is not at position 0.
    joined: [bool; 2],
    /// Something is not known of the streams since the connection began.
    doubt: bool,
    /// The client sent a request before the one before it was answered.
    pipelined: bool,
    /// Nothing more is said of this connection.
    left: bool,
}

/// What the stream of requests is in.
#[derive(Clone, Copy, PartialEq, Eq)]
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Responses {
    /// So many answers of one byte come first: may the connection be encrypted?
    Negotiation(u8),
    /// At the start of a message.
    Messages,
    /// Somewhere in an answer: it ends with the turn, and a message begins with the first turn
    /// after the next request.
    Lost,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            requests: Requests::Startup,
            responses: Responses::Messages,
            cycles: VecDeque::new(),
            count: 0,
            statements: Statements::default(),
            namespace: None,
            dialect: UNKNOWN,
            unsafe_encoding: None,
            transaction: 0,
            unended: false,
            reached: [0; 2],
            orphaned: false,
            joined: [false; 2],
            doubt: false,
            pipelined: false,
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
            self.doubt = true;
            if side == Side::Request && self.requests == Requests::Startup {
                self.requests = Requests::Lost;
            }
        }
        let step = match side {
            Side::Request => self.parse_request(at, bytes, parts),
            Side::Response => self.parse_response(at, bytes, parts),
        };
        let understood = match step {
            Step::Took(n) => n as u64,
            Step::Skip(n) => n,
            _ => 0,
        };
        self.reached[side as usize] = at.saturating_add(understood);
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
        if side == Side::Response && ready_for_query(tail).is_some() {
            self.end_lost_answer(at, tail, parts);
        }
    }

    fn turn_over(&mut self, side: Side, at: u64, tail: &[u8], parts: &mut Vec<Part>) {
        if side == Side::Response && !self.left {
            self.end_lost_answer(at, tail, parts);
        }
    }

    fn needs_everything(&self, _open: usize) -> bool {
        self.cycles.len() > 1
    }
}

/// What both streams do when something is not known.
impl Conversation {
    /// Gives up all that is open.
    fn desync_all(&mut self, parts: &mut Vec<Part>) {
        for mut cycle in self.cycles.drain(..) {
            cycle.desync(parts);
            if cycle.prepares() {
                self.statements.forget();
            }
        }
        self.unended = false;
    }

    /// Anything may have happened, and nobody knows when.
    fn unknown_gap(&mut self, side: Side, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.statements.forget();
        match side {
            Side::Request if self.requests != Requests::Done => self.requests = Requests::Lost,
            Side::Request => {}
            Side::Response => self.responses = Responses::Lost,
        }
        self.doubt_from_here(parts)
    }

    /// Something is not known from here on: [`Step::Leave`] if that can never be repaired.
    fn doubt_from_here(&mut self, parts: &mut Vec<Part>) -> Step {
        self.doubt = true;
        if self.pipelined { self.leave(parts) } else { Step::SkipTurn }
    }

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
