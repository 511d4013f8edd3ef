//! Bytes of SQL into tokens, so that nothing of a literal is ever taken for anything else.
//!
//! Where a construct has no end (the text is cut, or broken), it reaches to the end of the text.

use std::ops::Range;

/// What a backslash in a plain string means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backslash {
    /// Itself.
    Literal,
    /// It escapes the next character.
    Escape,
    /// One or the other. A string in which that decides where it ends has no end.
    Unknown,
}

/// What of SQL differs between databases and settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// In every string but `E''`, where it escapes.
    pub backslash: Backslash,
    /// `"x"` is a string, not an identifier.
    pub double_quoted_strings: bool,
    /// `` `x` `` is an identifier.
    pub backticks: bool,
    /// `#` begins a comment, and `--` only does before a space.
    pub hash_comments: bool,
    /// `/* /* */ */` is one comment.
    pub nested_comments: bool,
    /// `$tag$x$tag$` is a string.
    pub dollar_quotes: bool,
}

impl Dialect {
    /// As the standard has it.
    pub const STANDARD: Self = Self {
        backslash: Backslash::Literal,
        double_quoted_strings: false,
        backticks: false,
        hash_comments: false,
        nested_comments: true,
        dollar_quotes: false,
    };
    /// PostgreSQL, `standard_conforming_strings` on (its default since 9.1).
    pub const POSTGRES: Self = Self { dollar_quotes: true, ..Self::STANDARD };
    /// MySQL and MariaDB with their default `sql_mode`.
    pub const MYSQL: Self = Self {
        backslash: Backslash::Escape,
        double_quoted_strings: true,
        backticks: true,
        hash_comments: true,
        nested_comments: false,
        dollar_quotes: false,
    };
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Space,
    Comment,
    /// A number, without a sign.
    Number,
    /// A string of any kind.
    String,
    /// A keyword or an identifier.
    Word,
    /// An identifier in quotes.
    Quoted,
    /// `$1`.
    Parameter,
    /// One byte of anything else.
    Other(u8),
}

/// Tokens of a text, each with where it is; together they are all of the text.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
    /// The last token but for spaces was an `E''` string, which goes on in a string on a later
    /// line, and whether a line ended since.
    escaped: Option<bool>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self { text, at: 0, dialect, escaped: None }
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// Where the run of bytes of any of these [`CLASSES`] ends.
    fn run(&self, from: usize, classes: u8) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let end = rest.iter().position(|byte| CLASSES[usize::from(*byte)] & classes == 0);
        from + end.unwrap_or(rest.len())
    }

    fn token(&mut self, goes_on: bool) -> (Token, usize) {
        let at = self.at;
        match self.byte(at) {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => (Token::Space, self.run(at, SPACE)),
            b'-' if self.begins_line_comment(at) => (Token::Comment, self.line_end(at)),
            b'#' if self.dialect.hash_comments => (Token::Comment, self.line_end(at)),
            b'/' if self.byte(at + 1) == b'*' => (Token::Comment, self.comment_end(at + 2)),
            b'\'' => self.string(at + 1, goes_on),
            b'"' if self.dialect.double_quoted_strings => {
                let end = self.quoted_end(at + 1, b'"', self.dialect.backslash);
                (Token::String, end.unwrap_or(self.text.len()))
            }
            b'"' => self.quoted(at + 1, b'"'),
            b'`' if self.dialect.backticks => self.quoted(at + 1, b'`'),
            b'$' if self.byte(at + 1).is_ascii_digit() => {
                (Token::Parameter, self.run(at + 1, DIGIT))
            }
            b'$' if self.dialect.dollar_quotes => self.dollar(at),
            b'0'..=b'9' => (Token::Number, self.number_end(at)),
            b'.' if self.byte(at + 1).is_ascii_digit() => (Token::Number, self.number_end(at)),
            byte if CLASSES[usize::from(byte)] & FIRST != 0 => self.word(at),
            byte => (Token::Other(byte), at + 1),
        }
    }

    fn begins_line_comment(&self, at: usize) -> bool {
        let after = self.byte(at + 2);
        self.byte(at + 1) == b'-' && (!self.dialect.hash_comments || after <= b' ')
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        memchr::memchr2(b'\n', b'\r', rest).map_or(self.text.len(), |length| at + length)
    }

    fn comment_end(&self, mut at: usize) -> usize {
        let mut depth = 1_u32;
        while let Some(found) = memchr::memchr2(b'*', b'/', self.text.get(at..).unwrap_or_default())
        {
            at += found;
            match (self.byte(at), self.byte(at + 1)) {
                (b'*', b'/') => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return at;
                    }
                }
                (b'/', b'*') if self.dialect.nested_comments => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.text.len()
    }

    /// A word, or a string or identifier that begins like one: `E'x'`, `U&"x"`.
    fn word(&mut self, at: usize) -> (Token, usize) {
        let first = self.byte(at).to_ascii_lowercase();
        match (first, self.byte(at + 1), self.byte(at + 2)) {
            (b'e', b'\'', _) => return self.string(at + 2, true),
            (b'b' | b'x' | b'n', b'\'', _) => return self.string(at + 2, false),
            (b'u', b'&', b'\'') => return self.string(at + 3, false),
            (b'u', b'&', b'"') if !self.dialect.double_quoted_strings => {
                return self.quoted(at + 3, b'"');
            }
            _ => {}
        }
        (Token::Word, self.run(at + 1, WORD))
    }

    fn string(&mut self, from: usize, escaped: bool) -> (Token, usize) {
        self.escaped = escaped.then_some(false);
        let backslash = if escaped { Backslash::Escape } else { self.dialect.backslash };
        (Token::String, self.quoted_end(from, b'\'', backslash).unwrap_or(self.text.len()))
    }

    /// An identifier; one without an end may be anything.
    fn quoted(&self, from: usize, quote: u8) -> (Token, usize) {
        match self.quoted_end(from, quote, Backslash::Literal) {
            Some(end) => (Token::Quoted, end),
            None => (Token::String, self.text.len()),
        }
    }

    /// The end of what is in quotes, of which two are one.
    fn quoted_end(&self, mut at: usize, quote: u8, backslash: Backslash) -> Option<usize> {
        loop {
            at += memchr::memchr2(quote, b'\\', self.text.get(at..)?)?;
            if self.byte(at) == b'\\' {
                at += match backslash {
                    Backslash::Literal => 1,
                    Backslash::Unknown if self.byte(at + 1) == quote => return None,
                    Backslash::Escape | Backslash::Unknown => 2,
                };
            } else if self.byte(at + 1) == quote {
                at += 2;
            } else {
                return Some(at + 1);
            }
        }
    }

    /// `$tag$...$tag$`.
    fn dollar(&self, at: usize) -> (Token, usize) {
        let tag_end = self.run(at + 1, FIRST | DIGIT);
        if self.byte(tag_end) != b'$' {
            return if tag_end == self.text.len() {
                (Token::String, tag_end)
            } else {
                (Token::Other(b'$'), at + 1)
            };
        }
        let tag = &self.text[at..=tag_end];
        let body = &self.text[tag_end + 1..];
        match memchr::memmem::find(body, tag) {
            Some(length) => (Token::String, tag_end + 1 + length + tag.len()),
            None => (Token::String, self.text.len()),
        }
    }

    /// Whatever is stuck to a digit goes with it: what lexers make of `12ab.5` differs.
    fn number_end(&self, mut at: usize) -> usize {
        loop {
            at = self.run(at, WORD | DOT);
            let exponent = at > 0 && self.byte(at - 1).eq_ignore_ascii_case(&b'e');
            let signed = matches!(self.byte(at), b'+' | b'-');
            if !(exponent && signed && self.byte(at + 1).is_ascii_digit()) {
                return at;
            }
            at += 1;
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = (Token, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.text.len() {
            return None;
        }
        let before = self.escaped.take();
        let (token, end) = self.token(before == Some(true));
        let start = std::mem::replace(&mut self.at, end.min(self.text.len()));
        if let Some(ended) = before {
            let bytes = &self.text[start..self.at];
            if token == Token::Space {
                let line = memchr::memchr2(b'\n', b'\r', bytes).is_some();
                self.escaped = Some(ended || line);
            } else if token == Token::Comment && !bytes.starts_with(b"/") {
                self.escaped = before;
            }
        }
        Some((token, start..self.at))
    }
}

/// Whether a byte right before or behind a digit belongs to the same token.
pub(super) fn goes_with_number(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & (WORD | DOT) != 0
}

/// Classes of bytes: what a word may begin with, and go on with.
const FIRST: u8 = 1;
const WORD: u8 = 2;
const DIGIT: u8 = 4;
const SPACE: u8 = 8;
const DOT: u8 = 16;

/// The classes of each byte.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => FIRST | WORD,
            b'0'..=b'9' => DIGIT | WORD,
            b'$' => WORD,
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => SPACE,
            b'.' => DOT,
            _ => 0,
        };
        byte += 1;
    }
    classes
};
