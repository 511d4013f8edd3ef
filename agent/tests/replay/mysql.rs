//! Real clients of a real MariaDB, as the kernel delivered them to `run --record`:
//! `tests/workloads/mysql/fixture.py` (PyMySQL), then `fixture.js` (mysql2), traced by `--port`.

use crate::recorded::{Recorded, however_it_comes};
use crate::statement::{self, Rows};

const RECORDED: Recorded = Recorded {
    file: include_bytes!("../fixtures/mysql.rec"),
    says: |found, real, context| {
        // That no row was written is not worth saying where the text is not known.
        let without_text = |[returned, affected]: Rows| [returned, affected.filter(|n| *n > 0)];
        statement::says(found, real, without_text, context);
    },
};

#[test]
fn as_it_was() {
    let truth = statement::all(&RECORDED);
    let count = |name: &str| truth.iter().filter(|seen| seen.name == name).count();
    let code = |code: &str| truth.iter().filter(|seen| seen.code.as_deref() == Some(code)).count();
    // PyMySQL: 10 of 10 one by one; mysql2: one refused.
    assert_eq!(count("INSERT fix"), 10 + 1);
    // PyMySQL: 10, and all; mysql2: 20, and 10 at once.
    assert_eq!(count("SELECT fix"), 10 + 1 + 20 + 10);
    assert_eq!(count("UPDATE fix"), 20);
    assert_eq!((count("LOAD fix"), count("DELETE fix"), count("CALL twice")), (1, 1, 1));
    assert_eq!((count("USE"), count("COM_INIT_DB mysql"), count("SELECT shop.fix")), (1, 1, 1));
    assert_eq!((code("1146"), code("1062")), (3, 1));
    let database =
        |name: &str| truth.iter().filter(|seen| seen.namespace.as_deref() == Some(name)).count();
    // `COM_INIT_DB` is asked in the other.
    assert_eq!((database("mysql"), database("shop")), (2, truth.len() - 2));
    assert!(truth.iter().all(|seen| seen.system == "mariadb"));
    assert!(truth.iter().all(|seen| !seen.cut || seen.name == "SELECT seq_1_to_40"));
}

however_it_comes!(RECORDED);
