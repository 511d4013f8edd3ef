//! The public cases of OpenTelemetry (`tests/vectors`).

use serde::Deserialize;

use crate::sql::{Dialect, Statement};

const CASES: &str = include_str!("../../../../tests/vectors/db-sql-test-cases.json");

#[derive(Deserialize)]
struct Case {
    name: String,
    input: Input,
    expected: Expected,
}

#[derive(Deserialize)]
struct Input {
    query: String,
}

#[derive(Deserialize)]
struct Expected {
    #[serde(rename = "db.query.text")]
    text: Vec<String>,
    #[serde(rename = "db.query.summary")]
    summary: String,
}

#[test]
fn public_cases() {
    let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
    assert!(cases.len() >= 24, "{} cases", cases.len());
    for Case { name, input, expected } in cases {
        for dialect in [Dialect::STANDARD, Dialect::POSTGRES, Dialect::MYSQL] {
            let got = Statement::read(input.query.as_bytes(), dialect, false);
            assert!(expected.text.iter().any(|text| *text == *got.text), "{name}: {}", got.text);
            assert_eq!(*got.summary, *expected.summary, "{name}");
        }
    }
}
