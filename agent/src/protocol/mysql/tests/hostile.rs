//! Limits, and bytes that nobody sends in good faith.

use std::path::Path;

use proptest::prelude::*;

use super::bytes::*;
use super::conversations::{LOGIN, all, in_mode};
use super::{A, DETECTOR, Player, Q, check};
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
        quit(),
        ping(),
        close(1),
        query("SELECT 1"),
        prepare("SELECT ?"),
        execute(1, b""),
        one(ok(0, AUTOCOMMIT)),
        one(ok(0, AUTOCOMMIT | MORE)),
        one(error(1)),
        one(vec![0xfb]),
        prepared(Eof, 1, 1, 1),
        result(Eof, 1),
        packet(2, &eof(AUTOCOMMIT)),
        vec![0xff, 0xff, 0xff, 0],
        vec![0xff, 0xff, 0xff, 1],
        vec![0, 0, 0, 1],
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

fn session() -> Player {
    let mut player = Player::joined(0, 0);
    player.data(A, &greeting());
    player.data(Q, &login(Ok));
    player.data(A, &welcome());
    player
}

#[test]
fn too_many_requests_without_an_answer() {
    let mut player = session();
    for _ in 0..1024 {
        player.data(Q, &query("SELECT 1"));
    }
    assert_eq!(player.driver.over, None);
    player.data(Q, &query("SELECT 1"));
    assert_eq!(player.driver.over, Some(Step::GiveUp));
    assert_eq!(player.end().iter().filter(|line| *line == "desync").count(), 1024);
}

#[test]
fn statements_and_their_texts_are_bounded() {
    let mut player = session();
    for n in 1..1000 {
        player.data(Q, &prepare(&format!("SELECT {} FROM t{n}", "a, ".repeat(1200))));
        player.data(A, &prepared(Ok, n, 0, 0));
    }
    for (id, known) in [(999, true), (1, false)] {
        let before = player.driver.parts.len();
        player.data(Q, &execute(id, b""));
        player.data(A, &binary_result(Ok, 1));
        let shown = format!("{:?}", &player.driver.parts[before..]);
        assert_eq!(shown.contains(" FROM t"), known, "{id}");
    }
    check(&player.driver.parts);
}

/// A result that never ends is neither kept nor looked at twice.
#[test]
fn endless_rows() {
    let mut player = session();
    player.data(Q, &query("SELECT * FROM a"));
    let head = numbered(1, &columns(Ok, AUTOCOMMIT));
    player.data(A, &head);
    let mut number = 4_u8;
    for _ in 0..100_000 {
        player.data(A, &packet(number, &row(b"x")));
        number = number.wrapping_add(1);
    }
    player.data(A, &packet(number, &end_of_rows(Ok, AUTOCOMMIT)));
    let found = player.end();
    assert!(found[0].contains("-> 100000 rows"), "{found:?}");
}

/// Neither values nor rows nor files nor proofs nor users nor the texts of errors are in what is
/// told.
#[test]
fn nothing_secret_leaves() {
    for conversation in all() {
        let mut player = Player::joined(0, 0);
        for (n, (side, bytes)) in conversation.turns.iter().enumerate() {
            player.data(*side, bytes);
            assert!(n < LOGIN || !player.driver.parts.is_empty() || n < LOGIN + 12);
        }
        // Names of tables are told.
        let told = format!("{:?}", player.driver.parts).to_lowercase();
        let told = told.replace("from secret", "").replace("select secret", "");
        let told = told.replace("some(\"secret\")", "");
        assert!(!told.contains("secret"), "{}: {told}", conversation.name);
    }
}

/// Writes the seeds of the fuzz target anew.
#[test]
#[ignore = "writes fuzz/seeds"]
fn make_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/mysql");
    std::fs::create_dir_all(&seeds).unwrap();
    for (mode, names) in [
        (Eof, &["queries", "several statements in one", "a cursor", "another user"][..]),
        (Ok, &["prepared", "errors", "a file", "values along with a query"]),
    ] {
        for conversation in in_mode(mode) {
            let name = conversation.name.split(',').next().unwrap();
            if names.contains(&name) {
                let file = seeds.join(name.replace(' ', "-"));
                std::fs::write(file, encode(&conversation.turns)).unwrap();
            }
        }
    }
}
