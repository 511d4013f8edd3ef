//! What statements do to what.

use std::sync::Arc;

use super::{mysql, postgres};
use crate::sql::{Dialect, Statement};

#[test]
fn summaries() {
    for (text, summary) in [
        ("", ""),
        ("-- nothing", ""),
        ("select 1", "select"),
        (
            "SELECT * FROM ONLY a AS x LEFT JOIN public.\"B c\" y ON x.i = y.i WHERE z",
            "SELECT a public.\"B c\"",
        ),
        ("SELECT * FROM a JOIN b USING (id), c", "SELECT a b c"),
        ("SELECT EXTRACT(YEAR FROM d), trim(both from x) FROM t", "SELECT t"),
        ("SELECT a IS DISTINCT FROM b FROM t", "SELECT t"),
        ("SELECT a IS NOT DISTINCT FROM b FROM t", "SELECT t"),
        ("SELECT DISTINCT a FROM t ORDER BY x, y", "SELECT t"),
        (
            "SELECT * FROM a WHERE i IN (SELECT i FROM b) AND EXISTS (SELECT FROM c)",
            "SELECT a SELECT b SELECT c",
        ),
        ("SELECT 1 FROM a UNION ALL SELECT 2 FROM b", "SELECT a SELECT b"),
        ("(SELECT 1 FROM a) UNION (SELECT 2 FROM b)", "SELECT a SELECT b"),
        (
            "SELECT * FROM generate_series(1, 2) g, LATERAL (SELECT * FROM x) y",
            "SELECT generate_series SELECT x",
        ),
        ("SELECT * FROM t FOR UPDATE SKIP LOCKED", "SELECT t"),
        ("SELECT x INTO y FROM z", "SELECT z"),
        (
            "INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT DO UPDATE SET a = 1 RETURNING id",
            "INSERT t",
        ),
        ("INSERT INTO t SELECT * FROM a, b", "INSERT t SELECT a b"),
        ("UPDATE t SET a = b FROM c WHERE 1", "UPDATE t c"),
        ("DELETE FROM t USING u WHERE 1", "DELETE t u"),
        (
            "MERGE INTO t USING s ON x WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN DELETE",
            "MERGE t s",
        ),
        ("WITH x AS (SELECT * FROM a) INSERT INTO b SELECT * FROM x", "SELECT a INSERT b SELECT x"),
        ("WITH gone AS (DELETE FROM a RETURNING *) SELECT * FROM gone", "DELETE a SELECT gone"),
        ("TRUNCATE TABLE a, b CASCADE", "TRUNCATE a b"),
        ("DROP TABLE IF EXISTS a, b", "DROP TABLE a b"),
        ("CREATE UNLOGGED TABLE IF NOT EXISTS s.t (a int DEFAULT 1, b text)", "CREATE TABLE s.t"),
        ("CREATE TABLE t AS SELECT * FROM u", "CREATE TABLE t SELECT u"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX i"),
        (
            "CREATE OR REPLACE FUNCTION f(x int) RETURNS int AS $$ SELECT secret FROM t $$",
            "CREATE FUNCTION f",
        ),
        ("CREATE PROCEDURE p() BEGIN SELECT 1 FROM a; DELETE FROM b; END", "CREATE PROCEDURE p"),
        ("LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE s.t (a, b)", "LOAD s.t"),
        ("ALTER TABLE t ADD a int, ADD b int", "ALTER TABLE t"),
        ("COPY t (a, b) FROM STDIN WITH (FORMAT csv)", "COPY t"),
        ("COPY (SELECT * FROM t) TO STDOUT", "COPY SELECT t"),
        ("CALL do_it(1, 2)", "CALL do_it"),
        ("EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM t", "EXPLAIN SELECT t"),
        ("EXPLAIN ANALYZE VERBOSE DELETE FROM t", "EXPLAIN DELETE t"),
        ("PREPARE p (int) AS SELECT * FROM t", "PREPARE SELECT t"),
        ("DECLARE c CURSOR FOR SELECT * FROM t", "DECLARE SELECT t"),
        ("BEGIN;", "BEGIN"),
        ("begin; insert into t values (1); commit", "begin insert t commit"),
        ("SET search_path TO secret", "SET"),
        ("LISTEN chan", "LISTEN"),
        ("secret words", ""),
        ("'secret'", ""),
        ("SELECT * FROM 'secret'", "SELECT"),
        ("SELECT * FROM a.b.c, d.", "SELECT a.b.c"),
    ] {
        assert_eq!(*postgres(text).summary, *summary, "{text}");
    }
    assert_eq!(*mysql("REPLACE INTO `a b`.`c` VALUES (1)").summary, *"REPLACE `a b`.`c`");
    assert_eq!(*mysql("INSERT IGNORE INTO t VALUES (\"x\")").summary, *"INSERT t");
}

#[test]
fn single_operations_and_tables() {
    let parts = |text: &str| {
        let Statement { operation, collection, procedure, statements, .. } = postgres(text);
        let text = |part: Option<Arc<str>>| part.map_or_else(String::new, |part| part.to_string());
        (text(operation), text(collection), text(procedure), statements)
    };
    let expect = |operation: &str, collection: &str, procedure: &str, statements| {
        (operation.to_owned(), collection.to_owned(), procedure.to_owned(), statements)
    };
    assert_eq!(parts("SELECT * FROM a"), expect("SELECT", "a", "", 1));
    assert_eq!(parts("SELECT * FROM a;"), expect("SELECT", "a", "", 1));
    assert_eq!(parts("SELECT * FROM a, b"), expect("SELECT", "", "", 1));
    assert_eq!(parts("SELECT * FROM f(1)"), expect("SELECT", "", "", 1));
    assert_eq!(parts("create  table a (b int)"), expect("create table", "a", "", 1));
    assert_eq!(parts("CREATE INDEX i ON t (a)"), expect("CREATE INDEX", "", "", 1));
    assert_eq!(parts("INSERT INTO a SELECT 1"), expect("", "", "", 1));
    assert_eq!(parts("SELECT 1; SELECT 2;; "), expect("", "", "", 2));
    assert_eq!(parts("CALL p(1)"), expect("CALL", "", "p", 1));
    assert_eq!(parts("what"), expect("", "", "", 1));
    assert_eq!(parts(" ; "), expect("", "", "", 0));
}

#[test]
fn what_is_cut_is_not_told_whole() {
    let cut = |text: &str| Statement::read(text.as_bytes(), Dialect::POSTGRES, true);
    assert_eq!(*cut("SELECT * FROM users").summary, *"SELECT");
    assert_eq!(*cut("SELECT * FROM users ").summary, *"SELECT users");
    assert_eq!(*cut("SELECT * FROM public.").summary, *"SELECT");
    assert_eq!(cut("SELECT * FROM users ").operation, None);
    assert_eq!(cut("SELECT * FROM users ").collection, None);
}

#[test]
fn long_and_deep() {
    let tables: Vec<String> = (0..100).map(|n| format!("table_{n}")).collect();
    let long = postgres(&format!("SELECT * FROM {}", tables.join(", ")));
    assert!(long.summary.len() <= 255 && long.summary.ends_with("table_27"), "{}", long.summary);
    assert_eq!(long.operation, None);
    let deep = postgres(&format!("SELECT {}1 FROM t", "(".repeat(100_000)));
    assert_eq!(*deep.summary, *"SELECT");
}
