//! However the bytes come, the calls are the same.

use proptest::prelude::*;

use super::conversations::{Conversation, all};
use super::{A, DETECTOR, Driver, Q, array, at_least, end, told};
use crate::protocol::tests::{Subject, cuts};

fn subjects() -> Vec<Subject> {
    let subject = |c: Conversation| Subject { name: c.name.to_owned(), turns: c.turns, told };
    all().into_iter().map(subject).collect()
}

#[test]
fn at_any_byte() {
    subjects().iter().for_each(Subject::cut_at_any_byte);
}

/// A conversation that stops anywhere has had the calls that it would have had so far.
#[test]
fn of_any_prefix() {
    subjects()
        .iter()
        .for_each(|subject| subject.stopped_anywhere(|call| call.ends_with("unanswered")));
}

proptest! {
    #![proptest_config(at_least(64))]

    #[test]
    fn in_random_pieces(cuts in cuts()) {
        for subject in subjects() {
            subject.cut_into(&cuts)?;
        }
    }
}

/// A command whose first bytes went out before the reply came belongs to the call under way,
/// wherever the write was cut.
#[test]
fn a_command_cut_by_a_reply() {
    let (one, two) = (array("GET a"), array("GET b"));
    for cut in 1..two.len() {
        let mut driver = Driver::joined(&DETECTOR, 0, 0);
        driver.data(Q, &[&one[..], &two[..cut]].concat());
        driver.data(A, b"$1\r\n1\r\n");
        driver.data(Q, &two[cut..]);
        driver.data(A, b"$1\r\n2\r\n");
        let expected = r#"0 PIPELINE GET x2 @0 "GET a; GET b" -> 14"#;
        assert_eq!(end(driver), [expected], "cut at {cut}");
    }
}
