//! A command that waits for its answer.

use std::sync::Arc;

use super::super::answer::Answer;
use super::super::command::Command;
use super::super::text::Effect;
use crate::protocol::{Part, Response, database};
use crate::sql::Statement;

/// Statements of which it is worth saying that they wrote no row.
const WRITES: &[&str] = &["INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD"];

/// One command.
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) answer: Answer,
    /// What it does to the session, should it succeed.
    pub(super) change: Change,
    /// What it asks, where that is known.
    pub(super) statement: Option<Arc<Statement>>,
    /// The call that it makes is open.
    pub(super) open: bool,
    /// Where its answer begins, as far as that is known.
    pub(super) begins: Option<u64>,
    /// Not all of its answer was seen.
    pub(super) cut: bool,
}

/// What success means for the session.
pub(super) enum Change {
    Nothing,
    /// A text that may change the database.
    Text(Effect),
    /// The database is this one; none: none, or not known.
    Database(Option<Box<[u8]>>),
    /// All that was prepared is gone.
    Reset,
    /// Both.
    User(Option<Box<[u8]>>),
}

impl Asked {
    /// Its answer begins at `at`, or did before.
    pub(super) fn answering(&mut self, at: u64, parts: &mut Vec<Part>) {
        if self.begins.is_none() && self.open {
            self.begins = Some(at);
            parts.push(Part::Answering);
        }
    }

    /// Whether the end of a result, if it says that no other follows, ends the answer: a `SELECT`
    /// has one result, and its rows were coming.
    pub(super) fn ends_with_rows(&self) -> bool {
        let operation = self.statement.as_ref().and_then(|statement| statement.operation.as_ref());
        let select = operation.is_some_and(|operation| operation.eq_ignore_ascii_case("SELECT"));
        select && self.answer.in_first_rows()
    }

    /// It makes no call.
    pub(super) fn withdraw(self, parts: &mut Vec<Part>) {
        if self.open {
            parts.push(Part::Withdrawn);
        }
    }

    /// How it was answered is not known.
    pub(super) fn give_up(self, parts: &mut Vec<Part>) {
        if self.open {
            parts.push(Part::Desync);
        }
    }

    /// It was answered: the answer ended at `end` or, if that is not known, where the stream
    /// stands; with this error, if with any.
    pub(super) fn end(self, end: Option<u64>, code: Option<u16>, parts: &mut Vec<Part>) {
        if !self.open {
            return;
        }
        let Answer { rows, affected, .. } = self.answer;
        let failed = code.is_some();
        let written = !failed && rows.is_none() && self.writes();
        let response = database::Response {
            code: code.map(|code| code.to_string().into()),
            failed,
            returned: rows.filter(|_| !self.cut),
            affected: Some(affected).filter(|n| !self.cut && (*n > 0 || written)),
            cut: self.cut,
            ..database::Response::default()
        };
        let response = Response::Database(Box::new(response));
        parts.push(Part::Response { at: self.begins.unwrap_or_default(), response });
        parts.push(Part::ResponseEnd { at: end, body: None });
    }

    fn writes(&self) -> bool {
        let summary = self.statement.as_ref().map_or("", |statement| &*statement.summary);
        let command = summary.split(' ').next().unwrap_or_default();
        WRITES.iter().any(|word| command.eq_ignore_ascii_case(word))
    }
}
