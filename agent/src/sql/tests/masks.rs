//! What becomes of literals, comments and lists.

use super::{mysql, postgres};
use crate::sql::{Backslash, Dialect, Statement};

#[track_caller]
fn all(read: fn(&str) -> Statement, cases: &[(&str, &str)]) {
    for (raw, masked) in cases {
        assert_eq!(*read(raw).text, **masked, "{raw}");
    }
}

#[test]
fn of_postgres() {
    all(
        postgres,
        &[
            ("", ""),
            (
                "INSERT INTO t VALUES ('a''b', 1.5e3, $$x$$), (E'\\'', B'01')",
                "INSERT INTO t VALUES (?, ?, ?), (?, ?)",
            ),
            ("SELECT E'a\\'b', e'\\\\', 'a\\', 'b'", "SELECT ?, ?, ?, ?"),
            ("SELECT U&'d\\0061t' UESCAPE '!', X'1F', N'x', x'00'", "SELECT ? UESCAPE ?, ?, ?, ?"),
            ("SELECT $$a$$, $t$a$$b$t$, $t_1$ $t$ $t_1$", "SELECT ?, ?, ?"),
            ("SELECT a$b$c, $1, $12::int", "SELECT a$b$c, $1, $12::int"),
            ("SELECT \"a\"\"b\", U&\"x\" FROM \"T\"", "SELECT \"a\"\"b\", U&\"x\" FROM \"T\""),
            ("SELECT 'a'\n'b', 'c' -- x\n 'd'", "SELECT ?\n?, ? \n ?"),
            // A string that goes on goes on as it began.
            ("SELECT E'a'\n'b\\'c', 'd'", "SELECT ?\n?, ?"),
            ("SELECT E'a' -- x\n 'b\\'c', 'd'", "SELECT ? \n ?, ?"),
            ("SELECT /* a /* b */ 'c' */ 1", "SELECT  ?"),
            ("SELECT 1--2\n+3", "SELECT ?\n?"),
            (
                "SELECT a-1, a -1, a - 1, (-1), f(x)-2, $1-3",
                "SELECT a-?, a ?, a - ?, (?), f(x)-?, $1-?",
            ),
            (
                "SELECT 0x1F, 0b11, 1_000, .5, 1., 1.e5, 1e+5, 12abc",
                "SELECT ?, ?, ?, ?, ?, ?, ?, ?",
            ),
            ("SELECT TRUE, false, NULL, DATE '2020-01-01'", "SELECT ?, ?, NULL, DATE ?"),
            ("SELECT '{\"a\": 1}'::jsonb ? 'a', x #>> '{a}'", "SELECT ?::jsonb ? ?, x #>> ?"),
            (
                "SELECT * FROM t WHERE a IN (1, -2, 'x') AND b IN ($1, $2)",
                "SELECT * FROM t WHERE a IN (?) AND b IN ($1, $2)",
            ),
            ("WHERE a in ( 1 , 2 ) or b in (1, c)", "WHERE a in ( ?) or b in (?, c)"),
            ("WHERE a IN (SELECT 1, 2)", "WHERE a IN (SELECT ?, ?)"),
            ("ALTER ROLE me PASSWORD 'secret'", "ALTER ROLE me PASSWORD ?"),
            // The value of a setting is a literal, whatever it looks like.
            (
                "SET app.token = secret, b TO 'x'; SELECT a = b",
                "SET app.token = ?, b TO ?; SELECT a = b",
            ),
            ("ALTER ROLE me SET app.token TO secret", "ALTER ROLE me SET app.token TO ?"),
            ("ALTER TABLE a RENAME TO b", "ALTER TABLE a RENAME TO b"),
            ("UPDATE t SET a = b", "UPDATE t SET a = b"),
            ("SELECT 'é', naïve, '\u{1F600}'", "SELECT ?, naïve, ?"),
        ],
    );
}

#[test]
fn of_mysql() {
    all(
        mysql,
        &[
            ("SELECT 'a\\'b', \"c\\\"d\", \"e\"\"f\"", "SELECT ?, ?, ?"),
            ("SELECT `a``b` FROM `t` # it's\nWHERE x=1", "SELECT `a``b` FROM `t` \nWHERE x=?"),
            ("SELECT 5--3, 1 -- x", "SELECT ?-?, ? "),
            ("SELECT _utf8mb4'x', x'1F', 0xAB, @a, $$x$$", "SELECT _utf8mb4?, ?, ?, @a, $$x$$"),
            ("SELECT /*! 'secret' */ 1 /* /* */", "SELECT  ? "),
            ("CREATE USER 'a'@'b' IDENTIFIED BY 'secret'", "CREATE USER ?@? IDENTIFIED BY ?"),
        ],
    );
}

#[test]
fn plain_strings_with_backslashes() {
    let dialect = Dialect { backslash: Backslash::Escape, ..Dialect::POSTGRES };
    let got = Statement::read(b"SELECT 'a\\'b', \"c\\\", X'\\''", dialect, false);
    assert_eq!(*got.text, *"SELECT ?, \"c\\\", ?");
}

#[test]
fn strings_of_which_a_setting_decides_where_they_end() {
    let dialect = Dialect { backslash: Backslash::Unknown, ..Dialect::POSTGRES };
    for (raw, masked) in [
        ("SELECT 'a\\b', 'c\\\\', E'd\\'e' FROM t", "SELECT ?, ?, ? FROM t"),
        ("SELECT 'a\\', 'secret' FROM t", "SELECT ?"),
        ("SELECT 'a\\' secret', b FROM t", "SELECT ?"),
    ] {
        assert_eq!(*Statement::read(raw.as_bytes(), dialect, false).text, *masked, "{raw}");
    }
}

#[test]
fn without_an_end() {
    for raw in [
        "SELECT 'secret",
        "SELECT E'secret\\'",
        "SELECT $$secret",
        "SELECT $t$secret$$",
        "SELECT \"secret",
        "SELECT \"secret\"\"",
        "SELECT $secret",
        "SELECT 123",
        "SELECT U&'secret",
        "SELECT 'secret''",
        "SELECT X'0",
    ] {
        assert_eq!(*postgres(raw).text, *"SELECT ?", "{raw}");
    }
    assert_eq!(*postgres("SELECT /* secret").text, *"SELECT ");
    assert_eq!(*postgres("SELECT x IN (1, 2").text, *"SELECT x IN (?");
    assert_eq!(*mysql("SELECT `secret").text, *"SELECT ?");
}

#[test]
fn bytes_that_are_no_text() {
    let got = Statement::read(b"SELECT na\xefve, '\xff' FROM \xe9t\xe9", Dialect::POSTGRES, false);
    assert_eq!(*got.text, *"SELECT na\u{fffd}ve, ? FROM \u{fffd}t\u{fffd}");
}
