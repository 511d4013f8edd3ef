//! However the bytes come, the calls are the same.

use proptest::prelude::*;

use super::conversations::{Conversation, all};
use super::{DETECTOR, Driver, Turns, at_least, end, run_raw};

/// Runs `turns`, cutting each where `cut_after` says so of a position in the conversation.
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
        let whole = run_raw(&turns);
        let length: usize = turns.iter().map(|(_, bytes)| bytes.len()).sum();
        for cut in (0..length).filter(|cut| *cut < 1000 || cut % 997 == 0) {
            assert_eq!(run_cut(&turns, |position| position == cut), whole, "{name}, cut at {cut}");
        }
        assert_eq!(run_cut(&turns, |_| true), whole, "{name}, byte by byte");
    }
}

proptest! {
    #![proptest_config(at_least(64))]

    #[test]
    fn in_random_pieces(cuts in proptest::collection::vec(any::<bool>(), 1..97)) {
        for Conversation { name, turns, .. } in all() {
            let calls = run_cut(&turns, |position| cuts[position % cuts.len()]);
            prop_assert_eq!(calls, run_raw(&turns), "{}", name);
        }
    }
}

/// A command whose first bytes went out before the reply came belongs to the call under way,
/// wherever the write was cut.
#[test]
fn a_command_cut_by_a_reply() {
    use super::{A, Q, array};
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
