//! Capture files as packets, to leave some of them out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use serde::de::DeserializeOwned;
use tracebee::trace::Span;
use tracebee_tests::capture::random::Random;

use crate::outcome::{Outcome, replay};

/// Captures with one packet in a hundred missing that are made of each.
const DAMAGED: u64 = 60;

/// Files of `fixtures` whose names do not begin with this: captures and recordings of other
/// protocols.
pub(crate) fn fixtures_but(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    let read = |path: &Path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let of_traffic = name.ends_with(".pcap") || name.ends_with(".rec");
        (of_traffic && !name.starts_with(prefix)).then(|| (name, std::fs::read(path).unwrap()))
    };
    let found: Vec<_> = files.unwrap().filter_map(|file| read(&file.unwrap().path())).collect();
    assert!(found.len() >= 5, "{}", found.len());
    found
}

/// A capture of a client and its server, and what the client itself wrote down.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) file: &'static [u8],
    pub(crate) log: &'static str,
}

impl Run {
    pub(crate) fn capture(&self) -> Capture<'static> {
        Capture::new(self.file)
    }

    /// The spans of all of it.
    pub(crate) fn whole(&self) -> Vec<Span> {
        replay(&[self.file]).spans
    }

    /// What the client wrote down.
    pub(crate) fn log<Truth: DeserializeOwned>(&self) -> impl Iterator<Item = Truth> {
        self.log.lines().map(|line| serde_json::from_str(line).unwrap())
    }
}

/// Packets of the captures are missing at random: what is told is checked by what `checks` makes of
/// all spans of a run, what is not told must be counted, and more than so many percent are told.
pub(crate) fn one_packet_in_a_hundred_missing<Check: FnMut(&Span, &str)>(
    runs: &[Run],
    percent: usize,
    checks: impl Fn(&[Span]) -> Check,
) {
    let (mut told, mut calls) = (0, 0);
    for run in runs {
        let [some, every] = run.capture().damaged(run.name, checks(&run.whole()));
        (told, calls) = (told + some, calls + every);
    }
    assert!(told * 100 > calls * percent, "{told} of {calls}");
}

/// What is told of a capture that begins, or ends, before one of its packets.
pub(crate) struct Cut {
    /// Number and time of that packet.
    pub(crate) at: usize,
    pub(crate) time: u64,
    pub(crate) after: Vec<Span>,
    pub(crate) before: Vec<Span>,
}

impl Cut {
    /// The calls of each connection that begin after the cut, but for the first one of each; and
    /// whether it is the last.
    pub(crate) fn later<'a>(
        &self,
        connections: &'a [Vec<Span>],
    ) -> impl Iterator<Item = (&'a Span, bool)> {
        let time = self.time;
        connections.iter().flat_map(move |spans| {
            let later = spans.iter().enumerate().filter(move |(_, span)| span.start > time);
            later.skip(1).map(|(n, span)| (span, n + 1 == spans.len()))
        })
    }
}

/// A capture file in parts: its header, and its packets with theirs.
pub(crate) struct Capture<'a> {
    header: &'a [u8],
    pub(crate) packets: Vec<&'a [u8]>,
}

impl<'a> Capture<'a> {
    pub(crate) fn new(file: &'a [u8]) -> Self {
        let (header, mut rest) = file.split_at(24);
        let mut packets = Vec::new();
        while rest.len() >= 16 {
            let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
            let (packet, behind) = rest.split_at(16 + length);
            packets.push(packet);
            rest = behind;
        }
        assert!(rest.is_empty() && packets.len() > 10);
        Self { header, packets }
    }

    /// What comes of it with the packets that are wanted.
    pub(crate) fn with(&self, wanted: impl Fn(usize) -> bool) -> Outcome {
        let mut file = self.header.to_vec();
        let packets = self.packets.iter().enumerate();
        packets.filter(|(n, _)| wanted(*n)).for_each(|(_, packet)| file.extend(*packet));
        replay(&[&file])
    }

    /// The calls of each connection, oldest first.
    pub(crate) fn connections(&self) -> Vec<Vec<Span>> {
        // Ports lie behind the headers of the packet, of Ethernet and of IPv4.
        let ports = |number: usize| {
            let ports = &self.packets[number][16 + 14 + 20..];
            let port = |at| u16::from_be_bytes([ports[at], ports[at + 1]]);
            port(0).max(port(2))
        };
        let all: BTreeSet<u16> = (0..self.packets.len()).map(ports).collect();
        let of_one = |one: u16| {
            let mut spans = self.with(|number| ports(number) == one).spans;
            spans.sort_by_key(|span| span.start);
            spans
        };
        all.into_iter().map(of_one).collect()
    }

    /// When a packet was captured.
    pub(crate) fn time(&self, number: usize) -> u64 {
        let number_at = |at: usize| {
            u64::from(u32::from_le_bytes(self.packets[number][at..at + 4].try_into().unwrap()))
        };
        number_at(0) * 1_000_000_000 + number_at(4) * 1_000
    }

    /// Cuts it at any packet.
    pub(crate) fn cut_anywhere(&self, check: impl FnMut(Cut)) {
        let cut = |at| Cut {
            at,
            time: self.time(at),
            after: self.with(|n| n >= at).spans,
            before: self.with(|n| n < at).spans,
        };
        (0..self.packets.len()).map(cut).for_each(check);
    }

    /// Packets are missing at random: what is told is checked, what is not told must be counted. How
    /// many calls were told, and how many there are.
    fn damaged(&self, name: &str, mut check: impl FnMut(&Span, &str)) -> [usize; 2] {
        let whole = self.with(|_| true).spans.len();
        let mut told = 0;
        for seed in 0..DAMAGED {
            let mut random = Random::new(seed);
            let missing: HashSet<usize> =
                (0..self.packets.len()).filter(|_| random.chance(1)).collect();
            let outcome = self.with(|n| !missing.contains(&n));
            let context = format!("{name}, seed {seed}");
            outcome.spans.iter().for_each(|span| check(span, &context));
            let counted = outcome.spans.len() == whole || outcome.lost() > 0;
            assert!(counted, "{context}: nothing is counted");
            told += outcome.spans.len();
        }
        [told, whole * DAMAGED as usize]
    }
}
