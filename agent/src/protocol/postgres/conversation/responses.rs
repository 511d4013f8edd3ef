//! The stream of responses.

use super::super::message::{
    self, Frame, HEADER, last_command, of_server, ready_for_query, report, tag,
};
use super::super::statements::names;
use super::cycle::Heard;
use super::hole::Hole;
use super::{Conversation, Last, Requests, Responses};
use crate::protocol::{Part, Step, Unreadable};
use crate::sql::{Backslash, Dialect};

/// Bytes of an error that are read: severity and code come first.
const REPORT: usize = 256;
/// Bytes of a `CommandComplete` that are read; the longest command has some thirty letters.
const TAG: usize = 128;
/// Bytes of a parameter's name and value that are read; those that matter are short.
const PARAMETER: usize = 256;

/// Encodings of clients (chapter 23.3) in which a byte of a character may be a quote or backslash.
const UNSAFE: &[&[u8]] =
    &[b"BIG5", b"GB18030", b"GBK", b"JOHAB", b"SHIFT_JIS_2004", b"SJIS", b"UHC"];

impl Conversation {
    pub(super) fn parse_response(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match self.responses {
            Responses::Negotiation(left) => self.negotiated(bytes[0], left, parts),
            Responses::Lost => Step::SkipTurn,
            Responses::Messages => self.messages(at, bytes, parts),
        }
    }

    /// The answer to the question whether the connection may be encrypted.
    fn negotiated(&mut self, answer: u8, left: u8, parts: &mut Vec<Part>) -> Step {
        match answer {
            b'N' => {
                self.responses = match left.checked_sub(1) {
                    None | Some(0) => Responses::Messages,
                    Some(left) => Responses::Negotiation(left),
                };
                Step::Took(1)
            }
            b'S' | b'G' => self.unreadable(Unreadable::Encrypted, parts),
            // A server that does not know the question; it closes the connection.
            b'E' => self.leave(parts),
            _ => Step::NotMine,
        }
    }

    /// Reads messages as long as they are there: a result has thousands of them.
    fn messages(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            let (kind, total) = match of_server(rest) {
                Frame::Message { kind, total } => (kind, total),
                Frame::Partial if taken > 0 => return Step::Took(taken),
                Frame::Partial => return Step::Need,
                Frame::Not if taken > 0 => return Step::Took(taken),
                Frame::Not if !self.doubt && self.count <= 1 => return Step::NotMine,
                Frame::Not => return self.response_gap(parts),
            };
            let wanted = match kind {
                b'E' | b'N' => HEADER + REPORT,
                b'C' => HEADER + TAG,
                b'S' => HEADER + PARAMETER,
                b'Z' => HEADER + 1,
                _ => HEADER,
            };
            let wanted = usize::try_from(total).unwrap_or(usize::MAX).min(wanted);
            if rest.len() < wanted {
                return if taken > 0 { Step::Took(taken) } else { Step::Need };
            }
            let start = at.saturating_add(taken as u64);
            let body = &rest[HEADER..wanted];
            if let Some(step) = self.message(kind, start.saturating_add(total), body, parts) {
                return step;
            }
            match usize::try_from(total) {
                Ok(total) if total <= rest.len() => taken += total,
                _ if taken > 0 => {
                    // What was said of it must not be said again.
                    return Step::Skip((taken as u64).saturating_add(total));
                }
                _ => return Step::Skip(total),
            }
            if taken == bytes.len() {
                return Step::Took(taken);
            }
        }
    }

    /// One message that ends at `end`; `body` is as much of it as is wanted.
    fn message(&mut self, kind: u8, end: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<Step> {
        match kind {
            b'S' => self.parameter(body),
            b'N' => {
                let report = report(body);
                if report.severity == b"WARNING"
                    && let Some(cycle) = self.cycles.front_mut()
                {
                    cycle.warn(report.code);
                }
            }
            // At any time, or while logging in.
            b'A' | b'K' | b'R' | b'v' => {}
            b'Z' => return self.ready(end, body, parts),
            b'W' => {
                // Replication.
                if let Some(cycle) = self.cycles.pop_front() {
                    cycle.end_copying(end, parts);
                }
                return Some(self.leave(parts));
            }
            _ => return self.answer(kind, end, body, parts),
        }
        None
    }

    /// A message of the answer to the oldest cycle.
    fn answer(&mut self, kind: u8, end: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<Step> {
        let pipelined = self.cycles.len() > 1;
        let heard = match (self.cycles.front_mut(), kind) {
            (Some(cycle), b'E') => {
                let report = report(body);
                let heard = cycle.fail(report.code, parts);
                if heard != Heard::Strange && matches!(report.severity, b"FATAL" | b"PANIC") {
                    cycle.abort(end, parts);
                }
                heard
            }
            (Some(cycle), _) => {
                let heard = cycle.hear(kind, end, body, parts);
                if kind == b'G' && !cycle.synced && cycle.hole.is_none() {
                    if pipelined {
                        return Some(self.give_up(parts));
                    }
                    if self.requests == Requests::Lost {
                        // The `Sync` that is obeyed comes after the data.
                        cycle.hole = Some(Hole::unknown());
                    }
                }
                heard
            }
            // The session is ended although nothing was asked.
            (None, b'E') => return None,
            (None, _) if self.requests == Requests::Messages => Heard::Strange,
            (None, _) => {
                self.last = Last::Other;
                Heard::Unseen
            }
        };
        match heard {
            Heard::Expected => None,
            Heard::Unseen => {
                let about_names = match kind {
                    b'1' | b'3' => true,
                    b'C' => tag(body).is_none_or(|tag| tag.command.split(' ').any(names)),
                    _ => false,
                };
                if self.renamed && about_names {
                    self.statements.forget();
                }
                None
            }
            Heard::Strange => Some(self.strange(parts)),
        }
    }

    /// `ReadyForQuery`: a cycle is over.
    fn ready(&mut self, end: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<Step> {
        self.transaction = body.first().copied().unwrap_or_default();
        self.last = Last::Ready;
        if !matches!(self.transaction, b'I' | b'T' | b'E') {
            return Some(self.strange(parts));
        }
        self.pipelined |= self.cycles.len() > 1;
        let Some(cycle) = self.cycles.pop_front() else {
            // Somebody asked what we did not see: once, or there are several under way.
            parts.push(Part::Orphan);
            self.pipelined |= std::mem::replace(&mut self.orphaned, true);
            return match self.doubt_from_here(parts) {
                Step::GiveUp => Some(Step::GiveUp),
                _ => None,
            };
        };
        if self.transaction == b'I' {
            self.statements.end_transaction();
        }
        if cycle.failed {
            self.statements.fail(cycle.number, cycle.parsed);
        }
        let hole = cycle.hole.as_ref().is_some_and(|hole| !hole.is_filled());
        self.long |= hole && !cycle.is_unseen();
        if self.pipelined && self.doubt {
            self.cycles.push_front(cycle);
            return Some(self.give_up(parts));
        }
        let asked = cycle.synced || cycle.hole.is_some();
        match cycle.end(end, parts) {
            true if asked => None,
            _ => Some(self.strange(parts)),
        }
    }

    /// The turn in which the answer was lost ends with these bytes.
    pub(super) fn lost_answer_over(&mut self, at: u64, tail: &[u8], parts: &mut Vec<Part>) {
        if self.responses != Responses::Lost {
            return;
        }
        let Some(state) = ready_for_query(tail) else {
            let known = tail.len() >= 6;
            // The client goes on although its answer does not end here.
            self.pipelined |= known && !self.cycles.is_empty() && self.all_sent();
            if known {
                self.last = Last::Other;
            }
            return;
        };
        let before = std::mem::replace(&mut self.transaction, state);
        self.last = Last::Ready;
        if self.cycles.len() > 1 || !self.all_sent() {
            // Which of them did that end?
            self.pipelined |= self.cycles.len() > 1;
            self.doubt = true;
            self.desync_all(parts);
        }
        self.responses = Responses::Messages;
        let Some(mut cycle) = self.cycles.pop_front() else { return };
        if (before, state) == (b'T', b'E') {
            cycle.fail_unseen(parts);
        }
        if state == b'I' {
            self.statements.end_transaction();
        }
        self.statements.fail(cycle.number, cycle.parsed);
        cycle.end_cut(at, last_command(tail), parts);
    }

    /// This is not what we take it for.
    fn strange(&mut self, parts: &mut Vec<Part>) -> Step {
        if !self.doubt && self.count <= 1 { Step::NotMine } else { self.give_up(parts) }
    }

    /// Bytes are missing, or are no message.
    pub(super) fn response_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        if matches!(self.responses, Responses::Negotiation(_)) {
            return self.give_up(parts);
        }
        if self.responses == Responses::Lost {
            return Step::SkipTurn;
        }
        (self.responses, self.last) = (Responses::Lost, Last::Unknown);
        if self.renamed {
            self.statements.forget();
        }
        match &mut *self.cycles.make_contiguous() {
            [] => Step::SkipTurn,
            [cycle] => {
                cycle.answer_cut = true;
                Step::SkipTurn
            }
            _ => {
                self.pipelined = true;
                self.doubt_from_here(parts)
            }
        }
    }

    /// A setting of the session.
    fn parameter(&mut self, body: &[u8]) {
        let Some((name, rest)) = message::text(body) else { return };
        let Some((value, _)) = message::text(rest) else { return };
        match name {
            b"standard_conforming_strings" => {
                let off = value == b"off";
                let backslash = if off { Backslash::Escape } else { Backslash::Literal };
                self.dialect = Dialect { backslash, ..Dialect::POSTGRES };
            }
            b"client_encoding" => self.unsafe_encoding = Some(UNSAFE.contains(&value)),
            _ => {}
        }
    }
}
