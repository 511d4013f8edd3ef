//! A statement without the numbers in it: what clients that write values into their texts say again
//! and again.
//!
//! Reading does not depend on which number stands where one stands alone, nor on what stands in a
//! string or a comment: all of it is masked. It does where the text stays as it is: in words
//! (`t1`), parameters (`$1`) and identifiers in quotes (`"t 1"`). Where these begin and end only a
//! lexer knows if there are strings or comments, too: then all numbers stay.

use super::lexer::goes_with_number;

/// Writes the shape of `text` to `out`: each number that means nothing is a `0`. `cut`: more follows.
pub(super) fn shape(text: &[u8], cut: bool, out: &mut Vec<u8>) {
    out.clear();
    // In an identifier, which ends with the same quote.
    let mut inside = None;
    // There are such, and what may hide or show one.
    let (mut identifiers, mut unclear) = (false, false);
    let (mut at, mut copied) = (0, 0);
    while let Some(found) = text[at..].iter().position(|byte| OF_INTEREST[usize::from(*byte)]) {
        let start = at + found;
        at = start + 1;
        match text[start] {
            quote @ (b'"' | b'`') => {
                identifiers = true;
                inside = match inside {
                    None => Some(quote),
                    Some(begun) => (begun != quote).then_some(begun),
                };
            }
            b'0'..=b'9' => {
                let length = text[at..].iter().position(|byte| !byte.is_ascii_digit());
                at = length.map_or(text.len(), |length| at + length);
                let alone_before = start == 0 || !goes_with_number(text[start - 1]);
                let alone_behind = text.get(at).map_or(!cut, |byte| !goes_with_number(*byte));
                if alone_before && alone_behind && inside.is_none() {
                    out.extend_from_slice(&text[copied..start]);
                    out.push(b'0');
                    copied = at;
                }
            }
            _ => unclear = true,
        }
    }
    if identifiers && unclear {
        out.clear();
        copied = 0;
    }
    out.extend_from_slice(&text[copied..]);
}

/// Bytes that are not passed over: digits, quotes, and what strings and comments are made with.
static OF_INTEREST: [bool; 256] = {
    let mut all = [false; 256];
    let bytes = b"0123456789\"`'-/#\\$";
    let mut n = 0;
    while n < bytes.len() {
        all[bytes[n] as usize] = true;
        n += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::shape;
    use crate::sql::{Backslash, Dialect, Statement};

    fn of(text: &str) -> String {
        let mut out = b"old".to_vec();
        shape(text.as_bytes(), false, &mut out);
        String::from_utf8(out).expect("a text")
    }

    #[test]
    fn numbers_that_stand_alone() {
        for (text, expected) in [
            ("SELECT a FROM t1 WHERE id = 4711;", "SELECT a FROM t1 WHERE id = 0;"),
            ("SELECT 12,-34, 5.6, 7e8 LIMIT 90", "SELECT 0,-0, 5.6, 7e8 LIMIT 0"),
            ("SELECT $1, $23, a1 + 1", "SELECT $1, $23, a1 + 0"),
            ("SELECT 'user-17' -- 12", "SELECT 'user-0' -- 0"),
            (
                "SELECT \"a 1\".\"b\" FROM \"t 2\" LIMIT 3",
                "SELECT \"a 1\".\"b\" FROM \"t 2\" LIMIT 0",
            ),
            ("SELECT `a \"\" 1` FROM t LIMIT 33", "SELECT `a \"\" 1` FROM t LIMIT 0"),
            ("SELECT \"a 1\", '12'", "SELECT \"a 1\", '12'"),
            ("SELECT 11 /* \" */, \"a 12\"", "SELECT 11 /* \" */, \"a 12\""),
            ("", ""),
            ("17", "0"),
        ] {
            assert_eq!(of(text), expected);
        }
        let mut out = Vec::new();
        shape(b"LIMIT 17", true, &mut out);
        assert_eq!(out, b"LIMIT 17");
    }

    /// Pieces of which statements are made, with `#` for a number.
    fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
        let all = vec![
            "SELECT",
            "FROM",
            "WHERE id =",
            "IN (",
            "#",
            "#",
            "#",
            "-#",
            "#.#",
            "#e#",
            "#e-#",
            ".#",
            "t#",
            "$#",
            "$a#$",
            "$$",
            "$",
            "'",
            "''",
            "'x # y'",
            "E'",
            "\\",
            "\\#",
            "\"",
            "\"t #\"",
            "`",
            "`t #`",
            "--",
            "-- #\n",
            "/*",
            "*/",
            "/* # */",
            "#\n",
            ",",
            ")",
            ";",
            "AS",
            "CALL p#",
            "INSERT INTO",
            "DELETE FROM t#",
            "JOIN u ON",
            "SET x = #",
            "LIMIT #",
            "@#",
            ":#",
            "?",
            "x'#'",
            "U&'#'",
            "U&\"#\"",
            "é#",
            "\n",
            "TRUE",
            "EXPLAIN",
            "WITH c AS (",
            "CREATE TABLE",
            "t #",
            ".",
            "#a",
            "a.#",
        ];
        proptest::collection::vec(proptest::sample::select(all), 1..14)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// What has the same shape is read alike but for its numbers, which are gone.
        #[test]
        fn of_one_shape(
            pieces in pieces(),
            spaces in proptest::collection::vec(any::<bool>(), 14),
            numbers in proptest::collection::vec((0u32..1000, 0u32..1000), 30),
            cut: bool,
        ) {
            let mut texts = [String::new(), String::new()];
            let mut next = numbers.iter().cycle();
            for (piece, space) in pieces.iter().zip(&spaces) {
                for byte in piece.chars() {
                    let (first, second) = if byte == '#' { *next.next().expect("endless") } else { (0, 0) };
                    for (text, number) in texts.iter_mut().zip([first, second]) {
                        match byte {
                            '#' => text.push_str(&number.to_string()),
                            other => text.push(other),
                        }
                    }
                }
                texts.iter_mut().filter(|_| *space).for_each(|text| text.push(' '));
            }
            let mut shapes = [Vec::new(), Vec::new()];
            for (text, out) in texts.iter().zip(&mut shapes) {
                shape(text.as_bytes(), cut, out);
            }
            if shapes[0] == shapes[1] {
                for backslash in [Backslash::Literal, Backslash::Escape, Backslash::Unknown] {
                    for dialect in [Dialect::STANDARD, Dialect::POSTGRES, Dialect::MYSQL] {
                        let dialect = Dialect { backslash, ..dialect };
                        let [first, second] =
                            [&texts[0], &texts[1]].map(|t| Statement::read(t.as_bytes(), dialect, cut));
                        prop_assert_eq!(&first, &second, "{:?}", texts);
                        // And so is the shape itself.
                        prop_assert_eq!(first, Statement::read(&shapes[0], dialect, cut), "{:?}", texts);
                    }
                }
            }
        }
    }
}
