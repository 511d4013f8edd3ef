//! The stream of requests.

use std::sync::Arc;

use super::super::detect::{self, Startup, parameters, startup};
use super::super::message::{self, Frame, HEADER, of_client};
use super::super::statements::{Origin, Prepared};
use super::super::{MAX_STATEMENT, SYSTEM};
use super::cycle::{Cycle, Unit};
use super::{Conversation, MAX_CYCLES, Requests, Responses};
use crate::protocol::{self, Detection, Part, Step, database};
use crate::sql::Statement;

/// Bytes of a message that may hold two names before anything else, with room for long ones.
const NAMES: usize = 600;

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
                let mut login = Cycle::new(self.count);
                (login.synced, login.simple) = (true, true);
                self.count += 1;
                self.cycles.push_back(login);
                Step::Took(total)
            }
        }
    }

    /// Looks for a message at the first bytes of a turn; none if there is one.
    fn resume(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Option<Step> {
        if self.responses == Responses::Lost && !self.cycles.is_empty() && !self.pipelined {
            // The end of that answer was not seen. A client that waits has seen it.
            match detect::request(bytes) {
                Detection::Is(_) => self.end_unseen_answer(parts),
                Detection::Unsure => return Some(Step::Need),
                Detection::IsNot => {}
            }
        }
        if !self.cycles.is_empty() {
            return Some(Step::SkipTurn);
        }
        match detect::request(bytes) {
            Detection::Is(_) => {
                self.requests = Requests::Messages;
                None
            }
            Detection::Unsure => Some(Step::Need),
            Detection::IsNot => {
                self.begin_unseen();
                Some(Step::SkipTurn)
            }
        }
    }

    /// Something was asked that was not seen, or not understood: it will be answered.
    fn begin_unseen(&mut self) {
        let mut unseen = Cycle::new(self.count);
        unseen.request_cut = true;
        unseen.answer_cut = self.responses == Responses::Lost;
        self.count += 1;
        self.cycles.push_back(unseen);
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
        if !matches!(kind, b'p' | b'd' | b'c' | b'f' | b'X')
            && let Some(step) = self.answer_is_over(parts)
        {
            return step;
        }
        let end = at.saturating_add(total);
        let step = match kind {
            b'Q' => self.query(at, end, body, whole, parts),
            b'P' => self.prepare(at, body, whole, parts),
            b'B' => self.bind(at, body, parts),
            b'D' => self.describe(at, body, parts),
            b'E' => self.execute(at, body, parts),
            b'C' => self.close_name(body),
            b'S' => self.sync(end, parts),
            b'F' => self.function(at, end, parts),
            b'X' => {
                self.requests = Requests::Done;
                Some(())
            }
            // COPY data is not looked at. Some do not wait to be asked for it.
            b'd' => {
                if let Some(cycle) = self.cycles.back_mut() {
                    cycle.copying = true;
                }
                Some(())
            }
            // Passwords neither.
            _ => Some(()),
        };
        match step {
            None => self.leave(parts),
            Some(()) if total <= bytes.len() as u64 => Step::Took(total as usize),
            Some(()) => Step::Skip(total),
        }
    }

    /// The client asks although the end of an answer was not seen.
    fn answer_is_over(&mut self, parts: &mut Vec<Part>) -> Option<Step> {
        if self.responses != Responses::Lost || !self.cycles.back().is_some_and(|c| c.synced) {
            return None;
        }
        if self.pipelined {
            self.doubt = true;
            return Some(self.leave(parts));
        }
        self.end_unseen_answer(parts);
        None
    }

    fn query(
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
        let request =
            database::Request { statement: self.statement(text, !whole), ..self.request(None) };
        self.simple(at, end, request, parts)
    }

    fn function(&mut self, at: u64, end: u64, parts: &mut Vec<Part>) -> Option<()> {
        let request = database::Request { operation: Some("FunctionCall"), ..self.request(None) };
        self.simple(at, end, request, parts)
    }

    /// A message that is a cycle of its own.
    fn simple(
        &mut self,
        at: u64,
        end: u64,
        request: database::Request,
        parts: &mut Vec<Part>,
    ) -> Option<()> {
        let cycle = self.cycle()?;
        cycle.mixed = !cycle.units.is_empty() || cycle.preface > 0;
        cycle.simple = !cycle.mixed;
        self.begin(at, None, request, parts);
        let cycle = self.cycles.back_mut()?;
        cycle.synced = true;
        if let Some(unit) = cycle.units.back_mut() {
            unit.executions = 1;
        }
        self.end_request(end, parts);
        Some(())
    }

    fn prepare(&mut self, at: u64, body: &[u8], whole: bool, parts: &mut Vec<Part>) -> Option<()> {
        let Some((name, rest)) = message::text(body) else { return Some(()) };
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
        self.begin(at, Some(prepared.clone()), self.request(Some(&prepared)), parts);
        self.pending(1)
    }

    fn bind(&mut self, at: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<()> {
        let (portal, rest) = message::text(body).unwrap_or_default();
        let (name, _) = message::text(rest).unwrap_or_default();
        let prepared = self.statements.get(name);
        self.statements.bind(portal, &prepared);
        self.for_statement(at, prepared, parts)?;
        let cycle = self.cycles.back_mut()?;
        if let Some(unit) = cycle.units.back_mut().filter(|_| !cycle.full) {
            unit.bound = true;
        }
        self.pending(1)
    }

    fn describe(&mut self, at: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<()> {
        let prepared = match body {
            [b'P', name @ ..] => self.statements.portal(message::text(name).unwrap_or_default().0),
            [_, name @ ..] => self.statements.get(message::text(name).unwrap_or_default().0),
            [] => return Some(()),
        };
        self.for_statement(at, prepared, parts)?;
        self.pending(1)
    }

    fn execute(&mut self, at: u64, body: &[u8], parts: &mut Vec<Part>) -> Option<()> {
        let (portal, _) = message::text(body).unwrap_or_default();
        let prepared = self.statements.portal(portal);
        self.for_statement(at, prepared, parts)?;
        let cycle = self.cycles.back_mut()?;
        if cycle.full {
            // One more that is not told apart.
            parts.push(Part::Orphan);
        } else if let Some(unit) = cycle.units.back_mut() {
            unit.executions += 1;
        }
        self.pending(1)
    }

    /// `Close` makes no call of its own, and cannot fail.
    fn close_name(&mut self, body: &[u8]) -> Option<()> {
        if let [b'S', name @ ..] = body {
            self.statements.close(message::text(name).unwrap_or_default().0);
        }
        let cycle = self.cycle()?;
        cycle.closes += 1;
        if cycle.units.is_empty() && !cycle.full {
            cycle.preface += 1;
            return Some(());
        }
        self.pending(1)
    }

    fn sync(&mut self, end: u64, parts: &mut Vec<Part>) -> Option<()> {
        self.cycle()?.synced = true;
        self.end_request(end, parts);
        Some(())
    }

    /// The cycle that is being asked, a new one if the last was sent; none if there are too many.
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

    /// A message for a statement: part of the call under way, or the first of another.
    fn for_statement(&mut self, at: u64, prepared: Prepared, parts: &mut Vec<Part>) -> Option<()> {
        if self.cycle()?.current(&prepared).is_none() {
            let request = self.request(Some(&prepared));
            self.begin(at, Some(prepared), request, parts);
        }
        Some(())
    }

    /// The call under way has so many messages more.
    fn pending(&mut self, messages: u32) -> Option<()> {
        let cycle = self.cycles.back_mut()?;
        if !cycle.full
            && let Some(unit) = cycle.units.back_mut()
        {
            unit.pending += messages;
        }
        Some(())
    }

    /// A call begins.
    fn begin(
        &mut self,
        at: u64,
        prepared: Option<Prepared>,
        request: database::Request,
        parts: &mut Vec<Part>,
    ) {
        self.end_request(at, parts);
        let Some(cycle) = self.cycles.back_mut() else { return };
        if !cycle.has_room() {
            cycle.end_answered(parts);
            return;
        }
        let told = protocol::Request::Database(Box::new(request.clone()));
        cycle.units.push_back(Unit::new(prepared, request));
        parts.push(Part::Request { at, request: told });
        cycle.end_answered(parts);
        self.unended = true;
    }

    /// The request that began last is all there before `at`.
    fn end_request(&mut self, at: u64, parts: &mut Vec<Part>) {
        if !std::mem::take(&mut self.unended) {
            return;
        }
        let last = self.cycles.back_mut().and_then(|cycle| cycle.units.back_mut());
        // It may have been answered already, by an error that ended the session.
        let Some(unit) = last else { return };
        if unit.executions > 1 {
            unit.request.executions = unit.executions;
            let request = unit.request.clone();
            parts.push(Part::Asked(protocol::Request::Database(Box::new(request))));
        }
        parts.push(Part::RequestEnd { at, body: None });
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
        readable.then(|| Arc::new(Statement::read(text, self.dialect, cut)))
    }

    pub(super) fn request_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        let was = std::mem::replace(&mut self.requests, Requests::Lost);
        if was == Requests::Done {
            self.requests = was;
            return Step::SkipTurn;
        }
        if self.responses == Responses::Lost && self.cycles.iter().all(|cycle| cycle.synced) {
            // Neither the end of that answer was seen nor what was asked next.
            self.desync_all(parts);
        }
        self.unended = false;
        match self.cycles.back_mut() {
            // COPY data: the answer ends it.
            Some(cycle) if cycle.copying => return Step::SkipTurn,
            Some(cycle) if !cycle.synced => cycle.request_cut = true,
            Some(_) => self.pipelined = true,
            None => self.begin_unseen(),
        }
        self.doubt_from_here(parts)
    }
}
