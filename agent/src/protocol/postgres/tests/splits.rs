//! However the bytes come, the calls are the same.

use proptest::prelude::*;

use super::conversations::{Conversation, all};
use super::told;
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
    subjects().iter().for_each(|subject| subject.stopped_anywhere(|call| call.ends_with("open")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_random_pieces(cuts in cuts()) {
        for subject in subjects() {
            subject.cut_into(&cuts)?;
        }
    }
}
