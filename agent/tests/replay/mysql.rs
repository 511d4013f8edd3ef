//! Real clients of a real MariaDB, as the kernel delivered them to `run --record`:
//! `tests/workloads/mysql/fixture.py` (PyMySQL), then `fixture.js` (mysql2), traced by `--port`.

use crate::recorded::Recorded;

const RECORDED: Recorded = Recorded {
    file: include_bytes!("../fixtures/mysql.rec"),
    // That no row was written is not worth saying where the text is not known.
    without_text: |[returned, affected]| [returned, affected.filter(|rows| *rows > 0)],
};

#[test]
fn as_it_was() {
    let truth = RECORDED.truth();
    let count = |name: &str| truth.values().filter(|seen| seen.name == name).count();
    let code =
        |code: &str| truth.values().filter(|seen| seen.code.as_deref() == Some(code)).count();
    // PyMySQL: 10 of 10 one by one; mysql2: one refused.
    assert_eq!(count("INSERT fix"), 10 + 1);
    // PyMySQL: 10, and all; mysql2: 20, and 10 at once.
    assert_eq!(count("SELECT fix"), 10 + 1 + 20 + 10);
    assert_eq!(count("UPDATE fix"), 20);
    assert_eq!((count("LOAD fix"), count("DELETE fix"), count("CALL twice")), (1, 1, 1));
    assert_eq!((count("USE"), count("COM_INIT_DB mysql"), count("SELECT shop.fix")), (1, 1, 1));
    assert_eq!((code("1146"), code("1062")), (3, 1));
    let database =
        |name: &str| truth.values().filter(|seen| seen.namespace.as_deref() == Some(name)).count();
    // `COM_INIT_DB` is asked in the other.
    assert_eq!((database("mysql"), database("shop")), (2, truth.len() - 2));
    assert!(truth.values().all(|seen| seen.system == "mariadb"));
    assert!(truth.values().all(|seen| !seen.cut || seen.name == "SELECT seq_1_to_40"));
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
