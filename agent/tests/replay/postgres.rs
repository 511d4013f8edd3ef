//! Real clients of a real PostgreSQL, as the kernel delivered them to `run --record`:
//! `tests/workloads/postgres/fixture.py` (psycopg2, then asyncpg), traced by `--port`.

use crate::recorded::Recorded;

const RECORDED: Recorded =
    Recorded { file: include_bytes!("../fixtures/postgres.rec"), without_text: |rows| rows };

#[test]
fn as_it_was() {
    let truth = RECORDED.truth();
    let count = |name: &str| truth.values().filter(|seen| seen.name == name).count();
    let code =
        |code: &str| truth.values().filter(|seen| seen.code.as_deref() == Some(code)).count();
    // psycopg2: 10 one by one; asyncpg: a batch, one refused, one more.
    assert_eq!(count("INSERT fix"), 10 + 3);
    // psycopg2: 10; asyncpg: 10, and a cursor in three steps.
    assert_eq!(count("SELECT fix"), 20 + 3);
    assert_eq!(count("UPDATE fix"), 10);
    assert_eq!(count("SELECT fix UPDATE fix") + count("SELECT fix DELETE fix"), 2);
    assert_eq!(
        (count("COPY fix"), count("SELECT generate_series"), count("CREATE TABLE fix")),
        (2, 1, 1)
    );
    let long = truth.values().filter(|seen| seen.cut).map(|seen| (&*seen.name, seen.rows));
    assert_eq!(long.collect::<Vec<_>>(), [("SELECT generate_series", [Some(40), None])]);
    assert_eq!((code("42P01"), code("25P02"), code("23505")), (1, 1, 1));
    assert_eq!(truth.values().filter(|seen| seen.batch == Some(20)).count(), 1);
    assert!(
        truth.values().filter_map(|seen| seen.text.as_ref()).all(|text| !text.contains("secret"))
    );
}

#[test]
fn in_pieces_of_any_size() {
    RECORDED.in_pieces_of_any_size();
}

#[test]
fn that_ends_anywhere() {
    RECORDED.that_ends_anywhere();
}

#[test]
fn from_the_middle() {
    RECORDED.joined_anywhere();
}

#[test]
fn with_records_lost() {
    RECORDED.with_records_lost();
}

#[test]
fn with_bytes_missing() {
    RECORDED.with_bytes_missing();
}
