//! Bytes are missing: whatever is still said is true, and what is not is counted.

use std::collections::HashMap;

use proptest::prelude::*;
use tracebee_common::record::TAIL;

use super::bytes::*;
use super::conversations::{Conversation, LOGIN, all, in_mode};
use super::{A, Player, Q, Side, Turns, run};

/// What is lost, in calls.
fn lost(found: &[String]) -> usize {
    found.iter().filter(|line| matches!(&***line, "orphan" | "desync" | "GiveUp")).count()
}

/// Calls by their position.
fn told(found: &[String]) -> HashMap<u64, String> {
    let told = found.iter().filter(|line| line.contains(" -> ") && !line.ends_with("open"));
    told.map(|line| (line.split(' ').next().unwrap().parse().unwrap(), line.clone())).collect()
}

/// What was said of a call with bytes missing is what is said of it otherwise, or less.
#[track_caller]
fn is_true(whole: &HashMap<u64, String>, found: &[String], context: &str) {
    for (at, line) in told(found) {
        let truth = whole.get(&at).unwrap_or_else(|| panic!("{context}: no call at {at}: {line}"));
        let parts = |line: &str| {
            let (asked, answer) = line.split_once(" -> ").unwrap();
            let (answer, end) = answer.rsplit_once(' ').unwrap_or(("", answer));
            let mut words = asked.splitn(3, ' ').skip(1).map(str::to_owned);
            let (server, text) = (words.next().unwrap(), words.next().unwrap());
            let (system, namespace) = server.split_once('.').unwrap();
            let known = [system, namespace, answer, end].map(str::to_owned);
            (known, text)
        };
        let ([system, namespace, answer, end], text) = parts(&line);
        let ([real_system, real_namespace, real_answer, real_end], real_text) = parts(truth);
        let same = system == real_system
            && (namespace == real_namespace || namespace == "-")
            && (text == real_text || text == "?")
            && end == real_end;
        let answered = match answer.as_str() {
            "cut" => !real_answer.contains("failed"),
            // That no row was written is not worth saying where the text is not known.
            answer => answer == real_answer || (text == "?" && real_answer == "0 affected"),
        };
        assert!(same && answered, "{context}: {line}, not {truth}");
    }
}

/// What becomes of one write.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Whole,
    /// All but the bytes between these parts of it, in 256ths.
    Without(u8, u8),
    /// So much of the beginning, and the last bytes.
    Head(u8),
    /// The record that tells of it is lost.
    Lost,
}

fn play(player: &mut Player, side: Side, bytes: &[u8], seen: Seen) {
    let part = |n: u8| bytes.len() * usize::from(n) / 255;
    match seen {
        Seen::Whole => player.data(side, bytes),
        Seen::Without(from, to) => {
            let (from, to) = (part(from.min(to)), part(from.max(to)));
            player.data(side, &bytes[..from]);
            player.gap(side, to - from);
            player.data(side, &bytes[to..]);
        }
        Seen::Head(to) => {
            let to = part(to);
            player.data(side, &bytes[..to]);
            if to < bytes.len() {
                player.gap(side, bytes.len() - to);
                player.driver.tail(side, &bytes[bytes.len().saturating_sub(TAIL)..]);
            }
        }
        Seen::Lost => {
            player.driver.lost(side, bytes.len() as u64);
            player.look(player.driver.position(A));
        }
    }
}

/// Each write without its last bytes, its first, or any in between. It is recognised by the first.
#[test]
fn of_any_write() {
    for Conversation { name, turns, .. } in all() {
        let whole = told(&run(&turns));
        for (write, (_, bytes)) in turns.iter().enumerate().skip(1) {
            let step = (bytes.len() / 60).max(1);
            for from in (0..bytes.len()).step_by(step) {
                for to in [from + 1, (from + bytes.len()).div_ceil(2), bytes.len()] {
                    let context = format!("{name}, write {write}, {from} to {to}");
                    let mut player = Player::joined(0, 0);
                    for (n, (side, bytes)) in turns.iter().enumerate() {
                        if n == write {
                            player.data(*side, &bytes[..from]);
                            player.gap(*side, to - from);
                            player.data(*side, &bytes[to..]);
                        } else {
                            player.data(*side, bytes);
                        }
                    }
                    counted(&turns, &whole, &player.end(), &context);
                }
            }
        }
    }
}

#[track_caller]
fn counted(turns: &Turns, whole: &HashMap<u64, String>, found: &[String], context: &str) {
    is_true(whole, found, context);
    let missing = whole.len() - told(found).len();
    let open = found.iter().any(|line| line.ends_with("open"));
    assert!(missing == 0 || open || lost(found) > 0, "{context}: {found:#?}\n{}", turns.len());
}

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        10 => Just(Seen::Whole),
        2 => Just(Seen::Without(0, 255)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Seen::Without(from, to)),
        1 => any::<u8>().prop_map(|from| Seen::Without(from, 255)),
        1 => any::<u8>().prop_map(|to| Seen::Without(0, to)),
        2 => any::<u8>().prop_map(Seen::Head),
        1 => Just(Seen::Lost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Conversations one after the other on one connection, with anything missing.
    #[test]
    fn of_any_writes(
        mode in prop_oneof![Just(Eof), Just(Ok)],
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..6),
        fates in proptest::collection::vec((seen(), any::<bool>()), 1..60),
        from_the_beginning in any::<bool>(),
    ) {
        let conversations = in_mode(mode);
        let plain = |c: &&Conversation| !c.name.starts_with("nothing");
        let conversations: Vec<_> = conversations.iter().filter(plain).collect();
        let mut turns = conversations[0].turns[..LOGIN].to_vec();
        for index in &order {
            turns.extend(index.get(&conversations).turns[LOGIN..].iter().cloned());
        }
        let whole = told(&run(&turns));
        let mut player = Player::joined(0, 0);
        let mut lost = false;
        for (n, (side, bytes)) in turns.iter().enumerate() {
            let (seen, rests) = fates[n % fates.len()];
            let before = if from_the_beginning { LOGIN } else { 1 };
            let seen = if n < before { Seen::Whole } else { seen };
            lost |= matches!(seen, Seen::Lost);
            play(&mut player, *side, bytes, seen);
            if rests {
                player.rest();
            }
        }
        let found = player.end();
        let context = format!("{fates:?}");
        if lost {
            is_true(&whole, &found, &context);
        } else {
            counted(&turns, &whole, &found, &context);
        }
    }
}

/// A connection after its login.
fn session(mode: Mode) -> Player {
    let mut player = Player::joined(0, 0);
    player.data(A, &greeting());
    player.data(Q, &login(mode));
    player.data(A, &welcome());
    player
}

fn large(mode: Mode) -> Vec<u8> {
    numbered(1, &result_of(mode, &row(&[b'x'; 200]), 1000, AUTOCOMMIT))
}

/// Only the first of a result is captured, and the last bytes are known.
#[test]
fn an_answer_that_is_cut_ends_with_its_turn() {
    for mode in [Eof, Ok] {
        let end = greeting().len() + welcome().len() + large(mode).len();
        for asks_again in [true, false] {
            let mut player = session(mode);
            player.data(Q, &query("SELECT * FROM a"));
            play(&mut player, A, &large(mode), Seen::Head(20));
            if asks_again {
                player.data(Q, &query("SELECT * FROM b"));
                player.data(A, &result(mode, 1));
            } else {
                player.rest();
            }
            let found = player.end();
            assert!(found[0].ends_with(&format!("\"SELECT a\" -> cut {end}")), "{found:?}");
            assert_eq!(found.len(), 1 + usize::from(asks_again), "{found:?}");
        }
    }
}

/// A server may pause between what columns are and what is in them: that looks like an end.
#[test]
fn a_pause_before_rows_is_no_end() {
    let answer = result(Eof, 2);
    let rows = answer.len() - 2 * packet(0, &row(b"secret")).len() - packet(0, &eof(0)).len();
    let mut player = session(Eof);
    player.data(Q, &query("SELECT * FROM a"));
    player.data(A, &answer[..5]);
    player.gap(A, 10);
    player.data(A, &answer[15..rows]);
    player.rest();
    player.data(A, &answer[rows..]);
    player.rest();
    player.data(Q, &ping());
    let found = player.end();
    let end = greeting().len() + welcome().len() + answer.len();
    assert!(found[0].ends_with(&format!("\"SELECT a\" -> cut {end}")), "{found:?}");
}

/// The last bytes are not those of an end: where it was nobody knows.
#[test]
fn an_answer_without_an_end_is_lost() {
    for tail in [&b"xxxxxxxx"[..], b"\0\0\x09\xfe\0\0\x0a\0"] {
        let mut player = session(Eof);
        player.data(Q, &query("SELECT * FROM a"));
        player.data(A, &large(Eof)[..4000]);
        player.gap(A, 100_000);
        player.driver.tail(A, tail);
        player.data(Q, &query("SELECT * FROM b"));
        player.data(A, &result(Eof, 1));
        let found = player.end();
        assert_eq!(found[0], "desync");
        assert!(found[1].contains("\"SELECT b\" -> 1 rows") && found.len() == 2, "{found:?}");
    }
}

/// Which answer is whose cannot be known.
#[test]
fn a_client_that_does_not_wait_is_given_up() {
    let mut player = session(Ok);
    player.data(Q, &query("SELECT * FROM a"));
    player.data(Q, &query("SELECT * FROM b"));
    player.gap(A, 1000);
    player.data(A, &result(Ok, 2));
    assert_eq!(player.end(), ["desync", "desync", "GiveUp"]);
    let mut player = Player::joined(1000, 1000);
    player.data(Q, &query("SELECT * FROM a"));
    player.data(Q, &query("SELECT * FROM b"));
    player.data(A, &result(Ok, 1));
    assert_eq!(player.end(), ["desync", "GiveUp"]);
}

/// A request of many packets of which only the first was captured.
#[test]
fn a_long_request_that_is_cut() {
    let text = format!("INSERT INTO a VALUES ('{}')", "x".repeat(1 << 25));
    let asked = query(&text);
    let mut player = session(Ok);
    player.data(Q, &asked[..16 * 1024]);
    player.gap(Q, asked.len() - 16 * 1024);
    player.data(A, &packet(3, &ok(1, AUTOCOMMIT)));
    player.data(Q, &query("SELECT * FROM b"));
    player.data(A, &result(Ok, 1));
    let found = player.end();
    assert!(found[0].contains("\"INSERT a\" -> 1 affected"), "{found:?}");
    assert!(found[1].contains("shop \"SELECT b\" -> 1 rows") && found.len() == 2, "{found:?}");
}

/// A file of which only the first was captured.
#[test]
fn a_file_that_is_cut() {
    let file = [packet(2, &[b'x'; 60_000]), packet(3, &[b'x'; 60_000]), packet(4, b"")].concat();
    let mut player = session(Ok);
    player.data(Q, &query("LOAD DATA LOCAL INFILE 'x' INTO TABLE a"));
    player.data(A, &one(b"\xfbsecret".to_vec()));
    player.data(Q, &file[..16 * 1024]);
    player.gap(Q, file.len() - 16 * 1024);
    player.data(A, &packet(5, &ok(7, AUTOCOMMIT)));
    player.data(Q, &query("SELECT * FROM b"));
    player.data(A, &result(Ok, 1));
    let found = player.end();
    assert!(found[0].contains("\"LOAD a\" -> 7 affected"), "{found:?}");
    assert!(found[1].contains("shop \"SELECT b\" -> 1 rows") && found.len() == 2, "{found:?}");
}

/// What is prepared while nobody sees it may have any number, and any database may be in use.
#[test]
fn what_was_missed_is_forgotten() {
    let mut player = session(Ok);
    player.data(Q, &prepare("SELECT * FROM a"));
    player.data(A, &prepared(Ok, 1, 0, 2));
    player.gap(Q, 100);
    player.data(A, &one(ok(0, AUTOCOMMIT)));
    player.data(Q, &execute(1, b""));
    player.data(A, &binary_result(Ok, 1));
    let found = player.end();
    assert_eq!(found[0], "orphan");
    assert!(found[1].contains("mysql.- ? -> 1 rows") && found.len() == 2, "{found:?}");
}
