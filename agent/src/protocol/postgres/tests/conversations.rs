//! What is said, and what calls it is.

use super::bytes::*;
use super::{A, Q, Side, run};

pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) turns: Vec<(Side, Vec<u8>)>,
    /// The calls, positions left out.
    pub(super) calls: &'static [&'static str],
}

/// A name, what is said and the calls.
type Listed = (&'static str, Vec<(Side, Vec<u8>)>, &'static [&'static str]);

/// Conversations after a login.
pub(super) fn all() -> Vec<Conversation> {
    let named = "SELECT * FROM users WHERE id = $1";
    let many = [bind("", "s", b"1"), execute("", 0), bind("", "s", b"2"), execute("", 0)].concat();
    let list: Vec<Listed> = vec![
        ("nothing", vec![], &[]),
        (
            "simple queries",
            vec![
                (Q, query("SELECT * FROM users WHERE name = 'secret'")),
                (A, result(2)),
                (Q, query("BEGIN")),
                (A, [complete("BEGIN"), ready(b'T')].concat()),
                (Q, query("INSERT INTO orders VALUES (1), (2)")),
                (A, [complete("INSERT 0 2"), ready(b'T')].concat()),
                (Q, query("ROLLBACK")),
                (A, [complete("ROLLBACK"), ready(b'I')].concat()),
            ],
            &[
                "\"SELECT users\" -> 2 rows",
                "\"BEGIN\" ->",
                "\"INSERT orders\" -> 2 affected",
                "\"ROLLBACK\" ->",
            ],
        ),
        (
            "several statements in one",
            vec![
                (Q, query("SELECT * FROM a; UPDATE b SET c = 1; SELECT * FROM a")),
                (
                    A,
                    [
                        description(),
                        rows(1, b"x"),
                        complete("SELECT 1"),
                        complete("UPDATE 3"),
                        result(2),
                    ]
                    .concat(),
                ),
            ],
            &["\"SELECT a UPDATE b SELECT a\" -> 3 rows 3 affected"],
        ),
        (
            "an empty query",
            vec![(Q, query("")), (A, [empty(b"I"), ready(b'I')].concat())],
            &["\"\" ->"],
        ),
        (
            "errors",
            vec![
                (Q, query("SELECT 1; SELECT 1/0")),
                (
                    A,
                    [
                        description(),
                        rows(1, b"1"),
                        complete("SELECT 1"),
                        error("ERROR", "22012"),
                        ready(b'I'),
                    ]
                    .concat(),
                ),
                (Q, query("COMMIT")),
                (A, [notice("WARNING", "25P01"), complete("COMMIT"), ready(b'I')].concat()),
                (Q, query("SELECT 1")),
                (A, [notice("NOTICE", "00000"), result(1)].concat()),
            ],
            &["\"SELECT SELECT\" -> failed 22012", "\"COMMIT\" -> 25P01", "\"SELECT\" -> 1 rows"],
        ),
        (
            "a session that is ended",
            vec![
                (Q, query("SELECT pg_sleep(10)")),
                (A, [notice("NOTICE", "00000"), error("FATAL", "57P01")].concat()),
            ],
            &["\"SELECT\" -> failed 57P01"],
        ),
        (
            "all in one, without a name (node-postgres)",
            vec![
                (
                    Q,
                    [
                        parse("", named),
                        bind("", "", b"secret"),
                        describe(b'P', ""),
                        execute("", 0),
                        sync(),
                    ]
                    .concat(),
                ),
                (A, [empty(b"12"), result(1)].concat()),
            ],
            &["\"SELECT users\" -> 1 rows"],
        ),
        (
            "prepared, then executed (asyncpg)",
            vec![
                (Q, [parse("s", named), describe(b'S', "s"), flush()].concat()),
                (A, [empty(b"1"), parameters(), description()].concat()),
                (Q, sync()),
                (A, ready(b'I')),
                (Q, [bind("", "s", b"1"), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), rows(1, b"x"), complete("SELECT 1"), ready(b'I')].concat()),
                (Q, [bind("", "s", b"2"), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), complete("SELECT 0"), ready(b'I')].concat()),
                (Q, [close(b'S', "s"), sync()].concat()),
                (A, [empty(b"3"), ready(b'I')].concat()),
                (Q, [bind("", "s", b"2"), execute("", 0), sync()].concat()),
                (A, [error("ERROR", "26000"), ready(b'I')].concat()),
            ],
            &["\"SELECT users\" -> 1 rows", "\"SELECT users\" -> 0 rows", "? -> failed 26000"],
        ),
        (
            "a name that is used again",
            vec![
                (Q, [parse("s", "SELECT * FROM a"), sync()].concat()),
                (A, [empty(b"1"), ready(b'I')].concat()),
                (Q, [bind("", "s", b"1"), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), rows(1, b"x"), complete("SELECT 1"), ready(b'I')].concat()),
                (Q, [close(b'S', "s"), parse("s", "SELECT * FROM b"), sync()].concat()),
                (A, [empty(b"31"), ready(b'I')].concat()),
                (Q, [bind("", "s", b"1"), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), rows(1, b"x"), complete("SELECT 1"), ready(b'I')].concat()),
                (Q, [close(b'S', "s"), sync()].concat()),
                (A, [empty(b"3"), ready(b'I')].concat()),
                (Q, [parse("s", "DELETE FROM c"), sync()].concat()),
                (A, [empty(b"1"), ready(b'I')].concat()),
                (Q, [bind("", "s", b"1"), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), complete("DELETE 3"), ready(b'I')].concat()),
            ],
            &["\"SELECT a\" -> 1 rows", "\"SELECT b\" -> 1 rows", "\"DELETE c\" -> 3 affected"],
        ),
        (
            "names that SQL gives up",
            vec![
                (Q, [parse("s", "SELECT * FROM a"), parse("t", "DELETE FROM b"), sync()].concat()),
                (A, [empty(b"11"), ready(b'I')].concat()),
                (Q, query("DEALLOCATE s")),
                (A, [complete("DEALLOCATE"), ready(b'I')].concat()),
                (Q, [bind("", "s", b"1"), execute("", 0), sync()].concat()),
                (A, [error("ERROR", "26000"), ready(b'I')].concat()),
                (Q, [bind("", "t", b"1"), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), complete("DELETE 3"), ready(b'I')].concat()),
                (Q, [parse("", "DISCARD ALL"), bind("", "", b""), execute("", 0), sync()].concat()),
                (A, [empty(b"12"), complete("DISCARD ALL"), ready(b'I')].concat()),
                (Q, [bind("", "t", b"1"), execute("", 0), sync()].concat()),
                (A, [error("ERROR", "26000"), ready(b'I')].concat()),
                (Q, query("PREPARE t AS DELETE FROM c")),
                (A, [complete("PREPARE"), ready(b'I')].concat()),
                (Q, [bind("", "t", b"1"), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), complete("DELETE 4"), ready(b'I')].concat()),
            ],
            &[
                "\"DEALLOCATE\" ->",
                "? -> failed 26000",
                "\"DELETE b\" -> 3 affected",
                "\"DISCARD\" ->",
                "? -> failed 26000",
                "\"PREPARE DELETE c\" ->",
                "? -> (DELETE) 4 affected",
            ],
        ),
        (
            "a query makes an end of the statement without a name",
            vec![
                (Q, [parse("", "SELECT * FROM a"), describe(b'S', ""), sync()].concat()),
                (A, [empty(b"1"), parameters(), description(), ready(b'I')].concat()),
                (Q, [bind("", "", b""), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), complete("SELECT 0"), ready(b'I')].concat()),
                (Q, query("SELECT * FROM b")),
                (A, result(1)),
                (Q, [bind("", "", b""), execute("", 0), sync()].concat()),
                (A, [error("ERROR", "26000"), ready(b'I')].concat()),
            ],
            &["\"SELECT a\" -> 0 rows", "\"SELECT b\" -> 1 rows", "? -> failed 26000"],
        ),
        (
            "prepared in vain",
            vec![
                (Q, [parse("s", "SELECT * FROM nowhere"), describe(b'S', "s"), sync()].concat()),
                (A, [error("ERROR", "42P01"), ready(b'I')].concat()),
                // What failed was not prepared.
                (Q, [bind("", "s", b"2"), execute("", 0), sync()].concat()),
                (A, [error("ERROR", "26000"), ready(b'I')].concat()),
            ],
            &["\"SELECT nowhere\" -> failed 42P01", "? -> failed 26000"],
        ),
        (
            "executed in vain, but prepared (pgjdbc)",
            vec![
                (
                    Q,
                    [
                        parse("", "BEGIN"),
                        bind("", "", b""),
                        execute("", 0),
                        parse("S_1", "INSERT INTO t VALUES ($1)"),
                        bind("", "S_1", b"1"),
                        describe(b'P', ""),
                        execute("", 0),
                        sync(),
                    ]
                    .concat(),
                ),
                (
                    A,
                    [
                        empty(b"12"),
                        complete("BEGIN"),
                        empty(b"12n"),
                        error("ERROR", "23505"),
                        ready(b'E'),
                    ]
                    .concat(),
                ),
                (Q, [bind("", "S_1", b"1"), execute("", 0), sync()].concat()),
                (A, [empty(b"2"), complete("INSERT 0 1"), ready(b'T')].concat()),
            ],
            &["\"BEGIN\" ->", "\"INSERT t\" -> failed 23505", "\"INSERT t\" -> 1 affected"],
        ),
        (
            "many values for one statement",
            vec![
                (Q, [parse("s", "INSERT INTO t VALUES ($1)"), many.clone(), sync()].concat()),
                (
                    A,
                    [
                        empty(b"12"),
                        complete("INSERT 0 1"),
                        empty(b"2"),
                        complete("INSERT 0 1"),
                        ready(b'I'),
                    ]
                    .concat(),
                ),
            ],
            &["\"INSERT t\" x2 -> 2 affected"],
        ),
        (
            "several statements before a sync, one fails",
            vec![
                (
                    Q,
                    [
                        parse("", "SELECT * FROM a"),
                        bind("", "", b""),
                        execute("", 0),
                        parse("", "SELECT * FROM b"),
                        bind("", "", b""),
                        execute("", 0),
                        parse("", "SELECT * FROM c"),
                        bind("", "", b""),
                        execute("", 0),
                        parse("", "SELECT * FROM d"),
                        sync(),
                    ]
                    .concat(),
                ),
                (
                    A,
                    [
                        empty(b"12"),
                        rows(1, b"x"),
                        complete("SELECT 1"),
                        empty(b"12"),
                        error("ERROR", "22012"),
                        ready(b'I'),
                    ]
                    .concat(),
                ),
            ],
            &["\"SELECT a\" -> 1 rows", "\"SELECT b\" -> failed 22012", "\"SELECT c\" -> skipped"],
        ),
        (
            "pipelined",
            vec![
                (Q, [query("SELECT * FROM a"), query("SELECT * FROM b")].concat()),
                (
                    Q,
                    [parse("", "SELECT * FROM c"), bind("", "", b""), execute("", 0), sync()]
                        .concat(),
                ),
                (A, [result(1), result(2)].concat()),
                (Q, query("SELECT * FROM d")),
                (
                    A,
                    [empty(b"12"), rows(3, b"x"), complete("SELECT 3"), ready(b'I'), result(4)]
                        .concat(),
                ),
            ],
            &[
                "\"SELECT a\" -> 1 rows",
                "\"SELECT b\" -> 2 rows",
                "\"SELECT c\" -> 3 rows",
                "\"SELECT d\" -> 4 rows",
            ],
        ),
        (
            "a cursor in steps",
            vec![
                (
                    Q,
                    [
                        parse("", named),
                        bind("c", "", b""),
                        describe(b'P', "c"),
                        execute("c", 2),
                        sync(),
                    ]
                    .concat(),
                ),
                (
                    A,
                    [empty(b"12"), description(), rows(2, b"x"), empty(b"s"), ready(b'T')].concat(),
                ),
                (Q, [execute("c", 2), sync()].concat()),
                (A, [rows(1, b"x"), complete("SELECT 1"), ready(b'T')].concat()),
            ],
            &["\"SELECT users\" -> 2 rows", "\"SELECT users\" -> 1 rows"],
        ),
        (
            "copy in",
            vec![
                (Q, query("COPY t FROM STDIN")),
                (A, message(b'G', &[0, 0, 1, 0, 0])),
                (
                    Q,
                    [message(b'd', &[b'x'; 3000]), message(b'd', b"Q\0\0\0\x05\0"), empty(b"c")]
                        .concat(),
                ),
                (A, [complete("COPY 2"), ready(b'I')].concat()),
                (Q, query("COPY t FROM STDIN")),
                (A, message(b'G', &[0, 0, 1, 0, 0])),
                (Q, [message(b'd', b"x"), message(b'f', b"why\0")].concat()),
                (A, [error("ERROR", "57014"), ready(b'I')].concat()),
            ],
            &["\"COPY t\" -> 2 affected", "\"COPY t\" -> failed 57014"],
        ),
        (
            "copy in, asked with a sync that is not obeyed",
            vec![
                (
                    Q,
                    [parse("", "COPY t FROM STDIN"), bind("", "", b""), execute("", 0), sync()]
                        .concat(),
                ),
                (A, [empty(b"12"), message(b'G', &[0, 0, 1, 0, 0])].concat()),
                (Q, [message(b'd', b"x"), empty(b"c"), sync()].concat()),
                (A, [complete("COPY 1"), ready(b'I')].concat()),
                (Q, query("SELECT * FROM a")),
                (A, result(1)),
            ],
            &["\"COPY t\" -> 1 affected", "\"SELECT a\" -> 1 rows"],
        ),
        (
            "copy in that does not wait (pgx)",
            vec![
                (Q, query("COPY t FROM STDIN")),
                (Q, [message(b'd', &[b'x'; 300]), empty(b"c")].concat()),
                (A, message(b'G', &[0, 0, 1, 0, 0])),
                (A, [complete("COPY 2"), ready(b'I')].concat()),
            ],
            &["\"COPY t\" -> 2 affected"],
        ),
        (
            "a query after a flush (asyncpg)",
            vec![
                (Q, [parse("s", named), describe(b'S', "s"), flush()].concat()),
                (A, [empty(b"1"), parameters(), description()].concat()),
                (Q, query("COPY t FROM STDIN")),
                (A, message(b'G', &[0, 0, 1, 0, 0])),
                (Q, [message(b'd', &[b'x'; 300]), empty(b"c")].concat()),
                (A, [complete("COPY 2"), ready(b'I')].concat()),
                (Q, query("SELECT * FROM a")),
                (A, result(1)),
            ],
            &["\"COPY t\" -> 2 affected", "\"SELECT a\" -> 1 rows"],
        ),
        (
            "copy out",
            vec![
                (Q, query("COPY t TO STDOUT")),
                (
                    A,
                    [
                        message(b'H', &[0, 0, 1, 0, 0]),
                        message(b'd', b"Z\0\0\0\x05I"),
                        empty(b"c"),
                        complete("COPY 1"),
                        ready(b'I'),
                    ]
                    .concat(),
                ),
            ],
            &["\"COPY t\" -> 1 affected"],
        ),
        (
            "a function call",
            vec![
                (Q, message(b'F', &[0, 0, 3, 0xb8, 0, 0, 0, 0, 0, 0])),
                (A, [message(b'V', &[0, 0, 0, 1, 7]), ready(b'I')].concat()),
            ],
            &["FunctionCall ->"],
        ),
        (
            "notifications at any time",
            vec![
                (Q, query("LISTEN c")),
                (A, [complete("LISTEN"), ready(b'I')].concat()),
                (A, message(b'A', b"\0\0\0\x01c\0hello\0")),
                (A, parameter("TimeZone", "UTC")),
                (Q, query("SELECT * FROM a")),
                (A, message(b'A', b"\0\0\0\x01c\0hello\0")),
                (A, result(1)),
            ],
            &["\"LISTEN\" ->", "\"SELECT a\" -> 1 rows"],
        ),
        (
            "a commit that fails",
            vec![
                (
                    Q,
                    [
                        parse("", "INSERT INTO t SELECT 1"),
                        bind("", "", b""),
                        execute("", 0),
                        sync(),
                    ]
                    .concat(),
                ),
                (
                    A,
                    [empty(b"12"), complete("INSERT 0 1"), error("ERROR", "23503"), ready(b'I')]
                        .concat(),
                ),
            ],
            &["\"INSERT t SELECT\" -> failed 23503"],
        ),
        (
            "a table made of a query returns nothing, RETURNING does",
            vec![
                (Q, query("CREATE TABLE a AS SELECT * FROM b")),
                (A, [complete("SELECT 5"), ready(b'I')].concat()),
                (Q, query("DELETE FROM a RETURNING id")),
                (A, [description(), rows(2, b"1"), complete("DELETE 2"), ready(b'I')].concat()),
            ],
            &["\"CREATE TABLE a SELECT b\" -> 5 affected", "\"DELETE a\" -> 2 rows 2 affected"],
        ),
        (
            "strings with backslashes",
            vec![
                (A, parameter("standard_conforming_strings", "off")),
                (Q, query("SELECT 'a\\' FROM secret', x FROM t")),
                (A, result(1)),
                (A, parameter("client_encoding", "SJIS")),
                (Q, query("SELECT * FROM a")),
                (A, result(1)),
            ],
            &["\"SELECT t\" -> 1 rows", "? -> (SELECT) 1 rows"],
        ),
        (
            "the end",
            vec![(Q, query("SELECT * FROM a")), (A, result(1)), (Q, empty(b"X"))],
            &["\"SELECT a\" -> 1 rows"],
        ),
    ];
    list.into_iter()
        .map(|(name, turns, calls)| {
            let turns = [(Q, login()), (A, welcome())].into_iter().chain(turns).collect();
            Conversation { name, turns, calls }
        })
        .collect()
}

/// A call without its positions.
pub(super) fn bare(call: &str) -> String {
    let words: Vec<&str> = call.split(' ').collect();
    match call.split_once(" -> ") {
        Some(_) => words[1..words.len() - 1].join(" "),
        None => call.to_owned(),
    }
}

#[test]
fn conversations() {
    for Conversation { name, turns, calls } in all() {
        let found: Vec<String> = run(&turns).iter().map(|call| bare(call)).collect();
        assert_eq!(found, calls, "{name}");
    }
}

#[test]
fn before_the_session() {
    let call = [(Q, query("SELECT * FROM a")), (A, result(1))];
    let start = |turns: Vec<(Side, Vec<u8>)>| run(&[turns, call.to_vec()].concat());
    let n = || (A, b"N".to_vec());
    let expected = "-> 1 rows";
    for questions in
        [vec![(Q, question(TLS)), n()], vec![(Q, question(GSS)), n(), (Q, question(TLS)), n()]]
    {
        let found = start([questions, vec![(Q, login()), (A, welcome())]].concat());
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }
    let password = message(b'p', b"md5secret\0");
    let asked = message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]);
    let found =
        start(vec![(Q, login()), (A, asked.clone()), (Q, password.clone()), (A, welcome())]);
    assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    // Refused.
    let found = run(&[(Q, login()), (A, asked), (Q, password), (A, error("FATAL", "28P01"))]);
    assert_eq!(found, [""; 0]);
    // Encrypted.
    for (code, answer) in [(TLS, b"S"), (GSS, b"G")] {
        let noise = (Q, b"\x16\x03\x01 anything".to_vec());
        let found = run(&[(Q, question(code)), (A, answer.to_vec()), noise]);
        assert_eq!(found, ["Encrypted", "Leave"]);
    }
    // A replication stream, and a request to cancel.
    let walsender = startup(&["user", "me", "replication", "database"]);
    assert_eq!(start(vec![(Q, walsender), (A, welcome())]), ["Leave"]);
    let cancel = [&[0, 0, 0, 16, 4, 210, 22, 46][..], &[0; 8]].concat();
    assert_eq!(run(&[(Q, cancel)]), ["Leave"]);
    // A stream that was not announced.
    let both = message(b'W', &[0, 0, 0]);
    let found = run(&[(Q, login()), (A, welcome()), (Q, query("SELECT 1")), (A, both)]);
    assert!(found.len() == 2 && found[1] == "Leave", "{found:?}");
}

#[test]
fn calls_begin_and_end_where_they_do() {
    let first = [parse("", "SELECT * FROM a"), bind("", "", b""), execute("", 0)].concat();
    let second = [parse("", "SELECT * FROM b"), bind("", "", b""), execute("", 0)].concat();
    let answer = |rest: Vec<u8>| [empty(b"12"), rows(1, b"x"), complete("SELECT 1"), rest].concat();
    let (start, answers) = (login().len(), welcome().len());
    let found = run(&[
        (Q, login()),
        (A, welcome()),
        (Q, [first.clone(), second, sync()].concat()),
        (A, [answer(vec![]), answer(ready(b'I'))].concat()),
    ]);
    let one = answer(vec![]).len();
    assert_eq!(
        found,
        [
            format!("{start} \"SELECT a\" -> 1 rows {}", answers + one),
            format!("{} \"SELECT b\" -> 1 rows {}", start + first.len(), answers + 2 * one + 6),
        ]
    );
}
