//! First bytes: is this MySQL?
//!
//! A connection begins with the server's greeting: evidence is the whole of it. A turn in the middle
//! of a connection begins with anything: evidence is a complete, well-formed command that asks for
//! something, with a text that begins with a command of SQL, or of a form that leaves nothing to
//! chance.

use super::MAX_STATEMENT;
use super::command::{
    CLOSE, EXECUTE, EXECUTE_BULK, FETCH, INIT_DB, PING, PREPARE, QUERY, QUIT, RESET_CONNECTION,
    RESET_STATEMENT, STATISTICS,
};
use super::handshake::{Found, greeting};
use super::packet::{HEADER, Header};
use super::text;
use crate::protocol::{Detection, MAX_UNPARSED, Side};
use crate::sql::{Backslash, Dialect, Statement};

/// Judges the first bytes of a connection.
pub(super) fn detect(bytes: &[u8]) -> Detection {
    match greeting(bytes) {
        Found::Is(_) => Detection::Is(Side::Response),
        Found::Partial => Detection::Unsure,
        Found::Not => Detection::IsNot,
    }
}

/// Judges the first bytes of a turn somewhere in a connection.
pub(super) fn resume(bytes: &[u8]) -> Detection {
    let judged = [detect(bytes), request(bytes, false), compressed(bytes)];
    let is = judged.iter().find(|judged| matches!(judged, Detection::Is(_)));
    let unsure = judged.contains(&Detection::Unsure) && bytes.len() < MAX_UNPARSED;
    is.copied().unwrap_or(if unsure { Detection::Unsure } else { Detection::IsNot })
}

/// Whether these are a command. On a connection that is `known` to speak this protocol it may be
/// one that says little.
pub(super) fn request(bytes: &[u8], known: bool) -> Detection {
    let Some(header) = Header::read(bytes) else {
        return if bytes.len() < HEADER { Detection::Unsure } else { Detection::IsNot };
    };
    if header.number != 0 || header.length == 0 {
        return Detection::IsNot;
    }
    let Some(code) = bytes.get(HEADER).copied() else { return Detection::Unsure };
    let total = HEADER + header.length;
    let whole = bytes.len() >= total;
    let body = &bytes[HEADER + 1..bytes.len().min(total)];
    let judged = match code {
        QUERY => query(body, whole),
        PREPARE => is_sql(body, whole),
        EXECUTE => execute(header.length, body),
        EXECUTE_BULK => execute_bulk(header.length, body),
        FETCH => fetch(header.length, body),
        PING | RESET_CONNECTION | STATISTICS | QUIT if known => {
            (header.length == 1).then_some(true)
        }
        CLOSE | RESET_STATEMENT if known => fixed(header.length == 5, whole),
        INIT_DB if known && header.length <= 257 => is_name(body, whole),
        _ => None,
    };
    match judged {
        None => Detection::IsNot,
        Some(false) => Detection::Unsure,
        Some(true) if !whole => Detection::Is(Side::Request),
        // Most clients send nothing behind it, some another command.
        Some(true) => match bytes[total..] {
            [] | [_, _, _, 0, ..] => Detection::Is(Side::Request),
            [_] | [_, _] | [_, _, _] => Detection::Unsure,
            _ => Detection::IsNot,
        },
    }
}

fn fixed(fits: bool, whole: bool) -> Option<bool> {
    fits.then_some(whole)
}

fn query(body: &[u8], whole: bool) -> Option<bool> {
    match (body, text::text(body)) {
        ([] | [_], _) if !whole => Some(false),
        ([_, 1, ..], None) => (!whole).then_some(false),
        (_, Some(text)) => is_sql(text, whole),
        (_, None) => None,
    }
}

/// Whether a text is SQL: `Some(false)` if more of it has to be seen.
fn is_sql(text: &[u8], whole: bool) -> Option<bool> {
    let control = |byte: &u8| *byte < b' ' && !b"\t\n\r\x0c".contains(byte);
    if text.iter().take(MAX_STATEMENT).any(control) {
        return None;
    }
    if !whole && text.len() < MAX_STATEMENT {
        return Some(false);
    }
    let text = &text[..text.len().min(MAX_STATEMENT)];
    let dialect = Dialect { backslash: Backslash::Unknown, ..Dialect::MYSQL };
    let known = !Statement::read(text, dialect, !whole).summary.is_empty();
    known.then_some(true)
}

/// Numbers of statements count up from 1.
const MAX_ID: u32 = 1 << 24;

/// A number of a statement; of MariaDB it may be that of the last.
fn is_id(id: [u8; 4]) -> bool {
    let id = u32::from_le_bytes(id);
    (1..MAX_ID).contains(&id) || id == super::statements::LAST
}

/// Number, what cursor to open, and how often: always once.
fn execute(length: usize, body: &[u8]) -> Option<bool> {
    match *body {
        _ if length < 10 => None,
        [a, b, c, d, flags, 1, 0, 0, 0, ..] => (is_id([a, b, c, d]) && flags < 16).then_some(true),
        _ => (body.len() < 9).then_some(false),
    }
}

/// Number, and two flags.
fn execute_bulk(length: usize, body: &[u8]) -> Option<bool> {
    match *body {
        _ if length < 8 => None,
        [a, b, c, d, 64 | 128 | 192, 0, ..] => is_id([a, b, c, d]).then_some(true),
        _ => (body.len() < 6).then_some(false),
    }
}

/// Number, and how many rows.
fn fetch(length: usize, body: &[u8]) -> Option<bool> {
    match *body {
        _ if length != 9 => None,
        [a, b, c, d, _, _, _, 0, ..] => is_id([a, b, c, d]).then_some(true),
        _ => (body.len() < 8).then_some(false),
    }
}

fn is_name(name: &[u8], whole: bool) -> Option<bool> {
    let printable = name.iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
    (printable && !(whole && name.is_empty())).then_some(whole)
}

/// Length of the header of what is compressed: length, number, length before.
const COMPRESSED_HEADER: usize = 7;

/// Whether these are a command in the compressed protocol: short ones are sent as they are.
pub(super) fn compressed(bytes: &[u8]) -> Detection {
    let length = Header::read(bytes).map_or(usize::MAX, |header| header.length);
    let &[_, _, _, 0, x, y, z, ref rest @ ..] = bytes else {
        let partial = bytes.len() < COMPRESSED_HEADER && bytes.get(3).is_none_or(|n| *n == 0);
        return if partial && length > HEADER { Detection::Unsure } else { Detection::IsNot };
    };
    let before = u32::from_le_bytes([x, y, z, 0]) as usize;
    match (before, rest) {
        (0, rest) if rest.len() <= length => match Header::read(rest) {
            Some(header) if header.length + HEADER != length => Detection::IsNot,
            _ => request(rest, false),
        },
        // zlib says in two bytes what it is.
        (_, [0x78, flags, ..]) if before > length && rest.len() == length => {
            let fits = (0x7800 | u32::from(*flags)) % 31 == 0 && flags & 0x20 == 0;
            if fits { Detection::Is(Side::Request) } else { Detection::IsNot }
        }
        (_, rest) if before > length && length > 8 && rest.len() < length => match rest {
            [] | [0x78, ..] => Detection::Unsure,
            _ => Detection::IsNot,
        },
        _ => Detection::IsNot,
    }
}
