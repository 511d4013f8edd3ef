//! Whatever order, however cut, however often: the same calls. With packets missing: none made
//! up, none mixed up, something counted for each that is missing, and the next one found again.
//!
//! A failure names the seed of its capture.

use std::collections::BTreeMap;
use std::ops::Range;

use tracebee_tests::capture::files::pcap;
use tracebee_tests::capture::generator::{Call, Generated, Mangle, Packet, Seen, frames, generate};
use tracebee_tests::capture::random::Random;
use tracebee_tests::capture::talk::{Client, End, Server};
use tracebee_tests::capture::wire::{FIN, RST, SYN, Segment};

use crate::outcome::{Outcome, replay};
use crate::seeds::seeds;

/// What is in the capture of a seed, the packets, and what was found.
fn run(seed: u64, mangle: Mangle) -> (Generated, Vec<Packet>, Outcome) {
    let mut random = Random::new(seed);
    let generated = generate(&mut random, mangle);
    let packets = generated.packets(&mut random, mangle);
    let outcome = replay(&[&pcap(&frames(&packets))]);
    (generated, packets, outcome)
}

#[track_caller]
fn same_calls(mangle: Mangle) {
    for seed in seeds() {
        let (generated, _, outcome) = run(seed, mangle);
        let losses = outcome.losses();
        let (found, truth) = (outcome.calls(), generated.truth());
        let wrong: Vec<_> = found.iter().filter(|call| !truth.contains(call)).collect();
        let missing: Vec<_> = truth.iter().filter(|call| !found.contains(call)).collect();
        assert_eq!((wrong, missing), (vec![], vec![]), "seed {seed}, {mangle:?}, {losses:?}");
        assert_eq!(found.len(), truth.len(), "seed {seed}, {mangle:?}");
        let stopped: Vec<_> = [("stopped", generated.unfinished())].into();
        let stopped = stopped.into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>();
        assert_eq!(losses, stopped, "seed {seed}, {mangle:?}");
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

/// The generator makes what it is there for: none of the tests above is about nothing.
#[test]
fn everything_is_generated() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut note = |what, n| *seen.entry(what).or_default() += usize::from(n);
    for seed in seeds() {
        let mangle = Mangle {
            repeated: 10,
            overlapped: 20,
            reordered: 10,
            dropped: 3,
            blind: 50,
            paused: 2,
        };
        let mut random = Random::new(seed);
        let generated = generate(&mut random, mangle);
        let packets = generated.packets(&mut random, mangle);
        for (n, conversation) in generated.conversations.iter().enumerate() {
            note("pipelined", conversation.pipelined);
            note("port used again", conversation.again);
            let own: Vec<_> = packets.iter().filter(|packet| packet.talk == n).collect();
            note("missing", own.len() < conversation.talk.packets.len());
            note("midway", own.first().is_some_and(|first| first.segment.flags & SYN == 0));
        }
        for call in &generated.calls {
            note("without an end", call.seen.is_none());
            let error = call.seen.as_ref().and_then(|seen| seen.error.as_deref());
            for reason in ["connection_reset", "client_closed", "closed"] {
                note(reason, error == Some(reason));
            }
        }
    }
    for (what, n) in &seen {
        println!("{n:8} {what}");
    }
}

/// The found calls are of the truth, each at most once; those that were not found.
#[track_caller]
fn none_invented(seed: u64, generated: &Generated, outcome: &Outcome) -> Vec<Call> {
    let mut left = generated.calls.clone();
    for found in outcome.calls() {
        let real = left.iter().position(|call| is(call, &found));
        let at = real.unwrap_or_else(|| panic!("seed {seed}: {found:?} was not in {left:#?}"));
        left.remove(at);
    }
    left
}

/// Whether `found` is what a capture with holes may show of a call: where a size was not seen,
/// nothing is said of it.
fn is(call: &Call, found: &Seen) -> bool {
    call.seen.as_ref().is_some_and(|real| {
        real.path == found.path
            && real.status == found.status
            && real.error == found.error
            && (found.size.is_none() || found.size == real.size)
    })
}

/// True if the conversation that a call was in begins with a SYN in the capture. Otherwise nobody
/// knows what was said before the first bytes that were captured.
fn was_seen_to_begin(call: &Call, packets: &[Packet]) -> bool {
    let first = packets.iter().find(|packet| packet.talk == call.talk);
    first.is_some_and(|first| first.segment.flags & SYN != 0)
}

#[test]
fn with_packets_missing() {
    let (mut calls, mut missing) = (0, 0);
    for seed in seeds() {
        let mangle = Mangle {
            repeated: seed as usize % 3 * 10,
            overlapped: seed as usize % 5 * 10,
            reordered: seed as usize % 4 * 5,
            dropped: 1 + seed as usize % 40,
            blind: 0,
            paused: seed as usize % 7,
        };
        let (generated, packets, outcome) = run(seed, mangle);
        let mut left = none_invented(seed, &generated, &outcome);
        calls += generated.calls.len();
        missing += left.len();
        left.retain(|call| was_seen_to_begin(call, &packets));
        assert!(
            left.is_empty() || !outcome.losses().is_empty(),
            "seed {seed}: {left:?} lost in silence"
        );
    }
    println!("{missing} of {calls} calls lost, all counted");
    assert!(missing < calls, "nothing at all was found");
}

/// A capture falls behind and catches up: each call is found again from the second one on of which
/// nothing is missing, and mostly from the first.
///
/// The first follows a hole. Only where bytes of the server came in between is it certain that it
/// begins a message: what looks like one may be a part of a body. On a connection that pipelines
/// nothing is certain any more. And where the first was not found, the next one is only believed when
/// something follows: if the capture ends before that, it is counted as stopped.
#[test]
fn calls_after_a_gap_are_found() {
    let (mut calls, mut first, mut late, mut stopped) = (0, 0, 0, 0);
    for seed in seeds() {
        let mangle = Mangle { blind: 100, ..Mangle::default() };
        let (generated, packets, outcome) = run(seed, mangle);
        let left = none_invented(seed, &generated, &outcome);
        let mut before = None;
        let mut cut_off = 0;
        for call in &generated.calls {
            let whole = is_whole(call, &generated, &packets);
            let follows = before.replace((call.talk, whole)) == Some((call.talk, true));
            let uncertain = generated.conversations[call.talk].pipelined
                || looks_pipelined(call.talk, &generated, &packets);
            if !whole || uncertain {
                continue;
            }
            let found = !left.iter().any(|lost| lost.seen == call.seen);
            if follows && !found && is_cut_off(call, &generated, &packets) {
                cut_off += 1;
                continue;
            }
            assert!(found || !follows, "seed {seed}: {call:?} was lost after a whole one");
            calls += usize::from(follows);
            first += usize::from(!follows && found);
            late += usize::from(!found);
        }
        let losses: BTreeMap<_, _> = outcome.losses().into_iter().collect();
        let counted = losses.get("stopped").copied().unwrap_or(0);
        assert!(cut_off <= counted, "seed {seed}: {cut_off} were stopped, {losses:?} counted");
        stopped += cut_off;
    }
    println!(
        "{calls} calls after a whole one, {stopped} stopped; of the first ones {first} found, {late} not"
    );
}

/// How long a connection rests until its last answer is believed to be the last.
const REST: u64 = 500_000_000;

/// True if the capture ends before anything shows that no other answer follows that to `call`: the
/// client says nothing more, nobody ends the connection, and it does not rest.
fn is_cut_off(call: &Call, generated: &Generated, packets: &[Packet]) -> bool {
    let ends = &generated.conversations[call.talk].talk;
    let base = ends.initial[Client as usize].wrapping_add(1);
    let mut own = packets.iter().filter(|packet| packet.talk == call.talk);
    let goes_on = own.clone().any(|Packet { segment, .. }| {
        let end = segment.sequence.wrapping_sub(base) as usize + segment.bytes.len();
        let more = segment.from == ends.ends[Client as usize] && !segment.bytes.is_empty();
        segment.flags & (FIN | RST) != 0 || more && end as u64 > call.request.end
    });
    let last = own.next_back().map_or(0, |packet| packet.time);
    let end = packets.last().map_or(0, |packet| packet.time);
    !goes_on && end.saturating_sub(last) <= REST
}

/// True if a body looks like a request just where a hole ends: what follows is no answer, so that
/// the client seems to pipeline.
fn looks_pipelined(talk: usize, generated: &Generated, packets: &[Packet]) -> bool {
    let client = generated.conversations[talk].talk.ends[Client as usize];
    let own = || {
        packets.iter().map(|p| (p.talk, &p.segment)).filter(|(n, s)| *n == talk && s.from == client)
    };
    let end = |segment: &Segment| segment.sequence.wrapping_add(segment.bytes.len() as u32);
    let mut holes = own().filter(|(_, segment)| {
        !segment.bytes.is_empty() && !own().any(|(_, other)| end(other) == segment.sequence)
    });
    holes.any(|(_, first)| {
        // What follows the hole, whose bytes may have come one by one.
        let mut bytes = first.bytes.clone();
        let mut next = end(first);
        let follows =
            |next| move |(_, s): &(usize, &Segment)| s.sequence == next && !s.bytes.is_empty();
        while bytes.len() < 6
            && let Some((_, segment)) = own().find(follows(next))
        {
            bytes.extend(&segment.bytes);
            next = end(segment);
        }
        bytes.starts_with(b"GET /w")
    })
}

/// True if every byte of a call was captured.
fn is_whole(call: &Call, generated: &Generated, packets: &[Packet]) -> bool {
    let whole = |range: &Range<u64>, from: End| {
        let ends = &generated.conversations[call.talk].talk;
        let base = ends.initial[from as usize].wrapping_add(1);
        let mut parts: Vec<Range<u64>> = packets
            .iter()
            .filter(|packet| packet.talk == call.talk)
            .filter(|packet| packet.segment.from == ends.ends[from as usize])
            .map(|packet| {
                // Conversations are far shorter than sequence numbers.
                let start = u64::from(packet.segment.sequence.wrapping_sub(base));
                let fin = u64::from(packet.segment.flags & FIN != 0);
                start..start + packet.segment.bytes.len() as u64 + fin
            })
            .collect();
        parts.sort_by_key(|part| part.start);
        let mut known = range.start;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            if part.start <= known {
                known = known.max(part.end);
            }
        }
        known >= range.end
    };
    whole(&call.request, Client)
        && call.response.as_ref().is_some_and(|response| whole(response, Server))
}
