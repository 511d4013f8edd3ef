//! Real clients of a real PostgreSQL, as the kernel delivered them to `run --record`:
//! `tests/workloads/postgres/fixture.py` (psycopg2, then asyncpg), traced by `--port`.

use crate::recorded::{Recorded, however_it_comes};
use crate::statement;

const RECORDED: Recorded = Recorded {
    file: include_bytes!("../fixtures/postgres.rec"),
    says: |found, real, context| statement::says(found, real, |rows| rows, context),
};

#[test]
fn as_it_was() {
    let truth = statement::all(&RECORDED);
    let count = |name: &str| truth.iter().filter(|seen| seen.name == name).count();
    let code = |code: &str| truth.iter().filter(|seen| seen.code.as_deref() == Some(code)).count();
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
    let long = truth.iter().filter(|seen| seen.cut).map(|seen| (&*seen.name, seen.rows));
    assert_eq!(long.collect::<Vec<_>>(), [("SELECT generate_series", [Some(40), None])]);
    assert_eq!((code("42P01"), code("25P02"), code("23505")), (1, 1, 1));
    assert_eq!(truth.iter().filter(|seen| seen.batch == Some(20)).count(), 1);
}

however_it_comes!(RECORDED);
