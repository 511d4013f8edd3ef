//! However the bytes come, the parts are the same.

use proptest::prelude::*;

use super::conversations::{CONVERSATIONS, Conversation};
use super::{DETECTOR, Driver, Turns, end, run};

/// Runs `turns`, cutting each write where `cut_after` says so of a position in the conversation.
fn run_cut(turns: &Turns, cut_after: impl Fn(usize) -> bool) -> Vec<String> {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    let mut position = 0;
    for (side, text) in turns {
        let bytes = text.as_bytes();
        let mut start = 0;
        for i in 1..=bytes.len() {
            position += 1;
            if i == bytes.len() || cut_after(position) {
                driver.data(*side, &bytes[start..i]);
                start = i;
            }
        }
    }
    end(driver)
}

#[test]
fn at_any_byte() {
    for Conversation { name, turns, .. } in CONVERSATIONS {
        let whole = run(turns);
        let length = turns.iter().map(|(_, text)| text.len()).sum();
        for cut in 0..length {
            assert_eq!(run_cut(turns, |position| position == cut), whole, "{name}, cut at {cut}");
        }
        assert_eq!(run_cut(turns, |_| true), whole, "{name}, byte by byte");
    }
}

/// A conversation that stops anywhere has said a beginning of what it would have said, but for
/// ends that the close of the connection brings.
#[test]
fn of_any_prefix() {
    for Conversation { name, turns, .. } in CONVERSATIONS {
        let mut whole = Driver::joined(&DETECTOR, 0, 0);
        for (side, text) in *turns {
            whole.data(*side, text.as_bytes());
        }
        let whole: Vec<_> = whole.parts.iter().map(super::show).collect();
        let length: usize = turns.iter().map(|(_, text)| text.len()).sum();
        for stop in 0..length {
            let mut driver = Driver::joined(&DETECTOR, 0, 0);
            let mut left = stop;
            for (side, text) in *turns {
                let bytes = &text.as_bytes()[..text.len().min(left)];
                left -= bytes.len();
                driver.data(*side, bytes);
            }
            let parts: Vec<_> = driver.parts.iter().map(super::show).collect();
            assert!(whole.starts_with(&parts), "{name}, stopped at {stop}: {parts:#?}");
            end(driver);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_random_pieces(cuts in proptest::collection::vec(any::<bool>(), 1..97)) {
        for Conversation { name, turns, .. } in CONVERSATIONS {
            let parts = run_cut(turns, |position| cuts[position % cuts.len()]);
            prop_assert_eq!(parts, run(turns), "{}", name);
        }
    }
}
