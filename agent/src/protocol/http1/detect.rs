//! First bytes: is this HTTP/1.x?
//!
//! Strict on purpose. Other agents take foreign traffic for HTTP because a method name is enough
//! for them; here only a complete request line or status line is evidence, and the first byte
//! that cannot belong to one ends the matter.

use super::super::{Detection, MAX_UNPARSED, Side};

/// The longest method name believed. Registered ones have at most 17 characters
/// (`UPDATEREDIRECTREF`).
const MAX_METHOD: usize = 24;

/// The longest run of line ends skipped before a message: RFC 9112 2.2 asks for "at least one".
const MAX_BLANK: usize = 8;

/// The IANA registry of methods.
#[rustfmt::skip]
const REGISTERED: &[&str] = &[
    "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET",
    "HEAD", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF",
    "MKWORKSPACE", "MOVE", "OPTIONS", "ORDERPATCH", "PATCH", "POST", "PROPFIND", "PROPPATCH",
    "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "TRACE", "UNBIND", "UNCHECKOUT", "UNLINK",
    "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
];

/// How far a line was recognised.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<T> {
    /// All of it.
    Whole(T),
    /// It could still become one.
    Prefix,
    /// It cannot.
    Not,
}

/// A request line (RFC 9112 3).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a str,
    /// Clients send raw bytes above 0x7f here, whatever the grammar says.
    pub(super) target: &'a [u8],
    pub(super) minor: u8,
    /// Length of the line with its end.
    pub(super) len: usize,
}

/// The start of a status line (RFC 9112 4): all of it that means anything.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StatusLine {
    pub(super) minor: u8,
    pub(super) status: u16,
}

/// Judges the first bytes of a direction; see [`Detector`](super::super::Detector).
pub(super) fn detect(bytes: &[u8]) -> Detection {
    let line = &bytes[leading_blank(bytes).min(MAX_BLANK)..];
    match (request_line(line), status_line(line)) {
        (Seen::Whole(_), _) => Detection::Is(Side::Request),
        (_, Seen::Whole(_)) => Detection::Is(Side::Response),
        (Seen::Not, Seen::Not) => Detection::IsNot,
        _ if bytes.len() >= MAX_UNPARSED => Detection::IsNot,
        _ => Detection::Unsure,
    }
}

/// Length of the empty lines that `bytes` begins with.
pub(super) fn leading_blank(bytes: &[u8]) -> usize {
    let mut blank = 0;
    loop {
        match &bytes[blank..] {
            [b'\n', ..] => blank += 1,
            [b'\r', b'\n', ..] => blank += 2,
            _ => return blank,
        }
    }
}

/// A registered method of this name.
pub(super) fn registered(name: &str) -> Option<&'static str> {
    // Nearly every request.
    if name == "GET" {
        return Some("GET");
    }
    REGISTERED.binary_search(&name).ok().map(|at| REGISTERED[at])
}

/// Whether `bytes` begin with a registered method and a space, as far as they go. Where a message
/// does not have to begin, that is better evidence than a token.
pub(super) fn begins_with_registered_method(bytes: &[u8]) -> bool {
    let word = bytes.split(|byte| *byte == b' ').next().unwrap_or(bytes);
    let complete = word.len() < bytes.len();
    REGISTERED.iter().map(|method| method.as_bytes()).any(|method| match complete {
        true => method == word,
        false => method.starts_with(word),
    })
}

/// Reads `method SP target SP HTTP/1.x line-end`.
pub(super) fn request_line(bytes: &[u8]) -> Seen<RequestLine<'_>> {
    if is_lone_carriage_return(bytes) {
        return Seen::Prefix;
    }
    let name = bytes.iter().take(MAX_METHOD + 1).take_while(|byte| is_token(**byte)).count();
    // Any token is a method (RFC 9110 9.1), but all that exist begin with a letter, while the
    // answers of Redis and others begin with `+ - * $`, which are token characters too.
    if name > MAX_METHOD || bytes.first().is_some_and(|first| !first.is_ascii_alphabetic()) {
        return Seen::Not;
    }
    let Some(rest) = after_space(bytes, name) else { return prefix_if(bytes.len() == name) };
    let Ok(method) = std::str::from_utf8(&bytes[..name]) else { return Seen::Not };

    // Origin, asterisk, absolute and authority form (RFC 9112 3.2) all begin like this.
    if rest.first().is_some_and(|b| !(matches!(b, b'/' | b'*' | b'[') || b.is_ascii_alphanumeric()))
    {
        return Seen::Not;
    }
    let length = rest.iter().take_while(|byte| **byte > b' ' && **byte != 0x7f).count();
    let target = &rest[..length];
    let Some(rest) = after_space(rest, length) else { return prefix_if(rest.len() == length) };

    let Some((minor, rest)) = version(rest) else { return prefix_if(is_version_prefix(rest)) };
    let line_end = match rest {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => return prefix_if(rest.is_empty() || is_lone_carriage_return(rest)),
    };
    let len = bytes.len() - rest.len() + line_end;
    Seen::Whole(RequestLine { method, target, minor, len })
}

/// Reads `HTTP/1.x SP 3DIGIT` and the byte after it. The reason phrase means nothing.
pub(super) fn status_line(bytes: &[u8]) -> Seen<StatusLine> {
    if is_lone_carriage_return(bytes) {
        return Seen::Prefix;
    }
    let Some((minor, rest)) = version(bytes) else { return prefix_if(is_version_prefix(bytes)) };
    let pattern: [fn(&u8) -> bool; 5] = [
        |byte| *byte == b' ',
        |byte| matches!(byte, b'1'..=b'9'),
        u8::is_ascii_digit,
        u8::is_ascii_digit,
        |byte| matches!(byte, b' ' | b'\r' | b'\n'),
    ];
    if !rest.iter().zip(pattern).all(|(byte, fits)| fits(byte)) {
        return Seen::Not;
    }
    let [_, hundreds, tens, ones, _, ..] = rest else { return Seen::Prefix };
    let digit = |byte: &u8| u16::from(byte - b'0');
    let status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    Seen::Whole(StatusLine { minor, status })
}

/// Characters of a token (RFC 9110 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What follows a non-empty word of `length` and one space.
fn after_space(bytes: &[u8], length: usize) -> Option<&[u8]> {
    match bytes.get(length) {
        Some(b' ') if length > 0 => Some(&bytes[length + 1..]),
        _ => None,
    }
}

/// The minor version and what follows it.
fn version(bytes: &[u8]) -> Option<(u8, &[u8])> {
    match bytes.strip_prefix(b"HTTP/1.")? {
        [minor @ (b'0' | b'1'), rest @ ..] => Some((minor - b'0', rest)),
        _ => None,
    }
}

fn is_version_prefix(bytes: &[u8]) -> bool {
    b"HTTP/1.".starts_with(bytes)
}

fn is_lone_carriage_return(bytes: &[u8]) -> bool {
    bytes == b"\r"
}

fn prefix_if<T>(possible: bool) -> Seen<T> {
    if possible { Seen::Prefix } else { Seen::Not }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_methods_are_found() {
        assert!(REGISTERED.is_sorted());
        assert_eq!(registered("GET"), Some("GET"));
        assert_eq!(registered("get"), None);
    }
}
