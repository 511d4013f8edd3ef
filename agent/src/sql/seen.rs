//! Statements that were read before: programs say the same few again and again.
//!
//! A statement is known by every byte that was seen of it but the numbers that mean nothing
//! ([`shape`]), and by whatever else its reading depends on. What is kept of it that is secret stays here, in memory, like the captured bytes before it.

use std::cell::RefCell;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use rustc_hash::FxHasher;

use super::shape::shape;
use super::{Dialect, Statement};

/// Statements that are kept: a program has tens, a host some hundreds. Where two fall together the
/// newer stays.
const MAX_STATEMENTS: usize = 1024;
/// Longest text that is kept: people write shorter ones, and generators hardly the same one twice.
const MAX_TEXT: usize = 2048;
/// What all of them may take. Beyond it they are forgotten, and those that are said again come back.
const MAX_BYTES: usize = 1 << 20;
/// What one takes besides its texts, the masked one being no longer than its own.
const OVERHEAD: usize = 768;

thread_local! {
    // All statements are read by the thread of the pipeline.
    static SEEN: RefCell<Seen> = RefCell::new(Seen::new());
}

/// Reads a statement, unless that was done before.
pub(super) fn read(text: &[u8], dialect: Dialect, cut: bool) -> Arc<Statement> {
    if text.len() > MAX_TEXT {
        return Arc::new(Statement::read(text, dialect, cut));
    }
    SEEN.with_borrow_mut(|seen| seen.read(text, dialect, cut))
}

struct Known {
    shape: Box<[u8]>,
    dialect: Dialect,
    cut: bool,
    statement: Arc<Statement>,
}

impl Known {
    fn is(&self, shape: &[u8], dialect: Dialect, cut: bool) -> bool {
        *self.shape == *shape && self.dialect == dialect && self.cut == cut
    }

    fn bytes(&self) -> usize {
        2 * self.shape.len() + OVERHEAD
    }
}

#[derive(Default)]
struct Slot {
    /// Of the shape that was said last and is not kept: what is said once is said no more, most
    /// likely, because it has texts in it.
    hash: u64,
    known: Option<Box<Known>>,
}

struct Seen {
    slots: Box<[Slot]>,
    bytes: usize,
    /// Of the statement at hand.
    shape: Vec<u8>,
}

impl Seen {
    fn new() -> Self {
        let slots = (0..MAX_STATEMENTS).map(|_| Slot::default()).collect();
        Self { slots, bytes: 0, shape: Vec::new() }
    }

    fn read(&mut self, text: &[u8], dialect: Dialect, cut: bool) -> Arc<Statement> {
        shape(text, cut, &mut self.shape);
        let mut hasher = FxHasher::default();
        self.shape.hash(&mut hasher);
        let hash = hasher.finish();
        let slot = &mut self.slots[hash as usize % MAX_STATEMENTS];
        if let Some(known) = slot.known.as_ref().filter(|known| known.is(&self.shape, dialect, cut))
        {
            return Arc::clone(&known.statement);
        }
        let statement = Arc::new(Statement::read(text, dialect, cut));
        if std::mem::replace(&mut slot.hash, hash) == hash {
            let statement = Arc::clone(&statement);
            let known =
                Box::new(Known { shape: self.shape.as_slice().into(), dialect, cut, statement });
            self.bytes += known.bytes();
            if let Some(old) = slot.known.replace(known) {
                self.bytes -= old.bytes();
            }
            if self.bytes > MAX_BYTES {
                *self = Self::new();
            }
        }
        statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Backslash;

    fn select(n: usize) -> String {
        format!("SELECT * FROM t{n} WHERE a = '{n}'")
    }

    #[test]
    fn what_is_said_again_is_not_read_again() {
        let mut seen = Seen::new();
        let mut read = |text: &str| seen.read(text.as_bytes(), Dialect::POSTGRES, false);
        let [first, second, third] = [(); 3].map(|()| read("SELECT 1 FROM a"));
        assert!(!Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&second, &third));
        assert_eq!((&*first.text, &*third.summary), ("SELECT ? FROM a", "SELECT a"));
        assert!(Arc::ptr_eq(&third, &read("SELECT 4711 FROM a")));
        assert!(!Arc::ptr_eq(&third, &read("SELECT 1 FROM A")));
    }

    #[test]
    fn every_statement_is_its_own() {
        let mut seen = Seen::new();
        let escaping = Dialect { backslash: Backslash::Escape, ..Dialect::POSTGRES };
        for _ in 0..4 {
            for n in 0..2 * MAX_STATEMENTS {
                let text = select(n);
                for (dialect, cut) in
                    [(Dialect::POSTGRES, false), (Dialect::POSTGRES, true), (escaping, false)]
                {
                    let read = seen.read(text.as_bytes(), dialect, cut);
                    assert_eq!(*read, Statement::read(text.as_bytes(), dialect, cut));
                }
            }
        }
    }

    #[test]
    fn what_they_take_is_bounded() {
        let mut seen = Seen::new();
        let mut most = 0;
        for n in 0..8 * MAX_STATEMENTS {
            let text = format!("SELECT a{n}, '{}'", "x".repeat(MAX_TEXT - 20));
            for _ in 0..2 {
                seen.read(text.as_bytes(), Dialect::POSTGRES, false);
            }
            assert!(seen.bytes <= MAX_BYTES);
            most = most.max(seen.bytes);
            let held = seen.slots.iter().filter_map(|slot| slot.known.as_ref());
            assert_eq!(held.map(|known| known.bytes()).sum::<usize>(), seen.bytes);
        }
        assert!(most > MAX_BYTES / 2);
    }
}
