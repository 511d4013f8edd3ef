//! The stream of requests: where its messages begin, also when bytes are missing.

use super::super::MAX_STATEMENT;
use super::super::detect::{self, Startup, parameters, startup};
use super::super::message::{Frame, HEADER, of_client};
use super::cycle::Cycle;
use super::hole::Hole;
use super::{Conversation, Last, Requests, Responses};
use crate::protocol::{Detection, MAX_UNPARSED, Part, Side, Step};

/// Bytes of a message that may hold two names before anything else, with room for long ones.
const NAMES: usize = 600;

/// The message of a client that goes.
const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// Longest name of a database kept; the server's have at most 63 bytes.
const MAX_NAMESPACE: usize = 128;

impl Conversation {
    pub(super) fn parse_request(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match self.requests {
            Requests::Startup => self.parse_startup(bytes, parts),
            Requests::Messages => self.parse_message(at, bytes, parts),
            Requests::Done => Step::SkipTurn,
            Requests::Lost => match self.resume(bytes, parts) {
                Some(step) => step,
                None => self.parse_message(at, bytes, parts),
            },
        }
    }

    fn parse_startup(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match startup(bytes) {
            Startup::Partial => Step::Need,
            Startup::Not => Step::NotMine,
            Startup::Cancel => self.leave(parts),
            Startup::Negotiation => {
                self.responses = match self.responses {
                    Responses::Negotiation(n) => Responses::Negotiation(n.saturating_add(1)),
                    _ => Responses::Negotiation(1),
                };
                Step::Took(8)
            }
            Startup::Session { parameters: pairs, total } => {
                let value = |wanted: &[u8]| {
                    parameters(pairs).find(|(name, _)| *name == wanted).map(|(_, value)| value)
                };
                let no: [&[u8]; 5] = [b"false", b"off", b"no", b"0", b""];
                if value(b"replication").is_some_and(|value| !no.contains(&value)) {
                    return self.leave(parts);
                }
                // Without a database it is that of the user's name.
                let database = value(b"database").filter(|name| !name.is_empty());
                self.namespace = database.or_else(|| value(b"user")).map(|name| {
                    String::from_utf8_lossy(&name[..name.len().min(MAX_NAMESPACE)]).into()
                });
                self.requests = Requests::Messages;
                self.cycles.push_back(Cycle::login(self.count));
                self.count += 1;
                Step::Took(total)
            }
        }
    }

    fn parse_message(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        let (kind, total) = match of_client(bytes) {
            Frame::Message { kind, total } => (kind, total),
            Frame::Partial => return Step::Need,
            Frame::Not => return self.request_gap(parts),
        };
        let wanted = match kind {
            b'Q' => HEADER + MAX_STATEMENT,
            b'P' => HEADER + NAMES + MAX_STATEMENT,
            b'B' | b'D' | b'E' | b'C' => HEADER + NAMES,
            _ => HEADER,
        };
        let body = match usize::try_from(total).unwrap_or(usize::MAX).min(wanted) {
            wanted if bytes.len() < wanted => return Step::Need,
            wanted => &bytes[HEADER..wanted],
        };
        let whole = total as usize <= wanted;
        let asks = !matches!(kind, b'p' | b'd' | b'c' | b'f' | b'X' | b'H');
        if asks && let Some(step) = self.next_is_asked(parts) {
            return step;
        }
        let end = at.saturating_add(total);
        let bound = std::mem::take(&mut self.bound);
        let room = match kind {
            b'Q' => self.query(at, end, body, whole, parts),
            b'P' => self.prepare(at, body, whole, parts),
            b'B' => self.bind(at, body, parts),
            b'D' => self.describe(at, body, parts),
            b'E' => self.execute(at, body, parts),
            b'C' => self.close(body),
            b'S' => self.sync(end, parts),
            b'F' => self.function(at, end, parts),
            b'X' => {
                self.requests = Requests::Done;
                Some(())
            }
            // COPY data is not looked at. Some do not wait to be asked for it.
            b'd' => {
                if let Some(cycle) = self.cycles.back_mut() {
                    cycle.data = true;
                }
                Some(())
            }
            b'H' => {
                self.bound = bound;
                Some(())
            }
            // Passwords neither.
            _ => Some(()),
        };
        match room {
            None => self.give_up(parts),
            Some(()) if total <= bytes.len() as u64 => Step::Took(total as usize),
            Some(()) => Step::Skip(total),
        }
    }

    /// The client asks: what it waited for is over, although its end was not seen.
    fn next_is_asked(&mut self, parts: &mut Vec<Part>) -> Option<Step> {
        if self.responses != Responses::Lost || !self.cycles.back().is_some_and(|c| c.synced) {
            return None;
        }
        self.doubt = true;
        if self.pipelined {
            return Some(self.give_up(parts));
        }
        self.desync_all(parts);
        self.transaction = 0;
        None
    }

    /// Bytes are missing, or are no message. What was asked before them is answered as ever.
    pub(super) fn request_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        if self.requests == Requests::Done {
            return Step::SkipTurn;
        }
        self.requests = Requests::Lost;
        if self.responses == Responses::Lost && self.all_sent() {
            // Neither the end of that answer was seen nor what was asked next.
            self.desync_all(parts);
        }
        self.unended = false;
        self.renamed = true;
        if self.responses == Responses::Lost {
            self.statements.forget();
        }
        self.statements.forget_portals();
        self.statements.forget_unnamed();
        let bound = std::mem::take(&mut self.bound);
        match self.cycles.back_mut() {
            None => self.begin_unseen(),
            Some(cycle) if cycle.synced => self.pipelined |= !cycle.takes_data(),
            Some(cycle) => match &mut cycle.hole {
                Some(hole) => hole.grow(),
                None => {
                    let from = self.reached[Side::Request as usize];
                    cycle.hole = Some(Hole::new(from, bound && !cycle.full));
                }
            },
        }
        self.doubt_from_here(parts)
    }

    /// A turn of which requests are missing is over.
    pub(super) fn lost_request_over(&mut self, at: u64, tail: &[u8]) {
        if self.requests == Requests::Lost
            && let Some(hole) = self.cycles.back_mut().and_then(|cycle| cycle.hole.as_mut())
        {
            hole.turn_over(at, tail);
        }
    }

    /// Looks for a message at the first bytes of a turn; none if there is one.
    fn resume(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Option<Step> {
        let judged = detect::request(bytes);
        if judged == Detection::Unsure && bytes.len() < MAX_UNPARSED {
            return Some(Step::Need);
        }
        let asks = matches!(judged, Detection::Is(_));
        if asks && self.responses == Responses::Lost && !self.cycles.is_empty() {
            // The end of that answer was not seen. A client that waits has seen it.
            if self.pipelined {
                return Some(self.give_up(parts));
            }
            self.desync_all(parts);
            self.transaction = 0;
        }
        // A `Query` or a `Parse` begins a call also where a cycle is under way.
        let begins = match self.last {
            Last::Ready => asks,
            Last::Unknown => asks && matches!(bytes[0], b'Q' | b'P'),
            Last::Other => false,
        };
        match self.cycles.back_mut() {
            // The end, which nobody answers.
            None if bytes == TERMINATE => {}
            None if !begins => {
                if asks && self.responses == Responses::Lost {
                    // Its answer begins with the next turn.
                    self.responses = Responses::Messages;
                }
                self.begin_unseen();
            }
            None => {
                // All of what answers the missing requests was heard, or nothing is known.
                self.renamed = false;
                self.requests = Requests::Messages;
                return None;
            }
            Some(cycle) => {
                if let Some(hole) = &mut cycle.hole {
                    hole.grow();
                } else if asks && !cycle.takes_data() {
                    self.pipelined = true;
                    return Some(self.give_up(parts));
                }
            }
        }
        Some(Step::SkipTurn)
    }

    /// Something was asked that was not seen, or not understood: it will be answered.
    fn begin_unseen(&mut self) {
        let mut unseen = Cycle::unseen(self.count);
        unseen.answer_cut = self.responses == Responses::Lost;
        self.count += 1;
        self.cycles.push_back(unseen);
    }
}
