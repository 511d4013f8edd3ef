//! SQL without its secrets: one pass over a statement masks its literals and summarises it.
//!
//! The text that leaves here has no byte of a string, number, date, boolean or binary literal and
//! no comment, whatever the statement is: complete, cut anywhere, or not SQL at all. A parser of
//! SQL would refuse what is cut, and recurse on what is hostile; this is a lexer with a few words
//! of context. What it emits follows semantic conventions 1.44, `db.query.text` ("Sanitization")
//! and `db.query.summary` ("Generating a summary of the query").

mod lexer;
mod mask;
mod seen;
mod shape;
mod summary;
#[cfg(test)]
mod tests;
mod words;

pub use lexer::{Backslash, Dialect};

use std::sync::Arc;

use summary::Summary;

/// A statement (or several, in one text) as spans tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// `db.query.text`: each literal is a `?`, comments are gone.
    pub text: Arc<str>,
    /// `db.query.summary`: operations and targets as they come (`SELECT users orders`). Empty if
    /// the text begins with no known command.
    pub summary: Arc<str>,
    /// The operation, if all of the text was seen and it is the only one.
    pub operation: Option<Arc<str>>,
    /// The table, if all of the text was seen and there is one operation on one table.
    pub collection: Option<Arc<str>>,
    /// The procedure of a `CALL` that is the only operation.
    pub procedure: Option<Arc<str>>,
    /// How many statements the text has, as far as it was seen.
    pub statements: u32,
}

impl Statement {
    /// As [`read`](Self::read), or as it was read before, perhaps with other numbers.
    pub fn shared(text: &[u8], dialect: Dialect, cut: bool) -> Arc<Self> {
        seen::read(text, dialect, cut)
    }

    /// Reads the text of a statement; `cut` if there is more of it that was not seen.
    pub fn read(text: &[u8], dialect: Dialect, cut: bool) -> Self {
        let mut summary = Summary::new(text, cut);
        let text = mask::mask(text, dialect, &mut summary);
        summary.finish(text)
    }
}
