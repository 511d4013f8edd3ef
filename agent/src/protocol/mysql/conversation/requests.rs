//! The stream of requests.

use std::sync::Arc;

use super::super::answer::Answer;
use super::super::command::{
    self, CHANGE_USER, CLOSE, Command, EXECUTE, EXECUTE_BULK, FETCH, Form, INIT_DB, PREPARE, QUERY,
    QUIT, RESET_CONNECTION,
};
use super::super::packet::{HEADER, Header, LONGEST};
use super::super::{MAX_STATEMENT, detect, handshake, text};
use super::asked::{Asked, Change};
use super::{Conversation, MAX_ASKED, Phase, Requests, Responses};
use crate::protocol::{self, Detection, Part, Side, Step, Unreadable, database};
use crate::sql::Statement;

/// Bytes of a command other than a text that are read: a name, or a user, proof and name.
const WANTED: usize = 1024;
/// Bytes before the text of a query that are read: what is sent along with it.
const ATTRIBUTES: usize = 1024;

impl Conversation {
    pub(super) fn parse_request(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match (self.phase, self.requests) {
            (_, Requests::Done) => Step::SkipTurn,
            (Phase::Session, Requests::Packets) => self.parse_packet(at, bytes, parts),
            (Phase::Session, Requests::Rest) => self.parse_rest(bytes, parts),
            (Phase::Session, Requests::Lost) => self.resume(at, bytes, parts),
            (Phase::New, _) => {
                // The server speaks first: this is not the beginning.
                (self.phase, self.doubt) = (Phase::Session, true);
                self.resume(at, bytes, parts)
            }
            (Phase::Greeted(_) | Phase::Login, _) => self.parse_login(bytes, parts),
        }
    }

    /// Looks for a command at the first bytes of a turn.
    fn resume(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        if self.asked.back().is_some_and(|asked| asked.answer.asks_for_file()) {
            return Step::SkipTurn;
        }
        if !self.confirmed && detect::compressed(bytes) == Detection::Is(Side::Request) {
            return self.unreadable(Unreadable::Compressed, parts);
        }
        match detect::request(bytes, self.confirmed) {
            Detection::Unsure => Step::Need,
            Detection::IsNot => {
                if !self.confirmed {
                    return self.strange(Side::Request, parts);
                }
                self.missed();
                self.requests = Requests::Lost;
                Step::SkipTurn
            }
            Detection::Is(_) => {
                // Whatever was asked before was answered before.
                if matches!(self.responses, Responses::Lost(_)) {
                    self.desync_all(parts);
                }
                self.unseen = false;
                self.requests = Requests::Packets;
                self.parse_packet(at, bytes, parts)
            }
        }
    }

    /// The packets in which a command of more than 16 MB goes on.
    fn parse_rest(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        let Some(header) = Header::read(bytes) else { return Step::Need };
        let expected = self.asked.back().and_then(|asked| asked.answer.next());
        match self.asked.back_mut() {
            Some(asked) if expected == Some(header.number) => {
                asked.answer.await_from(header.number.wrapping_add(1));
            }
            // It was answered early, or has no answer.
            Some(asked) if !asked.answer.begun => return self.strange(Side::Request, parts),
            _ => {}
        }
        if header.length < LONGEST {
            self.requests = Requests::Packets;
        }
        Step::Skip(header.total())
    }

    fn parse_packet(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        let Some(header) = Header::read(bytes) else { return Step::Need };
        if header.number != 0 {
            let open = self.asked.back().map(|asked| (&asked.answer, asked.command.form));
            return match open {
                // A file, or a proof.
                Some((answer, _)) if answer.asks_for_file() => Step::Skip(header.total()),
                Some((_, Form::Login)) => Step::Skip(header.total()),
                _ => self.strange(Side::Request, parts),
            };
        }
        if header.length == 0 {
            return self.strange(Side::Request, parts);
        }
        let Some(code) = bytes.get(HEADER).copied() else { return Step::Need };
        if command::replicates(code) {
            return self.leave(parts);
        }
        let Some(command) = command::command(code) else {
            return self.strange(Side::Request, parts);
        };
        let limit = match code {
            QUERY => 1 + ATTRIBUTES + MAX_STATEMENT,
            PREPARE => 1 + MAX_STATEMENT,
            _ => WANTED,
        };
        let wanted = HEADER + header.length.min(limit);
        if bytes.len() < wanted {
            return Step::Need;
        }
        let body = &bytes[HEADER + 1..wanted];
        let whole = header.length <= limit;
        if let Some(step) = self.asks_again(parts) {
            return step;
        }
        if code == QUIT {
            self.requests = Requests::Done;
            return Step::Skip(header.total());
        }
        self.ask(at, header, command, body, whole, parts);
        if header.length == LONGEST {
            self.requests = Requests::Rest;
        }
        Step::Skip(header.total())
    }

    /// A command begins: what was asked before was answered, or the client does not wait.
    fn asks_again(&mut self, parts: &mut Vec<Part>) -> Option<Step> {
        self.end_cut_answer(parts);
        if matches!(self.responses, Responses::Lost(_)) {
            self.desync_all(parts);
        }
        if self.asked.is_empty() {
            return None;
        }
        self.pipelined = true;
        (self.doubt || self.asked.len() >= MAX_ASKED).then(|| self.give_up(parts))
    }

    fn ask(
        &mut self,
        at: u64,
        header: Header,
        command: Command,
        body: &[u8],
        whole: bool,
        parts: &mut Vec<Part>,
    ) {
        let id = body.first_chunk::<4>().map(|id| u32::from_le_bytes(*id));
        let mut change = Change::Nothing;
        let mut statement = None;
        match command.code {
            QUERY => {
                let text = text::text(body);
                let cut = !whole || text.is_some_and(|text| text.len() > MAX_STATEMENT);
                let text = text.map(|text| &text[..text.len().min(MAX_STATEMENT)]);
                statement = text.and_then(|text| self.statement(text, cut));
                let effect = text.map(|text| text::effect(text, cut));
                let unclear = text::Effect { first: text::Use::Unclear, others: true };
                change = Change::Text(effect.unwrap_or(unclear));
            }
            PREPARE => {
                statement = self.statement(body, !whole);
                self.statements.asked(statement.clone());
            }
            EXECUTE | EXECUTE_BULK | FETCH => {
                statement = id.and_then(|id| self.statements.get(id));
            }
            CLOSE => id.into_iter().for_each(|id| self.statements.close(id)),
            INIT_DB => change = Change::Database(Some(body.into())),
            // Of whichever database.
            0x06 => change = Change::Database(None),
            CHANGE_USER => change = Change::User(handshake::changed_database(body).map(Into::into)),
            RESET_CONNECTION => change = Change::Reset,
            _ => {}
        }
        if command.form == Form::Nothing {
            return;
        }
        let open = command.is_call();
        if open {
            let request = database::Request {
                system: self.session.system,
                namespace: self.session.namespace.clone(),
                statement: statement.clone(),
                operation: command.name,
                executions: u32::from(command.code != EXECUTE_BULK),
                waits: false,
                trimmed: false,
            };
            let request = protocol::Request::Database(Box::new(request));
            parts.push(Part::Request { at, request });
            if header.length < LONGEST {
                parts.push(Part::RequestEnd { at: at.saturating_add(header.total()), body: None });
            }
        }
        let answer = Answer::new(Some(1));
        self.asked.push_back(Asked {
            command,
            answer,
            change,
            statement,
            open,
            begins: None,
            cut: false,
        });
    }

    /// Reads a text. How the server reads it is known if everything before was answered.
    fn statement(&self, text: &[u8], cut: bool) -> Option<Arc<Statement>> {
        self.session.statement(text, cut, self.asked.is_empty())
    }

    pub(super) fn request_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        let was = std::mem::replace(&mut self.requests, Requests::Lost);
        if was == Requests::Done {
            self.requests = was;
            return Step::SkipTurn;
        }
        self.doubt = true;
        if self.pipelined {
            return self.give_up(parts);
        }
        if matches!(self.responses, Responses::Lost(_)) {
            // Neither the end of that answer was seen nor what was asked next.
            self.desync_all(parts);
        }
        match self.asked.back_mut() {
            // The server says how this ends.
            Some(asked) if was == Requests::Rest => asked.answer.unnumbered(),
            Some(asked) if asked.answer.asks_for_file() => {}
            _ => self.missed(),
        }
        Step::SkipTurn
    }

    /// Something was asked that was not seen, or not understood.
    fn missed(&mut self) {
        self.unseen = true;
        self.session.forget();
        self.statements.forget();
    }
}
