//! No byte run of a literal survives, wherever the text is cut.

use proptest::prelude::*;

use crate::sql::{Dialect, Statement};

/// Stands in every literal and nowhere else; no piece of it of this many bytes may come out.
const SECRET: &str = "QZXJ";
const RUN: usize = 3;

fn leaks(statement: &Statement) -> bool {
    let texts = [Some(&statement.text), Some(&statement.summary), statement.operation.as_ref()];
    let names = [statement.collection.as_ref(), statement.procedure.as_ref()];
    texts.into_iter().chain(names).flatten().any(|text| {
        SECRET
            .as_bytes()
            .windows(RUN)
            .any(|run| text.as_bytes().windows(RUN).any(|window| window.eq_ignore_ascii_case(run)))
    })
}

/// What is in a literal: the secret between what may confuse a lexer. `quote` may not stand alone.
fn inside(quote: &'static str, escapes: bool) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(SECRET.to_owned()),
        Just(format!(" FROM {SECRET} ")),
        Just("--".to_owned()),
        Just("/*".to_owned()),
        Just("$$".to_owned()),
        Just("$1 ".to_owned()),
        Just("\"".to_owned()),
        Just("\n".to_owned()),
        Just(";".to_owned()),
        Just(")(".to_owned()),
        Just("é".to_owned()),
    ];
    proptest::collection::vec((piece, any::<bool>()), 1..6).prop_map(move |pieces| {
        let mut text = String::new();
        for (piece, quoted) in pieces {
            text.push_str(&piece);
            if quoted {
                text.push_str(if escapes { "\\'" } else { quote });
            }
        }
        text.push_str(SECRET);
        text
    })
}

fn literal(dialect: Dialect) -> BoxedStrategy<String> {
    let plain = inside("''", false).prop_map(|text| format!("'{}'", text.replace('\\', "")));
    let number = Just(format!("12{SECRET}"));
    if dialect == Dialect::MYSQL {
        return prop_oneof![
            plain,
            inside("''", true).prop_map(|text| format!("'{text}'")),
            inside("''", true).prop_map(|text| format!("\"{}\"", text.replace('"', "\\\""))),
            inside("''", true).prop_map(|text| format!("x'{text}'")),
            number,
        ]
        .boxed();
    }
    prop_oneof![
        plain,
        inside("''", false).prop_map(|text| format!("'{text}\\'")),
        inside("''", true).prop_map(|text| format!("E'{text}'")),
        inside("''", true).prop_map(|text| format!("E'x'\n'{text}'")),
        inside("''", false).prop_map(|text| format!("U&'{text}'")),
        inside("''", false).prop_map(|text| format!("B'{text}'")),
        inside("'", false).prop_map(|text| format!("$t${text}$t$")),
        inside("'", false).prop_map(|text| format!("$${}$$", text.replace('$', "!"))),
        number,
    ]
    .boxed()
}

fn plain_sql() -> impl Strategy<Value = String> {
    let words = [
        "SELECT",
        "*",
        "FROM",
        "users",
        "WHERE",
        "a",
        "=",
        "IN",
        "(",
        ")",
        ",",
        ";",
        "INSERT INTO",
        "VALUES",
        "UPDATE",
        "SET",
        "TO",
        "-- x\n",
        "/* y */",
        "\"Q\"",
        "$1",
        "::text",
        "-",
        "+",
        "JOIN",
        "WITH",
        "AS",
        "CALL",
        "DELETE",
        "CREATE TABLE",
        ".",
    ];
    proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
}

fn statement(dialect: Dialect) -> impl Strategy<Value = String> {
    // Without the comma a string may go on in the next one.
    let literal = literal(dialect).prop_map(|text| text + ",").boxed();
    let part = prop_oneof![3 => plain_sql().boxed(), 2 => literal];
    proptest::collection::vec(part, 1..12).prop_map(|parts| parts.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn of_postgres(text in statement(Dialect::POSTGRES), cut in any::<prop::sample::Index>()) {
        let whole = Statement::read(text.as_bytes(), Dialect::POSTGRES, false);
        prop_assert!(!leaks(&whole), "{text}\n{whole:?}");
        let cut = Statement::read(&text.as_bytes()[..cut.index(text.len() + 1)], Dialect::POSTGRES, true);
        prop_assert!(!leaks(&cut), "{text}\n{cut:?}");
    }

    #[test]
    fn of_mysql(text in statement(Dialect::MYSQL), cut in any::<prop::sample::Index>()) {
        let whole = Statement::read(text.as_bytes(), Dialect::MYSQL, false);
        prop_assert!(!leaks(&whole), "{text}\n{whole:?}");
        let cut = Statement::read(&text.as_bytes()[..cut.index(text.len() + 1)], Dialect::MYSQL, true);
        prop_assert!(!leaks(&cut), "{text}\n{cut:?}");
    }

    #[test]
    fn of_anything(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for dialect in [Dialect::STANDARD, Dialect::POSTGRES, Dialect::MYSQL] {
            let got = Statement::read(&bytes, dialect, true);
            prop_assert!(got.summary.len() <= 255);
            prop_assert!(got.text.len() <= 3 * bytes.len());
        }
    }

    /// Numbers leave no digit behind but those of identifiers and parameters.
    #[test]
    fn numbers(number in "-?[0-9]{1,12}(\\.[0-9]{0,6})?(e[+-]?[0-9]{1,3})?") {
        let got = Statement::read(format!("SELECT {number} FROM t").as_bytes(), Dialect::POSTGRES, false);
        prop_assert_eq!(&*got.text, "SELECT ? FROM t");
    }
}
