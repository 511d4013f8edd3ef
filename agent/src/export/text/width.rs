//! Text from the wire made safe and made to fit.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Replaces what could act on a terminal or hide on it.
///
/// Paths and user agents are written by strangers: an escape sequence would move the cursor,
/// change the title or worse; bidirectional overrides make a line read as another one.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || !text.chars().any(unsafe_to_print)
    {
        return Cow::Borrowed(text);
    }
    let safe = |c| if unsafe_to_print(c) { char::REPLACEMENT_CHARACTER } else { c };
    Cow::Owned(text.chars().map(safe).collect())
}

/// Cuts at `width` columns, between characters, with `…` where something is missing.
pub(crate) fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if width_of(text) <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(1) else { return Cow::Borrowed("") };
    let mut used = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        end = at + c.len_utf8();
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

/// Columns that `text` takes on a terminal.
pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// Control characters (C0, DEL, C1), line separators, and marks without width or with direction
/// (Unicode TR 36, 3.1 "Bidirectional text spoofing").
fn unsafe_to_print(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_could_act_on_it() {
        assert_eq!(
            clean("/a\x1b]0;owned\x07\r\n\u{9b}2J"),
            "/a\u{fffd}]0;owned\u{fffd}\u{fffd}\u{fffd}\u{fffd}2J"
        );
        assert_eq!(clean("/\u{202e}gpj.exe"), "/\u{fffd}gpj.exe");
        assert!(matches!(clean("/straße/映画"), Cow::Borrowed("/straße/映画")));
    }

    #[test]
    fn cuts_by_columns_between_characters() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdef", 5), "abcd…");
        assert_eq!(fit("映画館", 5), "映画…");
        assert_eq!(fit("映画館", 4), "映…");
        assert_eq!(fit("e\u{301}e\u{301}e", 2), "e\u{301}…");
        assert_eq!(fit("abc", 0), "");
        for width in 1..8 {
            assert!(width_of(&fit("a映b画c", width)) <= width);
        }
    }
}
