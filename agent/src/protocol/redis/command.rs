//! How commands begin: as an array of bulk strings, or as a line.

use super::commands::{Command, LONGEST};
use super::resp::length_of;

/// Longest name that is believed: modules choose theirs (`TIMESERIES.CLUSTERSET`).
const MAX_NAME: usize = 64;

/// Longest header of an array or a bulk string: a type, ten digits, the line's end.
const MAX_HEADER: usize = 13;

/// Longest line that is read as a command. Redis takes 64 KiB; people and health checks type less.
const MAX_LINE: usize = 1024;

/// Most words of a command. Redis takes 2^31.
const MAX_WORDS: u64 = i32::MAX as u64;

/// How a command begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start<'a> {
    /// An array: its name, how many words follow it, and how many bytes were read for that.
    Array { name: Name<'a>, arguments: u64, length: usize },
    /// A whole line.
    Line { name: Name<'a>, arguments: &'a [u8], length: usize },
    /// So many bytes that ask for nothing: an empty array, an empty line.
    Nothing(usize),
    /// More bytes are needed.
    Need,
    /// It is no command.
    Not,
}

/// The name of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// As it was sent.
    pub(super) sent: &'a [u8],
    pub(super) command: Option<&'static Command>,
}

impl<'a> Name<'a> {
    fn new(sent: &'a [u8]) -> Self {
        let command = if sent.len() <= LONGEST { Command::named(sent) } else { None };
        Self { sent, command }
    }

    /// What may be shown of it: a renamed command may be a secret.
    pub(super) fn shown(&self) -> Option<&'a str> {
        let shown = self.command.is_some() || self.is_of_module();
        std::str::from_utf8(self.sent).ok().filter(|_| shown)
    }

    /// True for `JSON.GET`, `FT.SEARCH`.
    pub(super) fn is_of_module(&self) -> bool {
        let mut parts = self.sent.splitn(2, |byte| *byte == b'.');
        let (Some(module), Some(command)) = (parts.next(), parts.next()) else { return false };
        let is_word = |part: &[u8]| {
            part.first().is_some_and(u8::is_ascii_alphabetic)
                && part.iter().all(|c| c.is_ascii_alphanumeric() || b"_-.".contains(c))
        };
        (2..=16).contains(&module.len())
            && command.len() <= 32
            && is_word(module)
            && is_word(command)
    }

    /// True if the confirmation of a subscription begins like this command.
    pub(super) fn confirms(&self) -> bool {
        self.sent.to_ascii_lowercase().ends_with(b"subscribe")
    }

    /// True if `arguments` words may follow it, as far as that is known.
    pub(super) fn takes(&self, arguments: u64) -> bool {
        match self.command {
            Some(command) => command.takes(arguments.saturating_add(1)),
            None => self.is_of_module(),
        }
    }
}

/// Reads how the command begins that `bytes` begin with.
pub(super) fn start(bytes: &[u8]) -> Start<'_> {
    match bytes {
        [] => Start::Need,
        [b'*', ..] => array(bytes),
        _ => line(bytes),
    }
}

fn array(bytes: &[u8]) -> Start<'_> {
    let (words, length) = match header(b'*', bytes) {
        Header::Is(words, length) => (words, length),
        Header::Null(length) => return Start::Nothing(length),
        Header::Need => return Start::Need,
        Header::Not => return Start::Not,
    };
    if words == 0 {
        return Start::Nothing(length);
    }
    let rest = &bytes[length..];
    let (name, before) = match header(b'$', rest) {
        Header::Is(name, before) => (name, before),
        Header::Need => return Start::Need,
        Header::Null(_) | Header::Not => return Start::Not,
    };
    let Some(name) = usize::try_from(name).ok().filter(|name| (1..=MAX_NAME).contains(name)) else {
        return Start::Not;
    };
    if words > MAX_WORDS {
        return Start::Not;
    }
    let rest = &rest[before..];
    let sent = &rest[..name.min(rest.len())];
    if !sent.iter().all(u8::is_ascii_graphic) {
        return Start::Not;
    }
    match rest.get(name..) {
        Some([b'\r', b'\n', ..]) => Start::Array {
            name: Name::new(sent),
            arguments: words - 1,
            length: length + before + name + 2,
        },
        None | Some([] | [b'\r']) => Start::Need,
        Some(_) => Start::Not,
    }
}

/// The header of an array or a bulk string.
pub(super) enum Header {
    /// Its number, and how many bytes it has.
    Is(u64, usize),
    /// A negative number: no array, which asks for nothing.
    Null(usize),
    Need,
    Not,
}

/// Reads the header of an array (`*`) or a bulk string (`$`).
pub(super) fn header(kind: u8, bytes: &[u8]) -> Header {
    let Some((first, rest)) = bytes.split_first() else { return Header::Need };
    if *first != kind {
        return Header::Not;
    }
    let window = &rest[..rest.len().min(MAX_HEADER)];
    let digits = window.iter().take_while(|c| c.is_ascii_digit() || **c == b'-').count();
    match (&window[digits..], rest.len()) {
        ([b'\r', b'\n', ..], _) => {}
        ([] | [b'\r'], length) if length < MAX_HEADER => return Header::Need,
        _ => return Header::Not,
    }
    match &window[..digits] {
        b"-1" if kind == b'*' => Header::Null(digits + 3),
        digits => {
            length_of(digits).map_or(Header::Not, |number| Header::Is(number, digits.len() + 3))
        }
    }
}

/// A line of words. Only commands that are known are believed: any text is a line.
fn line(bytes: &[u8]) -> Start<'_> {
    match bytes {
        [b'\n', ..] => return Start::Nothing(1),
        [b'\r', b'\n', ..] => return Start::Nothing(2),
        [b'\r'] => return Start::Need,
        _ => {}
    }
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    let end = memchr::memchr(b'\n', window);
    let text = &window[..end.unwrap_or(window.len())];
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let length = text.iter().take_while(|byte| !matches!(byte, b' ' | b'\t')).count();
    let (sent, arguments) = text.split_at(length);
    let printable = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
    if sent.len() > LONGEST || !text.iter().all(printable) {
        return Start::Not;
    }
    let name = Name::new(sent);
    match end {
        Some(end) if name.command.is_some() => Start::Line { name, arguments, length: end + 1 },
        Some(_) => Start::Not,
        None if bytes.len() >= MAX_LINE => Start::Not,
        // Complete words are judged at once.
        None if !arguments.is_empty() && name.command.is_none() => Start::Not,
        None if !sent.first().is_some_and(u8::is_ascii_alphabetic) => Start::Not,
        None => Start::Need,
    }
}

/// The words of a line; `None` if some are in quotes, the rules for which are the server's own.
pub(super) fn words(line: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let plain = !line.iter().any(|byte| matches!(byte, b'"' | b'\''));
    plain.then(|| {
        line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word: &&[u8]| !word.is_empty())
    })
}
