//! However the bytes come, the calls are the same.

use proptest::prelude::*;

use super::conversations::{Conversation, all};
use super::{DETECTOR, Driver, Turns, end, run};

/// Runs `turns`, cutting each write where `cut_after` says so of a position in the conversation.
fn run_cut(turns: &Turns, cut_after: impl Fn(usize) -> bool) -> Vec<String> {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    let mut position = 0;
    for (side, bytes) in turns {
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
    for Conversation { name, turns, .. } in all() {
        let whole = run(&turns);
        let length: usize = turns.iter().map(|(_, bytes)| bytes.len()).sum();
        for cut in 0..length.min(2500) {
            assert_eq!(run_cut(&turns, |position| position == cut), whole, "{name}, cut at {cut}");
        }
        assert_eq!(run_cut(&turns, |_| true), whole, "{name}, byte by byte");
    }
}

/// A conversation that stops anywhere has had the calls that it would have had so far.
#[test]
fn of_any_prefix() {
    for Conversation { name, turns, .. } in all() {
        let whole = run(&turns);
        let length: usize = turns.iter().map(|(_, bytes)| bytes.len()).sum();
        for stop in 0..length.min(2500) {
            let mut driver = Driver::joined(&DETECTOR, 0, 0);
            let mut left = stop;
            for (side, bytes) in &turns {
                let bytes = &bytes[..bytes.len().min(left)];
                left -= bytes.len();
                driver.data(*side, bytes);
            }
            let ended: Vec<_> = end(driver).into_iter().filter(|c| !c.ends_with("open")).collect();
            assert!(whole.starts_with(&ended), "{name}, stopped at {stop}: {ended:#?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_random_pieces(cuts in proptest::collection::vec(any::<bool>(), 1..97)) {
        for Conversation { name, turns, .. } in all() {
            let found = run_cut(&turns, |position| cuts[position % cuts.len()]);
            prop_assert_eq!(found, run(&turns), "{}", name);
        }
    }
}
