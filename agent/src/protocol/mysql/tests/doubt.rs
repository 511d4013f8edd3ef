//! Connections that are not known from their beginning.

use super::bytes::*;
use super::conversations::{Conversation, LOGIN, all};
use super::{A, DETECTOR, Player, Q, bare};
use crate::protocol::Detection;

/// Joined at any write of the client, a conversation has the calls from there on. The texts of
/// statements that were prepared before are not known, and neither is what was agreed on.
#[test]
fn from_the_middle() {
    let mut joined = 0;
    for Conversation { name, turns, calls } in all() {
        for first in LOGIN..turns.len() {
            let judged = (DETECTOR.resume)(&turns[first].1);
            if turns[first].0 != Q || judged != Detection::Is(Q) {
                continue;
            }
            joined += 1;
            let mut player = Player::joined(1000, 1000);
            for (side, bytes) in &turns[first..] {
                player.data(*side, bytes);
            }
            let found: Vec<String> = player.end().iter().map(|call| bare(call)).collect();
            assert!(
                found.iter().all(|line| line.contains(" -> ")),
                "{name} from {first}: {found:?}"
            );
            assert!(found.len() <= calls.len(), "{name} from {first}");
            for (found, real) in found.iter().rev().zip(calls.iter().rev()) {
                let answer = |line: &str| line.split_once(" -> ").unwrap().1.to_owned();
                assert!(found == real || found.starts_with('?'), "{name} from {first}: {found}");
                assert_eq!(answer(found), answer(real), "{name} from {first}");
            }
        }
    }
    assert!(joined > 40, "{joined}");
}

#[test]
fn statements_from_before() {
    for mode in [Eof, Ok] {
        let mut player = Player::joined(1000, 1000);
        for _ in 0..2 {
            player.data(Q, &execute(12, b"x"));
            player.data(A, &binary_result(mode, 2));
        }
        // From here on it is known, whether what follows descriptions was agreed on or not.
        player.data(Q, &prepare("SELECT * FROM a WHERE b = ?"));
        player.data(A, &prepared(mode, 13, 1, 0));
        player.data(Q, &execute(13, b"x"));
        player.data(A, &binary_result(mode, 1));
        let found: Vec<String> = player.end().iter().map(|call| bare(call)).collect();
        assert_eq!(found, ["? -> 2 rows", "? -> 2 rows", "\"SELECT a\" -> 1 rows"]);
    }
}

/// Nothing told yet how descriptions end.
#[test]
fn a_statement_is_prepared_first() {
    for mode in [Eof, Ok] {
        for (parameters, columns) in [(0, 0), (1, 0), (0, 2), (3, 2)] {
            let mut player = Player::joined(1000, 1000);
            player.data(Q, &prepare("SELECT * FROM a"));
            player.data(A, &prepared(mode, 5, parameters, columns));
            player.data(Q, &execute(5, b"x"));
            player.data(A, &binary_result(mode, 1));
            let found: Vec<String> = player.end().iter().map(|call| bare(call)).collect();
            assert_eq!(found, ["\"SELECT a\" -> 1 rows"], "{mode:?} {parameters} {columns}");
        }
    }
}

/// In the middle of an answer, or of a file.
#[test]
fn what_is_under_way_is_not_recognised() {
    let answer = result(Ok, 3);
    let file = [packet(3, b"1\tsecret\n"), packet(4, b"")].concat();
    for bytes in [&answer[7..], &answer[..], &file[..], &packet(9, &ok(1, AUTOCOMMIT)), &ping()] {
        assert_eq!((DETECTOR.resume)(bytes), Detection::IsNot, "{bytes:?}");
    }
}

/// What looked like a command was none: nobody answers like this.
#[test]
fn what_is_not_answered_is_none() {
    for answer in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        packet(0, &ok(0, AUTOCOMMIT)),
        packet(1, b"hello world"),
        numbered(1, &[vec![1], row(b"x")]),
        numbered(1, &[vec![2], column(), row(b"x")]),
    ] {
        let mut player = Player::joined(1000, 1000);
        player.data(Q, &query("SELECT * FROM a"));
        player.data(A, &answer);
        let found: Vec<String> =
            player.end().into_iter().filter(|line| !line.contains("open")).collect();
        assert!(!found.iter().any(|line| line.contains("->")), "{answer:?}: {found:?}");
    }
}

#[test]
fn a_compressed_connection_is_counted() {
    let inner = query("SELECT * FROM a");
    let asked = [&[inner.len() as u8, 0, 0, 0, 0, 0, 0][..], &inner].concat();
    let mut player = Player::joined(1000, 1000);
    player.data(Q, &asked);
    assert_eq!(player.end(), ["Compressed", "Leave"]);
}

/// A server that is tired of waiting says so unasked.
#[test]
fn an_error_that_nobody_asked_for() {
    let mut player = Player::joined(0, 0);
    player.data(A, &greeting());
    player.data(Q, &login(Ok));
    player.data(A, &welcome());
    player.data(Q, &query("SELECT * FROM a"));
    player.data(A, &result(Ok, 1));
    player.data(A, &packet(0, &error(4031)));
    let found = player.end();
    assert!(found.len() == 1 && found[0].contains("-> 1 rows"), "{found:?}");
}
