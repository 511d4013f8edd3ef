//! The operations of a `_bulk` request: lines of JSON, an action and, but for `delete`, its source.
//!
//! Counted while they go by, wherever they are cut. What is counted is told only of a body that was
//! seen whole and was understood: nothing is guessed.

use super::Content;
use super::json::{Lexer, Token};
use crate::protocol::http1;

/// Longest action that is understood: its values are names and ids, of 512 bytes at most.
const MAX_ACTION: usize = 4096;

/// What all operations of a request have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bulk {
    /// How many there are.
    pub operations: u64,
    /// What they do, if that is the same for all.
    pub action: Option<Action>,
    /// The index that all of them name themselves.
    pub index: Option<Box<str>>,
    /// Some of them name one.
    pub names_indices: bool,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `create`
    Create,
    /// `delete`
    Delete,
    /// `index`
    Index,
    /// `update`
    Update,
}

impl Action {
    /// The endpoint of a single one.
    pub fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Delete => "delete",
            Action::Index => "index",
            Action::Update => "update",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"create" => Action::Create,
            b"delete" => Action::Delete,
            b"index" => Action::Index,
            b"update" => Action::Update,
            _ => return None,
        })
    }
}

/// Reads a body as it goes by.
#[derive(Debug, Default)]
pub struct Reader {
    found: Bulk,
    expected: Expected,
    /// The action under way, where it came in pieces.
    line: Vec<u8>,
    /// It is none of these.
    failed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    Action,
    Source {
        /// Something of it was seen.
        begun: bool,
    },
}

impl http1::Reader for Reader {
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && !self.failed {
            let end = memchr::memchr(b'\n', bytes);
            let (piece, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => (bytes, &[][..]),
            };
            bytes = rest;
            match (self.expected, end) {
                (Expected::Source { begun }, None) => {
                    self.expected = Expected::Source { begun: begun || !piece.is_empty() };
                }
                (Expected::Source { begun }, Some(_)) => {
                    // An operation without its source is refused, and so is all after it.
                    self.failed = !begun && piece.trim_ascii().is_empty();
                    self.expected = Expected::Action;
                }
                (Expected::Action, None) => self.keep(piece),
                (Expected::Action, Some(_)) if self.line.is_empty() => self.action(piece),
                (Expected::Action, Some(_)) => {
                    self.keep(piece);
                    let line = std::mem::take(&mut self.line);
                    self.action(&line);
                }
            }
        }
        !self.failed
    }

    fn finish(self: Box<Self>, whole: bool) -> Option<http1::Content> {
        // A last line that does not end is refused by the servers.
        let complete = self.line.is_empty() && self.expected == Expected::Action;
        let known = whole && complete && !self.failed;
        known.then(|| http1::Content::Search(Content::Bulk(Box::new(self.found))))
    }
}

impl Reader {
    fn keep(&mut self, piece: &[u8]) {
        self.failed |= self.line.len() + piece.len() > MAX_ACTION;
        if !self.failed {
            self.line.extend_from_slice(piece);
        }
    }

    fn action(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Some((action, index)) = action(line) else {
            self.failed = true;
            return;
        };
        let first = self.found.operations == 0;
        self.found.operations += 1;
        self.found.names_indices |= index.is_some();
        match (first, index) {
            (true, index) => {
                self.found.action = Some(action);
                self.found.index = index.and_then(plain).map(Into::into);
            }
            (false, index) => {
                self.found.action = self.found.action.filter(|known| *known == action);
                let known = self.found.index.take();
                self.found.index = known.filter(|known| index == Some(known.as_bytes()));
            }
        }
        if action != Action::Delete {
            self.expected = Expected::Source { begun: false };
        }
    }
}

/// What an action does, and the index that it names, as written.
fn action(line: &[u8]) -> Option<(Action, Option<&[u8]>)> {
    let mut tokens = Lexer::new(line);
    let (Some(Token::Object), Some(Token::String(name))) = (tokens.next(), tokens.next()) else {
        return None;
    };
    let action = Action::of(&line[name])?;
    let (Some(Token::Colon), Some(Token::Object)) = (tokens.next(), tokens.next()) else {
        return None;
    };
    let mut index = None;
    let mut depth = 2;
    while depth > 0 {
        match tokens.next()? {
            Token::Object | Token::Array => depth += 1,
            Token::EndObject | Token::EndArray => depth -= 1,
            Token::String(key) if depth == 2 && tokens.is_before_colon() => {
                tokens.next();
                let value = tokens.next()?;
                match value {
                    Token::String(value) if &line[key.clone()] == b"_index" => {
                        index = Some(&line[value]);
                    }
                    Token::Object | Token::Array => depth += 1,
                    Token::Cut => return None,
                    _ => {}
                }
            }
            Token::Cut => return None,
            _ => {}
        }
    }
    tokens.next().is_none().then_some((action, index))
}

/// A name that is what it looks like.
fn plain(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty() && !name.contains('\\')).then_some(name)
}
