//! Bytes that nobody saw: nothing wrong is told, and the next call that can be recognised is.

use super::conversations::{Conversation, all};
use super::{A, DETECTOR, Driver, Q, array, asks, end, run_raw, says};
use crate::protocol::{Side, Step};

/// A connection that is known since a call before `turns`, so that positions begin at 1000.
fn known(turns: &[(Side, Vec<u8>)]) -> Driver {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, &array("ECHO ~978"));
    driver.data(A, &[&b"$992\r\n"[..], &[b'x'; 992], b"\r\n"].concat());
    turns.iter().for_each(|(side, bytes)| driver.data(*side, bytes));
    driver
}

/// The calls behind that first one, without the namespace.
fn rest(driver: Driver) -> Vec<String> {
    end(driver)[1..].iter().map(|call| essence(call)).collect()
}

fn joined(turns: &[(Side, Vec<u8>)]) -> Driver {
    let mut driver = Driver::joined(&DETECTOR, 1000, 1000);
    turns.iter().for_each(|(side, bytes)| driver.data(*side, bytes));
    driver
}

#[test]
fn joined_midway() {
    let driver = joined(&[
        asks("GET k"),
        says("$1/1/"),
        asks("SELECT 2"),
        says("+OK/"),
        asks("PING"),
        says("+PONG/"),
    ]);
    assert_eq!(
        end(driver),
        [
            // Where its turn began is not known.
            "orphan",
            r#"1020 SELECT "SELECT ?" -> 1012"#,
            r#"1043 PING @2 "PING" -> 1019"#
        ]
    );
}

/// The first turn that is seen may be the end of one: replies to what nobody saw tell.
#[test]
fn joined_in_a_pipeline() {
    let driver =
        joined(&[asks("GET c\nGET d"), says("$1/a/$1/b/$1/c/$1/d/"), asks("PING"), says("+PONG/")]);
    assert_eq!(end(driver), ["orphan", "lost"]);
}

#[test]
fn the_middle_of_a_large_reply() {
    let mut driver = known(&[asks("LRANGE l 0 -1"), says("*1000/$100/xxx")]);
    driver.gap(A, 100_000);
    driver.tail(A, b"0\r\nxyz\r\n");
    driver.data(Q, &array("PING"));
    driver.data(A, b"+PONG\r\n");
    driver.data(Q, &array("PING"));
    let [range, ping, _] = &rest(driver)[..] else { panic!() };
    assert_eq!(range, r#"1000 LRANGE "LRANGE l ? ?" -> 101016"#);
    assert!(ping.contains("PING"), "{ping}");
}

#[test]
fn a_reply_that_does_not_end_like_one() {
    let mut driver = known(&[asks("LRANGE l 0 -1"), says("*1000/$100/xxx")]);
    driver.gap(A, 100_000);
    driver.tail(A, b"xyzxyz\r");
    driver.data(Q, &array("PING"));
    driver.data(A, b"+PONG\r\n");
    assert_eq!(rest(driver), ["lost", r#"1038 PING "PING" -> 101023"#]);
}

#[test]
fn a_pipeline_whose_replies_are_cut() {
    let mut driver = known(&[asks("GET a\nGET b"), says("$1/1/")]);
    driver.gap(A, 50_000);
    driver.tail(A, b"xyz\r\n");
    driver.data(Q, &array("PING"));
    assert_eq!(
        rest(driver),
        // Nobody knows whether the last reply was to it.
        [r#"1000 PIPELINE GET x2 "GET a; GET b" -> 51007 cut"#, "lost"]
    );
}

/// Any number of answers: whose is the next one?
#[test]
fn replies_missing_before_the_first() {
    let mut driver = known(&[asks("GET a")]);
    driver.data(Q, &array("GET b"));
    driver.gap(A, 7);
    driver.data(A, b"$1\r\n2\r\n");
    driver.data(Q, &array("GET c"));
    driver.data(A, b"$1\r\n3\r\n");
    driver.data(Q, &array("GET d"));
    let next = r#"1060 GET "GET d" unanswered"#;
    assert_eq!(rest(driver), ["lost", r#"1040 GET "GET c" -> 1021"#, next]);
}

#[test]
fn commands_missing_behind_one() {
    // As many replies as commands that were seen: there were no others.
    let mut driver = known(&[asks("MSET a 1 b ~20")]);
    driver.gap(Q, 50_000);
    driver.data(A, b"+OK\r\n");
    driver.data(Q, &array("GET c"));
    driver.data(A, b"$1\r\n3\r\n");
    driver.data(Q, &array("GET d"));
    let told = rest(driver);
    assert_eq!(told[0], r#"1000 MSET "MSET a ? b ?" -> 1005"#);
    assert!(told[1].contains("GET"), "{told:?}");

    // More replies: more commands.
    let mut driver = known(&[asks("SET a 1\nSET b 1")]);
    driver.gap(Q, 50_000);
    driver.data(A, b"+OK\r\n+OK\r\n-OOM x\r\n");
    driver.data(Q, &array("GET c"));
    driver.data(A, b"$1\r\n3\r\n");
    assert_eq!(rest(driver)[0], r#"1000 PIPELINE x3 "SET a ?; SET b ?" -> 1018 OOM"#);

    // Fewer: who knows.
    let mut driver = known(&[asks("SET a 1\nSET b 1")]);
    driver.gap(Q, 50_000);
    driver.data(A, b"+OK\r\n");
    driver.data(Q, &array("GET c"));
    assert_eq!(rest(driver)[0], "lost");
}

#[test]
fn a_request_missing_between_two_is_nobodys() {
    let mut driver = known(&[asks("GET a"), says("$1/1/")]);
    driver.gap(Q, 20);
    driver.data(A, b"$1\r\n2\r\n");
    driver.data(Q, &array("GET c"));
    driver.data(A, b"$1\r\n3\r\n");
    driver.data(Q, &array("GET d"));
    let next = r#"1060 GET "GET d" unanswered"#;
    assert_eq!(rest(driver)[1..], ["orphan", r#"1040 GET "GET c" -> 1021"#, next]);
}

#[test]
fn a_shared_connection_in_doubt_is_left() {
    let mut driver = known(&[asks("LRANGE a 0 1"), says("*2/:1/")]);
    driver.data(Q, &array("GET b"));
    driver.data(A, b":2\r\n");
    assert_eq!(driver.over, None, "all of it was seen");
    driver.gap(Q, 10);
    assert_eq!(driver.over, Some(Step::GiveUp));
}

/// Wherever a segment of a conversation is missing, what is told was said, or is known to be cut
/// short.
#[test]
fn any_turn_missing() {
    for Conversation { name, turns, .. } in all() {
        let whole = run_raw(&turns);
        let ends: Vec<_> = whole.iter().map(|call| essence(call)).collect();
        for missing in 0..turns.len() {
            let mut driver = Driver::joined(&DETECTOR, 0, 0);
            for (i, (side, bytes)) in turns.iter().enumerate() {
                match i == missing {
                    true => driver.gap(*side, bytes.len() as u64),
                    false => driver.data(*side, bytes),
                }
            }
            for call in end(driver).iter().filter(|call| call.contains("->")) {
                let told = essence(call);
                assert!(ends.contains(&told), "{name}, without turn {missing}: {call}");
            }
        }
    }
}

/// A call without its namespace, which may not be known.
fn essence(call: &str) -> String {
    call.split(' ').filter(|word| !word.starts_with('@')).collect::<Vec<_>>().join(" ")
}

/// A reply that no server gives to the command: the client does not wait, whatever it looked like.
#[test]
fn a_reply_that_is_anothers() {
    let mut driver = known(&[asks("GET a"), says("$1/1/")]);
    driver.gap(Q, 20);
    driver.data(A, b"$1\r\n2\r\n");
    driver.data(Q, &array("INCR n"));
    driver.data(A, b"$1\r\n3\r\n");
    assert_eq!(driver.over, Some(Step::GiveUp));
}

/// Errors in the reply to a command that was not seen: a transaction failed, or a script made up
/// what looks like it.
#[test]
fn a_transaction_of_which_the_end_was_not_seen() {
    let mut driver = known(&[asks("MULTI")]);
    driver.gap(Q, 50);
    driver.data(A, b"+OK\r\n+QUEUED\r\n*1\r\n-OOM x\r\n");
    driver.data(Q, &array("PING"));
    assert_eq!(rest(driver)[0], r#"1000 PIPELINE x3 "MULTI" -> 1026 cut"#);
}

/// What a value looks like is nothing: the first turn that is seen may begin in one.
#[test]
fn joined_in_a_value() {
    let driver = joined(&[asks("PING"), says("+OK/"), asks("PING"), says("+PONG/"), asks("PING")]);
    let told = [r#"orphan"#, r#"1014 PING "PING" -> 1012"#];
    assert_eq!(end(driver)[..2], told);
}
