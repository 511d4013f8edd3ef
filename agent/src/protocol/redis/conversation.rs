//! The state of one connection: what was asked and not answered, and where both streams are.
//!
//! The rules, and why they are right, are in the documentation of the [parent module](super).

mod requests;
mod responses;

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{Batch, Family, Reply, Told};
use super::commands::{Command, Keys};
use super::replies::Shape;
use super::resp::Value;
use crate::protocol::{Parser, Part, Side, Step};
use crate::sql::Statement;

/// Calls that may be open at once on a connection. More than a few only has a connection that
/// many tasks share; beyond it the answers do not come.
const MAX_OUTSTANDING: usize = 512;

/// Runs of replies of one kind that a call remembers: pipelines of thousands have one or a few.
const MAX_RUNS: usize = 4096;

/// One connection that speaks Redis.
#[derive(Default)]
pub(super) struct Conversation {
    /// Calls whose replies are not complete, oldest first.
    waiting: VecDeque<Batch>,
    /// The memory of an answered one.
    spare: Batch,
    /// Counts the turns of the client: a new one begins with its first byte behind the server's.
    turn: u64,
    /// The client spoke last.
    asked_last: bool,
    /// The server speaks, and what it says was not counted as anything yet.
    uncounted: bool,
    /// Position up to which commands were read, or skipped.
    asked_to: u64,
    requests: Requests,
    /// The next call is the first that is seen again.
    resumes: bool,
    /// The command under way, once its name is known.
    current: Option<Current>,
    /// The command under way, or the last, as it is told.
    told: Told,
    /// A command that began, and whose name is not known.
    nameless: Option<Nameless>,
    responses: Responses,
    /// The value under way.
    value: Value,
    /// What it is.
    reading: Reading,
    /// Where the last reply ended.
    replied_at: u64,
    /// Inside a line longer than is looked at.
    in_line: bool,
    subscriptions: Subscriptions,
    /// RESP3 is spoken: pushes are marked.
    resp3: bool,
    /// Pushes come.
    pushes: bool,
    /// `db.namespace`, where it is known.
    namespace: Option<Arc<str>>,
    /// The reply under way lets `MONITOR` begin.
    monitored: bool,
    /// `SELECT`s that are not answered.
    selects: u32,
    /// A `SELECT` is queued in a transaction.
    select_queued: bool,
    /// Bytes of a side were seen; its stream is joined midway if the first is not at position 0.
    joined: [bool; 2],
    /// A reply was read: these are the two sides of a Redis connection.
    exchanged: bool,
    /// Something is not known of the streams since the connection began.
    doubt: bool,
    /// The client sent commands while replies to earlier ones were under way.
    overlapped: bool,
    /// The client sends more than one command at once.
    pipelined: bool,
    /// Nothing more is said of this connection.
    left: bool,
    /// What was said last of a call.
    last: Option<Arc<Statement>>,
}

/// What the stream of requests is in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Requests {
    /// At the start of a command, or in one.
    #[default]
    Commands,
    /// Somewhere.
    Lost,
}

/// What the stream of replies is in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Responses {
    /// At the start of a value, or in one.
    #[default]
    Values,
    /// In a reply to the only call there is, whose framing is lost. `whole`: all that it says of
    /// errors is known.
    Cut { whole: bool },
    /// In such a reply, where the server's turn ended like a value, before this position: if the
    /// client goes on to ask, it had all of it.
    Over { whole: bool, at: u64 },
    /// Somewhere.
    Lost,
}

/// A command under way.
#[derive(Clone, Copy)]
struct Current {
    command: Option<&'static Command>,
    keys: Keys,
    /// Nothing of it may be looked at.
    secret: bool,
    /// Words behind its name.
    arguments: u64,
    /// Those that were read.
    read: u64,
    /// Keys that it says it has.
    counted: u64,
    /// The subcommand.
    member: Option<&'static str>,
    /// The turn of its batch.
    turn: u64,
}

/// A command whose name is not known yet: where and when it began.
#[derive(Clone, Copy)]
struct Nameless {
    at: u64,
    turn: u64,
}

/// What the value under way is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    /// The reply that is awaited next.
    #[default]
    Reply,
    /// Nobody's reply.
    Push,
    /// Says that a subscription began or ended.
    Confirmation { what: Family, begins: bool },
}

/// What the connection is subscribed to.
#[derive(Default)]
struct Subscriptions {
    /// Channels, patterns, shard channels.
    counts: [u64; 3],
    /// The last that the server said, of the first two and of the third.
    said: [u64; 2],
}

impl Subscriptions {
    fn any(&self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }

    /// The server said that a subscription to `what` began, or ended, and how many there are now:
    /// of channels and patterns together, or of shard channels. One that was there is not counted
    /// again.
    fn say(&mut self, what: Family, begins: bool, now: u64) {
        let said = &mut self.said[usize::from(what == Family::Shards)];
        let count = &mut self.counts[what as usize];
        match begins {
            true if now > *said => *count += 1,
            false if now < *said => *count = count.saturating_sub(1),
            _ => {}
        }
        *said = now;
    }
}

impl Parser for Conversation {
    fn parse(&mut self, side: Side, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        if self.left {
            return Step::Leave;
        }
        if !self.join(side) {
            match (at, side) {
                (0, Side::Request) => self.namespace = Some("0".into()),
                (0, Side::Response) => {}
                (_, Side::Request) => {
                    // Perhaps these are not the first bytes of a turn: what looks like commands
                    // may be some of several, or in a value.
                    self.doubt = true;
                    self.requests = Requests::Lost;
                    self.asked_last = true;
                    return Step::SkipTurn;
                }
                (_, Side::Response) => self.doubt = true,
            }
        }
        match side {
            Side::Request => self.parse_requests(at, bytes, parts),
            Side::Response => self.parse_responses(at, bytes, parts),
        }
    }

    fn gap(&mut self, side: Side, to: u64, parts: &mut Vec<Part>) -> Step {
        self.join(side);
        if self.left {
            return Step::Leave;
        }
        match side {
            Side::Request => self.request_gap(to, parts),
            Side::Response => self.response_gap(parts),
        }
    }

    fn finish(&mut self, _side: Side, _at: u64, _parts: &mut Vec<Part>) {}

    fn turn_over(&mut self, side: Side, at: u64, tail: &[u8], parts: &mut Vec<Part>) {
        if let (Side::Response, Responses::Cut { whole }) = (side, self.responses) {
            match tail.ends_with(b"\r\n") {
                true => self.responses = Responses::Over { whole, at },
                false => {
                    self.responses = Responses::Lost;
                    self.desync_all(parts);
                }
            }
        }
    }

    fn needs_everything(&self, open: usize) -> bool {
        open > 1 || self.pipelined
    }

    fn gone(&mut self, parts: &mut Vec<Part>) {
        let unsure = |batch: &Batch| batch.resumed || batch.open_ended && batch.replies > 0;
        let cut = matches!(self.responses, Responses::Cut { .. } | Responses::Over { .. });
        // Nobody asked again: perhaps there was more to come.
        if cut || self.waiting.front().is_some_and(unsure) {
            self.desync_all(parts);
        }
        if self.waiting.is_empty() {
            self.count(parts);
        }
    }
}

/// What both streams do when something is not known.
impl Conversation {
    /// Something is known of `side`; true if something was before.
    fn join(&mut self, side: Side) -> bool {
        // A server that is heard first answers what was asked before.
        self.asked_last |= side == Side::Response && self.joined == [false; 2];
        std::mem::replace(&mut self.joined[side as usize], true)
    }

    /// The client asks again, so the server's turn is over: what could only be told by its end.
    fn end_cut(&mut self, parts: &mut Vec<Part>) {
        match self.responses {
            Responses::Over { whole, at } => {
                self.responses = Responses::Lost;
                if std::mem::take(&mut self.selects) > 0 {
                    self.namespace = None;
                }
                self.answered(at, !whole, parts);
                // What was cut has ended, if the next reply is one.
                self.resumes = true;
            }
            // The end was not seen.
            Responses::Cut { .. } => {
                self.responses = Responses::Lost;
                self.resumes = true;
                self.desync_all(parts);
            }
            Responses::Values if self.waiting.front().is_some_and(Batch::is_unsure) => {
                self.end_unsure(parts);
            }
            Responses::Values | Responses::Lost => {}
        }
    }

    /// Gives up all that is open.
    fn desync_all(&mut self, parts: &mut Vec<Part>) {
        self.uncounted &= self.waiting.is_empty();
        if self.waiting.iter().any(Batch::is_unsure) {
            // Perhaps it was another's answer that chose the database.
            self.namespace = None;
        }
        parts.extend(self.waiting.drain(..).filter(|b| b.announced).map(|_| Part::Desync));
        self.current = None;
        self.nameless = None;
        if std::mem::take(&mut self.selects) > 0 || std::mem::take(&mut self.select_queued) {
            self.namespace = None;
        }
    }

    /// Takes back all that is open: it was never Redis.
    fn withdraw_all(&mut self, parts: &mut Vec<Part>) -> Step {
        parts.extend(self.waiting.drain(..).filter(|b| b.announced).map(|_| Part::Withdrawn));
        self.left = true;
        Step::NotMine
    }

    /// Something is not known from here on: [`Step::GiveUp`] if that can never be repaired.
    fn doubt_from_here(&mut self, parts: &mut Vec<Part>) -> Step {
        self.doubt = true;
        match self.overlapped || self.pushes || self.subscriptions.any() {
            true => self.give_up(parts),
            false => Step::SkipTurn,
        }
    }

    /// Whose the replies are will never be known again.
    fn give_up(&mut self, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.left = true;
        Step::GiveUp
    }

    /// What follows has no calls.
    fn leave(&mut self, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.left = true;
        Step::Leave
    }

    /// The oldest call is answered: its last reply ends before `at`.
    fn answered(&mut self, at: u64, cut: bool, parts: &mut Vec<Part>) {
        let Some(mut batch) = self.waiting.pop_front() else { return };
        let response = crate::protocol::database::Response {
            code: batch.code.take(),
            failed: batch.failed,
            cut: cut || batch.obscure,
            ..Default::default()
        };
        parts.push(Part::Response {
            at,
            response: crate::protocol::Response::Database(Box::new(response)),
        });
        parts.push(Part::ResponseEnd { at: Some(at), body: None });
        self.spare = batch;
    }

    /// The reply that the oldest call waits for.
    fn awaited(&self) -> Option<Reply> {
        self.waiting.front().and_then(Batch::next)
    }

    /// What is remembered of how a command is answered: nothing where it is not needed.
    fn plain(&self, name: &str) -> Reply {
        Reply::Plain(if self.doubt { Shape::of(name) } else { Shape::Any })
    }
}
