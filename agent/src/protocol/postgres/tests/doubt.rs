//! Connections that are not known from their beginning.

use super::bytes::*;
use super::conversations::{Conversation, all, bare};
use super::{A, DETECTOR, Driver, Q, end};

/// Joined at any write of the client, a conversation has the calls from there on. The texts of
/// statements that were prepared before are not known.
#[test]
fn from_the_middle() {
    for Conversation { name, turns, calls } in all() {
        for first in 2..turns.len() {
            let other =
                ["pipelined", "a cursor in steps", "strings with backslashes"].contains(&name);
            if turns[first].0 != Q || other {
                continue;
            }
            let mut driver = Driver::joined(&DETECTOR, 1000, 1000);
            for (side, bytes) in &turns[first..] {
                driver.data(*side, bytes);
            }
            let found: Vec<String> = end(driver).iter().map(|call| bare(call)).collect();
            let count = |line: &&String| line.contains(" ->");
            assert!(found.iter().filter(count).count() <= calls.len(), "{name} from {first}");
            for (found, real) in found.iter().filter(count).rev().zip(calls.iter().rev()) {
                let answer = |line: &str| {
                    line.split_once("-> ").map(|(_, answer)| {
                        answer
                            .split(' ')
                            .filter(|word| !word.starts_with('('))
                            .collect::<Vec<_>>()
                            .join(" ")
                    })
                };
                assert!(found == real || found.starts_with('?'), "{name} from {first}: {found}");
                assert_eq!(answer(found), answer(real), "{name} from {first}");
            }
        }
    }
}

#[test]
fn statements_from_before() {
    let mut driver = Driver::joined(&DETECTOR, 1000, 1000);
    for _ in 0..2 {
        driver.data(Q, &[bind("", "S_1", b"1"), execute("", 0), sync()].concat());
        driver.data(A, &[empty(b"2"), rows(1, b"x"), complete("SELECT 1"), ready(b'I')].concat());
    }
    let found: Vec<String> = end(driver).iter().map(|call| bare(call)).collect();
    // The first may have been asked for in part before.
    assert_eq!(found, ["orphan", "? -> (SELECT) 1 rows"]);
}

/// In the middle of an answer, or of COPY data.
#[test]
fn what_is_under_way_makes_no_call() {
    let mut driver = Driver::joined(&DETECTOR, 1000, 1000);
    driver.data(A, &result(3)[7..]);
    driver.data(Q, &message(b'd', b"x"));
    driver.data(A, &[complete("COPY 1"), ready(b'I')].concat());
    driver.data(Q, &query("SELECT * FROM a"));
    driver.data(A, &result(1));
    let found: Vec<String> = end(driver).iter().map(|call| bare(call)).collect();
    assert_eq!(found.last().unwrap(), "\"SELECT a\" -> 1 rows");
    assert_eq!(found.iter().filter(|line| line.contains("->")).count(), 1, "{found:?}");
}

/// Which answer is whose cannot be known.
#[test]
fn a_client_that_does_not_wait_is_given_up() {
    let mut driver = Driver::joined(&DETECTOR, 1000, 1000);
    driver.data(Q, &query("SELECT * FROM a"));
    driver.data(Q, &query("SELECT * FROM b"));
    driver.data(A, &result(1));
    driver.data(A, &result(2));
    let found = end(driver);
    assert_eq!(found.last().unwrap(), "GiveUp", "{found:?}");
    assert_eq!(found.iter().filter(|line| *line == "desync").count(), 2, "{found:?}");
}
