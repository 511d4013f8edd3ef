//! Bytes that nobody should write: no panic, no endless work.

use proptest::prelude::*;

use crate::outcome::replay;
use tracebee_tests::capture::files::{Frame, Order, Pcapng, pcap, pcap_with};
use tracebee_tests::capture::generator::{Mangle, frames, generate};
use tracebee_tests::capture::random::Random;
use tracebee_tests::capture::talk;

/// A capture as pcap or pcapng.
fn file(seed: u64, ng: bool) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mangle =
        Mangle { reordered: 5, repeated: 5, overlapped: 5, dropped: 1, blind: 10, paused: 1 };
    let packets = generate(&mut random, mangle).packets(&mut random, mangle);
    let frames = frames(&packets);
    if !ng {
        return pcap(&frames);
    }
    let order = if random.chance(50) { Order::Little } else { Order::Big };
    let mut file = Pcapng::new(order);
    file.interface(1, Some(9), None);
    for frame in &frames {
        file.packet(0, frame.time, frame);
    }
    file.out
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(u8),
    Flip(u8),
    Word([u8; 4]),
    Remove(usize),
    Insert(Vec<u8>),
    Repeat(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<u8>().prop_map(Mutation::Set),
        (0..8u8).prop_map(Mutation::Flip),
        prop_oneof![Just([0; 4]), Just([0xff; 4]), any::<[u8; 4]>()].prop_map(Mutation::Word),
        (1..200usize).prop_map(Mutation::Remove),
        proptest::collection::vec(any::<u8>(), 1..50).prop_map(Mutation::Insert),
        (1..2000usize).prop_map(Mutation::Repeat),
    ]
}

fn apply(file: &mut Vec<u8>, at: usize, mutation: Mutation) {
    let at = at % file.len().max(1);
    let until = |n: usize| (at + n).min(file.len());
    match mutation {
        Mutation::Set(byte) => file[at] = byte,
        Mutation::Flip(bit) => file[at] ^= 1 << bit,
        Mutation::Word(word) => {
            let end = until(4);
            file[at..end].copy_from_slice(&word[..end - at]);
        }
        Mutation::Remove(n) => {
            let end = until(n);
            file.drain(at..end);
        }
        Mutation::Insert(bytes) => {
            file.splice(at..at, bytes);
        }
        Mutation::Repeat(n) => {
            let again = file[at..until(n)].to_vec();
            file.splice(at..at, again);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mutated_captures(
        seed in 0..50u64,
        ng in any::<bool>(),
        mutations in proptest::collection::vec((any::<usize>(), mutation()), 1..60),
    ) {
        let mut file = file(seed, ng);
        // The header stays, so that something is read.
        let header = file.drain(..if ng { 36 } else { 24 }).collect::<Vec<_>>();
        for (at, mutation) in mutations {
            if !file.is_empty() {
                apply(&mut file, at, mutation);
            }
        }
        let file = [header, file].concat();
        let outcome = replay(&[&file]);
        prop_assert!(outcome.spans.len() as u64 <= outcome.packets() * 100);
    }

    #[test]
    fn packets_of_anything(
        link in prop_oneof![Just(0u32), Just(1), Just(101), Just(113), Just(276), any::<u32>()],
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..40),
    ) {
        let frames: Vec<_> = packets
            .into_iter()
            .map(|bytes| Frame::new(0, bytes))
            .collect();
        let file = pcap_with(Order::Big, true, link, &frames);
        let outcome = replay(&[&file]);
        prop_assert_eq!(outcome.packets(), frames.len() as u64);
    }

    #[test]
    fn segments_of_anything(
        segments in proptest::collection::vec(
            (any::<bool>(), 0..6u32, any::<u32>(), 0..6u32, any::<u8>(), 0..3usize),
            0..200,
        ),
    ) {
        // Few numbers, so that they meet: near each other, and anywhere.
        let talk = talk::Talk::new();
        let parts = [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n"];
        let frames: Vec<_> = segments
            .into_iter()
            .enumerate()
            .map(|(n, (client, sequence, anywhere, acknowledged, flags, part))| {
                let from = if client { talk::Client } else { talk::Server };
                let mut segment = talk.at(from, 0, flags, parts[part]);
                let far = if sequence == 5 { anywhere } else { sequence * 18 };
                segment.sequence = segment.sequence.wrapping_add(far);
                segment.acknowledged = segment.acknowledged.wrapping_add(
                    if acknowledged == 5 { anywhere } else { acknowledged * 18 },
                );
                Frame::new(n as u64 * 100_000_000, segment.ethernet())
            })
            .collect();
        let outcome = replay(&[&pcap(&frames)]);
        prop_assert_eq!(outcome.packets(), frames.len() as u64);
    }
}
