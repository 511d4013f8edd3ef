//! The state of one connection: what was asked, and what of it was answered.
//!
//! The rules, and why they are right, are in the documentation of the [parent module](super).

mod asked;
mod login;
mod requests;
mod responses;

use std::collections::VecDeque;

use self::asked::{Asked, Change};
use super::handshake::Greeting;
use super::packet::Status;
use super::session::Session;
use super::statements::Statements;
use crate::protocol::{Parser, Part, Side, Step, Unreadable};

/// Commands that may be unanswered. A client that does not wait has some hundreds of them in a
/// batch; beyond this we do not see the answers at all.
const MAX_ASKED: usize = 1024;

/// One connection that speaks MySQL.
#[derive(Default)]
pub(super) struct Conversation {
    phase: Phase,
    requests: Requests,
    responses: Responses,
    /// What is not answered in full, oldest first.
    asked: VecDeque<Asked>,
    session: Session,
    statements: Statements,
    /// Something was asked that was not seen, or not understood: it may be answered.
    unseen: bool,
    /// An `EOF` with this number may follow an answer that is over.
    stray: Option<u8>,
    /// Where the messages that were seen of a side end.
    reached: [u64; 2],
    /// Bytes of a side were seen; its stream is joined midway if the first is not at position 0.
    joined: [bool; 2],
    /// An answer was as it must be: this is the protocol.
    confirmed: bool,
    /// Something is not known of the streams since the connection began.
    doubt: bool,
    /// The client sent a request before the one before it was answered.
    pipelined: bool,
    /// Nothing more is said of this connection.
    left: bool,
}

/// How far the session is.
#[derive(Clone, Copy, Default)]
enum Phase {
    /// The server has not greeted.
    #[default]
    New,
    /// The client is to say who it is.
    Greeted(Greeting),
    /// It did, and has to prove it.
    Login,
    /// It may ask.
    Session,
}

/// What the stream of requests is in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Requests {
    /// At the start of a packet.
    #[default]
    Packets,
    /// At the packet in which a command goes on.
    Rest,
    /// Somewhere: a command begins where it looks like one, at the first bytes of a turn.
    Lost,
    /// The client said that it will send nothing more.
    Done,
}

/// What the stream of responses is in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Responses {
    /// At the start of a packet.
    #[default]
    Packets,
    /// Somewhere in the answer to the only command that is open. Its turn ended with the end of a
    /// result, where that was seen.
    Lost(Option<Status>),
}

impl Parser for Conversation {
    fn parse(&mut self, side: Side, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        if self.left {
            return Step::Leave;
        }
        if !std::mem::replace(&mut self.joined[side as usize], true) && at > 0 {
            self.doubt = true;
        }
        let step = match side {
            Side::Request => self.parse_request(at, bytes, parts),
            Side::Response => self.parse_response(at, bytes, parts),
        };
        self.reached[side as usize] = step.reaches(at);
        step
    }

    fn gap(&mut self, side: Side, to: u64, parts: &mut Vec<Part>) -> Step {
        self.joined[side as usize] = true;
        if self.left {
            return Step::Leave;
        }
        self.doubt = true;
        self.stray = None;
        if self.pipelined {
            return self.give_up(parts);
        }
        if !matches!(self.phase, Phase::Session)
            && let Some(step) = self.login_gap(parts)
        {
            return step;
        }
        if to <= self.reached[side as usize] {
            return self.unknown_gap(parts);
        }
        match side {
            Side::Request => self.request_gap(parts),
            Side::Response => self.response_gap(self.reached[side as usize], parts),
        }
    }

    /// An answer ends with its packets.
    fn finish(&mut self, _side: Side, _at: u64, _parts: &mut Vec<Part>) {}

    fn rested(&mut self, side: Side, at: u64, tail: &[u8], parts: &mut Vec<Part>) {
        if tail.is_empty() {
            return;
        }
        self.turn_over(side, at, tail, parts);
        // The server may pause at the end of what comes before rows, which looks the same.
        let whole = self.asked.front().is_some_and(Asked::ends_with_rows);
        if side == Side::Response && self.requests != Requests::Lost && whole {
            self.end_cut_answer(parts);
        }
    }

    fn turn_over(&mut self, side: Side, _at: u64, tail: &[u8], _parts: &mut Vec<Part>) {
        if side == Side::Response
            && let Responses::Lost(end) = &mut self.responses
        {
            *end = super::packet::ends_with_result(tail);
        }
    }

    fn needs_everything(&self, _open: usize) -> bool {
        self.asked.len() > 1
    }

    fn gone(&mut self, parts: &mut Vec<Part>) {
        if std::mem::take(&mut self.unseen) {
            parts.push(Part::Orphan);
        }
    }
}

/// What both streams do when something is not known.
impl Conversation {
    /// Gives up all that is open.
    fn desync_all(&mut self, parts: &mut Vec<Part>) {
        for asked in self.asked.drain(..) {
            match &asked.change {
                Change::Text(effect) if effect.is_none() => {}
                Change::Nothing => {}
                Change::Text(_) | Change::Database(_) => self.session.namespace = None,
                Change::Reset | Change::User(_) => {
                    self.session.namespace = None;
                    self.statements.forget();
                }
            }
            self.session.forget_status();
            asked.give_up(parts);
        }
        self.responses = Responses::Packets;
    }

    /// Anything may have happened, and nobody knows when. How often is counted elsewhere.
    fn unknown_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.session.forget();
        self.statements.forget();
        self.unseen = false;
        if self.requests != Requests::Done {
            self.requests = Requests::Lost;
        }
        Step::SkipTurn
    }

    /// What follows cannot be told apart any more.
    fn give_up(&mut self, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.left = true;
        Step::GiveUp
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

    /// This is not the protocol, or no longer.
    fn strange(&mut self, side: Side, parts: &mut Vec<Part>) -> Step {
        if self.confirmed {
            return match side {
                Side::Request => self.request_gap(parts),
                Side::Response => self.response_gap(self.reached[side as usize], parts),
            };
        }
        // What was recognised was none; no call was told of it.
        self.asked.drain(..).for_each(|asked| asked.withdraw(parts));
        self.left = true;
        if self.doubt { Step::Mistaken } else { Step::NotMine }
    }
}
