//! What is said, and what calls it is.

use super::bytes::*;
use super::{A, Q, Side};

pub(super) struct Conversation {
    pub(super) name: String,
    pub(super) turns: Vec<(Side, Vec<u8>)>,
    /// The calls: places left out.
    pub(super) calls: &'static [&'static str],
}

/// Turns of a conversation before its first command.
pub(super) const LOGIN: usize = 3;

/// A name, what is said and the calls.
type Listed = (&'static str, Vec<(Side, Vec<u8>)>, &'static [&'static str]);

/// Conversations after a login, in each form of results.
pub(super) fn all() -> Vec<Conversation> {
    [Eof, Ok].into_iter().flat_map(in_mode).collect()
}

pub(super) fn in_mode(mode: Mode) -> Vec<Conversation> {
    let listed = queries(mode).into_iter().chain(statements(mode)).chain(others(mode));
    let conversation = |(name, said, calls): Listed| {
        let login = vec![(A, greeting()), (Q, login(mode)), (A, welcome())];
        let turns = login.into_iter().chain(said).collect();
        Conversation { name: format!("{name}, {mode:?}"), turns, calls }
    };
    listed.map(conversation).collect()
}

fn queries(mode: Mode) -> Vec<Listed> {
    let several = [
        result_of(mode, &row(b"x"), 1, AUTOCOMMIT | MORE),
        vec![ok(3, AUTOCOMMIT | MORE)],
        result_of(mode, &row(b"x"), 2, AUTOCOMMIT),
    ];
    let fails = [result_of(mode, &row(b"x"), 1, AUTOCOMMIT | MORE), vec![error(1146)]].concat();
    let progress = [&[0xff, 0xff, 0xff, 1, 2, 1, 0, 0][..], b"\x06secret"].concat();
    vec![
        ("nothing", vec![(Q, quit())], &[]),
        (
            "queries",
            vec![
                (Q, query("SELECT * FROM users WHERE name = \"secret\" # secret")),
                (A, result(mode, 2)),
                (Q, query("BEGIN")),
                (A, one(ok(0, AUTOCOMMIT | 1))),
                (Q, query("INSERT INTO `orders` VALUES ('secret'), ('it\\'s secret')")),
                (A, one(ok(2, AUTOCOMMIT | 1))),
                (Q, query("UPDATE orders SET a = 1 WHERE 1 = 0")),
                (A, one(ok(0, AUTOCOMMIT))),
                (Q, query("SELECT 1 FROM nothing")),
                (A, result(mode, 0)),
            ],
            &[
                "\"SELECT users\" -> 2 rows",
                "\"BEGIN\" -> ",
                "\"INSERT `orders`\" -> 2 affected",
                "\"UPDATE orders\" -> 0 affected",
                "\"SELECT nothing\" -> 0 rows",
            ],
        ),
        (
            "several statements in one",
            vec![
                (Q, query("SELECT * FROM a; UPDATE b SET c = 1; SELECT * FROM a")),
                (A, numbered(1, &several.concat())),
            ],
            &["\"SELECT a UPDATE b SELECT a\" -> 3 rows 3 affected"],
        ),
        (
            "errors",
            vec![
                (Q, query("SELECT * FROM secret")),
                (A, one(error(1146))),
                (Q, query("SELECT * FROM a; SELECT * FROM secret")),
                (A, numbered(1, &fails)),
                (Q, query("SELECT * FROM a")),
                (A, numbered(1, &[columns(mode, 2), vec![row(b"x"), error(1317)]].concat())),
                (Q, query("SELEC 1")),
                (A, one(error(1064))),
            ],
            &[
                "\"SELECT secret\" -> failed 1146",
                "\"SELECT a SELECT secret\" -> failed 1146 1 rows",
                "\"SELECT a\" -> failed 1317 1 rows",
                "\"\" -> failed 1064",
            ],
        ),
        (
            "progress",
            vec![
                (Q, query("ALTER TABLE a FORCE")),
                (A, numbered(1, &[progress.clone(), progress, ok(0, AUTOCOMMIT)])),
            ],
            &["\"ALTER TABLE a\" -> "],
        ),
        (
            "a file",
            vec![
                (Q, query("LOAD DATA LOCAL INFILE 'secret' INTO TABLE a")),
                (A, one(b"\xfbsecret".to_vec())),
                (Q, [packet(2, b"1\tsecret\n"), packet(3, b"2\tsecret\n"), packet(4, b"")].concat()),
                (A, packet(5, &ok(2, AUTOCOMMIT))),
                (Q, query("LOAD DATA LOCAL INFILE 'secret' INTO TABLE a")),
                (A, one(b"\xfbsecret".to_vec())),
                (Q, packet(2, b"")),
                (A, packet(3, &error(2))),
            ],
            &["\"LOAD a\" -> 2 affected", "\"LOAD a\" -> failed 2"],
        ),
        (
            "values along with a query",
            vec![
                (Q, command(3, b"\x00\x01SELECT * FROM a")),
                (A, result(mode, 1)),
                (
                    Q,
                    command(
                        3,
                        b"\x02\x01\x00\x01\xfd\x00\x0btraceparent\x08\x00\x01n\x06secret12345678SELECT * FROM b",
                    ),
                ),
                (A, result(mode, 1)),
            ],
            &["\"SELECT a\" -> 1 rows", "\"SELECT b\" -> 1 rows"],
        ),
    ]
}

fn statements(mode: Mode) -> Vec<Listed> {
    let text = "SELECT * FROM users WHERE id = ?";
    let cursor = match mode {
        Eof => columns(mode, AUTOCOMMIT | CURSOR),
        Ok => [columns(mode, 2), vec![end_of_rows(mode, AUTOCOMMIT | CURSOR)]].concat(),
    };
    let rows = |n: usize, status: u16| {
        let rows = std::iter::repeat_n(binary_row(b"secret"), n);
        numbered(1, &rows.chain([end_of_rows(mode, status)]).collect::<Vec<_>>())
    };
    vec![
        (
            "prepared",
            vec![
                (Q, prepare(text)),
                (A, prepared(mode, 1, 1, 2)),
                (Q, execute(1, b"secret")),
                (A, binary_result(mode, 3)),
                (Q, execute(1, b"secret")),
                (A, binary_result(mode, 0)),
                (Q, [close(1), prepare("DELETE FROM a WHERE b = ?")].concat()),
                (A, prepared(mode, 2, 1, 0)),
                (Q, execute(2, b"secret")),
                (A, one(ok(4, AUTOCOMMIT))),
                (Q, prepare("BEGIN")),
                (A, prepared(mode, 3, 0, 0)),
                (Q, execute(3, b"")),
                (A, one(ok(0, AUTOCOMMIT | 1))),
                (Q, close(3)),
                (Q, execute(1, b"")),
                (A, one(error(1243))),
            ],
            &[
                "\"SELECT users\" -> 3 rows",
                "\"SELECT users\" -> 0 rows",
                "\"DELETE a\" -> 4 affected",
                "\"BEGIN\" -> ",
                "? -> failed 1243",
            ],
        ),
        (
            "prepared in vain",
            vec![(Q, prepare("SELECT * FROM secret WHERE a = ?")), (A, one(error(1146)))],
            &["\"SELECT secret\" -> failed 1146"],
        ),
        (
            "a long value",
            vec![
                (Q, prepare("INSERT INTO a VALUES (?)")),
                (A, prepared(mode, 9, 1, 0)),
                (Q, [command(24, b"\x09\0\0\0\0\0secret"), execute(9, b"")].concat()),
                (A, one(ok(1, AUTOCOMMIT))),
            ],
            &["\"INSERT a\" -> 1 affected"],
        ),
        (
            "a cursor",
            vec![
                (Q, prepare("SELECT * FROM rooms")),
                (A, prepared(mode, 20, 0, 2)),
                (Q, execute_with_cursor(20)),
                (A, numbered(1, &cursor)),
                (Q, fetch(20, 2)),
                (A, rows(2, AUTOCOMMIT | CURSOR)),
                (Q, fetch(20, 2)),
                (A, rows(1, AUTOCOMMIT | LAST_ROW)),
                (Q, command(26, &[20, 0, 0, 0])),
                (A, one(ok(0, AUTOCOMMIT))),
            ],
            &[
                "\"SELECT rooms\" -> 0 rows",
                "\"SELECT rooms\" -> 2 rows",
                "\"SELECT rooms\" -> 1 rows",
            ],
        ),
    ]
}

fn others(mode: Mode) -> Vec<Listed> {
    let select = || (Q, query("SELECT * FROM a"));
    vec![
        (
            "databases",
            vec![
                (Q, command(2, b"other")),
                (A, one(ok(0, AUTOCOMMIT))),
                select(),
                (A, result(mode, 1)),
                (Q, command(2, b"nowhere")),
                (A, one(error(1049))),
                select(),
                (A, result(mode, 1)),
                (Q, query("USE `third`")),
                (A, one(ok(0, AUTOCOMMIT))),
                select(),
                (A, result(mode, 1)),
            ],
            &[
                "COM_INIT_DB -> ",
                "\"SELECT a\" -> 1 rows",
                "COM_INIT_DB -> failed 1049",
                "\"SELECT a\" -> 1 rows",
                "\"USE\" -> ",
                "\"SELECT a\" -> 1 rows",
            ],
        ),
        (
            "what makes no call",
            vec![
                (Q, ping()),
                (A, one(ok(0, AUTOCOMMIT))),
                (Q, command(9, b"")),
                (A, one(b"Uptime: 7".to_vec())),
                (Q, command(31, b"")),
                (A, one(ok(0, AUTOCOMMIT))),
                (Q, command(27, &[0, 0])),
                (A, one(eof(AUTOCOMMIT))),
                (Q, command(13, b"")),
                (A, one(eof(AUTOCOMMIT))),
                select(),
                (A, result(mode, 1)),
            ],
            &["\"SELECT a\" -> 1 rows"],
        ),
        (
            "another user",
            vec![
                (Q, command(17, b"secret\0\x06secretsecond\0\x2d\0mysql_native_password\0")),
                (A, one(b"\xfemysql_native_password\0secretsecretsecret12\0".to_vec())),
                (Q, packet(2, b"secretsecretsecret12")),
                (A, packet(3, &ok(0, AUTOCOMMIT))),
                select(),
                (A, result(mode, 1)),
            ],
            &["\"SELECT a\" -> 1 rows"],
        ),
        (
            "columns",
            vec![
                (Q, command(4, b"a\0")),
                (A, numbered(1, &[column(), column(), end_of_rows(mode, AUTOCOMMIT)])),
            ],
            &["COM_FIELD_LIST -> "],
        ),
    ]
}
