//! Nothing is missing.

use super::bytes::*;
use super::conversations::{Conversation, all};
use super::{A, Q, bare, run};

#[test]
fn every_conversation() {
    for Conversation { name, turns, calls } in all() {
        let found: Vec<String> = run(&turns).iter().map(|call| bare(call)).collect();
        assert_eq!(found, calls, "{name}");
    }
}

/// All that is asked at once is answered in order.
#[test]
fn a_client_that_does_not_wait() {
    for mode in [Eof, Ok] {
        let asked = [prepare("SELECT * FROM a WHERE b = ?"), execute(u32::MAX, b"x")].concat();
        let found = run(&[
            (A, greeting()),
            (Q, login(mode)),
            (A, welcome()),
            (Q, asked),
            (Q, query("UPDATE c SET d = 1")),
            (A, [prepared(mode, 7, 1, 2), binary_result(mode, 2), one(ok(5, AUTOCOMMIT))].concat()),
            (Q, execute(7, b"x")),
            (A, binary_result(mode, 1)),
        ]);
        let found: Vec<String> = found.iter().map(|call| bare(call)).collect();
        let expected =
            ["\"SELECT a\" -> 2 rows", "\"UPDATE c\" -> 5 affected", "\"SELECT a\" -> 1 rows"];
        assert_eq!(found, expected, "{mode:?}");
    }
}

/// Packets of 16 MB, both ways: texts, values, rows, and what ends just at the edge of a packet.
#[test]
fn longest_packets() {
    let text = format!("SELECT * FROM a WHERE b = '{}'", "x".repeat((1 << 24) + 10));
    let exact = format!("SELECT * FROM a WHERE b = '{}'", "x".repeat((1 << 24) - 2 - 28));
    assert_eq!(exact.len() + 1, crate::protocol::mysql::packet::LONGEST);
    let long = [&[0xfe][..], &(1_u64 << 24).to_le_bytes(), &vec![0xff; 1 << 24], b"\x01x"].concat();
    let answer = |first, mode| numbered(first, &result_of(mode, &long, 2, AUTOCOMMIT));
    for mode in [Eof, Ok] {
        let found = run(&[
            (A, greeting()),
            (Q, login(mode)),
            (A, welcome()),
            (Q, query(&text)),
            (A, answer(2, mode)),
            (Q, query(&exact)),
            (A, answer(2, mode)),
            (Q, [packet(0, &[&[24, 1, 0, 0, 0, 0, 0][..], &long].concat()), ping()].concat()),
            (A, one(ok(0, AUTOCOMMIT))),
            (Q, query("SELECT * FROM a")),
            (A, result(mode, 1)),
        ]);
        let found: Vec<String> = found.iter().map(|call| bare(call)).collect();
        let expected =
            ["\"SELECT a\" -> 2 rows", "\"SELECT a\" -> 2 rows", "\"SELECT a\" -> 1 rows"];
        assert_eq!(found, expected, "{mode:?}");
    }
}

#[test]
fn calls_begin_and_end_where_they_do() {
    let (start, answers) = (login(Ok).len(), greeting().len() + welcome().len());
    let (first, answer) = (query("SELECT * FROM a"), result(Ok, 3));
    let found = run(&[
        (A, greeting()),
        (Q, login(Ok)),
        (A, welcome()),
        (Q, first.clone()),
        (A, answer.clone()),
        (Q, query("SELECT * FROM b")),
        (A, answer.clone()),
    ]);
    let (second, end) = (start + first.len(), answers + answer.len());
    assert_eq!(
        found,
        [
            format!("{start} mysql.shop \"SELECT a\" -> 3 rows {end}"),
            format!("{second} mysql.shop \"SELECT b\" -> 3 rows {}", end + answer.len()),
        ]
    );
}
