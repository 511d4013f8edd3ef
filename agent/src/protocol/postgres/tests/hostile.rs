//! Limits, and bytes that nobody sends in good faith.

use proptest::prelude::*;

use super::bytes::*;
use super::conversations::all;
use super::{A, DETECTOR, Driver, Q, check, end};
use crate::protocol::Step;
use crate::protocol::fuzz::play;
use crate::protocol::tests::{all_prefixes, bytes, encode, mutated};

/// How many mutated conversations a test run tries: about two seconds in a debug build.
const MUTATIONS: usize = 6_000;

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
    let words = [
        ready(b'I'),
        ready(b'E'),
        sync(),
        empty(b"1"),
        empty(b"2"),
        empty(b"s"),
        complete("SELECT 1"),
        error("ERROR", "22012"),
        error("FATAL", "57P01"),
        query("SELECT 1"),
        message(b'G', &[0; 3]),
        vec![b'D', 0x3f, 0xff, 0xff, 0xff],
        vec![b'Q', 0, 0, 0, 4],
        vec![6, 3],
        vec![0, 9],
        vec![4, 0],
    ];
    mutated(&DETECTOR, &conversations(), &words, MUTATIONS);
}

proptest! {
    #[test]
    fn random_bytes(data in bytes()) {
        play(&DETECTOR, &data);
    }
}

fn session() -> Driver {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, &login());
    driver.data(A, &welcome());
    driver
}

#[test]
fn too_many_requests_without_an_answer() {
    let mut driver = session();
    for _ in 0..512 {
        driver.data(Q, &query("SELECT 1"));
    }
    assert_eq!(driver.over, None);
    driver.data(Q, &query("SELECT 1"));
    assert_eq!(driver.over, Some(Step::GiveUp));
    assert_eq!(end(driver).iter().filter(|line| *line == "desync").count(), 512);
}

#[test]
fn too_many_statements_before_a_sync() {
    let mut driver = session();
    let one =
        |n: usize| [parse("", &format!("SELECT {n}")), bind("", "", b""), execute("", 0)].concat();
    (0..600).for_each(|n| driver.data(Q, &one(n)));
    driver.data(Q, &sync());
    for _ in 0..600 {
        driver.data(A, &[empty(b"12"), complete("SELECT 0")].concat());
    }
    driver.data(A, &ready(b'I'));
    driver.data(Q, &query("SELECT * FROM a"));
    driver.data(A, &result(1));
    let found = end(driver);
    assert_eq!(found.iter().filter(|line| *line == "orphan").count(), 600 - 512);
    assert_eq!(found.iter().filter(|line| line.contains("\"SELECT\" -> 0 rows")).count(), 512);
    assert!(found.last().unwrap().contains("\"SELECT a\" -> 1 rows"));
}

#[test]
fn a_batch_of_any_size_is_one_call() {
    let mut driver = session();
    driver.data(Q, &parse("s", "INSERT INTO t VALUES ($1)"));
    (0..100_000).for_each(|_| driver.data(Q, &[bind("", "s", b"1"), execute("", 0)].concat()));
    driver.data(Q, &sync());
    driver.data(A, &empty(b"1"));
    (0..100_000).for_each(|_| driver.data(A, &[empty(b"2"), complete("INSERT 0 1")].concat()));
    driver.data(A, &ready(b'I'));
    let found = end(driver);
    assert!(found.len() == 1 && found[0].contains("x100000 -> 100000 affected"), "{found:?}");
}

#[test]
fn statements_and_their_texts_are_bounded() {
    let mut driver = session();
    for n in 0..1000 {
        let text = format!("SELECT {} FROM t{n}", "a, ".repeat(1200));
        driver.data(Q, &[parse(&format!("s{n}"), &text), sync()].concat());
        driver.data(A, &[empty(b"1"), ready(b'I')].concat());
    }
    for (name, known) in [("s999", true), ("s0", false)] {
        let before = driver.parts.len();
        driver.data(Q, &[bind("", name, b""), execute("", 0), sync()].concat());
        driver.data(A, &[empty(b"2"), complete("SELECT 0"), ready(b'I')].concat());
        let shown = format!("{:?}", &driver.parts[before..]);
        assert_eq!(shown.contains(" FROM t"), known, "{name}");
    }
    check(&driver.parts);
}

/// Neither values nor results nor passwords nor the texts of errors are in what is told.
#[test]
fn nothing_secret_leaves() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, &login());
    driver.data(A, &message(b'R', &[0, 0, 0, 3]));
    driver.data(Q, &message(b'p', b"secret\0"));
    driver.data(A, &welcome());
    for conversation in all() {
        for (side, bytes) in &conversation.turns[2..] {
            driver.data(*side, bytes);
        }
    }
    driver.data(
        Q,
        &[parse("", "SELECT 'secret'"), bind("", "", b"secret"), execute("", 0), sync()].concat(),
    );
    driver.data(A, &[empty(b"12"), rows(3, b"secret"), complete("SELECT 3"), ready(b'I')].concat());
    assert!(driver.parts.len() > 20);
    assert!(!format!("{:?}", driver.parts).to_lowercase().contains("secret"));
}
