//! JSON as tokens, whatever the bytes are: complete, cut anywhere, or not JSON at all.

use std::ops::Range;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `}`
    EndObject,
    /// `]`
    EndArray,
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// What is between two quotes.
    String(Range<usize>),
    /// A number, `true`, `null`, or anything else that is none of the above.
    Word(Range<usize>),
    /// A string that does not end.
    Cut,
}

/// Cuts a text into tokens; what is between them means nothing.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// True if a colon comes next.
    pub(super) fn is_before_colon(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    }

    fn string(&mut self) -> Token {
        let start = self.at;
        let mut at = start;
        while let Some(end) =
            self.text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
        {
            if self.text[at + end] == b'"' {
                self.at = at + end + 1;
                return Token::String(start..at + end);
            }
            at += end + 2;
        }
        self.at = self.text.len();
        Token::Cut
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let rest = self.text.get(self.at..)?;
        let start = self.at + rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.at = start + 1;
        Some(match self.text[start] {
            b'{' => Token::Object,
            b'}' => Token::EndObject,
            b'[' => Token::Array,
            b']' => Token::EndArray,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => self.string(),
            _ => {
                let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"{}[]:,\"".contains(byte);
                let rest = &self.text[start..];
                let length = rest.iter().position(is_end).unwrap_or(rest.len());
                self.at = start + length;
                Token::Word(start..self.at)
            }
        })
    }
}
