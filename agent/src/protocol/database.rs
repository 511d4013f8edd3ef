//! What a database call is, whatever its protocol looks like on the wire.
//!
//! Parsers of databases fill these in, `trace::database` makes spans of them. Nothing here holds a
//! credential, a bind value or a result: texts were masked before they got here.

use std::sync::Arc;

use crate::sql::Statement;

/// A database product, as spans name it.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    /// `db.system.name`.
    pub name: &'static str,
    /// The port that goes without saying.
    pub port: u16,
    /// How the operation of several in one call is called.
    pub batches: Batches,
    /// Whether what an operation acts on is part of its span's name. The conventions for Redis name
    /// the operation only.
    pub target_names: bool,
}

/// How the operation of a batch is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batches {
    /// `BATCH` and the operation, if it is the same for all.
    Prefixed,
    /// As the [statement](Request::statement) says: there are several kinds of batches.
    Named,
}

/// What a call asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who is asked.
    pub system: &'static System,
    /// `db.namespace`: the database, and the schema where it is known.
    pub namespace: Option<Arc<str>>,
    /// What is asked, where the text was seen: a statement may have been prepared before the agent
    /// came.
    pub statement: Option<Arc<Statement>>,
    /// What is asked where that has no text: the protocol's own name for it.
    pub operation: Option<&'static str>,
    /// How often the statement is asked for in this one call, with other values each time; 1 for
    /// most calls, 0 if it was not seen.
    pub executions: u32,
    /// It waits, on purpose, until something happens: how long it takes says nothing of the
    /// database, and an answer may never come.
    pub waits: bool,
    /// A long text was left out ([`trim`](Self::trim)).
    pub trimmed: bool,
}

/// What a query text may have to stay when texts are left out: half a line.
const SHORT: usize = 64;

impl Request {
    /// Leaves a long query text out, but not its summary; false if there is none.
    pub fn trim(&mut self) -> bool {
        let long = self.statement.as_ref().filter(|statement| statement.text.len() > SHORT);
        if let Some(statement) = long {
            let rest = Statement { text: Arc::default(), ..Statement::clone(statement) };
            self.statement = Some(Arc::new(rest));
            self.trimmed = true;
        }
        self.trimmed
    }
}

/// How a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The database's own code, of an error or a warning (SQLSTATE).
    pub code: Option<Box<str>>,
    /// True if the call failed.
    pub failed: bool,
    /// The call was not carried out, because one before it, sent along with it, failed.
    pub skipped: bool,
    /// What the database says that it did (`SELECT`, `CREATE TABLE`): names a call whose text is
    /// not known.
    pub command: Option<Box<str>>,
    /// Rows that came back, where enough of the answer was seen to know.
    pub returned: Option<u64>,
    /// Rows that were written, the same.
    pub affected: Option<u64>,
    /// Not all of the answer was seen: whether it says of a warning is not known nor, where there are
    /// no rows either, of an error.
    pub cut: bool,
}
