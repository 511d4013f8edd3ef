//! The state of one connection: which message each direction is in, and what waits for an answer.
//!
//! The rules, and why they are right, are in the documentation of the [parent module](super).

mod reading;
mod requests;
mod responses;

use std::collections::VecDeque;

use self::reading::{BodyGap, Reading};
use super::body::{self, Chunked, Framing, Method};
use super::head::{Head, RequestHead, ResponseHead};
use super::over::Awaited;
use crate::protocol::{MAX_UNPARSED, Parser, Part, Side, Step};

/// Until the first line is complete it is judged at each byte up to here, so that what is not
/// HTTP is known early; a method and the start of a target fit.
const JUDGED_EARLY: usize = 64;

/// One connection that speaks HTTP/1.x.
#[derive(Default)]
pub(super) struct Conversation {
    /// Requests whose responses have not begun, oldest first.
    waiting: VecDeque<Waiting>,
    /// Of each side the body that somebody reads.
    reading: [Option<Reading>; 2],
    requests: Requests,
    responses: Responses,
    request_head: Unfinished<RequestHead>,
    response_head: Unfinished<ResponseHead>,
    /// The response head under way began while nobody had asked for anything.
    unasked: bool,
    /// The request that began last has no [`Part::RequestEnd`] yet.
    unended: bool,
    /// Position of a request head that was dealt with before it was complete.
    abandoned: Option<u64>,
    /// Requests that nobody saw while older ones were unanswered.
    hidden: Hidden,
    /// Bytes of a side were seen; its stream is joined midway if the first is not at position 0.
    joined: [bool; 2],
    /// A stream was joined midway: the first that was seen of it need not be a message.
    joined_midway: bool,
    /// A response answered a request: these are the two sides of an HTTP connection.
    exchanged: bool,
    /// Something is not known of the streams since the connection began.
    doubt: bool,
    /// Before the request that began last there may be some that nobody saw and nobody answered.
    perhaps_not_oldest: bool,
    /// Where the answer to such a request ends, which was read to its end, and its payload size.
    held: Option<(u64, Option<u64>)>,
    /// The client sent a request before the one before it was answered.
    pipelined: bool,
    /// Nothing more is said of this connection.
    left: bool,
}

/// A request that waits for its response.
struct Waiting {
    method: Method,
    /// What somebody wants of the body of it.
    awaited: Option<Awaited>,
}

/// What the stream of requests is in.
#[derive(Default)]
enum Requests {
    /// At the start of a message, or in its head.
    #[default]
    Head,
    /// After the head of a request that said `Expect: 100-continue`, which ends at `head_end`.
    Expect { body: Framing, head_end: u64 },
    /// In a chunked body.
    Chunked(Chunked),
    /// Somewhere: a message begins where it looks like one, at the first bytes of a turn, when
    /// nothing is outstanding. `since`: where the stream was last understood.
    Lost { since: u64 },
}

/// What the stream of responses is in. All but `Head` belong to an answer whose end is not known.
#[derive(Default)]
enum Responses {
    /// At the start of a message, or in its head.
    #[default]
    Head,
    /// In a chunked body.
    Chunked(Chunked),
    /// In a body from this position to the end of the stream.
    UntilClose(u64),
    /// In a body whose framing is lost: it ends with the turn.
    Lost { chunked: bool },
}

/// What is known of requests that were not seen.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Hidden {
    #[default]
    No,
    /// There may be some.
    Perhaps,
    /// Bytes after a complete request were not seen while it was unanswered.
    Surely,
}

/// The head that a direction is in the middle of.
struct Unfinished<T> {
    /// Position of its first byte.
    at: u64,
    /// Bytes of it that were looked at: none if there is no such head.
    scanned: usize,
    /// What is known of it.
    known: Option<T>,
}

impl<T> Default for Unfinished<T> {
    fn default() -> Self {
        Self { at: 0, scanned: 0, known: None }
    }
}

impl<T> Unfinished<T> {
    /// Reads the head at `at`, or `None` while it is incomplete. Lines are parsed when they are
    /// complete, not at each byte; as the number of lines is bounded, so is the work.
    fn read(&mut self, at: u64, bytes: &[u8], parse: fn(&[u8]) -> Head<T>) -> Option<Head<T>> {
        let scanned = if self.at == at { self.scanned.min(bytes.len()) } else { 0 };
        let at_limit = bytes.len() >= MAX_UNPARSED;
        if scanned > JUDGED_EARLY && !at_limit && memchr::memchr(b'\n', &bytes[scanned..]).is_none()
        {
            self.scanned = bytes.len();
            return None;
        }
        let head = match parse(bytes) {
            Head::Partial(known) if !at_limit => {
                *self = Self { at, scanned: bytes.len(), known };
                return None;
            }
            Head::Partial(Some(known)) => Head::Broken(known),
            Head::Partial(None) => Head::Not,
            head => head,
        };
        *self = Self::default();
        Some(head)
    }

    fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Parser for Conversation {
    fn parse(&mut self, side: Side, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        if self.left {
            return Step::Leave;
        }
        if !std::mem::replace(&mut self.joined[side as usize], true) && at > 0 {
            self.doubt = true;
            self.joined_midway = true;
            if side == Side::Request {
                self.requests = Requests::Lost { since: at };
            }
        }
        if let Some(step) = self.read_on(side, at, bytes, parts) {
            return step;
        }
        match side {
            Side::Request => self.parse_request(at, bytes, parts),
            Side::Response => self.parse_response(at, bytes, parts),
        }
    }

    fn gap(&mut self, side: Side, to: u64, parts: &mut Vec<Part>) -> Step {
        self.joined[side as usize] = true;
        if self.left {
            return Step::Leave;
        }
        match self.gap_in_body(side, to, parts) {
            Some(BodyGap::Inside(step)) => step,
            Some(BodyGap::Forgotten { end, left }) => {
                match self.gap_behind_body(side, end, parts) {
                    Step::GiveUp => Step::GiveUp,
                    _ if left > 0 => Step::Skip(left),
                    step => step,
                }
            }
            None => self.gap_behind_body(side, to, parts),
        }
    }

    fn finish(&mut self, side: Side, at: u64, parts: &mut Vec<Part>) {
        self.finish_reading(side, false, parts);
        match side {
            // A chunked or expected body that is cut short did not end.
            Side::Request => {
                if self.unended && matches!(self.requests, Requests::Lost { .. }) {
                    self.end_request(at, None, parts);
                }
            }
            Side::Response => {
                self.confirm(parts);
                let body = match self.responses {
                    Responses::UntilClose(start) => Some(at.saturating_sub(start)),
                    Responses::Lost { .. } => None,
                    Responses::Head | Responses::Chunked(_) => return,
                };
                self.responses = Responses::Head;
                parts.push(Part::ResponseEnd { at: Some(at), body });
            }
        }
    }

    fn rested(&mut self, side: Side, at: u64, tail: &[u8], parts: &mut Vec<Part>) {
        if side == Side::Response && self.held.is_some_and(|(end, _)| end <= at) {
            self.confirm(parts);
        }
        if side == Side::Response
            && matches!(self.responses, Responses::Lost { chunked: true })
            && body::ends_chunked(tail)
        {
            self.responses = Responses::Head;
            parts.push(Part::ResponseEnd { at: Some(at), body: None });
        }
    }

    fn closed(&mut self, side: Side, at: u64, parts: &mut Vec<Part>) {
        if side == Side::Response {
            self.confirm(parts);
            if matches!(self.responses, Responses::Lost { .. }) {
                self.finish(side, at, parts);
            }
        }
    }

    fn gone(&mut self, parts: &mut Vec<Part>) {
        self.confirm(parts);
        if matches!(self.responses, Responses::Lost { .. }) {
            self.desync_answer(parts);
        }
    }
}

/// What both streams do when something is not known.
impl Conversation {
    fn gap_behind_body(&mut self, side: Side, to: u64, parts: &mut Vec<Part>) -> Step {
        match side {
            Side::Request => self.request_gap(to, parts),
            Side::Response => self.response_gap(parts),
        }
    }

    /// Responses may have gone by unseen: which request the next one answers is not known.
    fn desync(&mut self, parts: &mut Vec<Part>) -> Step {
        self.pipelined |= self.waiting.len() > 1;
        if self.request_head.scanned > 0 && self.waiting.is_empty() {
            // It may have been answered already.
            let unfinished = self.request_head.take();
            self.abandoned = Some(unfinished.at);
            self.requests = Requests::Lost { since: unfinished.at };
        }
        let step = self.doubt_from_here(parts);
        self.desync_all(parts);
        step
    }

    /// Gives up the answer under way.
    fn desync_answer(&mut self, parts: &mut Vec<Part>) {
        self.responses = Responses::Head;
        self.hidden = Hidden::No;
        self.unended &= !self.waiting.is_empty();
        parts.push(Part::Desync);
    }

    /// Says that the response under way ends at `at`: once what follows is no other response, where
    /// that would show that this one answered a request that nobody saw.
    fn end_response(&mut self, at: u64, body: Option<u64>, parts: &mut Vec<Part>) {
        if self.perhaps_not_oldest && self.waiting.is_empty() {
            self.held = Some((at, body));
        } else {
            parts.push(Part::ResponseEnd { at: Some(at), body });
        }
    }

    /// No other response follows the one that was read last.
    fn confirm(&mut self, parts: &mut Vec<Part>) {
        if let Some((at, body)) = self.held.take() {
            parts.push(Part::ResponseEnd { at: Some(at), body });
        }
    }

    /// Another response follows, or may do.
    fn refute(&mut self, parts: &mut Vec<Part>) -> bool {
        let refuted = self.held.take().is_some();
        if refuted {
            parts.push(Part::Desync);
        }
        refuted
    }

    /// Gives up all that is open.
    fn desync_all(&mut self, parts: &mut Vec<Part>) {
        self.stop_reading();
        self.refute(parts);
        if !matches!(self.responses, Responses::Head) {
            self.desync_answer(parts);
        }
        self.unended &= self.waiting.is_empty();
        parts.extend(self.waiting.drain(..).map(|_| Part::Desync));
        self.hidden = Hidden::No;
    }

    /// Takes note of whether a request was sent before the one before it was answered in full.
    fn learn_pipelining(&mut self, next_was_sent: bool, parts: &mut Vec<Part>) -> Step {
        self.pipelined |= next_was_sent || self.hidden == Hidden::Surely;
        self.hidden = Hidden::No;
        if self.pipelined && self.doubt { self.give_up(parts) } else { Step::SkipTurn }
    }

    /// Something is not known from here on: [`Step::GiveUp`] if that can never be repaired.
    fn doubt_from_here(&mut self, parts: &mut Vec<Part>) -> Step {
        self.doubt = true;
        if self.pipelined { self.give_up(parts) } else { Step::SkipTurn }
    }

    /// True if what the connection was recognised by may have been a part of a body, perhaps of the
    /// other side.
    fn may_be_mistaken(&self) -> bool {
        self.joined_midway && !self.exchanged
    }

    /// What follows cannot be told apart.
    fn give_up(&mut self, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.left = true;
        Step::GiveUp
    }

    /// What follows is not HTTP.
    fn leave(&mut self, parts: &mut Vec<Part>) -> Step {
        self.give_up(parts);
        Step::Leave
    }
}
