//! The stream of responses.

use super::super::answer::{Agreed, Said};
use super::super::command::PREPARE;
use super::super::packet::{self, End, HEADER, Header};
use super::super::session::Session;
use super::asked::{Asked, Change};
use super::{Conversation, Phase, Requests, Responses};
use crate::protocol::{Part, Side, Step};

impl Conversation {
    pub(super) fn parse_response(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match (self.phase, self.responses) {
            (Phase::New, _) => self.greeted(bytes, parts),
            // The client says who it is before the server goes on.
            (Phase::Greeted(_), _) => self.leave(parts),
            (Phase::Login, _) => self.judged(bytes, parts),
            (Phase::Session, Responses::Lost(_)) => Step::SkipTurn,
            (Phase::Session, Responses::Packets) => self.packets(at, bytes, parts),
        }
    }

    /// Reads packets as long as they are there: a result has thousands of them.
    fn packets(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            let enough = self.packet(at.saturating_add(taken as u64), rest, taken == 0, parts);
            match enough {
                Ok(total) => match usize::try_from(total) {
                    Ok(total) if total <= rest.len() => taken += total,
                    _ => return Step::Skip((taken as u64).saturating_add(total)),
                },
                Err(_) if taken > 0 => return Step::Took(taken),
                Err(step) => return step,
            }
        }
        Step::Took(taken)
    }

    /// One packet and its length, or what is to be done instead; only with `first` is anything
    /// changed by the latter.
    fn packet(
        &mut self,
        at: u64,
        bytes: &[u8],
        first: bool,
        parts: &mut Vec<Part>,
    ) -> Result<u64, Step> {
        let header = Header::read(bytes).ok_or(Step::Need)?;
        if let Some(stray) = self.stray {
            let body = bytes.get(HEADER..HEADER + header.length.min(5)).ok_or(Step::Need)?;
            let eof = matches!(packet::end(header.length, body), Some(End::Eof(_)));
            if stray == header.number && eof {
                (self.stray, self.session.eof) = (None, Some(true));
                return Ok(header.total());
            }
        }
        let Some(front) = self.asked.front_mut() else {
            return Err(if first { self.unasked(parts) } else { Step::Need });
        };
        let wanted = HEADER + front.answer.wants(header, bytes.get(HEADER).copied());
        if bytes.len() < wanted {
            return Err(Step::Need);
        }
        let agreed = agreed(&self.session);
        let mut answer = front.answer;
        let said = answer.packet(front.command.form, agreed, header, &bytes[HEADER..wanted]);
        if said == Said::Strange {
            return Err(if first { self.strange(Side::Response, parts) } else { Step::Need });
        }
        front.answer = answer;
        front.answering(at, parts);
        self.stray = None;
        self.confirmed = true;
        self.said(said, at.saturating_add(header.total()), parts);
        Ok(header.total())
    }

    /// The server speaks although nothing was seen to be asked.
    fn unasked(&mut self, parts: &mut Vec<Part>) -> Step {
        if std::mem::take(&mut self.unseen) {
            parts.push(Part::Orphan);
        }
        Step::SkipTurn
    }

    /// What a packet that ends at `end` says of the oldest command.
    fn said(&mut self, said: Said<'_>, end: u64, parts: &mut Vec<Part>) {
        if let Some(eof) = self.asked.front().and_then(|asked| asked.answer.eof) {
            self.session.eof = Some(eof);
        }
        let (status, database, code) = match said {
            Said::On | Said::Strange | Said::File => return,
            Said::Prepared { id, over } => return self.prepared(id, over, parts),
            Said::Over(status) => (status, None, None),
            Said::Database(status, name) => (Some(status), Some(name), None),
            Said::Failed(code) => (None, None, Some(code)),
        };
        let Some(asked) = self.asked.pop_front() else { return };
        if let Some(status) = status {
            self.told(Some(status));
        } else if code.is_some() && asked.answer.results > 0 {
            // Statements before the one that failed may have changed it.
            self.told(None);
        }
        if code.is_none() {
            if asked.command.code == PREPARE {
                self.stray = asked.answer.next();
            }
            self.changed(&asked, database);
        } else if matches!(asked.change, Change::Text(_)) && asked.answer.results > 0 {
            self.changed(&asked, None);
        }
        asked.end(Some(end), code, parts);
    }

    /// A statement was prepared: that makes no call.
    fn prepared(&mut self, id: u32, over: bool, parts: &mut Vec<Part>) {
        let Some(front) = self.asked.front_mut() else { return };
        self.statements.prepared(id, front.statement.clone());
        if std::mem::take(&mut front.open) {
            parts.push(Part::Withdrawn);
        }
        if over {
            self.asked.pop_front();
        }
    }

    /// A command succeeded, or the first of its statements did; `database`, if the server says so.
    fn changed(&mut self, asked: &Asked, database: Option<&[u8]>) {
        match (&asked.change, database) {
            (Change::Reset, _) => {
                self.statements.forget();
                self.session.forget_status();
            }
            (Change::User(name), _) => self.user_changed(name.as_deref()),
            (_, Some(name)) => self.session.uses(name),
            (Change::Nothing, None) => {}
            (Change::Text(effect), None) => {
                let several = asked.answer.results > 1 || asked.cut;
                self.session.took_effect(effect, several);
            }
            (Change::Database(Some(name)), None) => self.session.uses(name),
            (Change::Database(None), None) => self.session.namespace = None,
        }
    }

    /// The answer of which not all was seen is over, if its last bytes say so.
    pub(super) fn end_cut_answer(&mut self, parts: &mut Vec<Part>) {
        let Responses::Lost(Some(status)) = self.responses else { return };
        self.responses = Responses::Packets;
        let Some(mut asked) = self.asked.pop_front() else { return };
        asked.cut = true;
        self.told(Some(status));
        self.changed(&asked, None);
        if asked.command.code == PREPARE {
            // Whether it was, and under which number, was not seen.
            return asked.give_up(parts);
        }
        asked.end(None, None, parts);
    }

    pub(super) fn response_gap(&mut self, at: u64, parts: &mut Vec<Part>) -> Step {
        self.doubt = true;
        self.stray = None;
        self.session.forget_status();
        if self.pipelined {
            return self.give_up(parts);
        }
        match self.asked.len() {
            0 => return self.unasked(parts),
            1 if self.requests != Requests::Lost => {
                self.responses = Responses::Lost(None);
                self.asked.iter_mut().for_each(|asked| asked.answering(at, parts));
            }
            // What else was asked was not seen, or not all of it.
            _ => self.desync_all(parts),
        }
        Step::SkipTurn
    }
}

fn agreed(session: &Session) -> Agreed {
    Agreed {
        eof: session.eof,
        tracked: session.capabilities.is_some_and(|both| both.tracked()),
        optional_metadata: session.capabilities.is_some_and(|both| both.optional_metadata()),
    }
}
