//! The text of a query: JSON without its values.
//!
//! Each string, number, boolean and null is a `?`, several in a list are one. Keys stay, where they
//! look like names somebody gave to a field or a kind of thing: fields may be named after what they
//! hold (`attributes.550e8400-...`), and anything may be a key where an object is a map. What is cut
//! ends in ` ...`.

use super::json::{Lexer, Token};
use super::{Content, Query};
use crate::protocol::http1;

/// Bytes of a body that are looked at: as many as the kernel captures of a turn.
const MAX_BODY: usize = 16 * 1024;

/// Most bytes of the text, as of any attribute.
const MAX_TEXT: usize = 4096;

/// Objects and arrays inside each other. The servers refuse more than 1,000 (20 of queries).
const MAX_DEPTH: usize = 64;

/// Longest key that is shown.
const MAX_KEY: usize = 128;

/// Longest word of one.
const MAX_WORD: usize = 24;

/// Most digits in one: `geo_v12` is a name, a number of more is somebody's.
const MAX_DIGITS: usize = 3;

/// What stands for what is not shown.
const HIDDEN: char = '?';

/// Behind the part of a text that is shown.
const MORE: &str = " ...";

/// Keeps the front of a body.
#[derive(Debug, Default)]
pub struct Reader {
    body: Vec<u8>,
    cut: bool,
    /// In pairs of lines.
    several: bool,
}

impl Reader {
    /// Of an endpoint that takes several queries.
    pub fn of_several() -> Self {
        Self { several: true, ..Self::default() }
    }
}

impl http1::Reader for Reader {
    fn read(&mut self, bytes: &[u8]) -> bool {
        let room = MAX_BODY - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
        !self.cut
    }

    fn finish(self: Box<Self>, whole: bool) -> Option<http1::Content> {
        let text = mask(&self.body, self.cut || !whole);
        let understood = whole && !self.cut && !text.ends_with(MORE);
        let queries = (self.several && understood).then(|| pairs(&self.body));
        let query = Query { text: text.into(), queries };
        // What these endpoints take is objects; other formats than JSON are not read.
        query.text.starts_with('{').then_some(http1::Content::Search(Content::Query(query)))
    }
}

/// How many queries there are in pairs of lines, each of which ends, and of which the first of a pair
/// may be empty; before the first pair an empty line means nothing.
fn pairs(body: &[u8]) -> u64 {
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    memchr::memchr_iter(b'\n', body).count() as u64 / 2
}

/// Masks a body, of which there is more if it is `cut`.
pub fn mask(body: &[u8], cut: bool) -> String {
    let mut masked = Masked::default();
    let mut lexer = Lexer::new(body);
    let mut whole = true;
    while let Some(token) = lexer.next() {
        whole = match token {
            // Beyond the front of a body that is cut it is not known what is a word.
            Token::Word(range) if cut && range.end == body.len() => false,
            Token::String(range) if masked.expects_key() && lexer.is_before_colon() => {
                masked.key(&body[range]);
                true
            }
            Token::String(_) | Token::Word(_) => masked.value(),
            Token::Cut => false,
            token => masked.sign(&token),
        };
        if !whole || masked.out.len() >= MAX_TEXT - MAX_KEY {
            whole = false;
            break;
        }
    }
    if !whole || cut || !masked.inside.is_empty() {
        if masked.last == Last::Comma {
            masked.out.pop();
        }
        masked.out.push_str(MORE);
    }
    masked.out
}

#[derive(Default)]
struct Masked {
    out: String,
    /// What is open: true for an object.
    inside: Vec<bool>,
    last: Last,
}

/// What came last.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    /// Nothing, or what something begins with.
    #[default]
    Begin,
    Comma,
    Key,
    Colon,
    Value,
    /// An object or array that ended.
    End,
}

impl Masked {
    fn expects_key(&self) -> bool {
        self.inside.last() == Some(&true) && matches!(self.last, Last::Begin | Last::Comma)
    }

    fn key(&mut self, key: &[u8]) {
        self.out.push('"');
        push_name(&mut self.out, key);
        self.out.push('"');
        self.last = Last::Key;
    }

    /// Takes a value; false if there is none here.
    fn value(&mut self) -> bool {
        if !self.may_begin() {
            return false;
        }
        self.separate();
        // Of a list of values one stands for all.
        let again = self.last == Last::Comma
            && self.inside.last() == Some(&false)
            && self.out.ends_with("?,");
        if again {
            self.out.pop();
        } else {
            self.out.push(HIDDEN);
        }
        self.last = Last::Value;
        true
    }

    /// Takes a sign; false if the text is none of JSON from here on.
    fn sign(&mut self, sign: &Token) -> bool {
        match sign {
            Token::Object | Token::Array => {
                if self.inside.len() >= MAX_DEPTH || !self.may_begin() {
                    return false;
                }
                self.separate();
                let object = *sign == Token::Object;
                self.inside.push(object);
                self.out.push(if object { '{' } else { '[' });
                self.last = Last::Begin;
            }
            Token::EndObject | Token::EndArray => {
                let object = *sign == Token::EndObject;
                if self.inside.pop() != Some(object) {
                    return false;
                }
                self.out.push(if object { '}' } else { ']' });
                self.last = Last::End;
            }
            Token::Colon if self.last == Last::Key => {
                self.out.push(':');
                self.last = Last::Colon;
            }
            Token::Comma if matches!(self.last, Last::Value | Last::End) => {
                self.out.push(',');
                self.last = Last::Comma;
            }
            _ => return false,
        }
        true
    }

    fn may_begin(&self) -> bool {
        match self.inside.last() {
            None => matches!(self.last, Last::Begin | Last::End | Last::Value),
            Some(true) => self.last == Last::Colon,
            Some(false) => matches!(self.last, Last::Begin | Last::Comma),
        }
    }

    /// Several texts in one body (`_msearch`) are told apart.
    fn separate(&mut self) {
        if self.inside.is_empty() && matches!(self.last, Last::End | Last::Value) {
            self.out.push_str("; ");
            self.last = Last::Begin;
        }
    }
}

/// Appends a key, field by field.
fn push_name(out: &mut String, key: &[u8]) {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.*".contains(byte);
    let (at, name) = match key.strip_prefix(b"@") {
        // `@timestamp`; anywhere else it is an address.
        Some(name) => ("@", name),
        None => ("", key),
    };
    if name.is_empty() || key.len() > MAX_KEY || !name.iter().all(is_part) {
        out.push(HIDDEN);
        return;
    }
    out.push_str(at);
    for (n, field) in name.split(|byte| *byte == b'.').enumerate() {
        if n > 0 {
            out.push('.');
        }
        // One number or identifier in it, and all of it may be one.
        if field.split(|byte| !byte.is_ascii_alphanumeric()).all(is_word) {
            out.extend(field.iter().map(|byte| char::from(*byte)));
        } else {
            out.push(HIDDEN);
        }
    }
}

/// True if somebody may have chosen it as a name.
fn is_word(word: &[u8]) -> bool {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let hex = word.len() >= 8 && word.iter().all(u8::is_ascii_hexdigit);
    word.len() <= MAX_WORD && digits <= MAX_DIGITS && !hex
}
