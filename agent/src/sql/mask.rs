//! The text of a statement without its literals and comments.

use std::ops::Range;

use super::lexer::{Dialect, Lexer, Token};
use super::summary::Summary;

/// Where in `IN (1, 2)` the masker is: a list of nothing but literals becomes `IN (?)`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    No,
    /// After `IN`.
    Begins,
    /// After `(` and so many bytes of output that end with the first literal, if there is one.
    In(Option<usize>),
}

/// Masks `text`, and shows each token to `summary` on the way.
pub(super) fn mask(text: &[u8], dialect: Dialect, summary: &mut Summary<'_>) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut list = List::No;
    // The token before, and the one before that if they touch.
    let mut last: Option<(Token, usize)> = None;
    let mut touching: Option<Token> = None;
    for (token, range) in Lexer::new(text, dialect) {
        let bytes = &text[range.clone()];
        let setting = summary.is_setting();
        if !matches!(token, Token::Space | Token::Comment) {
            summary.token(token, range.clone());
        }
        list = match (list, token) {
            (_, Token::Word) if bytes.eq_ignore_ascii_case(b"in") => List::Begins,
            (List::Begins, Token::Other(b'(')) => List::In(None),
            (List::In(Some(length)), Token::Other(b')')) => {
                out.truncate(length);
                List::No
            }
            (List::In(_), Token::Number | Token::String | Token::Other(b',' | b'+' | b'-'))
            | (List::In(_) | List::Begins, Token::Space | Token::Comment) => list,
            _ => List::No,
        };
        match token {
            Token::Comment => {}
            Token::Number => {
                if is_sign(last, touching, &range) {
                    out.pop();
                }
                out.push(b'?');
            }
            Token::String => out.push(b'?'),
            Token::Word if is_boolean(bytes) || setting => out.push(b'?'),
            Token::Word | Token::Quoted | Token::Space | Token::Parameter => {
                out.extend_from_slice(bytes);
            }
            Token::Other(byte) => out.push(byte),
        }
        if list == List::In(None) && matches!(token, Token::Number | Token::String) {
            list = List::In(Some(out.len()));
        }
        touching = last.filter(|(_, end)| *end == range.start).map(|(token, _)| token);
        last = Some((token, range.end));
    }
    if let List::In(Some(length)) = list {
        out.truncate(length);
    }
    String::from_utf8(out)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Whether what touches the front of a number is its sign, not an operator between two operands.
fn is_sign(last: Option<(Token, usize)>, before: Option<Token>, number: &Range<usize>) -> bool {
    let operand = matches!(
        before,
        Some(Token::Word | Token::Quoted | Token::Parameter | Token::Other(b')' | b']'))
    );
    matches!(last, Some((Token::Other(b'+' | b'-'), end)) if end == number.start) && !operand
}

fn is_boolean(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"true") || word.eq_ignore_ascii_case(b"false")
}
