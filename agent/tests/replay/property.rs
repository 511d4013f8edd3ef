//! Whatever order, however cut, however often: the same calls. With packets missing: none made
//! up, none mixed up, and something counted for each that is missing.
//!
//! `TRACEBEE_CAPTURES` says how many captures each test makes; seeds count from 0, so that a
//! failure names its capture.

use crate::files::{Frame, pcap};
use crate::generator::{Mangle, generate};
use crate::outcome::{Outcome, Seen, replay};
use crate::random::Random;
use crate::wire::SYN;

fn captures() -> u64 {
    match std::env::var("TRACEBEE_CAPTURES") {
        Ok(count) => count.parse().expect("TRACEBEE_CAPTURES is a number"),
        Err(_) => 200,
    }
}

/// What is in the capture of a seed, what was found, and the packets.
fn run(seed: u64, mangle: Mangle) -> (Vec<Seen>, Outcome, Vec<Frame>) {
    let mut random = Random::new(seed);
    let generated = generate(&mut random, mangle);
    let frames = generated.frames(&mut random, mangle);
    (generated.truth, replay(&[&pcap(&frames)]), frames)
}

/// True if the conversation that a call was in begins with a SYN in the capture. Otherwise nobody
/// knows what was said before the first bytes that were captured.
fn was_seen_to_begin(call: &Seen, frames: &[Frame]) -> bool {
    const TCP: usize = 14 + 20;
    let number = call.path["/t".len()..].split('/').next().and_then(|n| n.parse::<u16>().ok());
    let port = (40_000 + number.expect("paths name their conversation")).to_be_bytes();
    let mut segments = frames.iter().map(|frame| &frame.bytes[TCP..]);
    segments.find(|tcp| tcp[..2] == port || tcp[2..4] == port).is_some_and(|tcp| tcp[13] & SYN != 0)
}

#[track_caller]
fn same_calls(mangle: Mangle) {
    for seed in 0..captures() {
        let (truth, outcome, _) = run(seed, mangle);
        assert_eq!(outcome.calls(), truth, "seed {seed}, {mangle:?}, {:?}", outcome.losses());
        assert_eq!(outcome.losses(), [], "seed {seed}, {mangle:?}");
    }
}

#[test]
fn in_order() {
    same_calls(Mangle::default());
}

#[test]
fn repeated() {
    same_calls(Mangle { repeated: 30, ..Mangle::default() });
}

#[test]
fn overlapped() {
    same_calls(Mangle { overlapped: 50, ..Mangle::default() });
}

#[test]
fn reordered() {
    same_calls(Mangle { reordered: 40, ..Mangle::default() });
}

#[test]
fn all_at_once() {
    same_calls(Mangle { repeated: 20, overlapped: 30, reordered: 60, ..Mangle::default() });
}

#[test]
fn with_pauses() {
    same_calls(Mangle { repeated: 20, overlapped: 30, paused: 10, ..Mangle::default() });
}

#[test]
fn with_packets_missing() {
    let (mut calls, mut missing) = (0, 0);
    for seed in 0..captures() {
        let mangle = Mangle {
            repeated: seed as usize % 3 * 10,
            overlapped: seed as usize % 5 * 10,
            reordered: seed as usize % 4 * 5,
            dropped: 1 + seed as usize % 40,
            paused: seed as usize % 7,
        };
        let (truth, outcome, frames) = run(seed, mangle);
        let mut left = truth.clone();
        for call in outcome.calls() {
            let real = left.iter().position(|real| {
                real.path == call.path
                    && real.status == call.status
                    && real.error == call.error
                    && (call.size.is_none() || call.size == real.size)
            });
            let at = real.unwrap_or_else(|| panic!("seed {seed}: {call:?} was not in {truth:#?}"));
            left.remove(at);
        }
        calls += truth.len();
        missing += left.len();
        left.retain(|call| was_seen_to_begin(call, &frames));
        assert!(
            left.is_empty() || !outcome.losses().is_empty(),
            "seed {seed}: {left:?} lost in silence"
        );
    }
    println!("{missing} of {calls} calls lost, all counted");
    assert!(missing < calls, "nothing at all was found");
}
