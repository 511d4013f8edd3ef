//! Statements that were prepared, by their numbers.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::sql::Statement;

/// Statements that are remembered per connection. Drivers keep 250 (Connector/J) to 16,000 (mysql2,
/// at most; some hundreds in practice); the one that was not used longest is forgotten.
const MAX_STATEMENTS: usize = 600;
/// Bytes of text that they may have together.
const MAX_TEXT: usize = 512 * 1024;

/// What a client of MariaDB executes that does not wait for the number: what it prepared last.
pub(super) const LAST: u32 = u32::MAX;

struct Entry {
    statement: Arc<Statement>,
    used: u64,
}

/// What one connection has prepared.
#[derive(Default)]
pub(super) struct Statements {
    known: HashMap<u32, Entry>,
    /// What was asked to be prepared last, whether that was granted or not.
    last: Option<Arc<Statement>>,
    text: usize,
    clock: u64,
}

impl Statements {
    /// A statement is to be prepared.
    pub(super) fn asked(&mut self, statement: Option<Arc<Statement>>) {
        self.last = statement;
    }

    /// It was, and has this number.
    pub(super) fn prepared(&mut self, id: u32, statement: Option<Arc<Statement>>) {
        self.close(id);
        let Some(statement) = statement else { return };
        self.clock += 1;
        self.text += statement.text.len();
        self.known.insert(id, Entry { statement, used: self.clock });
        while self.known.len() > MAX_STATEMENTS || self.text > MAX_TEXT {
            let oldest = self.known.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            self.close(oldest);
        }
    }

    /// The statement of this number, if it is known.
    pub(super) fn get(&mut self, id: u32) -> Option<Arc<Statement>> {
        if id == LAST {
            return self.last.clone();
        }
        self.clock += 1;
        let entry = self.known.get_mut(&id)?;
        entry.used = self.clock;
        Some(Arc::clone(&entry.statement))
    }

    /// The number means nothing any more.
    pub(super) fn close(&mut self, id: u32) {
        if let Some(entry) = self.known.remove(&id) {
            self.text -= entry.statement.text.len();
        }
    }

    /// Nothing of this is certain any more.
    pub(super) fn forget(&mut self) {
        *self = Self { clock: self.clock, ..Self::default() };
    }
}
