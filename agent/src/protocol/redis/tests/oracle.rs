//! Against a decoder that others wrote.

use proptest::prelude::*;
use redis_protocol::resp3::decode::complete::decode;

use super::super::resp::{Item, Read, Value, item, rest_of_line};
use super::at_least;

/// Any value, as bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let text = proptest::collection::vec(any::<u8>(), 0..100);
    let leaf = prop_oneof![
        "[ -~]{0,100}".prop_map(|text| format!("+{text}\r\n").into_bytes()),
        "[A-Z]{1,12} [ -~]{0,100}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        "[1-9][0-9]{0,90}".prop_map(|number| format!("({number}\r\n").into_bytes()),
        (-1e9..1e9).prop_map(|number: f64| format!(",{number}\r\n").into_bytes()),
        any::<bool>().prop_map(|yes| format!("#{}\r\n", if yes { 't' } else { 'f' }).into_bytes()),
        Just(b"_\r\n".to_vec()),
        text.prop_map(|text| [format!("${}\r\n", text.len()).as_bytes(), &text, b"\r\n"].concat()),
        "[A-Z]{3,9} [ -~]{0,90}".prop_map(|text| format!("!{}\r\n{text}\r\n", text.len()).into()),
        "[ -~]{0,90}".prop_map(|text| format!("={}\r\ntxt:{text}\r\n", text.len() + 4).into()),
    ];
    // What others keep in a hash table: they take no aggregates there (`nested_sets_and_keys`).
    let word = "[a-z]{1,9}".prop_map(|text| format!("+{text}\r\n").into_bytes()).boxed();
    leaf.prop_recursive(5, 64, 6, move |inner| {
        let pairs = proptest::collection::vec((word.clone(), inner.clone()), 0..4);
        prop_oneof![
            many(inner, '*'),
            many(word.clone(), '~'),
            pairs.prop_map(|pairs| {
                let all: Vec<u8> = pairs.iter().flat_map(|(k, v)| [&k[..], v].concat()).collect();
                [format!("%{}\r\n", pairs.len()).into_bytes(), all].concat()
            }),
        ]
    })
}

/// An aggregate of any of these.
fn many(of: impl Strategy<Value = Vec<u8>>, kind: char) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(of, 0..6).prop_map(move |values| {
        [format!("{kind}{}\r\n", values.len()).into_bytes(), values.concat()].concat()
    })
}

/// How many bytes the value has that `bytes` begin with: `None` if it is not whole or none.
fn length(bytes: &[u8]) -> Option<usize> {
    let mut value = Value::default();
    let mut at = 0;
    while !value.is_whole() {
        let Read::Is(item, length) = item(bytes.get(at..)?) else { return None };
        value.take(item)?;
        at += usize::try_from(length).ok()?;
        if let Item::LongLine { .. } = item {
            let Read::Is((), length) = rest_of_line(bytes.get(at..)?) else { return None };
            at += usize::try_from(length).ok()?;
        }
    }
    Some(at).filter(|at| *at <= bytes.len())
}

proptest! {
    #![proptest_config(at_least(2000))]

    #[test]
    fn values_end_where_others_say(values in proptest::collection::vec(value(), 1..4)) {
        let mut bytes = &values.concat()[..];
        for _ in &values {
            let (_, expected) = decode(bytes).unwrap().unwrap();
            prop_assert_eq!(length(bytes), Some(expected));
            bytes = &bytes[expected..];
        }
        prop_assert!(bytes.is_empty());
    }

    /// What both take for a value ends at the same place, also if it is damaged.
    #[test]
    fn damaged_values(
        mut bytes in value(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(&b"\r\n$*+-:%~0123456789a"[..]),
        stop in any::<prop::sample::Index>(),
    ) {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let (Ok(Some((_, expected))), Some(ours)) = (decode(&bytes), length(&bytes)) {
            prop_assert_eq!(ours, expected);
        }
        let stop = stop.index(bytes.len());
        prop_assert!(length(&bytes[..stop]).is_none_or(|length| length <= stop));
    }
}

/// Neither half of a line's end is in a line: what has one there is no value, however long it is.
#[test]
fn half_a_line_end_in_a_line() {
    let long = "0".repeat(70);
    for line in [format!("1\n{long}"), format!("1{long}\n{long}"), format!("1{long}\r{long}")] {
        for kind in ["+", "-", "(", ",", "*1\r\n("] {
            assert_eq!(length(format!("{kind}{line}\r\n").as_bytes()), None, "{kind}{line:?}");
        }
    }
    let whole = format!("*1\r\n(1{long}\r\n");
    assert_eq!(length(whole.as_bytes()), Some(whole.len()));
    // The line's end in two pieces.
    assert_eq!(length(&whole.as_bytes()[..whole.len() - 1]), None);
}

/// The decoder that others wrote has no sets of aggregates, and no such keys: RESP3 has.
#[test]
fn nested_sets_and_keys() {
    for value in ["~1\r\n*0\r\n", "%1\r\n*1\r\n:1\r\n~0\r\n", "~2\r\n%1\r\n+a\r\n+b\r\n_\r\n"] {
        assert!(decode(value.as_bytes()).is_err());
        assert_eq!(length(value.as_bytes()), Some(value.len()), "{value:?}");
    }
}
