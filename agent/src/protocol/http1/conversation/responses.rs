//! The stream of responses.

use super::super::body::{Chunked, Framing, Progress};
use super::super::detect::leading_blank;
use super::super::head::{self, Head, ResponseHead};
use super::super::over::{self, Reader};
use super::reading::{Reading, advance};
use super::{Conversation, Hidden, Requests, Responses, Waiting};
use crate::protocol::{self, Part, Side, Step};

impl Conversation {
    pub(super) fn parse_response(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match &mut self.responses {
            Responses::Head => self.parse_response_head(at, bytes, parts),
            Responses::UntilClose(_) | Responses::Lost { .. } => Step::SkipTurn,
            Responses::Chunked(chunked) => match advance(
                chunked,
                Side::Response,
                at,
                bytes,
                self.reading[Side::Response as usize].as_mut(),
                parts,
            ) {
                Progress::Took(n) => Step::Took(n),
                Progress::Skip(n) => Step::Skip(n),
                Progress::Need => Step::Need,
                Progress::Broken => {
                    self.finish_reading(Side::Response, false, parts);
                    self.lose_response(false, parts)
                }
                Progress::End { taken, payload } => {
                    self.responses = Responses::Head;
                    self.finish_reading(Side::Response, true, parts);
                    self.end_response(at.saturating_add(taken as u64), Some(payload), parts);
                    let next_was_sent = !self.waiting.is_empty();
                    match self.learn_pipelining(next_was_sent, parts) {
                        Step::GiveUp => Step::GiveUp,
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
        if self.response_head.scanned == 0 || self.response_head.at != at {
            self.unasked = self.waiting.is_empty() && self.request_head.scanned == 0;
        }
        let (head, len) = match self.response_head.read(at, bytes, head::response) {
            None => return Step::Need,
            Some(Head::Whole(head, len)) => (head, Some(len)),
            Some(Head::Broken(head) | Head::Partial(Some(head))) => (head, None),
            Some(Head::Not | Head::Partial(None)) => {
                if !self.exchanged && !self.doubt {
                    return Step::NotMine;
                }
                if self.may_be_mistaken() {
                    // What looked like a message was a part of a body, perhaps of the other side.
                    self.desync_all(parts);
                    return Step::Mistaken;
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
        if self.unasked && !self.waiting.is_empty() {
            // It cannot answer a request that came after its first byte, so that the answers to
            // those that wait cannot be told from others any more.
            parts.push(Part::Orphan);
            return self.desync(parts);
        }
        if self.refute(parts) {
            // One of the two answered a request that nobody saw.
            parts.push(Part::Orphan);
            self.pipelined = true;
        }
        if self.waiting.is_empty() {
            self.answer_unfinished_request(parts);
        }
        let next_was_sent = self.waiting.len() > 1;
        if self.learn_pipelining(next_was_sent, parts) == Step::GiveUp {
            return Step::GiveUp;
        }
        let Some(Waiting { method, awaited }) = self.waiting.pop_front() else {
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
        let framing = fields.of_response(response.minor, response.status, method);
        // Of a head that is cut, fields may be missing, but no field undoes this one.
        let chunked = framing == Framing::Chunked;
        let framing = match (framing, len) {
            (Framing::Tunnel, _) => Framing::Tunnel,
            (_, None) => Framing::Unknown,
            (framing, Some(_)) => framing,
        };
        let reader = match (awaited, framing) {
            (Some(awaited), Framing::Length(length @ 1..)) => {
                over::of_answer(awaited, &response, Some(length))
            }
            (Some(awaited), Framing::Chunked) => over::of_answer(awaited, &response, None),
            _ => None,
        };
        let response = protocol::Response::Http(response);
        parts.push(Part::Response { at, response });

        let len = len.unwrap_or_default();
        let head_end = at.saturating_add(len as u64);
        match framing {
            Framing::Length(length) => {
                let end = head_end.saturating_add(length);
                self.end_response(end, Some(length), parts);
                match (length, reader) {
                    (0, _) => Step::Took(len),
                    (_, Some(reader)) => {
                        self.read_answer(at, reader, head_end, Some(length));
                        Step::Took(len)
                    }
                    (length, None) => Step::Skip(length.saturating_add(len as u64)),
                }
            }
            Framing::Chunked => {
                self.responses = Responses::Chunked(Chunked::default());
                if let Some(reader) = reader {
                    self.read_answer(at, reader, head_end, None);
                }
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
            Framing::Unknown => self.lose_response(chunked, parts),
        }
    }

    /// The body of the answer at `message`, which begins at `at`, has a reader.
    fn read_answer(&mut self, message: u64, reader: Box<dyn Reader>, at: u64, length: Option<u64>) {
        let mut reading = Reading::new(message, reader);
        reading.begin(at, length);
        self.reading[Side::Response as usize] = Some(reading);
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
    fn lose_response(&mut self, chunked: bool, parts: &mut Vec<Part>) -> Step {
        self.responses = Responses::Lost { chunked };
        self.pipelined |= !self.waiting.is_empty();
        let step = self.doubt_from_here(parts);
        if step != Step::GiveUp && self.hidden != Hidden::No {
            self.desync_answer(parts);
        }
        step
    }

    pub(super) fn response_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        let unfinished = self.response_head.take();
        match self.responses {
            Responses::UntilClose(_) | Responses::Lost { .. } => Step::SkipTurn,
            Responses::Chunked(_) => self.lose_response(true, parts),
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
