//! Bytes missing anywhere: fewer calls, never a wrong one.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::conversations::{CONVERSATIONS, Conversation};
use super::{DETECTOR, Driver, Side, Turns, end};
use crate::protocol::Part;

/// What is true of a request, by its position.
#[derive(Debug, Default, PartialEq, Clone, Copy)]
struct Truth {
    asked: Option<(u64, Option<u64>)>,
    response: Option<u64>,
    answered: Option<(Option<u64>, Option<u64>)>,
}

/// The calls that `parts` tell of.
fn calls(parts: &[Part]) -> HashMap<u64, Truth> {
    let mut calls = HashMap::<u64, Truth>::new();
    let mut open = VecDeque::new();
    let mut last = None;
    for part in parts {
        match part {
            Part::Request { at, .. } => {
                calls.insert(*at, Truth::default());
                open.push_back(*at);
                last = Some(*at);
            }
            Part::RequestEnd { at, body } => {
                calls.get_mut(&last.unwrap()).unwrap().asked = Some((*at, *body));
            }
            Part::Response { at, .. } => {
                let oldest = open.iter().find(|call| calls[call].response.is_none()).unwrap();
                calls.get_mut(oldest).unwrap().response = Some(*at);
            }
            Part::ResponseEnd { at, body } => {
                let call = open.pop_front().unwrap();
                calls.get_mut(&call).unwrap().answered = Some((*at, *body));
            }
            Part::Desync => {
                open.pop_front();
            }
            Part::Orphan => {}
            other => panic!("not of HTTP: {other:?}"),
        }
    }
    calls
}

/// Fails if `found` says anything that is not true.
fn compare(truth: &HashMap<u64, Truth>, found: &HashMap<u64, Truth>, context: &str) {
    for (request, call) in found {
        let Some(truth) = truth.get(request) else {
            panic!("{context}: no request begins at {request}")
        };
        if let Some((at, body @ Some(_))) = call.asked {
            assert_eq!(Some((at, body)), truth.asked, "{context}: request at {request}");
        }
        if call.response.is_some() {
            assert_eq!(call.response, truth.response, "{context}: paired with {request}");
        }
        if let Some((at, body @ Some(_))) = call.answered {
            assert_eq!(Some((at, body)), truth.answered, "{context}: response to {request}");
        }
    }
}

/// Runs `turns` on a connection that is joined after `skipped` bytes of the conversation.
fn run_joined_at(turns: &Turns, skipped: usize) -> Driver {
    let before = |wanted: Side| {
        let mut left = skipped;
        turns.iter().fold(0, |position, (side, text)| {
            let here = text.len().min(left);
            left -= here;
            position + if *side == wanted { here as u64 } else { 0 }
        })
    };
    let mut driver = Driver::joined(&DETECTOR, before(Side::Request), before(Side::Response));
    let mut left = skipped;
    for (side, text) in turns {
        let here = text.len().min(left);
        left -= here;
        driver.data(*side, &text.as_bytes()[here..]);
    }
    driver
}

/// Runs `turns` without the bytes from `from` to `to`, counted over the whole conversation.
/// A gap that spans writes is one on each side concerned.
fn run_without(turns: &Turns, from: usize, to: usize) -> Driver {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    let mut start = 0;
    for (side, text) in turns {
        let bytes = text.as_bytes();
        let missing_from = from.clamp(start, start + bytes.len()) - start;
        let missing_to = to.clamp(start, start + bytes.len()) - start;
        driver.data(*side, &bytes[..missing_from]);
        if missing_from < missing_to {
            driver.gap(*side, (missing_to - missing_from) as u64);
        }
        driver.data(*side, &bytes[missing_to..]);
        start += bytes.len();
    }
    driver
}

fn truth(turns: &Turns) -> HashMap<u64, Truth> {
    let mut whole = run_without(turns, 0, 0);
    whole.finish(Side::Request);
    whole.finish(Side::Response);
    calls(&whole.parts)
}

#[test]
fn anywhere() {
    for Conversation { name, turns, shows_at, .. } in CONVERSATIONS {
        let truth = truth(turns);
        let length: usize = turns.iter().map(|(_, text)| text.len()).sum();
        for from in *shows_at..length {
            // All short ones, and of the long ones enough to stay quick.
            for to in (from + 1..=length).filter(|to| to - from < 50 || (to - from) % 7 == 0) {
                let mut driver = run_without(turns, from, to);
                driver.finish(Side::Request);
                driver.finish(Side::Response);
                let context = format!("{name}, without {from}..{to}");
                compare(&truth, &calls(&driver.parts), &context);
                end(driver);
            }
        }
    }
}

/// The kernel captures the first bytes of each turn only: those of clients that wait keep all
/// calls whose heads fit.
#[test]
fn at_the_end_of_each_turn() {
    for Conversation { name, turns, pipelined, .. } in
        CONVERSATIONS.iter().filter(|conversation| conversation.shows_at == 0)
    {
        let truth = truth(turns);
        for cap in 1..300 {
            let mut driver = Driver::joined(&DETECTOR, 0, 0);
            let mut turn = None;
            let mut seen = 0;
            for (side, text) in *turns {
                if turn.replace(*side) != Some(*side) {
                    seen = 0;
                }
                let shown = text.len().min(cap - seen);
                seen += shown;
                driver.data(*side, &text.as_bytes()[..shown]);
                if shown < text.len() {
                    driver.gap(*side, (text.len() - shown) as u64);
                }
            }
            driver.finish(Side::Request);
            driver.finish(Side::Response);
            let found = calls(&driver.parts);
            compare(&truth, &found, &format!("{name}, {cap} bytes of each turn"));
            if cap > 120 && !pipelined {
                assert_eq!(found.len(), truth.len(), "{name}, {cap} bytes of each turn");
            }
        }
    }
}

/// Connections older than the agent: no wrong call either.
#[test]
fn at_the_beginning() {
    for Conversation { name, turns, .. } in CONVERSATIONS.iter().filter(|c| !c.pipelined) {
        let truth = truth(turns);
        let length: usize = turns.iter().map(|(_, text)| text.len()).sum();
        for skipped in 0..length {
            let mut driver = run_joined_at(turns, skipped);
            driver.finish(Side::Request);
            driver.finish(Side::Response);
            let found = calls(&driver.parts);
            compare(&truth, &found, &format!("{name}, joined after {skipped}"));
            end(driver);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Bytes are seen and missing in turns of these lengths.
    #[test]
    fn in_many_places(missing in proptest::collection::vec((1usize..80, 1usize..40), 1..12)) {
        for Conversation { name, turns, .. } in CONVERSATIONS.iter().filter(|c| c.shows_at == 0) {
            let truth = truth(turns);
            let mut driver = Driver::joined(&DETECTOR, 0, 0);
            let mut runs = missing.iter().cycle().flat_map(|(seen, not)| [(true, *seen), (false, *not)]);
            let (mut seen, mut run) = (true, missing[0].0);
            for (side, text) in *turns {
                let mut bytes = text.as_bytes();
                while !bytes.is_empty() {
                    if run == 0 {
                        (seen, run) = runs.next().unwrap();
                    }
                    let (piece, rest) = bytes.split_at(run.min(bytes.len()));
                    run -= piece.len();
                    bytes = rest;
                    if seen {
                        driver.data(*side, piece);
                    } else {
                        driver.gap(*side, piece.len() as u64);
                    }
                }
            }
            driver.finish(Side::Request);
            driver.finish(Side::Response);
            compare(&truth, &calls(&driver.parts), name);
        }
    }
}
