//! First bytes: is this PostgreSQL?
//!
//! A connection begins with a message without a type: evidence is the whole of it. A turn in the
//! middle of a connection begins with anything: evidence is a complete, well-formed message that
//! asks for something, with a text that begins with a command of SQL, or a chain of them.

use super::MAX_STATEMENT;
use super::message::{self, Frame, HEADER, of_client};
use crate::protocol::{Detection, MAX_UNPARSED, Side};
use crate::sql::{Dialect, Statement};

/// The server refuses longer ones (`MAX_STARTUP_PACKET_LENGTH`).
const MAX_STARTUP: u32 = 10_000;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Startup<'a> {
    /// A question whether the connection may be encrypted, by TLS or GSSAPI.
    Negotiation,
    /// A request to cancel what another connection does: nothing follows.
    Cancel,
    /// The parameters of a session, each name and value ended by a zero.
    Session { parameters: &'a [u8], total: usize },
    /// It could still become one of these.
    Partial,
    /// None of these.
    Not,
}

/// Reads the message that a connection begins with.
pub(super) fn startup(bytes: &[u8]) -> Startup<'_> {
    // The lengths and codes that there are, as far as there are bytes.
    let begins = |length: [u8; 4], code: &[u8]| {
        let all = [&length, code].concat();
        bytes.iter().zip(&all).all(|(byte, expected)| byte == expected)
    };
    let &[a, b, c, d, ref rest @ ..] = bytes else {
        let short = bytes.iter().take(2).all(|byte| *byte == 0);
        return if short { Startup::Partial } else { Startup::Not };
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    if length == 8
        && (begins([a, b, c, d], &[4, 210, 22, 47]) || begins([a, b, c, d], &[4, 210, 22, 48]))
    {
        return if bytes.len() < 8 { Startup::Partial } else { Startup::Negotiation };
    }
    // The key is 4 bytes, from PostgreSQL 18 on up to 256.
    if (16..=268).contains(&length) && begins([a, b, c, d], &[4, 210, 22, 46]) {
        return if bytes.len() < 8 { Startup::Partial } else { Startup::Cancel };
    }
    if !(9..=MAX_STARTUP).contains(&length) || !begins([a, b, c, d], &[0, 3, 0]) {
        return Startup::Not;
    }
    let total = length as usize;
    match rest.get(4..total - 4) {
        None => Startup::Partial,
        Some([parameters @ .., 0]) if has_user(parameters) => {
            Startup::Session { parameters, total }
        }
        Some(_) => Startup::Not,
    }
}

/// The name and the value of each parameter of a session.
pub(super) fn parameters(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (name, after) = message::text(rest)?;
        let (value, after) = message::text(after)?;
        rest = after;
        Some((name, value))
    })
}

/// Whether these are parameters and nothing else, with the one that must be there.
fn has_user(bytes: &[u8]) -> bool {
    let is_name = |c: &u8| c.is_ascii_alphanumeric() || b"_.-".contains(c);
    let (mut length, mut user) = (0, false);
    for (name, value) in parameters(bytes) {
        if name.is_empty() || !name.iter().all(is_name) {
            return false;
        }
        length += name.len() + value.len() + 2;
        user |= name == b"user";
    }
    user && length == bytes.len()
}

/// Judges the first bytes of a connection.
pub(super) fn detect(bytes: &[u8]) -> Detection {
    match startup(bytes) {
        Startup::Negotiation | Startup::Cancel | Startup::Session { .. } => {
            Detection::Is(Side::Request)
        }
        Startup::Partial => Detection::Unsure,
        Startup::Not => Detection::IsNot,
    }
}

/// Judges the first bytes of a turn somewhere in a connection.
pub(super) fn resume(bytes: &[u8]) -> Detection {
    match (detect(bytes), request(bytes)) {
        (Detection::Is(side), _) | (_, Detection::Is(side)) => Detection::Is(side),
        (Detection::Unsure, _) | (_, Detection::Unsure) if bytes.len() < MAX_UNPARSED => {
            Detection::Unsure
        }
        _ => Detection::IsNot,
    }
}

/// Whether these are messages that ask for something.
pub(super) fn request(bytes: &[u8]) -> Detection {
    let (kind, total) = match of_client(bytes) {
        Frame::Message { kind, total } if total <= 1 << 26 => (kind, total as usize),
        Frame::Partial if matches!(bytes.first(), Some(b'Q' | b'P' | b'B' | b'E') | None) => {
            return Detection::Unsure;
        }
        _ => return Detection::IsNot,
    };
    let body = &bytes[HEADER..bytes.len().min(total)];
    let whole = bytes.len() >= total;
    let judged = match kind {
        b'Q' => query(body, whole),
        b'P' => parse(body, whole),
        b'B' if whole => bind(body),
        b'E' if whole => execute(body),
        b'B' | b'E' => Some(false),
        _ => None,
    };
    match judged {
        None => Detection::IsNot,
        Some(false) => Detection::Unsure,
        Some(true) if kind == b'Q' || !whole => Detection::Is(Side::Request),
        // One message of the extended protocol does nothing without another.
        Some(true) => match of_client(&bytes[total..]) {
            Frame::Message { kind: b'P' | b'B' | b'D' | b'E' | b'C' | b'S' | b'H', .. } => {
                Detection::Is(Side::Request)
            }
            Frame::Partial => Detection::Unsure,
            _ => Detection::IsNot,
        },
    }
}

/// Whether a text is SQL: `Some(false)` if more of it has to be seen.
fn is_sql(text: &[u8], whole: bool) -> Option<bool> {
    let control = |byte: &u8| *byte < b' ' && !b"\t\n\r\x0c".contains(byte);
    if text.iter().any(control) {
        return None;
    }
    let enough = whole || text.len() >= MAX_STATEMENT;
    if !enough {
        return Some(false);
    }
    let text = &text[..text.len().min(MAX_STATEMENT)];
    let known = !Statement::read(text, Dialect::POSTGRES, !whole).summary.is_empty();
    known.then_some(true)
}

fn query(body: &[u8], whole: bool) -> Option<bool> {
    match (body, whole) {
        ([text @ .., 0], true) => is_sql(text, true),
        (_, true) => None,
        (text, false) => is_sql(text, false),
    }
}

fn parse(body: &[u8], whole: bool) -> Option<bool> {
    let Some((name, rest)) = message::text(body) else { return (!whole).then_some(false) };
    if !is_name(name) {
        return None;
    }
    let Some((text, rest)) = message::text(rest) else {
        return if whole { None } else { is_sql(rest, false) };
    };
    let types = match rest {
        [a, b, types @ ..] => types.len() == 4 * usize::from(u16::from_be_bytes([*a, *b])),
        _ => false,
    };
    match (whole, types) {
        (true, false) => None,
        (true, true) => is_sql(text, true),
        (false, _) => Some(false),
    }
}

/// `Bind`, all of it: formats, values and formats again are as many as it says.
fn bind(body: &[u8]) -> Option<bool> {
    let (portal, rest) = message::text(body)?;
    let (statement, rest) = message::text(rest)?;
    let (formats, rest) = shorts(rest)?;
    let (count, mut rest) = rest.split_first_chunk::<2>()?;
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = match i32::from_be_bytes(*length) {
            -1 => after,
            length => after.get(usize::try_from(length).ok()?..)?,
        };
    }
    let (results, rest) = shorts(rest)?;
    let fits = rest.is_empty() && is_name(portal) && is_name(statement) && formats && results;
    fits.then_some(true)
}

/// A count and as many format codes (0 or 1): whether they are that, and what follows.
fn shorts(bytes: &[u8]) -> Option<(bool, &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<2>()?;
    let (codes, rest) = rest.split_at_checked(2 * usize::from(u16::from_be_bytes(*count)))?;
    Some((codes.chunks(2).all(|code| matches!(code, [0, 0 | 1])), rest))
}

fn execute(body: &[u8]) -> Option<bool> {
    let (portal, limit) = message::text(body)?;
    (is_name(portal) && limit.len() == 4 && limit[0] < 0x80).then_some(true)
}

/// Names of statements and portals as drivers make them: printable.
fn is_name(name: &[u8]) -> bool {
    name.len() <= 255 && name.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
}
