//! The stream of responses.

use super::super::message::{
    self, Frame, HEADER, of_server, ready_for_query, report, sqlstate, tag,
};
use super::{Conversation, Responses};
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
                Frame::Not => return self.strange(parts),
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
                    && let (Some(cycle), Some(code)) =
                        (self.cycles.front_mut(), sqlstate(report.code))
                {
                    cycle.warned(code);
                }
            }
            b'A' | b'K' | b'R' | b'v' => {}
            b'Z' => return self.ready(end, body, parts),
            b'W' => {
                // Replication.
                if let Some(cycle) = self.cycles.pop_front() {
                    cycle.end(Some(end), parts);
                }
                return Some(self.leave(parts));
            }
            _ => self.answer(kind, end, body, parts),
        }
        None
    }

    /// A message of the answer to the oldest cycle.
    fn answer(&mut self, kind: u8, end: u64, body: &[u8], parts: &mut Vec<Part>) {
        let pipelined = self.cycles.len() > 1;
        let Some(cycle) = self.cycles.front_mut() else {
            if matches!(kind, b'1' | b'3') {
                // Names may mean something else now.
                self.statements.forget();
            }
            return;
        };
        cycle.answering(parts);
        // Of a `Query`, each of its statements is complete by itself.
        let by_sync = !(cycle.simple || (cycle.mixed && cycle.units.len() == 1));
        match kind {
            b'E' => {
                let report = report(body);
                cycle.fail(sqlstate(report.code), parts);
                if matches!(report.severity, b"FATAL" | b"PANIC") {
                    cycle.abort(end, parts);
                }
            }
            b'C' => {
                cycle.copying = false;
                cycle.complete(tag(body));
            }
            b's' => cycle.suspended(),
            b'D' => cycle.row(true),
            b'T' => cycle.row(false),
            b'1' => cycle.parsed += 1,
            b'3' => cycle.closed += 1,
            b'G' => {
                cycle.copying = true;
                if by_sync {
                    // A `Sync` that came before is not obeyed. What else did is not, either.
                    cycle.synced = false;
                    if pipelined {
                        cycle.request_cut = true;
                    }
                }
            }
            _ => {}
        }
        if by_sync && matches!(kind, b'1' | b'2' | b'3' | b'n' | b'T' | b'C' | b'I' | b's') {
            cycle.reply(kind, end, parts);
        }
    }

    /// `ReadyForQuery`: a cycle is over.
    fn ready(&mut self, end: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<Step> {
        self.transaction = body.first().copied().unwrap_or_default();
        if !matches!(self.transaction, b'I' | b'T' | b'E') {
            return Some(self.strange(parts));
        }
        let Some(front) = self.cycles.front() else {
            // Somebody asked what we did not see.
            parts.push(Part::Orphan);
            self.pipelined |= std::mem::replace(&mut self.orphaned, true);
            return match self.doubt_from_here(parts) {
                Step::Leave => Some(Step::Leave),
                _ => None,
            };
        };
        if !front.synced && !front.request_cut {
            return Some(self.strange(parts));
        }
        let mixed = front.mixed && front.failed;
        self.pipelined |= self.cycles.len() > 1;
        if self.pipelined && self.doubt {
            return Some(self.leave(parts));
        }
        self.end_cycle(Some(end), parts);
        // A `Query` is not carried out after an error, nor answered.
        mixed.then(|| self.leave(parts))
    }

    /// The oldest cycle is over, at `end` or where the stream stands.
    fn end_cycle(&mut self, end: Option<u64>, parts: &mut Vec<Part>) {
        let Some(cycle) = self.cycles.pop_front() else { return };
        if self.transaction == b'I' {
            self.statements.end_transaction();
        }
        let unseen = cycle.parsed > cycle.parses || cycle.closed > cycle.closes;
        if cycle.failed {
            self.statements.fail(cycle.number, cycle.parsed);
        }
        if unseen || (cycle.answer_cut && cycle.prepares()) {
            self.statements.forget();
        } else if cycle.request_cut {
            self.statements.forget_portals();
        }
        cycle.end(end, parts);
    }

    /// The last bytes of the answer that was lost are these.
    pub(super) fn end_lost_answer(&mut self, at: u64, tail: &[u8], parts: &mut Vec<Part>) {
        if self.responses != Responses::Lost || self.cycles.is_empty() {
            return;
        }
        let Some(state) = ready_for_query(tail) else {
            // The client goes on although its answer does not end here.
            self.pipelined |= tail.len() >= 6 && self.cycles.iter().all(|cycle| cycle.synced);
            return;
        };
        self.responses = Responses::Messages;
        if self.cycles.len() > 1 {
            // Which of them did that end?
            self.pipelined = true;
            self.doubt = true;
            self.desync_all(parts);
            return;
        }
        let failed = (self.transaction, state) == (b'T', b'E');
        self.transaction = state;
        if let Some(cycle) = self.cycles.front_mut()
            && failed
            && !cycle.failed
            && cycle.units.len() == 1
        {
            cycle.fail(None, parts);
        }
        self.end_cycle(Some(at), parts);
    }

    /// The end of the answer was not seen, and the client has gone on to ask: it was there.
    pub(super) fn end_unseen_answer(&mut self, parts: &mut Vec<Part>) {
        self.responses = Responses::Messages;
        self.transaction = 0;
        self.doubt = true;
        if self.cycles.len() > 1 || self.cycles.iter().any(|cycle| !cycle.synced) {
            self.desync_all(parts);
        }
        self.end_cycle(None, parts);
    }

    /// These bytes are no message.
    fn strange(&mut self, parts: &mut Vec<Part>) -> Step {
        if !self.doubt && self.count <= 1 {
            return Step::NotMine;
        }
        self.response_gap(parts)
    }

    pub(super) fn response_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        if matches!(self.responses, Responses::Negotiation(_)) {
            return self.leave(parts);
        }
        if self.responses == Responses::Lost {
            return Step::SkipTurn;
        }
        self.responses = Responses::Lost;
        match self.cycles.len() {
            0 => Step::SkipTurn,
            1 => {
                self.cycles.iter_mut().for_each(|cycle| cycle.answer_cut = true);
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
