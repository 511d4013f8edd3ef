//! One direction of a TCP connection as it was captured: where it stands, and what came before
//! its turn.
//!
//! Positions count the bytes of the stream in 64 bits. They begin at [`START`] (the first byte
//! after the SYN, or what was seen first), so that what turns out to lie earlier has a position,
//! too.

use std::collections::BTreeMap;

use crate::source::Time;

/// Position of the first byte; a multiple of 2^32, so that sequence numbers are the lower half
/// of positions plus a constant.
const START: u64 = 1 << 32;
/// How far behind the stream a repeat can lie: the largest window (RFC 7323 2.3). Sequence
/// numbers further back are ahead, so that a capture may miss three quarters of their range.
const WINDOW: u32 = 1 << 30;
/// What a segment that is kept costs beside its bytes.
const OVERHEAD: usize = 128;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Sequence number of position [`START`], as soon as anything tells.
    base: Option<u32>,
    /// Position that is told as 0: [`START`] if the stream's first byte is known to be there,
    /// else 0, so that what is told never looks like a beginning.
    origin: u64,
    /// True once it is settled where the stream begins for us.
    pub(super) started: bool,
    /// Everything before was told.
    pub(super) next: u64,
    /// What is missing before this is not awaited any more.
    pub(super) given_up: u64,
    /// Where the last hole that was told ends.
    pub(super) hole: u64,
    /// The peer has everything before.
    pub(super) acknowledged: u64,
    /// Segments that wait, by position. They do not overlap, nor lie before `next`.
    held: BTreeMap<u64, Held>,
    /// What they cost, in bytes.
    pub(super) cost: usize,
    /// Where it ends, if that is known and not told yet.
    pub(super) ending: Option<Ending>,
    /// Its end was told.
    pub(super) finished: bool,
    /// A packet of it was captured.
    pub(super) seen: bool,
    /// Time of what was told last.
    pub(super) told: Time,
    /// What is awaited, and since when.
    pub(super) lag: Option<Lag>,
}

/// A part of a stream that waits for what comes before.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) length: u64,
    /// The first of its bytes, as many as were captured.
    pub(super) bytes: Vec<u8>,
    pub(super) time: Time,
    /// Position of the other direction that its sender had received: it comes after that.
    pub(super) after: u64,
    /// Number of its packet.
    pub(super) packet: u64,
}

/// The end of a direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) at: u64,
    pub(super) time: Time,
    /// As in [`Held`].
    pub(super) after: u64,
    /// As in [`Held`].
    pub(super) packet: u64,
    /// The connection ends with it.
    pub(super) reset: bool,
}

/// Something is missing that is known to have arrived, or of which nobody would say so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lag {
    /// Up to this position.
    pub(super) to: u64,
    /// Since this packet of the connection.
    pub(super) packet: u64,
    /// Since this time.
    pub(super) time: Time,
}

impl Flow {
    /// Its first byte has this sequence number: a SYN said so. Data that came before its SYN keeps
    /// its place.
    pub(super) fn begin(&mut self, sequence: u32) {
        if self.started {
            return;
        }
        self.anchor(sequence);
        if let Some(first) = self.position(sequence) {
            (self.next, self.origin, self.started) = (first, first, true);
            self.drop_before(first);
        }
    }

    /// True if a SYN with this sequence number (plus one) belongs to this stream.
    pub(super) fn begins_with(&self, sequence: u32) -> bool {
        /// How late a SYN may come: what was sent after it is not more.
        const LATE: u64 = 1 << 24;
        let Some(base) = self.base else { return true };
        if self.is_whole() {
            return base.wrapping_add(self.origin as u32) == sequence;
        }
        let first = self.held.keys().next().copied().unwrap_or(self.next).min(self.next);
        let latest = if self.started { self.next } else { first };
        self.position(sequence).is_some_and(|at| at <= latest && latest - at <= LATE)
    }

    /// True if its first byte is known.
    pub(super) fn is_whole(&self) -> bool {
        self.started && self.origin > 0
    }

    /// A sequence number of it was heard of: its sender's next byte, or one that its peer awaits.
    /// What came before was sent earlier.
    pub(super) fn anchor(&mut self, sequence: u32) {
        if self.base.is_none() {
            self.base = Some(sequence);
            self.next = START;
        } else if !self.started
            && let Some(at) = self.position(sequence)
        {
            self.next = self.next.min(at);
        }
    }

    /// True if anything is known of it.
    pub(super) fn is_known(&self) -> bool {
        self.base.is_some()
    }

    /// The position of a sequence number; none before anything is known of the stream.
    pub(super) fn position(&self, sequence: u32) -> Option<u64> {
        let expected = self.base?.wrapping_add(self.next as u32);
        let ahead = sequence.wrapping_sub(expected);
        let behind = expected.wrapping_sub(sequence);
        if behind <= WINDOW {
            self.next.checked_sub(u64::from(behind))
        } else {
            Some(self.next + u64::from(ahead))
        }
    }

    /// The peer expects `sequence`: it has everything before. Says which position that is.
    pub(super) fn acknowledge(&mut self, sequence: u32) -> u64 {
        self.anchor(sequence);
        let at = self.position(sequence).unwrap_or(0);
        self.acknowledged = self.acknowledged.max(self.clamp(at));
        at
    }

    /// True if everything before `at` was told.
    pub(super) fn reached(&self, at: u64) -> bool {
        self.base.is_none() || (self.started && self.next >= self.clamp(at))
    }

    /// `at`, but not after the end: the number that a FIN takes is not a byte.
    pub(super) fn clamp(&self, at: u64) -> u64 {
        match self.ending {
            Some(Ending { at: end, reset: false, .. }) => at.min(end),
            _ if self.finished => at.min(self.next),
            _ => at,
        }
    }

    /// Position as it is told to others.
    pub(super) fn outward(&self, position: u64) -> u64 {
        position.saturating_sub(self.origin)
    }

    /// Keeps what is new of a segment: what was told or came first stays as it is.
    pub(super) fn hold(&mut self, at: u64, segment: &Held) {
        let end = at + segment.length;
        let mut from = if self.started { at.max(self.next) } else { at };
        // The one before may reach into it.
        if let Some((&start, held)) = self.held.range(..=from).next_back() {
            from = from.max(start + held.length);
        }
        while from < end {
            let next = self.held.range(from..end).next();
            let (until, resume) = match next {
                Some((&start, held)) => (start, start + held.length),
                None => (end, end),
            };
            if from < until {
                let known = |position: u64| {
                    usize::try_from(position - at)
                        .map_or(segment.bytes.len(), |n| n.min(segment.bytes.len()))
                };
                let bytes = segment.bytes[known(from)..known(until)].to_vec();
                self.cost += bytes.len() + OVERHEAD;
                self.held.insert(from, Held { length: until - from, bytes, ..*segment });
            }
            from = resume;
        }
    }

    /// The first segment that waits.
    pub(super) fn first_held(&self) -> Option<(u64, &Held)> {
        self.held.first_key_value().map(|(&at, held)| (at, held))
    }

    /// True if a segment waits for more than what comes before `at` of the other direction.
    pub(super) fn awaits(&self, at: u64) -> bool {
        self.held.values().any(|held| held.after > at)
    }

    /// The first segment, if all before it was told or given up.
    pub(super) fn ready(&self) -> Option<&Held> {
        let until = self.next.max(self.given_up);
        self.first_held().filter(|(at, _)| self.started && *at <= until).map(|(_, held)| held)
    }

    /// Takes the first segment.
    pub(super) fn take(&mut self) -> Option<Held> {
        let (_, held) = self.held.pop_first()?;
        self.cost -= held.bytes.len() + OVERHEAD;
        Some(held)
    }

    /// Lets the first segment go without waiting for the other direction.
    pub(super) fn release_first(&mut self) {
        if let Some(mut first) = self.held.first_entry() {
            first.get_mut().after = 0;
        }
    }

    /// The end of what was told or waits.
    pub(super) fn top_held(&self) -> u64 {
        self.held.last_key_value().map_or(self.next, |(at, held)| self.next.max(at + held.length))
    }

    /// Settles where the stream begins for us: at the lowest number that was heard of, although
    /// the bytes there may be missing.
    pub(super) fn start(&mut self) {
        self.started = true;
        if let Some((first, _)) = self.first_held() {
            self.next = self.next.min(first);
        }
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.cost = 0;
        self.lag = None;
    }

    fn drop_before(&mut self, at: u64) {
        while self.first_held().is_some_and(|(first, held)| first + held.length <= at) {
            self.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: &[u8]) -> Held {
        let (length, bytes) = (bytes.len() as u64, bytes.to_vec());
        Held { length, bytes, time: Time(0), after: 0, packet: 0 }
    }

    /// What waits, from its first byte on, with `_` for what is missing between.
    fn text(flow: &mut Flow) -> String {
        let mut text = String::new();
        let mut next = flow.first_held().map_or(0, |(at, _)| at);
        while let Some((at, _)) = flow.first_held() {
            let held = flow.take().expect("the first that waits");
            text.extend((next..at).map(|_| '_'));
            text.push_str(std::str::from_utf8(&held.bytes).expect("letters"));
            text.extend((held.bytes.len() as u64..held.length).map(|_| '?'));
            next = at + held.length;
        }
        assert_eq!(flow.cost, 0);
        text
    }

    fn flow() -> Flow {
        let mut flow = Flow::default();
        flow.begin(7);
        flow
    }

    #[test]
    fn first_bytes_win() {
        for (parts, result) in [
            (&[(0, "abc"), (3, "def")][..], "abcdef"),
            (&[(3, "def"), (0, "ABC")], "ABCdef"),
            (&[(2, "cd"), (0, "ABCDEF")], "ABcdEF"),
            (&[(1, "b"), (3, "d"), (5, "f"), (0, "ABCDEFG")], "AbCdEfG"),
            (&[(0, "abcdef"), (2, "XX")], "abcdef"),
            (&[(0, "abc"), (2, "CDE")], "abcDE"),
            (&[(2, "cde"), (0, "ABC")], "ABcde"),
            (&[(0, "a"), (4, "e")], "a___e"),
        ] {
            let mut flow = flow();
            for (at, bytes) in parts {
                flow.hold(START + at, &held(bytes.as_bytes()));
            }
            assert_eq!(text(&mut flow), result, "{parts:?}");
        }
    }

    #[test]
    fn what_was_told_or_not_captured_stays_so() {
        let mut flow = flow();
        flow.next += 2;
        flow.hold(START, &Held { length: 6, ..held(b"abc") });
        flow.hold(START + 5, &held(b"FGH"));
        assert_eq!(text(&mut flow), "c???GH");
    }

    #[test]
    fn sequence_numbers_are_near_what_is_expected() {
        let mut flow = Flow::default();
        assert_eq!(flow.position(7), None);
        flow.begin(u32::MAX);
        assert_eq!(flow.position(u32::MAX), Some(START));
        assert_eq!(flow.position(4), Some(START + 5));
        assert_eq!(flow.position(u32::MAX - 10), Some(START - 10));
        flow.next += 5 << 32;
        assert_eq!(flow.position(u32::MAX - 10), Some(START + (5 << 32) - 10));
        // A capture that missed two gibibytes goes on.
        assert_eq!(flow.position((2 << 30) - 1), Some(START + (5 << 32) + (2 << 30)));
    }
}
