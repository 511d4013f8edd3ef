//! Limits, and bytes that nobody sends in good faith.

use proptest::prelude::*;

use super::conversations::all;
use super::{A, DETECTOR, Driver, Q, array, end};
use crate::protocol::fuzz::play;
use crate::protocol::tests::{all_prefixes, bytes, encode, mutated};

/// How many mutated conversations a test run tries: about two seconds in a debug build.
const MUTATIONS: usize = 4_000;

fn conversations() -> Vec<Vec<u8>> {
    all().iter().map(|conversation| encode(&conversation.turns)).collect()
}

#[test]
fn all_prefixes_of_conversations() {
    all_prefixes(&DETECTOR, &conversations());
}

/// What a fuzzer does, without one: the same mutations in each run.
#[test]
fn mutated_conversations() {
    const WORDS: [&[u8]; 14] = [
        b"\r\n",
        b"*4294967295\r\n",
        b"$4294967295\r\n",
        b"*-1\r\n",
        b"*?\r\n",
        b"$?\r\n",
        b".\r\n",
        b"|1\r\n",
        b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
        b"*1\r\n$5\r\nMULTI\r\n",
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n",
        b"*1\r\n$11\r\nUNSUBSCRIBE\r\n",
        b"-ERR x\r\n",
        b"\x00\x00\x01\x80",
    ];
    mutated(&DETECTOR, &conversations(), &WORDS, MUTATIONS);
}

proptest! {
    #[test]
    fn random_bytes(data in bytes()) {
        play(&DETECTOR, &data);
    }
}

/// Depth costs nothing: a value of a million arrays in each other ends where it ends.
#[test]
fn nested_without_limit() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, &array("EVAL x 0"));
    driver.data(A, &b"*1\r\n".repeat(1_000_000));
    driver.data(A, b":1\r\n");
    driver.data(Q, &array("PING"));
    driver.data(A, b"+PONG\r\n");
    let calls = end(driver);
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[0].ends_with("-> 4000004"), "{}", calls[0]);
}

/// Aggregates of unknown length nest to a bound, and not further.
#[test]
fn streams_without_end() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, &array("PING"));
    driver.data(A, b"+PONG\r\n");
    driver.data(Q, &array("EVAL x 0"));
    driver.data(A, &b"*?\r\n".repeat(1000));
    assert_eq!(end(driver)[1..], ["lost"]);
}

/// A pipeline of a million commands is one call, told in bounded memory.
#[test]
fn a_long_pipeline() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    let commands = array("SET key:1 2").repeat(1000);
    (0..1000).for_each(|_| driver.data(Q, &commands));
    let replies = b"+OK\r\n".repeat(1000);
    (0..1000).for_each(|_| driver.data(A, &replies));
    let expected = r#"0 PIPELINE SET x1000000 @0 "SET key:? ?" -> 5000000"#;
    assert_eq!(end(driver), [expected]);
}
