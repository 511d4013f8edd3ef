//! The rows of long results, of which the middle is not captured: the last bytes say how many, or
//! nothing is told.

use proptest::prelude::*;

use super::super::message::{last_command, tag};
use super::bytes::*;
use super::{A, DETECTOR, Driver, Q, end};
use tracebee_common::record::TAIL;

/// What is told of a call that asks like this, of whose answer only the first `captured` bytes and
/// the last are known.
fn cut(asked: &[u8], answer: &[u8], captured: usize) -> String {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, &login());
    driver.data(A, &[parameter("standard_conforming_strings", "on"), welcome()].concat());
    driver.data(Q, asked);
    driver.data(A, &answer[..captured]);
    driver.gap(A, (answer.len() - captured) as u64);
    driver.tail(A, &answer[answer.len().saturating_sub(TAIL)..]);
    driver.data(Q, &query("SELECT * FROM b"));
    driver.data(A, &result(1));
    let found = end(driver);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].contains("\"SELECT b\" -> 1 rows"), "{found:?}");
    let told = found[0].split_once(" -> ").map_or(&*found[0], |(_, answer)| answer);
    told.rsplit_once(' ').map_or(told, |(told, _)| told).to_owned()
}

/// The answer to one command that returns rows.
fn many(tag: &str) -> Vec<u8> {
    [description(), rows(500, &[b'x'; 50]), complete(tag)].concat()
}

fn simple(text: &str, answer: &[u8]) -> String {
    cut(&query(text), &[answer, &ready(b'I')].concat(), 1000)
}

#[test]
fn of_simple_queries() {
    assert_eq!(simple("SELECT * FROM a", &many("SELECT 500")), "500 rows cut");
    assert_eq!(simple("SELECT * FROM a ;; ", &many("SELECT 500")), "500 rows cut");
    assert_eq!(simple("SELECT ';' FROM a -- ;", &many("SELECT 500")), "500 rows cut");
    assert_eq!(simple("FETCH ALL FROM c", &many("FETCH 500")), "500 rows cut");
    let returning = simple("DELETE FROM a RETURNING *", &many("DELETE 500"));
    assert_eq!(returning, "500 rows 500 affected cut");
    let data = [message(b'H', &[0; 7]), message(b'd', &[b'x'; 50]).repeat(500), empty(b"c")];
    let data = [data.concat(), complete("COPY 500")].concat();
    assert_eq!(simple("COPY a TO STDOUT", &data), "500 affected cut");
}

#[test]
fn of_several_commands() {
    let begun = [complete("BEGIN"), rows_of("SELECT 3", 3), many("SELECT 500")].concat();
    assert_eq!(simple("BEGIN; SELECT 1; SELECT * FROM a", &begun), "503 rows cut");
    // One of them lies in what was not captured.
    let hidden = [many("SELECT 500"), complete("UPDATE 7")].concat();
    assert_eq!(simple("SELECT * FROM a; UPDATE a SET b = 1", &hidden), "cut");
    // So may the description of its rows: perhaps it is a table that was made.
    let made = [rows_of("SELECT 30", 30), complete("SELECT 500")].concat();
    assert_eq!(simple("SELECT * FROM a; CREATE TABLE t AS SELECT * FROM a", &made), "cut");
    // A command may be a string: who knows what a backslash is.
    let text = "SELECT 'a\\'; UPDATE a SET b = 'c\\'; SELECT 1 --'";
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, &login());
    driver.data(A, &welcome());
    driver.data(Q, &query(text));
    let answer = [many("SELECT 500"), complete("UPDATE 7"), rows_of("SELECT 1", 1), ready(b'I')];
    let answer = answer.concat();
    driver.data(A, &answer[..1000]);
    driver.gap(A, (answer.len() - 1000) as u64);
    driver.tail(A, &answer[answer.len() - TAIL..]);
    driver.rest(A);
    let found = end(driver);
    assert!(found[0].contains(" -> cut "), "{found:?}");
}

fn rows_of(tag: &str, count: usize) -> Vec<u8> {
    [description(), rows(count, &[b'x'; 50]), complete(tag)].concat()
}

#[test]
fn of_the_extended_protocol() {
    let answer = |last: &[u8]| [&empty(b"12"), &many("SELECT 500")[..], last].concat();
    let asked = [parse("", "SELECT * FROM a"), bind("", "", b""), describe(b'P', "")].concat();
    let one = [&asked[..], &execute("", 0), &sync()].concat();
    assert_eq!(cut(&one, &answer(&ready(b'I')), 1000), "500 rows cut");
    // Its settings or a notification come between.
    for last in [parameter("TimeZone", "UTC"), message(b'A', b"\0\0\0\x01news\0text\0")] {
        assert_eq!(cut(&one, &answer(&[last, ready(b'I')].concat()), 1000), "cut");
    }
    // There are more rows.
    let some = [&asked[..], &execute("", 500), &sync()].concat();
    let more = [&empty(b"12"), &description(), &rows(500, &[b'x'; 50])[..]].concat();
    assert_eq!(cut(&some, &[more, empty(b"s"), ready(b'T')].concat(), 1000), "cut");
    // Two of them, the first of which ends in what was not captured.
    let run = [bind("", "", b""), execute("", 0)].concat();
    let two = [&parse("", "SELECT * FROM a")[..], &run, &run, &sync()].concat();
    let both = [
        &empty(b"12"),
        &rows(500, &[b'x'; 50])[..],
        &complete("SELECT 500"),
        &empty(b"2"),
        &rows(500, &[b'x'; 50]),
        &complete("SELECT 500"),
        &ready(b'I'),
    ];
    assert_eq!(cut(&two, &both.concat(), 1000), "cut");
    let seen = 5 + 5 + 500 * 61 + 16 + 1000;
    assert_eq!(cut(&two, &both.concat(), seen), "1000 rows cut");
}

/// What a function returned may end like a result.
#[test]
fn of_a_function_nothing() {
    let value = [&[b'x'; 5000][..], &complete("SELECT 500")].concat();
    let length = (value.len() as u32).to_be_bytes();
    let answer = [message(b'V', &[&length[..], &value].concat()), ready(b'I')].concat();
    assert_eq!(cut(&message(b'F', &[0; 12]), &answer, 1000), "cut");
}

#[test]
fn last_commands() {
    let read = |bytes: &[u8]| last_command(bytes).map(|tag| (tag.command.to_owned(), tag.rows));
    let is = |command: &str, rows| Some((command.to_owned(), rows));
    let ends = |last: &[u8]| [last, &ready(b'T')].concat();
    assert_eq!(read(&ends(&complete("SELECT 5"))), is("SELECT", Some(5)));
    assert_eq!(
        read(&ends(&complete("INSERT 0 18446744073709551615"))),
        is("INSERT", Some(u64::MAX))
    );
    assert_eq!(read(&ends(&complete("CREATE TABLE"))), is("CREATE TABLE", None));
    assert_eq!(read(&ends(&complete("SELECT 5"))[1..]), None, "its first byte is missing");
    assert_eq!(read(&complete("SELECT 5")), None);
    assert_eq!(read(&ends(b"")), None);
    assert_eq!(read(&ends(b"C\0\0\0\x0eSELECT 5\0")), None, "another length");
    assert_eq!(read(&ends(b"D\0\0\0\x0dSELECT 5\0")), None, "another message");
    assert_eq!(read(b"I"), None);
}

/// A text as the server sends one: without zeros, and made to deceive.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"C".to_vec()),
        Just(b"\x0dSELECT 5".to_vec()),
        Just(b"SELECT 5".to_vec()),
        proptest::collection::vec(1..=255_u8, 0..4),
    ];
    proptest::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever else comes last, it is not taken for the end of a command.
    #[test]
    fn nothing_else_is_a_command(
        before in proptest::collection::vec(any::<u8>(), 0..80),
        texts in proptest::collection::vec(text().prop_filter("not empty", |text| !text.is_empty()), 2),
        number in any::<[u8; 4]>(),
        kind in 0..6_u8,
    ) {
        let [first, second] = &texts[..] else { unreachable!() };
        let last = match kind {
            0 => message(b'A', &[&number[..], first, &[0], second, &[0]].concat()),
            1 => message(b'A', &[&number[..], first, &[0, 0]].concat()),
            2 => message(b'S', &[first, &[0][..], second, &[0]].concat()),
            3 => message(b'E', &[b"M", &first[..], &[0], b"F", second, &[0, 0]].concat()),
            4 => message(b'T', &[&[0, 1][..], first, &[0], &number, &[0, 1], &number, &[0, 4], &number, &[0, 0]].concat()),
            _ => empty(b"3"),
        };
        let tail = [before, last, ready(b'I')].concat();
        prop_assert_eq!(last_command(&tail), None);
    }

    /// Wherever the last bytes begin, a tag is told whole or not at all.
    #[test]
    fn a_tag_is_told_whole(
        rows in any::<u64>(),
        before in proptest::collection::vec(any::<u8>(), 0..80),
        from in any::<prop::sample::Index>(),
    ) {
        let tag_text = format!("SELECT {rows}");
        let end = [complete(&tag_text), ready(b'I')].concat();
        let all = [&before[..], &end].concat();
        let tail = &all[from.index(all.len())..];
        let expected = (tail.len() >= end.len()).then(|| [tag_text.as_bytes(), b"\0"].concat());
        let expected = expected.as_deref().and_then(tag);
        prop_assert_eq!(last_command(tail), expected);
    }
}
