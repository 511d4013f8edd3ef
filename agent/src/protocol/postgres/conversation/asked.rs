//! The messages of the client, and the calls that they begin.

use std::sync::Arc;

use super::super::message;
use super::super::statements::{Origin, Prepared};
use super::super::{MAX_STATEMENT, SYSTEM};
use super::call::{Asked, Call};
use super::cycle::Cycle;
use super::{Conversation, MAX_CYCLES, Responses};
use crate::protocol::{self, Part, database};
use crate::sql::{Backslash, Statement};

/// Each is `None` if there are more cycles than are told apart.
impl Conversation {
    pub(super) fn query(
        &mut self,
        at: u64,
        end: u64,
        body: &[u8],
        whole: bool,
        parts: &mut Vec<Part>,
    ) -> Option<()> {
        let (text, whole) = match message::text(body) {
            Some((text, _)) => (text, true),
            None => (body, whole),
        };
        let statement = self.statement(text, !whole);
        // Where a string ends must be certain, too.
        let strings = self.dialect.backslash != Backslash::Unknown
            || memchr::memmem::find(text, b"\\'").is_none();
        let whole = whole && strings;
        self.statements.forget_unnamed();
        if let Some(statement) = &statement {
            self.statements.executed(statement);
        }
        let request = database::Request { statement, ..self.request(None) };
        self.simple(at, end, request, whole, parts)
    }

    pub(super) fn function(&mut self, at: u64, end: u64, parts: &mut Vec<Part>) -> Option<()> {
        let request = database::Request { operation: Some("FunctionCall"), ..self.request(None) };
        self.simple(at, end, request, false, parts)
    }

    /// A message that is a cycle of its own; `whole` if its text says how many commands it has.
    fn simple(
        &mut self,
        at: u64,
        end: u64,
        request: database::Request,
        whole: bool,
        parts: &mut Vec<Part>,
    ) -> Option<()> {
        self.cycle()?.synced = true;
        let commands = request.statement.as_deref().filter(|_| whole).map(commands);
        self.begin(at, None, request, parts);
        if let Some(call) = self.cycles.back_mut().and_then(Cycle::last) {
            call.commands = commands;
        }
        self.end_request(end, parts);
        Some(())
    }

    pub(super) fn prepare(
        &mut self,
        at: u64,
        body: &[u8],
        whole: bool,
        parts: &mut Vec<Part>,
    ) -> Option<()> {
        let (name, rest) = message::text(body).unwrap_or_default();
        let (text, whole) = match message::text(rest) {
            Some((text, _)) => (text, true),
            None => (rest, whole),
        };
        let statement = self.statement(
            &text[..text.len().min(MAX_STATEMENT)],
            !whole || text.len() > MAX_STATEMENT,
        );
        let cycle = self.cycle()?;
        let origin = Origin { cycle: cycle.number, ordinal: cycle.parses };
        cycle.parses += 1;
        let prepared = self.statements.prepare(name, statement, origin);
        let request = self.request(Some(&prepared));
        self.begin(at, Some(prepared), request, parts);
        self.cycles.back_mut()?.ask(Asked::Parse);
        Some(())
    }

    pub(super) fn bind(&mut self, at: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<()> {
        let (portal, rest) = message::text(body).unwrap_or_default();
        let (name, _) = message::text(rest).unwrap_or_default();
        let prepared = self.statements.get(name);
        self.statements.bind(portal, &prepared);
        self.bound = portal.is_empty();
        self.ask(at, prepared, Asked::Bind, parts)?;
        Some(())
    }

    pub(super) fn describe(&mut self, at: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<()> {
        let (what, name) = body.split_first().unwrap_or((&b'S', b""));
        let (name, _) = message::text(name).unwrap_or_default();
        let prepared = match what {
            b'P' => self.statements.portal(name),
            _ => self.statements.get(name),
        };
        self.ask(at, prepared, Asked::Describe, parts)?;
        Some(())
    }

    pub(super) fn execute(&mut self, at: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<()> {
        let (portal, _) = message::text(body).unwrap_or_default();
        let prepared = self.statements.portal(portal);
        let statement = prepared.statement.clone();
        if !self.ask(at, prepared, Asked::Execute, parts)? {
            // One more that is not told apart.
            parts.push(Part::Orphan);
        }
        if let Some(statement) = statement {
            self.statements.executed(&statement);
        }
        Some(())
    }

    /// `Close` makes no call of its own, and cannot fail.
    pub(super) fn close(&mut self, body: &[u8]) -> Option<()> {
        if let [b'S', name @ ..] = body {
            self.statements.close(message::text(name).unwrap_or_default().0);
        }
        self.cycle()?.ask(Asked::Close);
        Some(())
    }

    pub(super) fn sync(&mut self, end: u64, parts: &mut Vec<Part>) -> Option<()> {
        self.cycle()?.synced = true;
        self.end_request(end, parts);
        Some(())
    }

    /// The cycle that is being asked, a new one if the last was sent.
    fn cycle(&mut self) -> Option<&mut Cycle> {
        if self.cycles.back().is_none_or(|cycle| cycle.synced) {
            if self.cycles.len() >= MAX_CYCLES {
                return None;
            }
            if self.cycles.is_empty() && self.responses == Responses::Lost {
                // Its answer begins with the next turn.
                self.responses = Responses::Messages;
            }
            self.orphaned = false;
            self.cycles.push_back(Cycle::new(self.count));
            self.count += 1;
        }
        self.cycles.back_mut()
    }

    /// A message for a statement: part of the call under way, or the first of another. False if
    /// that is not told apart.
    fn ask(
        &mut self,
        at: u64,
        prepared: Prepared,
        asked: Asked,
        parts: &mut Vec<Part>,
    ) -> Option<bool> {
        if !self.cycle()?.goes_on(&prepared) {
            let request = self.request(Some(&prepared));
            self.begin(at, Some(prepared), request, parts);
        }
        Some(self.cycles.back_mut()?.ask(asked))
    }

    /// A call begins: of a statement that was prepared, or by itself.
    fn begin(
        &mut self,
        at: u64,
        prepared: Option<Prepared>,
        request: database::Request,
        parts: &mut Vec<Part>,
    ) {
        self.end_request(at, parts);
        let Some(cycle) = self.cycles.back_mut() else { return };
        let told =
            Part::Request { at, request: protocol::Request::Database(Box::new(request.clone())) };
        let call = match prepared {
            Some(prepared) => Call::extended(prepared, request),
            None => Call::simple(request),
        };
        if cycle.has_room() {
            parts.push(told);
            cycle.begin(call);
            self.unended = true;
        }
        cycle.end_answered(parts);
    }

    /// The request that began last is all there before `at`.
    fn end_request(&mut self, at: u64, parts: &mut Vec<Part>) {
        if !std::mem::take(&mut self.unended) {
            return;
        }
        // It may have been answered already, by an error that ended the session.
        if let Some(call) = self.cycles.back_mut().and_then(Cycle::last) {
            call.tell_executions(parts);
            parts.push(Part::RequestEnd { at, body: None });
        }
    }

    fn request(&self, prepared: Option<&Prepared>) -> database::Request {
        database::Request {
            system: &SYSTEM,
            namespace: self.namespace.clone(),
            statement: prepared.and_then(|prepared| prepared.statement.clone()),
            operation: None,
            trimmed: false,
            executions: 1,
            waits: false,
        }
    }

    /// Reads a text; none if it is, or may be, in an encoding that cannot be read byte by byte.
    fn statement(&self, text: &[u8], cut: bool) -> Option<Arc<Statement>> {
        let readable = match self.unsafe_encoding {
            Some(is_unsafe) => !is_unsafe,
            // What is UTF-8 by chance is rare enough; a character may be cut at the end.
            None => {
                std::str::from_utf8(text).map_or_else(|e| cut && e.error_len().is_none(), |_| true)
            }
        };
        readable.then(|| Statement::shared(text, self.dialect, cut))
    }
}

/// How many commands a text has, each of which is answered by its own `CommandComplete`; or more:
/// inside the body of a function a semicolon ends none.
fn commands(statement: &Statement) -> u32 {
    let commands = statement.text.split(';').filter(|command| !command.trim().is_empty());
    commands.fold(0, |count, _| count.saturating_add(1))
}
