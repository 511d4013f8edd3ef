//! One call: what it asks, and as much of its answer as was heard.

use super::super::message::{Tag, sqlstate, tag};
use super::super::statements::Prepared;
use crate::protocol::database;
use crate::protocol::{self, Part, Response};

/// Messages of the extended protocol that are answered by one of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Parse,
    Bind,
    Describe,
    Execute,
    Close,
}

impl Asked {
    /// What a message of type `kind` answers in full.
    fn answered_by(kind: u8) -> Option<Self> {
        Some(match kind {
            b'1' => Asked::Parse,
            b'2' => Asked::Bind,
            b'3' => Asked::Close,
            b'T' | b'n' => Asked::Describe,
            b'C' | b'I' | b's' => Asked::Execute,
            _ => return None,
        })
    }
}

/// One call.
pub(super) struct Call {
    /// Which statement: messages for another make another call. None of a `Query` or a
    /// `FunctionCall`, whose answer has any number of parts.
    prepared: Option<Prepared>,
    /// What the call is, as it was told.
    request: database::Request,
    /// How often it was executed; 0 if it was only prepared.
    pub(super) executions: u32,
    /// Of a `Query`: how many commands it has at the most, where that is known, and how many of them
    /// are complete.
    pub(super) commands: Option<u32>,
    completed: u32,
    /// Messages that have no answer yet, by [`Asked`].
    pending: [u32; 5],
    /// Where its last answer ended.
    end: Option<u64>,
    answering: bool,
    answered: bool,
    /// Rows seen since the last command was complete; whether any were announced.
    rows: u64,
    described: bool,
    outcome: database::Response,
}

impl Call {
    /// Of a `Query` or a `FunctionCall`.
    pub(super) fn simple(request: database::Request) -> Self {
        Self { executions: 1, ..Self::new(None, request) }
    }

    /// Of the statement that was prepared.
    pub(super) fn extended(prepared: Prepared, request: database::Request) -> Self {
        Self::new(Some(prepared), request)
    }

    fn new(prepared: Option<Prepared>, request: database::Request) -> Self {
        Self {
            prepared,
            request,
            executions: 0,
            commands: None,
            completed: 0,
            pending: [0; 5],
            end: None,
            answering: false,
            answered: false,
            rows: 0,
            described: false,
            outcome: database::Response::default(),
        }
    }

    /// It is a message of its own, which `ReadyForQuery` ends.
    pub(super) fn is_simple(&self) -> bool {
        self.prepared.is_none()
    }

    /// It is of this statement.
    pub(super) fn is_of(&self, prepared: &Prepared) -> bool {
        self.prepared.as_ref().is_some_and(|own| own.id == prepared.id)
    }

    /// The text is a `COPY`: what the client sends before the answer is data.
    pub(super) fn copies(&self) -> bool {
        self.request.statement.as_ref().is_some_and(|text| text.summary.starts_with("COPY"))
    }

    /// One more message for it.
    pub(super) fn ask(&mut self, asked: Asked) {
        self.executions += u32::from(asked == Asked::Execute);
        self.pending[asked as usize] += 1;
    }

    /// An answer to it has to come.
    pub(super) fn is_pending(&self) -> bool {
        self.is_simple() || self.pending != [0; 5]
    }

    /// A message of its answer, which ends at `end`: false if it cannot be one.
    pub(super) fn hear(&mut self, kind: u8, end: u64, body: &[u8], parts: &mut Vec<Part>) -> bool {
        if !self.takes(kind, end) {
            return false;
        }
        if !std::mem::replace(&mut self.answering, true) && !self.answered {
            parts.push(Part::Answering);
        }
        self.result(kind, body);
        true
    }

    fn takes(&mut self, kind: u8, end: u64) -> bool {
        if self.is_simple() {
            return matches!(kind, b'T' | b'D' | b'C' | b'I' | b'G' | b'H' | b'd' | b'c' | b'V');
        }
        let Some(asked) = Asked::answered_by(kind) else {
            // These do not end the answer to theirs.
            return match kind {
                b't' => self.pending[Asked::Describe as usize] > 0,
                b'D' | b'G' | b'H' | b'd' | b'c' => self.pending[Asked::Execute as usize] > 0,
                _ => false,
            };
        };
        let pending = &mut self.pending[asked as usize];
        let expected = *pending > 0;
        *pending = pending.saturating_sub(1);
        self.end = Some(end);
        expected
    }

    /// What a message says of the result.
    pub(super) fn result(&mut self, kind: u8, body: &[u8]) {
        match kind {
            b'T' => self.described = true,
            b'D' => (self.described, self.rows) = (true, self.rows + 1),
            // A portal gave as many rows as were asked for.
            b's' => {
                let rows = std::mem::take(&mut self.rows);
                add(&mut self.outcome.returned, rows);
            }
            b'C' => self.complete(tag(body)),
            _ => {}
        }
    }

    fn complete(&mut self, tag: Option<Tag<'_>>) {
        self.completed = self.completed.saturating_add(1);
        let seen = std::mem::take(&mut self.rows);
        let described = std::mem::take(&mut self.described);
        let Some(tag) = tag else { return };
        if self.request.statement.is_none() {
            self.outcome.command = Some(tag.command.into());
        }
        let Some(rows) = tag.rows else { return };
        match tag.command {
            "FETCH" => add(&mut self.outcome.returned, rows),
            // `CREATE TABLE AS` says the same, and returns nothing.
            "SELECT" if rows == 0 || described || seen > 0 => {
                add(&mut self.outcome.returned, rows);
            }
            "MOVE" => {}
            _ => {
                add(&mut self.outcome.affected, rows);
                // RETURNING
                if described || seen > 0 {
                    add(&mut self.outcome.returned, rows);
                }
            }
        }
    }

    /// The server reports a warning: its code is the call's if there is no error.
    pub(super) fn warn(&mut self, code: &[u8]) {
        if let Some(code) = sqlstate(code).filter(|_| !self.answered) {
            self.outcome.code = Some(code);
        }
    }

    /// The server reports an error, or `None` if that was not seen.
    pub(super) fn fail(&mut self, code: Option<&[u8]>, parts: &mut Vec<Part>) {
        if self.answered {
            return;
        }
        if !std::mem::replace(&mut self.answering, true) {
            parts.push(Part::Answering);
        }
        // What it had read or written is void.
        let command = self.outcome.command.take();
        let cut = code.is_none();
        let code = code.and_then(sqlstate);
        self.outcome =
            database::Response { failed: true, code, command, cut, ..Default::default() };
        self.answer(parts);
    }

    /// So many more executions of it were proven.
    pub(super) fn add_executions(&mut self, executions: u32, parts: &mut Vec<Part>) {
        self.executions = self.executions.saturating_add(executions);
        self.tell_executions(parts);
    }

    /// Tells how often it is asked for, if that is more than was told when it began.
    pub(super) fn tell_executions(&mut self, parts: &mut Vec<Part>) {
        if self.executions > 1 {
            self.request.executions = self.executions;
            let request = Box::new(self.request.clone());
            parts.push(Part::Asked(protocol::Request::Database(request)));
        }
    }

    /// Its answer ends at `end`, or with its last message where that is `None`.
    pub(super) fn finish(mut self, end: Option<u64>, parts: &mut Vec<Part>) {
        if self.executions == 0 && !self.answered {
            parts.push(Part::Withdrawn);
            return;
        }
        self.answer(parts);
        parts.push(Part::ResponseEnd { at: end.or(self.end), body: None });
    }

    /// The same of an answer of which bytes are missing: what they say is not known, but for the
    /// `last` command's rows.
    pub(super) fn finish_cut(mut self, end: u64, last: Option<Tag<'_>>, parts: &mut Vec<Part>) {
        let last = last.filter(|tag| self.is_last() && (self.has_rows() || tag.command == "COPY"));
        match last {
            Some(tag) => self.complete(Some(tag)),
            None => (self.outcome.returned, self.outcome.affected) = (None, None),
        }
        self.outcome.cut = true;
        self.finish(Some(end), parts);
    }

    /// The next command that is complete is the last that was asked for.
    fn is_last(&self) -> bool {
        let [parse, bind, describe, execute, close] = self.pending;
        match self.is_simple() {
            // A text may have fewer than it seems: then more would be complete.
            true => self.commands == Some(self.completed + 1),
            false => [parse, bind, describe, close] == [0; 4] && execute == 1,
        }
    }

    /// The command under way was seen to return rows.
    fn has_rows(&self) -> bool {
        self.described || self.rows > 0
    }

    /// This call failed, which was told, or one before it did.
    pub(super) fn skip(mut self, end: u64, parts: &mut Vec<Part>) {
        if !self.answered {
            self.outcome = database::Response { skipped: true, ..Default::default() };
        }
        self.finish(Some(end), parts);
    }

    /// What came of it was told.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    fn answer(&mut self, parts: &mut Vec<Part>) {
        if !std::mem::replace(&mut self.answered, true) {
            let response = Response::Database(Box::new(std::mem::take(&mut self.outcome)));
            parts.push(Part::Response { at: self.end.unwrap_or_default(), response });
        }
    }
}

fn add(sum: &mut Option<u64>, rows: u64) {
    *sum = Some(sum.unwrap_or_default().saturating_add(rows));
}
