//! No byte run of a value is in the text, wherever a body is cut.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::super::text::mask;

/// In each value, and in no key.
const MARK: &str = "qz";

fn value() -> impl Strategy<Value = Value> {
    let text = "[ -~é\\n\"\\\\{}\\[\\]:,]{0,12}";
    let leaf = prop_oneof![
        (text, text).prop_map(|(a, b)| Value::String(format!("{a}{MARK}{b}"))),
        (4_200_000_000u64..4_300_000_000).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = "[a-p_.]{1,12}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
        ]
    })
}

/// What must not be in a text: marks, and digits in a row.
fn leaks(text: &str) -> bool {
    let digits = text.as_bytes().windows(2).any(|two| two.iter().all(u8::is_ascii_digit));
    text.contains(MARK) || digits || text.contains("true") || text.contains("null")
}

/// `text` with each value a `?`, as the masker should have it.
fn expected(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("\"{key}\":{}", expected(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let mut out = Vec::<String>::new();
            for item in items {
                let item = expected(item);
                if item != "?" || out.last().is_none_or(|last| last != "?") {
                    out.push(item);
                }
            }
            format!("[{}]", out.join(","))
        }
        _ => "?".to_owned(),
    }
}

proptest! {
    #[test]
    fn of_json_nothing_leaks(value in value(), pretty: bool, cut in 0.0..1.0) {
        let body = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        let whole = mask(body.as_bytes(), false);
        prop_assert!(!leaks(&whole), "{whole}");
        prop_assert_eq!(&whole, &expected(&value));
        let at = (body.len() as f64 * cut) as usize;
        let part = mask(&body.as_bytes()[..at], true);
        prop_assert!(!leaks(&part), "{part}");
        let front = part.strip_suffix(" ...").unwrap();
        prop_assert!(whole.starts_with(front), "{front} is not the front of {whole}");
    }

    /// Of what is not JSON only what is written like a key can be seen.
    #[test]
    fn of_anything_else_only_keys(body in "[{}\\[\\]:,\"\\\\qz1 a\\n]{0,80}", cut: bool) {
        let text = mask(body.as_bytes(), cut);
        prop_assert!(text.bytes().all(|c| b"{}[]:,?;. \"qza1".contains(&c)), "{text}");
        for key in text.split('"').skip(1).step_by(2) {
            let shown = key.trim_matches('?');
            let quoted = format!("\"{shown}");
            prop_assert!(shown.is_empty() || body.contains(&quoted), "{text}");
        }
    }

    #[test]
    fn hostile_bytes_are_harmless(body in prop::collection::vec(any::<u8>(), 0..200), cut: bool) {
        let text = mask(&body, cut);
        prop_assert!(text.is_ascii());
    }
}
