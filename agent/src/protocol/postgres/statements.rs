//! Statements that were prepared, and the portals that they were bound to.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::sql::Statement;

/// Named statements that are remembered per connection. Drivers keep 100 (asyncpg), 256 (pgjdbc) or
/// 512 (pgx); the one that was not used longest is forgotten.
const MAX_STATEMENTS: usize = 600;
/// Bytes of text that they may have together.
const MAX_TEXT: usize = 512 * 1024;
/// Named portals that are remembered: open cursors of one transaction.
const MAX_PORTALS: usize = 64;
/// The server compares so many bytes of a name (`NAMEDATALEN` - 1).
const MAX_NAME: usize = 63;

/// A statement as it is executed.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// The same for two executions if they are of the same statement.
    pub(super) id: u64,
    /// Its text, unless it was prepared before anybody looked.
    pub(super) statement: Option<Arc<Statement>>,
}

/// When a statement was prepared: in which cycle, and as its how manieth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) cycle: u64,
    pub(super) ordinal: u32,
}

struct Entry {
    prepared: Prepared,
    origin: Option<Origin>,
    used: u64,
}

/// What one connection has prepared.
#[derive(Default)]
pub(super) struct Statements {
    unnamed: Option<Entry>,
    named: HashMap<Box<[u8]>, Entry>,
    /// Bytes of text in `named`.
    text: usize,
    portal: Option<Prepared>,
    portals: Vec<(Box<[u8]>, Prepared)>,
    clock: u64,
}

impl Statements {
    /// `Parse`: `name` is this statement from now on.
    pub(super) fn prepare(
        &mut self,
        name: &[u8],
        statement: Option<Arc<Statement>>,
        origin: Origin,
    ) -> Prepared {
        self.insert(name, statement, Some(origin))
    }

    /// The statement of this name.
    pub(super) fn get(&mut self, name: &[u8]) -> Prepared {
        self.clock += 1;
        let known = match key(name) {
            b"" => self.unnamed.as_mut(),
            name => self.named.get_mut(name),
        };
        if let Some(entry) = known {
            entry.used = self.clock;
            return entry.prepared.clone();
        }
        self.insert(name, None, None)
    }

    /// `Close`: the name means nothing any more.
    pub(super) fn close(&mut self, name: &[u8]) {
        match key(name) {
            b"" => self.unnamed = None,
            name => {
                if let Some(entry) = self.named.remove(name) {
                    self.text -= text_of(&entry.prepared);
                }
            }
        }
    }

    /// A cycle failed after so many of its statements were prepared: the others were not.
    pub(super) fn fail(&mut self, cycle: u64, prepared: u32) {
        let failed = |entry: &Entry| {
            entry.origin.is_some_and(|origin| origin.cycle == cycle && origin.ordinal >= prepared)
        };
        if self.unnamed.as_ref().is_some_and(failed) {
            self.unnamed = None;
        }
        let text = &mut self.text;
        self.named.retain(|_, entry| {
            let keep = !failed(entry);
            if !keep {
                *text -= text_of(&entry.prepared);
            }
            keep
        });
    }

    /// `Bind`: `portal` runs this statement.
    pub(super) fn bind(&mut self, portal: &[u8], prepared: &Prepared) {
        let portal = key(portal);
        if portal.is_empty() {
            self.portal = Some(prepared.clone());
            return;
        }
        self.portals.retain(|(name, _)| **name != *portal);
        if self.portals.len() >= MAX_PORTALS {
            self.portals.remove(0);
        }
        self.portals.push((portal.into(), prepared.clone()));
    }

    /// The statement that a portal runs; of a portal that is not known nothing is.
    pub(super) fn portal(&mut self, name: &[u8]) -> Prepared {
        let name = key(name);
        let known = match name {
            b"" => self.portal.as_ref(),
            name => self.portals.iter().find(|(known, _)| **known == *name).map(|(_, p)| p),
        };
        if let Some(prepared) = known {
            return prepared.clone();
        }
        self.clock += 1;
        let prepared = Prepared { id: self.clock, statement: None };
        self.bind(name, &prepared);
        prepared
    }

    /// The transaction ended, and its portals with it.
    pub(super) fn end_transaction(&mut self) {
        self.portals.clear();
    }

    /// The statement and the portal without a name are gone, or may be others.
    pub(super) fn forget_unnamed(&mut self) {
        self.unnamed = None;
        self.portal = None;
    }

    /// Portals may have been bound to other statements.
    pub(super) fn forget_portals(&mut self) {
        self.portal = None;
        self.portals.clear();
    }

    /// A statement is executed, which may be about names itself: `DEALLOCATE`, `DISCARD`, `PREPARE`.
    pub(super) fn executed(&mut self, statement: &Statement) {
        if !statement.summary.split(' ').any(names) {
            return;
        }
        match deallocated(&statement.text) {
            Some(name) => self.close(name.as_bytes()),
            None => self.forget(),
        }
    }

    /// Nothing of this is certain any more: messages were missed.
    pub(super) fn forget(&mut self) {
        *self = Self { clock: self.clock, ..Self::default() };
    }

    fn insert(
        &mut self,
        name: &[u8],
        statement: Option<Arc<Statement>>,
        origin: Option<Origin>,
    ) -> Prepared {
        self.clock += 1;
        let prepared = Prepared { id: self.clock, statement };
        let entry = Entry { prepared: prepared.clone(), origin, used: self.clock };
        match key(name) {
            b"" => self.unnamed = Some(entry),
            name => {
                self.close(name);
                self.text += text_of(&prepared);
                self.named.insert(name.into(), entry);
                while self.named.len() > MAX_STATEMENTS || self.text > MAX_TEXT {
                    let oldest = self.named.iter().min_by_key(|(_, entry)| entry.used);
                    let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
                    self.close(&oldest);
                }
            }
        }
        prepared
    }
}

/// Whether this command, of a summary or of a `CommandComplete`, is about names.
pub(super) fn names(command: &str) -> bool {
    matches!(command, "DEALLOCATE" | "DISCARD" | "PREPARE")
}

/// The only name that a text is about; none if it says anything else.
fn deallocated(text: &str) -> Option<&str> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let (command, name) = text.split_once(' ')?;
    if !command.eq_ignore_ascii_case("DEALLOCATE") {
        return None;
    }
    if let Some(quoted) = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        return Some(quoted).filter(|name| !name.contains('"'));
    }
    // Others are written in another way than they are compared.
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    (name.bytes().all(plain) && !matches!(name, "all" | "prepare")).then_some(name)
}

fn key(name: &[u8]) -> &[u8] {
    &name[..name.len().min(MAX_NAME)]
}

fn text_of(prepared: &Prepared) -> usize {
    prepared.statement.as_ref().map_or(0, |statement| statement.text.len())
}
