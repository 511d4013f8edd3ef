//! Bytes are missing: whatever is still said is true, and what is not is counted.

use std::collections::HashMap;

use proptest::prelude::*;
use tracebee_common::record::TAIL;

use super::bytes::*;
use super::conversations::{Conversation, all};
use super::{A, DETECTOR, Driver, Q, Side, Turns, calls, check, end, run};

/// Where the setting is not seen that this is about, less is read.
const BACKSLASHES: &str = "strings with backslashes";

/// What is lost, in calls.
fn lost(found: &[String]) -> usize {
    found.iter().filter(|line| matches!(&***line, "orphan" | "desync" | "GiveUp")).count()
}

/// A call without what is not known of it, by its position.
fn told(found: &[String]) -> HashMap<u64, String> {
    let told = found.iter().filter(|line| line.contains(" -> ") && !line.ends_with("open"));
    told.map(|line| (line.split(' ').next().unwrap().parse().unwrap(), line.clone())).collect()
}

/// Runs `turns` without the bytes of one write from `from` on.
fn without(turns: &Turns, write: usize, from: usize, to: usize) -> Vec<String> {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    for (n, (side, bytes)) in turns.iter().enumerate() {
        if n == write {
            driver.data(*side, &bytes[..from]);
            driver.gap(*side, (to - from) as u64);
            driver.data(*side, &bytes[to..]);
        } else {
            driver.data(*side, bytes);
        }
    }
    end(driver)
}

/// What was said of a call with bytes missing is what is said of it otherwise, or less.
#[track_caller]
fn is_true(whole: &HashMap<u64, String>, found: &[String], context: &str) {
    for (at, line) in told(found) {
        let truth = whole.get(&at).unwrap_or_else(|| panic!("{context}: no call at {at}: {line}"));
        let (asked, answer) = line.split_once(" -> ").unwrap();
        let (real, real_answer) = truth.split_once(" -> ").unwrap();
        let text = asked.split_once(' ').unwrap().1;
        let same =
            asked == real || text.starts_with('?') || real.starts_with(&format!("{asked} x"));
        assert!(same, "{context}: {line}, not {truth}");
        let end = |answer: &str| answer.rsplit(' ').next().unwrap().to_owned();
        assert_eq!(end(answer), end(real_answer), "{context}: {line}, not {truth}");
        // Of a text that is not known the server's own word is told.
        let words = |answer: &str| {
            let (words, _) = answer.rsplit_once(' ').unwrap_or_default();
            let words = words.split(' ').filter(|word| !word.starts_with('('));
            words.collect::<Vec<_>>().join(" ")
        };
        match words(answer).strip_suffix("cut") {
            // Rows that are told are all.
            Some(rows) => {
                let told = rows.is_empty() || words(real_answer).ends_with(rows.trim_end());
                assert!(told || rows.contains("failed"), "{context}: {line}, not {truth}");
            }
            None => assert_eq!(words(answer), words(real_answer), "{context}: {line}"),
        }
    }
}

/// Each write without its last bytes, its first, or any in between.
#[test]
fn of_any_write() {
    for Conversation { name, turns, .. } in all().into_iter().filter(|c| c.name != BACKSLASHES) {
        let all = run(&turns);
        let whole = told(&all);
        for (write, (_, bytes)) in turns.iter().enumerate().skip(2) {
            let step = (bytes.len() / 60).max(1);
            for from in (0..bytes.len()).step_by(step) {
                for to in [from + 1, (from + bytes.len()).div_ceil(2), bytes.len()] {
                    let found = without(&turns, write, from, to);
                    let context = format!("{name}, write {write}, {from} to {to}");
                    is_true(&whole, &found, &context);
                    let missing = whole.len().saturating_sub(told(&found).len());
                    let open = found.iter().any(|line| line.ends_with("open"));
                    assert!(missing == 0 || open || lost(&found) > 0, "{context}: {found:#?}");
                }
            }
        }
    }
}

/// No name means anything any more: the server would refuse to prepare one again.
fn reset() -> [(Side, Vec<u8>); 4] {
    [
        (Q, query("ROLLBACK")),
        (A, [complete("ROLLBACK"), ready(b'I')].concat()),
        (Q, query("DEALLOCATE ALL")),
        (A, [complete("DEALLOCATE ALL"), ready(b'I')].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Conversations one after the other, with writes missing, on one connection.
    #[test]
    fn of_any_writes(
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..5),
        dropped in proptest::collection::vec(0..12u8, 1..40),
    ) {
        let conversations = all();
        let plain = |c: &Conversation| {
            !["pipelined", "the end", "a session that is ended", BACKSLASHES].contains(&c.name)
        };
        let conversations: Vec<_> = conversations.into_iter().filter(plain).collect();
        let mut turns = vec![(Q, login()), (A, welcome())];
        for index in &order {
            turns.extend(index.get(&conversations).turns[2..].iter().cloned());
            turns.extend(reset());
        }
        let whole = told(&run(&turns));
        let mut driver = Driver::joined(&DETECTOR, 0, 0);
        for (n, (side, bytes)) in turns.iter().enumerate() {
            match dropped[n % dropped.len()] {
                0 if n > 1 => driver.gap(*side, bytes.len() as u64),
                _ => driver.data(*side, bytes),
            }
        }
        is_true(&whole, &end(driver), "dropped");
    }
}

/// What happens to the bytes of a write.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Seen,
    /// They are missing between these parts of it, in 255ths.
    Missing(u8, u8),
    /// The same, and the last bytes are known.
    Cut(u8),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Seen),
        1 => Just(Fate::Missing(0, 255)),
        1 => any::<(u8, u8)>().prop_map(|(a, b)| Fate::Missing(a.min(b), a.max(b))),
        1 => any::<u8>().prop_map(Fate::Cut),
    ]
}

impl Fate {
    fn befall(self, driver: &mut Driver, side: Side, bytes: &[u8]) {
        let at = |part: u8| bytes.len() * usize::from(part) / 255;
        let (from, to) = match self {
            Fate::Seen => (bytes.len(), bytes.len()),
            Fate::Missing(from, to) => (at(from), at(to)),
            Fate::Cut(from) => (at(from), bytes.len()),
        };
        driver.data(side, &bytes[..from]);
        if from < to {
            driver.gap(side, (to - from) as u64);
            if let Fate::Cut(_) = self {
                driver.tail(side, &bytes[bytes.len().saturating_sub(TAIL)..]);
            }
        }
        driver.data(side, &bytes[to..]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The same with parts of writes missing, and from the middle on.
    #[test]
    fn of_any_part_of_writes(
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..5),
        fates in proptest::collection::vec(fate(), 1..40),
        first in prop_oneof![Just(0), 2..20_usize],
    ) {
        let conversations = all();
        let plain = |c: &Conversation| {
            !["pipelined", "the end", "a session that is ended", BACKSLASHES].contains(&c.name)
        };
        let conversations: Vec<_> = conversations.into_iter().filter(plain).collect();
        let mut turns = vec![(Q, login()), (A, welcome())];
        for index in &order {
            turns.extend(index.get(&conversations).turns[2..].iter().cloned());
            turns.extend(reset());
        }
        let whole = run(&turns);
        let first = first.min(turns.len());
        let before = |wanted: Side| -> u64 {
            let writes = turns[..first].iter().filter(|(side, _)| *side == wanted);
            writes.map(|(_, bytes)| bytes.len() as u64).sum()
        };
        let mut driver = Driver::joined(&DETECTOR, before(Q), before(A));
        let mut gone = false;
        for (n, (side, bytes)) in turns.iter().enumerate().skip(first) {
            let fate = if n < 2 { Fate::Seen } else { fates[n % fates.len()] };
            gone |= !matches!(fate, Fate::Seen);
            fate.befall(&mut driver, *side, bytes);
        }
        let found = end(driver);
        is_true(&told(&whole), &found, "parts");
        let missing = told(&whole).len().saturating_sub(told(&found).len());
        prop_assert!(missing == 0 || first > 0 || gone, "{found:?}");
        let open = found.iter().any(|line| line.ends_with("open"));
        prop_assert!(missing == 0 || first > 0 || open || lost(&found) > 0, "{found:?}");
    }
}

/// A connection after its login.
fn session() -> Driver {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, &login());
    driver.data(A, &welcome());
    driver
}

/// Only the first of a result is captured, and the last bytes are known.
#[test]
fn an_answer_that_is_cut_ends_with_its_turn() {
    let answer =
        [description(), rows(1000, &[b'x'; 100]), complete("SELECT 1000"), ready(b'I')].concat();
    let end_of_answer = (welcome().len() + answer.len()) as u64;
    for next in [true, false] {
        let mut driver = session();
        driver.data(Q, &query("SELECT * FROM a"));
        driver.data(A, &answer[..16 * 1024]);
        driver.gap(A, (answer.len() - 16 * 1024) as u64);
        driver.tail(A, &answer[answer.len() - TAIL..]);
        if next {
            driver.data(Q, &query("SELECT * FROM b"));
            driver.data(A, &result(1));
        } else {
            driver.rest(A);
        }
        let found = end(driver);
        assert!(
            found[0].ends_with(&format!("\"SELECT a\" -> 1000 rows cut {end_of_answer}")),
            "{found:?}"
        );
        assert_eq!(found.len(), 1 + usize::from(next), "{found:?}");
    }
}

/// The last bytes are not those of an end: the client did not wait.
#[test]
fn a_client_that_asks_during_an_answer_is_not_followed() {
    let mut driver = session();
    driver.data(Q, &query("SELECT * FROM a"));
    driver.data(A, &[description(), rows(10, b"x")].concat());
    driver.gap(A, 100_000);
    driver.tail(A, b"xxxxxxxx");
    driver.data(Q, &query("SELECT * FROM b"));
    driver.data(A, &result(1));
    assert_eq!(end(driver), ["desync", "GiveUp"]);
}

/// An error in a transaction shows in its state.
#[test]
fn an_error_that_was_not_seen() {
    let mut driver = session();
    driver.data(Q, &query("BEGIN"));
    driver.data(A, &[complete("BEGIN"), ready(b'T')].concat());
    driver.data(Q, &query("SELECT * FROM a"));
    driver.data(A, &[description(), rows(10, b"x")].concat());
    driver.gap(A, 100_000);
    driver.tail(A, b"\0\0Z\0\0\0\x05E");
    driver.rest(A);
    let found = end(driver);
    assert!(found[1].contains("\"SELECT a\" -> failed "), "{found:?}");
}

/// One long value is skipped, whether all of it is captured or not.
#[test]
fn long_values() {
    let long = vec![b'x'; 1_000_000];
    for captured in [usize::MAX, 16 * 1024] {
        let feed = |driver: &mut Driver, side, bytes: &[u8], rest: &[u8]| {
            driver.data(side, &bytes[..bytes.len().min(captured)]);
            match bytes.len().saturating_sub(captured) {
                0 => driver.data(side, rest),
                missing => driver.gap(side, (missing + rest.len()) as u64),
            }
            if bytes.len() > captured && rest.len() >= 8 {
                let all = [bytes, rest].concat();
                driver.tail(side, &all[all.len() - TAIL..]);
            }
        };
        let mut driver = session();
        let asked =
            [parse("", "INSERT INTO t VALUES ($1) RETURNING a"), bind("", "", &long)].concat();
        feed(&mut driver, Q, &asked, &[execute("", 0), sync()].concat());
        feed(&mut driver, A, &empty(b"12"), &[]);
        feed(&mut driver, A, &rows(1, &long), &[complete("INSERT 0 1"), ready(b'I')].concat());
        let text = format!("SELECT '{}' FROM t", "x".repeat(100_000));
        feed(&mut driver, Q, &query(&text), &[]);
        driver.data(A, &result(1));
        let found = calls(&driver.parts);
        check(&driver.parts);
        let cut = captured < usize::MAX;
        assert!(found[0].contains("\"INSERT t\" -> "), "{found:?}");
        assert_eq!(found[0].contains("cut"), cut, "{found:?}");
        assert!(found[1].contains("\"SELECT\" -> 1 rows"), "{found:?}");
    }
}

/// A long value, and what follows it was not captured: a call, if its answer and the number of
/// bytes leave nothing else that can have been there.
#[test]
fn what_follows_a_long_value() {
    let replies = |kinds: &[u8]| [empty(kinds), complete("INSERT 0 1"), ready(b'I')].concat();
    let (describe, execute, sync) = (describe(b'P', ""), execute("", 0), sync());
    let told = Some("\"INSERT t\" -> 1 affected");
    for (asked, answer, call) in [
        ([&execute[..], &sync].concat(), replies(b"12"), told),
        ([&describe[..], &execute, &sync].concat(), replies(b"12n"), told),
        (
            [&execute[..], &close(b'P', ""), &sync].concat(),
            { [empty(b"12"), complete("INSERT 0 1"), empty(b"3"), ready(b'I')].concat() },
            told,
        ),
        // Another portal may have been executed, or the turn does not end there.
        ([&super::bytes::execute("c", 0)[..], &sync].concat(), replies(b"12"), None),
        ([&execute[..], &flush(), &sync].concat(), replies(b"12"), None),
        ([&execute[..], &flush()].concat(), replies(b"12"), None),
        // A failure cannot be anybody else's.
        (
            [&execute[..], &sync].concat(),
            [empty(b"12"), error("ERROR", "23505"), ready(b'I')].concat(),
            None,
        ),
    ] {
        let mut driver = session();
        let bound = [parse("", "INSERT INTO t VALUES ($1)"), bind("", "", &[b'x'; 100])].concat();
        driver.data(Q, &bound);
        driver.gap(Q, asked.len() as u64);
        driver.tail(Q, &asked[asked.len().saturating_sub(TAIL)..]);
        driver.data(A, &answer);
        driver.data(Q, &query("SELECT * FROM a"));
        driver.data(A, &result(1));
        let found = end(driver);
        match call {
            Some(call) => assert!(found[0].contains(call), "{found:?}"),
            None => assert_eq!(found[0], "desync"),
        }
        assert!(found.last().unwrap().contains("\"SELECT a\" -> 1 rows"), "{found:?}");
    }
}

/// COPY data of which only the first is captured, sent before it was asked for.
#[test]
fn copy_data_that_is_cut() {
    let mut driver = session();
    driver.data(Q, &query("COPY t FROM STDIN"));
    driver.data(Q, &message(b'd', &[b'x'; 1000]));
    driver.gap(Q, 100_000);
    driver.data(A, &message(b'G', &[0, 0, 1, 0, 0]));
    driver.data(A, &[complete("COPY 7"), ready(b'I')].concat());
    driver.data(Q, &query("SELECT * FROM a"));
    driver.data(A, &result(1));
    let found = end(driver);
    assert!(found[0].contains("\"COPY t\" -> 7 affected"), "{found:?}");
    assert!(found[1].contains("\"SELECT a\" -> 1 rows") && found.len() == 2, "{found:?}");
}

/// A batch of which only the first was captured.
#[test]
fn a_request_that_is_cut() {
    let one = [bind("", "s", &[b'x'; 100]), execute("", 0)].concat();
    let reply = [empty(b"2"), complete("INSERT 0 1")].concat();
    let mut driver = session();
    driver.data(Q, &[parse("s", "INSERT INTO t VALUES ($1)"), sync()].concat());
    driver.data(A, &[empty(b"1"), ready(b'I')].concat());
    driver.data(Q, &one.repeat(3));
    driver.gap(Q, 97 * one.len() as u64 + 5);
    driver.data(A, &[reply.repeat(100), ready(b'I')].concat());
    // Statements are known as before: nothing in the answer says that one was prepared unseen.
    driver.data(Q, &[one.clone(), sync()].concat());
    driver.data(A, &[reply.clone(), ready(b'I')].concat());
    let found = end(driver);
    // Nobody knows of which statement the others were.
    assert_eq!(found[0], "desync");
    assert!(found[1].contains("\"INSERT t\" -> 1 affected"), "{found:?}");
    assert_eq!(found.len(), 2);
}

/// What is bound while nobody sees it may have any name.
#[test]
fn portals_are_forgotten_with_what_was_missed() {
    let mut driver = session();
    let bound =
        [parse("", "SELECT * FROM a"), bind("c", "", b""), execute("c", 1), sync()].concat();
    let answer = [empty(b"12"), rows(1, b"x"), empty(b"s"), ready(b'T')].concat();
    driver.data(Q, &bound);
    driver.data(A, &answer);
    driver.gap(Q, 100);
    driver.data(A, &[empty(b"2"), rows(1, b"x"), empty(b"s"), ready(b'T')].concat());
    driver.data(Q, &[execute("c", 1), sync()].concat());
    driver.data(A, &[rows(1, b"x"), empty(b"s"), ready(b'T')].concat());
    let found = end(driver);
    assert!(found.last().unwrap().contains("? -> 1 rows"), "{found:?}");
}

/// What is prepared while nobody sees it may have any name.
#[test]
fn names_are_forgotten_with_what_was_missed() {
    let mut driver = session();
    let prepare = |table: &str| [parse("s", &format!("SELECT * FROM {table}")), sync()].concat();
    let execute = [bind("", "s", b""), execute("", 0), sync()].concat();
    let answer = [empty(b"2"), complete("SELECT 0"), ready(b'I')].concat();
    driver.data(Q, &prepare("a"));
    driver.data(A, &[empty(b"1"), ready(b'I')].concat());
    driver.gap(Q, 100);
    driver.data(A, &[empty(b"31"), ready(b'I')].concat());
    driver.data(Q, &execute);
    driver.data(A, &answer);
    let found = end(driver);
    assert!(found.last().unwrap().contains("? -> (SELECT) 0 rows"), "{found:?}");
}

/// A client that goes after bytes of its data were missed asks for nothing.
#[test]
fn the_end_is_no_request() {
    let mut driver = session();
    driver.data(Q, &query("COPY t FROM STDIN"));
    driver.data(Q, &message(b'd', &[b'x'; 1000]));
    driver.gap(Q, 100_000);
    driver.data(A, &message(b'G', &[0, 0, 1, 0, 0]));
    driver.data(A, &[complete("COPY 7"), ready(b'I')].concat());
    driver.data(Q, &empty(b"X"));
    let found = end(driver);
    assert!(found.len() == 1 && found[0].contains("\"COPY t\" -> 7 affected"), "{found:?}");
}

/// A `BEGIN` that goes along with a query is no reason to want all of its result; two queries with
/// long ones are.
#[test]
fn what_has_to_be_seen_whole() {
    let wants = |second: &[u8], answers: &[&[u8]]| {
        let mut driver = session();
        driver.data(Q, &query("BEGIN"));
        driver.data(Q, second);
        for answer in answers {
            driver.data(A, answer);
        }
        driver.wants_everything()
    };
    let begun = [complete("BEGIN"), ready(b'T')].concat();
    let select = query("SELECT * FROM a");
    let long = [description(), rows(1000, &[b'x'; 100]), complete("SELECT 1000"), ready(b'T')];
    assert!(!wants(&select, &[&begun, &long.concat()]));
    assert!(wants(&query(&format!("SELECT '{}'", "x".repeat(9000))), &[]));
    let two = [&begun[..], &rows(1000, &[b'x'; 100])].concat();
    assert!(!wants(&select, &[&two]));
    let mut driver = session();
    driver.data(Q, &[&select[..], &select].concat());
    driver.data(A, &[description(), rows(100, &[b'x'; 100])].concat());
    assert!(driver.wants_everything());
}
