//! The stream of requests.

use super::super::body::{Chunked, Framing, Method, Progress};
use super::super::detect::{
    Seen, begins_with_registered_method, leading_blank, request_line, status_line,
};
use super::super::head::{self, Head, RequestHead};
use super::super::over;
use super::reading::{Reading, advance};
use super::{Conversation, Hidden, Requests, Responses, Waiting};
use crate::protocol::{self, MAX_UNPARSED, Parser as _, Part, Side, Step};

/// Requests that may wait for their answers at once. Clients that pipeline stay below 100, and
/// nobody answers more than that; beyond it we do not see the answers at all.
const MAX_OUTSTANDING: usize = 1024;

impl Conversation {
    pub(super) fn parse_request(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match &mut self.requests {
            Requests::Head => self.parse_request_head(at, bytes, parts),
            Requests::Lost { .. } => {
                if let Some(step) = self.doubt_sides(bytes, parts) {
                    return step;
                }
                // A body that is still coming may end in this turn: `abcGET / HTTP/1.1`, or
                // `\r\nGET / HTTP/1.1`.
                let is_start = begins_with_registered_method(bytes);
                if !self.is_turn_of_requests() || self.abandoned == Some(at) || !is_start {
                    return Step::SkipTurn;
                }
                self.parse_request_head(at, bytes, parts)
            }
            Requests::Expect { body, .. } => {
                let body = *body;
                self.parse_expected_body(at, body, bytes, parts)
            }
            Requests::Chunked(chunked) => match advance(
                chunked,
                Side::Request,
                at,
                bytes,
                self.reading[Side::Request as usize].as_mut(),
                parts,
            ) {
                Progress::Took(n) => Step::Took(n),
                Progress::Skip(n) => Step::Skip(n),
                Progress::Need => Step::Need,
                Progress::End { taken, payload } => {
                    self.requests = Requests::Head;
                    self.finish_reading(Side::Request, true, parts);
                    self.end_request(at.saturating_add(taken as u64), Some(payload), parts);
                    Step::Took(taken)
                }
                Progress::Broken => {
                    self.finish_reading(Side::Request, false, parts);
                    self.request_gap(at, parts)
                }
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
                if self.may_be_mistaken() {
                    self.desync_all(parts);
                    return Step::Mistaken;
                }
                self.request_gap(at, parts)
            }
        }
    }

    /// Both sides begin like responses, and one of them was not understood: that one was a part of
    /// a body, and these are the responses.
    fn doubt_sides(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Option<Step> {
        if self.response_head.scanned == 0 || !self.may_be_mistaken() {
            return None;
        }
        match status_line(bytes) {
            Seen::Whole(_) => {
                self.desync_all(parts);
                Some(Step::Mistaken)
            }
            Seen::Prefix => Some(Step::Need),
            Seen::Not => None,
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
        let reader = match framing {
            Framing::Length(0) => None,
            _ => over::of_request(&head.request),
        };
        if !self.open_request(at, head, parts) {
            return Step::GiveUp;
        }
        self.reading[Side::Request as usize] = reader.map(|reader| Reading::new(at, reader));
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
                match &mut self.reading[Side::Request as usize] {
                    Some(reading) => {
                        reading.begin(head_end, Some(length));
                        Step::Took(len)
                    }
                    None => Step::Skip(length.saturating_add(len as u64)),
                }
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
            return Step::GiveUp;
        }
        self.requests = Requests::Lost { since: at };
        self.doubt_from_here(parts)
    }

    /// Says that a request begins, and false if there are too many.
    pub(super) fn open_request(
        &mut self,
        at: u64,
        head: RequestHead,
        parts: &mut Vec<Part>,
    ) -> bool {
        if self.waiting.len() >= MAX_OUTSTANDING {
            self.give_up(parts);
            return false;
        }
        if matches!(self.responses, Responses::Lost { .. }) {
            self.responses = Responses::Head;
            parts.push(Part::ResponseEnd { at: None, body: None });
        }
        self.confirm(parts);
        self.perhaps_not_oldest = matches!(self.requests, Requests::Lost { .. });
        let awaited = over::awaited(&head.request);
        self.waiting.push_back(Waiting { method: head.method, awaited });
        self.unended = true;
        self.abandoned = None;
        let request = protocol::Request::Http(Box::new(head.request));
        parts.push(Part::Request { at, request });
        true
    }

    pub(super) fn end_request(&mut self, at: u64, body: Option<u64>, parts: &mut Vec<Part>) {
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
                    self.reading[Side::Request as usize] = None;
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
                if let Some(reading) = &mut self.reading[Side::Request as usize] {
                    reading.begin(at, Some(length));
                    return self.parse(Side::Request, at, bytes, parts);
                }
                Step::Skip(length)
            }
            _ => {
                self.requests = Requests::Chunked(Chunked::default());
                self.parse_request(at, bytes, parts)
            }
        }
    }

    pub(super) fn request_gap(&mut self, to: u64, parts: &mut Vec<Part>) -> Step {
        let unfinished = self.request_head.take();
        let may_begin = matches!(self.requests, Requests::Head) || self.is_turn_of_requests();
        if let (Some(head), true) = (unfinished.known, may_begin) {
            return self.begin_broken_request(unfinished.at, head, parts);
        }
        let at_boundary = matches!(self.requests, Requests::Head);
        // Whole calls may have gone by.
        self.refute(parts);
        match self.responses {
            // Whole calls may have gone by: nobody knows where that answer ended.
            Responses::Lost { .. } => self.desync_answer(parts),
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
        self.waiting.is_empty()
            && matches!(self.responses, Responses::Head | Responses::Lost { .. })
    }
}
