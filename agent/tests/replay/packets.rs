//! Capture files as packets, to leave some of them out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeSet;

use tracebee::trace::Span;

use crate::outcome::{Outcome, replay};

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
}
