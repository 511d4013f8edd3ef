//! The statement in a query, and what it says of the database.

use super::packet::{number, string};

/// Values that are sent along with a query (`CLIENT_QUERY_ATTRIBUTES`), at most: more are not
/// looked through.
const MAX_ATTRIBUTES: u64 = 64;

/// Where the text begins in the body of a `COM_QUERY`; none if that is not known.
///
/// A text never has the byte 1 where the number of sets of attributes stands, which is always 1.
pub(super) fn text(body: &[u8]) -> Option<&[u8]> {
    match body {
        [_, 1, ..] => after_attributes(body),
        text => Some(text),
    }
}

fn after_attributes(body: &[u8]) -> Option<&[u8]> {
    let (count, rest) = number(body)?;
    let (_, rest) = number(rest)?;
    if count == 0 {
        return Some(rest);
    }
    if count > MAX_ATTRIBUTES {
        return None;
    }
    let count = count as usize;
    let (nulls, rest) = rest.split_at_checked(count.div_ceil(8))?;
    let [1, rest @ ..] = rest else { return None };
    let mut rest = rest;
    let mut types = Vec::with_capacity(count);
    for _ in 0..count {
        let [kind, _, after @ ..] = rest else { return None };
        types.push(*kind);
        rest = string(after)?.1;
    }
    for (n, kind) in types.into_iter().enumerate() {
        if nulls[n / 8] >> (n % 8) & 1 == 0 {
            rest = after_value(kind, rest)?;
        }
    }
    Some(rest)
}

/// What follows a value of this type (`MYSQL_TYPE_*`).
fn after_value(kind: u8, bytes: &[u8]) -> Option<&[u8]> {
    match kind {
        6 => Some(bytes),
        1 => bytes.get(1..),
        2 | 13 => bytes.get(2..),
        3 | 4 | 9 => bytes.get(4..),
        5 | 8 => bytes.get(8..),
        // Times have one byte of length, strings and the like a number.
        _ => string(bytes).map(|(_, rest)| rest),
    }
}

/// What a statement does to the session's database, should it succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing.
    Not,
    /// `USE name`.
    Name(String),
    /// Perhaps something.
    Unclear,
}

/// What a text does to the session's database, should it succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    /// Its first statement.
    pub(super) first: Use,
    /// The others may do something, if there are any: that is seen by their results.
    pub(super) others: bool,
}

impl Effect {
    /// Certainly nothing.
    pub(super) fn is_none(&self) -> bool {
        self.first == Use::Not && !self.others
    }
}

/// Reads what a text, of which there may be more, does to the session's database.
pub(super) fn effect(text: &[u8], cut: bool) -> Effect {
    let anywhere =
        (0..text.len()).any(|at| is_word(text, at, b"use") || is_word(text, at, b"drop"));
    if !anywhere {
        return Effect { first: Use::Not, others: cut };
    }
    let Some(statement) = after_comments(text) else {
        return Effect { first: Use::Unclear, others: true };
    };
    let first = if is_word(statement, 0, b"use") {
        let name = statement[3..].split(|byte| *byte == b';').next().unwrap_or_default();
        name_of(name.trim_ascii()).filter(|_| !cut).map_or(Use::Unclear, Use::Name)
    } else if is_word(statement, 0, b"drop") {
        // Of the session's own database perhaps.
        Use::Unclear
    } else {
        Use::Not
    };
    Effect { first, others: true }
}

fn is_word(text: &[u8], at: usize, word: &[u8]) -> bool {
    let continues = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = at + word.len();
    text.get(at..end).is_some_and(|there| there.eq_ignore_ascii_case(word))
        && !text.get(end).is_some_and(continues)
        && !at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(continues)
}

/// The text without spaces and comments in front; none if it begins with a comment that servers
/// obey.
fn after_comments(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = text.trim_ascii_start();
        text = match text {
            [b'/', b'*', b'!' | b'M', ..] => return None,
            [b'/', b'*', rest @ ..] => &rest[memchr::memmem::find(rest, b"*/")? + 2..],
            [b'#', rest @ ..] | [b'-', b'-', rest @ ..] => &rest[memchr::memchr(b'\n', rest)?..],
            text => return Some(text),
        };
    }
}

/// A name without its quotes, if it is nothing but a name.
fn name_of(name: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$".contains(byte) || *byte >= 0x80;
    let name = match name {
        [b'`', name @ .., b'`'] if !name.contains(&b'`') => name,
        name if name.iter().all(plain) => name,
        _ => return None,
    };
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}
