//! The state of one connection: which message each direction is in, and what waits for an answer.
//!
//! The rules, and why they are right, are in the documentation of the [parent module](super).

use std::collections::VecDeque;

use super::super::{self as protocol, MAX_UNPARSED, Parser, Part, Side, Step};
use super::body::{Chunked, Framing, Progress};
use super::detect::{Seen, begins_with_registered_method, leading_blank, request_line};
use super::head::{self, Head, Method, RequestHead, ResponseHead};

/// Requests that may wait for their answers at once. Clients that pipeline stay below 100, and
/// nobody answers more than that; beyond it we do not see the answers at all.
const MAX_OUTSTANDING: usize = 1024;

/// Until the first line is complete it is judged at each byte up to here, so that what is not
/// HTTP is known early; a method and the start of a target fit.
const JUDGED_EARLY: usize = 64;

/// One connection that speaks HTTP/1.x.
#[derive(Default)]
pub(super) struct Conversation {
    /// Requests whose responses have not begun, oldest first.
    waiting: VecDeque<Method>,
    requests: Requests,
    responses: Responses,
    request_head: Unfinished<RequestHead>,
    response_head: Unfinished<ResponseHead>,
    /// The request that began last has no [`Part::RequestEnd`] yet.
    unended: bool,
    /// Position of a request head that was dealt with before it was complete.
    abandoned: Option<u64>,
    /// Requests that nobody saw while older ones were unanswered.
    hidden: Hidden,
    /// Bytes of a side were seen; its stream is joined midway if the first is not at position 0.
    joined: [bool; 2],
    /// A response answered a request: these are the two sides of an HTTP connection.
    exchanged: bool,
    /// Something is not known of the streams since the connection began.
    doubt: bool,
    /// The client sent a request before the one before it was answered.
    pipelined: bool,
    /// Nothing more is said of this connection.
    left: bool,
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
    Lost,
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
            if side == Side::Request {
                self.requests = Requests::Lost { since: at };
            }
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
        match side {
            Side::Request => self.request_gap(to, parts),
            Side::Response => self.response_gap(parts),
        }
    }

    fn finish(&mut self, side: Side, at: u64, parts: &mut Vec<Part>) {
        match side {
            // A chunked or expected body that is cut short did not end.
            Side::Request => {
                if self.unended && matches!(self.requests, Requests::Lost { .. }) {
                    self.end_request(at, None, parts);
                }
            }
            Side::Response => {
                let body = match self.responses {
                    Responses::UntilClose(start) => Some(at.saturating_sub(start)),
                    Responses::Lost => None,
                    Responses::Head | Responses::Chunked(_) => return,
                };
                self.responses = Responses::Head;
                parts.push(Part::ResponseEnd { at: Some(at), body });
            }
        }
    }
}

/// Requests.
impl Conversation {
    fn parse_request(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match &mut self.requests {
            Requests::Head => self.parse_request_head(at, bytes, parts),
            Requests::Lost { .. } => {
                // A body that is still coming may end in this turn: `abcGET / HTTP/1.1`.
                let blank = leading_blank(bytes);
                if !self.is_turn_of_requests()
                    || self.abandoned == Some(at)
                    || !begins_with_registered_method(&bytes[blank..])
                {
                    return Step::SkipTurn;
                }
                self.parse_request_head(at, bytes, parts)
            }
            Requests::Expect { body, .. } => {
                let body = *body;
                self.parse_expected_body(at, body, bytes, parts)
            }
            Requests::Chunked(chunked) => match chunked.advance(bytes) {
                Progress::Took(n) => Step::Took(n),
                Progress::Skip(n) => Step::Skip(n),
                Progress::Need => Step::Need,
                Progress::End { taken, payload } => {
                    self.requests = Requests::Head;
                    self.end_request(at.saturating_add(taken as u64), Some(payload), parts);
                    Step::Took(taken)
                }
                Progress::Broken => self.request_gap(at, parts),
            },
        }
    }

    fn parse_request_head(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        // RFC 9112 2.2: some clients send an empty line after a body.
        match leading_blank(bytes) {
            0 => {}
            blank => return Step::Took(blank),
        }
        match self.request_head.read(at, bytes, head::request) {
            None => Step::Need,
            Some(Head::Whole(head, len)) => self.begin_request(at, head, len, parts),
            Some(Head::Broken(head) | Head::Partial(Some(head))) => {
                self.begin_broken_request(at, head, parts)
            }
            Some(Head::Not | Head::Partial(None)) => {
                if !self.exchanged && !self.doubt {
                    return Step::NotMine;
                }
                if let Requests::Lost { .. } = self.requests {
                    return Step::SkipTurn;
                }
                self.request_gap(at, parts)
            }
        }
    }

    /// A request with a complete head of `len` bytes begins.
    fn begin_request(
        &mut self,
        at: u64,
        head: RequestHead,
        len: usize,
        parts: &mut Vec<Part>,
    ) -> Step {
        let RequestHead { method, framing, expects, .. } = head;
        if framing == Framing::Unknown {
            return self.begin_broken_request(at, head, parts);
        }
        if !self.open_request(at, head, parts) {
            return Step::Leave;
        }
        let head_end = at.saturating_add(len as u64);
        if method == Method::Connect {
            // What follows is for the tunnel if there will be one, else the next request.
            self.requests = Requests::Lost { since: head_end };
            self.end_request(head_end, Some(0), parts);
            return Step::Took(len);
        }
        self.requests = Requests::Head;
        match framing {
            Framing::Length(0) => {
                self.end_request(head_end, Some(0), parts);
                Step::Took(len)
            }
            body if expects => {
                self.requests = Requests::Expect { body, head_end };
                Step::Took(len)
            }
            Framing::Length(length) => {
                self.end_request(head_end.saturating_add(length), Some(length), parts);
                Step::Skip(length.saturating_add(len as u64))
            }
            _ => {
                self.requests = Requests::Chunked(Chunked::default());
                Step::Took(len)
            }
        }
    }

    /// A request begins whose head is known only in part, so that nobody knows where it ends.
    fn begin_broken_request(&mut self, at: u64, head: RequestHead, parts: &mut Vec<Part>) -> Step {
        if !self.open_request(at, head, parts) {
            return Step::Leave;
        }
        self.requests = Requests::Lost { since: at };
        self.doubt_from_here(parts)
    }

    /// Says that a request begins, and false if there are too many.
    fn open_request(&mut self, at: u64, head: RequestHead, parts: &mut Vec<Part>) -> bool {
        if self.waiting.len() >= MAX_OUTSTANDING {
            self.leave(parts);
            return false;
        }
        if matches!(self.responses, Responses::Lost) {
            self.responses = Responses::Head;
            parts.push(Part::ResponseEnd { at: None, body: None });
        }
        self.waiting.push_back(head.method);
        self.unended = true;
        self.abandoned = None;
        let request = protocol::Request::Http(Box::new(head.request));
        parts.push(Part::Request { at, request });
        true
    }

    fn end_request(&mut self, at: u64, body: Option<u64>, parts: &mut Vec<Part>) {
        if std::mem::take(&mut self.unended) {
            parts.push(Part::RequestEnd { at, body });
        }
    }

    /// The first bytes after a head that asked for `100 Continue`: its body, unless a final
    /// response told the client to keep it.
    fn parse_expected_body(
        &mut self,
        at: u64,
        body: Framing,
        bytes: &[u8],
        parts: &mut Vec<Part>,
    ) -> Step {
        if !self.unended && begins_with_registered_method(bytes) {
            match request_line(bytes) {
                Seen::Whole(_) => {
                    self.requests = Requests::Head;
                    return self.parse_request_head(at, bytes, parts);
                }
                Seen::Prefix if bytes.len() < MAX_UNPARSED => return Step::Need,
                Seen::Prefix | Seen::Not => {}
            }
        }
        match body {
            Framing::Length(length) => {
                self.requests = Requests::Head;
                self.end_request(at.saturating_add(length), Some(length), parts);
                Step::Skip(length)
            }
            _ => {
                self.requests = Requests::Chunked(Chunked::default());
                self.parse_request(at, bytes, parts)
            }
        }
    }

    fn request_gap(&mut self, to: u64, parts: &mut Vec<Part>) -> Step {
        let unfinished = self.request_head.take();
        let may_begin = matches!(self.requests, Requests::Head) || self.is_turn_of_requests();
        if let (Some(head), true) = (unfinished.known, may_begin) {
            return self.begin_broken_request(unfinished.at, head, parts);
        }
        let at_boundary = matches!(self.requests, Requests::Head);
        match self.responses {
            // Whole calls may have gone by: nobody knows where that answer ended.
            Responses::Lost => self.desync_answer(parts),
            Responses::Chunked(_) if self.hidden == Hidden::No => self.hidden = Hidden::Perhaps,
            _ => {}
        }
        let outstanding = !self.waiting.is_empty() || !matches!(self.responses, Responses::Head);
        if at_boundary && outstanding {
            self.hidden = Hidden::Surely;
        }
        self.requests = Requests::Lost { since: to };
        if self.waiting.is_empty() {
            // It is being answered, or was.
            self.end_request(to, None, parts);
        }
        self.doubt_from_here(parts)
    }

    /// Nothing is outstanding as far as we know: what the client sends now is a request.
    fn is_turn_of_requests(&self) -> bool {
        self.waiting.is_empty() && matches!(self.responses, Responses::Head | Responses::Lost)
    }
}

/// Responses.
impl Conversation {
    fn parse_response(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match &mut self.responses {
            Responses::Head => self.parse_response_head(at, bytes, parts),
            Responses::UntilClose(_) | Responses::Lost => Step::SkipTurn,
            Responses::Chunked(chunked) => match chunked.advance(bytes) {
                Progress::Took(n) => Step::Took(n),
                Progress::Skip(n) => Step::Skip(n),
                Progress::Need => Step::Need,
                Progress::Broken => self.lose_response(parts),
                Progress::End { taken, payload } => {
                    self.responses = Responses::Head;
                    let at = Some(at.saturating_add(taken as u64));
                    parts.push(Part::ResponseEnd { at, body: Some(payload) });
                    let next_was_sent = !self.waiting.is_empty();
                    match self.learn_pipelining(next_was_sent, parts) {
                        Step::Leave => Step::Leave,
                        _ => Step::Took(taken),
                    }
                }
            },
        }
    }

    fn parse_response_head(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match leading_blank(bytes) {
            0 => {}
            blank => return Step::Took(blank),
        }
        let (head, len) = match self.response_head.read(at, bytes, head::response) {
            None => return Step::Need,
            Some(Head::Whole(head, len)) => (head, Some(len)),
            Some(Head::Broken(head) | Head::Partial(Some(head))) => (head, None),
            Some(Head::Not | Head::Partial(None)) => {
                if !self.exchanged && !self.doubt {
                    return Step::NotMine;
                }
                return self.desync(parts);
            }
        };
        match (head.response.status, len) {
            // RFC 9110 15.2: interim, any number of them may come before the answer.
            (100 | 102..=199, Some(len)) => Step::Took(len),
            (100 | 102..=199, None) => self.desync(parts),
            _ => self.answer(at, head, len, parts),
        }
    }

    /// A final response begins; `len` is the length of its head if that is known.
    fn answer(
        &mut self,
        at: u64,
        head: ResponseHead,
        len: Option<usize>,
        parts: &mut Vec<Part>,
    ) -> Step {
        if self.waiting.is_empty() {
            self.answer_unfinished_request(parts);
        }
        let next_was_sent = self.waiting.len() > 1;
        if self.learn_pipelining(next_was_sent, parts) == Step::Leave {
            return Step::Leave;
        }
        let Some(method) = self.waiting.pop_front() else {
            return self.orphan(head.response.status, parts);
        };
        if self.waiting.is_empty() {
            match self.requests {
                Requests::Lost { since: at } | Requests::Expect { head_end: at, .. } => {
                    self.end_request(at, None, parts);
                }
                Requests::Head | Requests::Chunked(_) => {}
            }
        }
        self.exchanged = true;

        let ResponseHead { response, fields } = head;
        let framing = match (fields.of_response(response.minor, response.status, method), len) {
            (Framing::Tunnel, _) => Framing::Tunnel,
            (_, None) => Framing::Unknown,
            (framing, Some(_)) => framing,
        };
        let response = protocol::Response::Http(Box::new(response));
        parts.push(Part::Response { at, response });

        let len = len.unwrap_or_default();
        let head_end = at.saturating_add(len as u64);
        match framing {
            Framing::Length(length) => {
                let end = head_end.saturating_add(length);
                parts.push(Part::ResponseEnd { at: Some(end), body: Some(length) });
                match length {
                    0 => Step::Took(len),
                    length => Step::Skip(length.saturating_add(len as u64)),
                }
            }
            Framing::Chunked => {
                self.responses = Responses::Chunked(Chunked::default());
                Step::Took(len)
            }
            Framing::UntilClose => {
                self.responses = Responses::UntilClose(head_end);
                Step::Took(len)
            }
            Framing::Tunnel => {
                let known = len > 0;
                parts.push(Part::ResponseEnd {
                    at: known.then_some(head_end),
                    body: known.then_some(0),
                });
                self.leave(parts)
            }
            Framing::Unknown => self.lose_response(parts),
        }
    }

    /// A response while the only request there is has not sent all of its head: a refusal
    /// (400, 408, 431). Without doubt about the connection they belong together.
    fn answer_unfinished_request(&mut self, parts: &mut Vec<Part>) {
        if self.request_head.scanned == 0 {
            return;
        }
        let unfinished = self.request_head.take();
        if let (Some(head), false, Requests::Head) = (unfinished.known, self.doubt, &self.requests)
        {
            self.open_request(unfinished.at, head, parts);
        }
        self.requests = Requests::Lost { since: unfinished.at };
        self.abandoned = Some(unfinished.at);
        self.doubt = true;
    }

    /// A response to nothing that we saw: as its method is unknown, so is its length.
    fn orphan(&mut self, status: u16, parts: &mut Vec<Part>) -> Step {
        parts.push(Part::Orphan);
        if status == 101 {
            return self.leave(parts);
        }
        self.doubt_from_here(parts)
    }

    /// The end of the response under way will not be seen.
    fn lose_response(&mut self, parts: &mut Vec<Part>) -> Step {
        self.responses = Responses::Lost;
        self.pipelined |= !self.waiting.is_empty();
        let step = self.doubt_from_here(parts);
        if step != Step::Leave && self.hidden != Hidden::No {
            self.desync_answer(parts);
        }
        step
    }

    fn response_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        let unfinished = self.response_head.take();
        match self.responses {
            Responses::UntilClose(_) | Responses::Lost => Step::SkipTurn,
            Responses::Chunked(_) => self.lose_response(parts),
            Responses::Head => match unfinished.known {
                Some(head)
                    if self.waiting.len() == 1
                        && self.hidden == Hidden::No
                        && !matches!(head.response.status, 100 | 102..=199) =>
                {
                    self.answer(unfinished.at, head, None, parts)
                }
                _ => self.desync(parts),
            },
        }
    }
}

/// Doubt.
impl Conversation {
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

    /// Gives up all that is open.
    fn desync_all(&mut self, parts: &mut Vec<Part>) {
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
        if self.pipelined && self.doubt { self.leave(parts) } else { Step::SkipTurn }
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
}
