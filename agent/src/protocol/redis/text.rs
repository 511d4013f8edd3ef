//! Commands as text: `SET user:?:name ?`.
//!
//! A value never gets here. A key is shown word by word: what does not look like a word somebody
//! chose for a kind of thing (numbers, identifiers, addresses) is a `?` as well, because keys are
//! often about people, and some are secrets (`session:5f2d...`).

use super::commands::{Command, Keys};

/// Most bytes of the text of one command, and of all in one call.
pub(super) const MAX_TEXT: usize = 1024;

/// Longest key that is shown.
pub(super) const MAX_KEY: usize = 128;

/// Longest word of a key.
const MAX_WORD: usize = 20;

/// What stands for what is not shown.
const HIDDEN: &str = "?";

/// Behind the part of a text that is shown.
const MORE: &str = " ...";

/// Commands that carry credentials: nothing but their names is ever looked at.
const SECRET: &[&str] = &["ACL", "AUTH", "HELLO", "MIGRATE"];

/// True if no argument of it may be looked at.
pub(super) fn is_secret(command: &Command) -> bool {
    SECRET.contains(&command.name)
}

/// True if the argument at `index` (from 1) is a key; `words` arguments there are, and `counted`
/// keys where an argument says so.
pub(super) fn is_key(keys: Keys, index: u64, words: u64, counted: u64) -> bool {
    match keys {
        Keys::None => false,
        Keys::One => index == 1,
        Keys::Two => index <= 2,
        Keys::All => true,
        Keys::AllButLast => index < words,
        Keys::Pairs => index % 2 == 1,
        Keys::Second => index == 2,
        Keys::FromSecond => index >= 2,
        Keys::Counted(at) => {
            let behind = index.saturating_sub(at.into());
            behind > 0 && behind <= counted
        }
    }
}

/// Appends a key to `text`.
pub(super) fn push_key(text: &mut String, key: &[u8]) {
    if !push_more(text) {
        return;
    }
    text.push(' ');
    let shown = std::str::from_utf8(key).ok().filter(|key| {
        key.len() <= MAX_KEY && key.bytes().all(|c| c.is_ascii_alphanumeric() || is_separator(c))
    });
    let Some(key) = shown.filter(|key| !key.is_empty()) else {
        text.push_str(HIDDEN);
        return;
    };
    for part in key.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        text.push_str(if word.is_empty() || is_word(word) { word } else { HIDDEN });
        text.push_str(&part[word.len()..]);
    }
}

/// Appends an argument that is not shown to `text`.
pub(super) fn push_hidden(text: &mut String) {
    if push_more(text) {
        text.push(' ');
        text.push_str(HIDDEN);
    }
}

/// Appends one command behind others to `text`.
pub(super) fn push_command(text: &mut String, command: &str) {
    if text.len() + command.len() + 2 <= MAX_TEXT {
        text.push_str("; ");
        text.push_str(command);
    } else {
        push_cut(text);
    }
}

/// Says that there is more of a command than was seen.
pub(super) fn push_cut(text: &mut String) {
    if !is_full(text) {
        text.push_str(MORE);
    }
}

/// True if nothing more fits into `text`.
pub(super) fn is_full(text: &str) -> bool {
    text.ends_with(MORE)
}

/// True if there is room for one more argument; says once that there is not.
fn push_more(text: &mut String) -> bool {
    if is_full(text) {
        return false;
    }
    if text.len() + MAX_KEY >= MAX_TEXT {
        text.push_str(MORE);
        return false;
    }
    true
}

fn is_separator(byte: u8) -> bool {
    b":/.|-_{}[]#,".contains(&byte)
}

/// True if it looks like a word: letters, in one case but for a few capitals (`cartItems`).
fn is_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    let capitals = bytes.iter().skip(1).filter(|byte| byte.is_ascii_uppercase()).count();
    let all = capitals + 1 == bytes.len() && bytes[0].is_ascii_uppercase();
    let hex = bytes.len() >= 8 && bytes.iter().all(u8::is_ascii_hexdigit);
    bytes.len() <= MAX_WORD
        && bytes.iter().all(u8::is_ascii_alphabetic)
        && !hex
        && (all || capitals * 4 <= bytes.len())
}
