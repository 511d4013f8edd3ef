//! IP datagrams that came in fragments (RFC 791 3.2, RFC 8200 4.5), put together within limits.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use etherparse::{IpFragOffset, defrag::IpDefragBuf, ip_number};

/// Most datagrams that are put together at a time, each of at most 64 KiB. TCP avoids fragments,
/// so that few are ever under way.
const MAX_DATAGRAMS: usize = 256;
/// Most fragments of one datagram: 64 KiB in the smallest packets that IPv4 must carry (68 bytes,
/// RFC 791 3.2) are 1,366. The work for each fragment grows with the holes between them.
const MAX_FRAGMENTS: u16 = 2048;

/// Which datagram a fragment is part of. Only those of TCP are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Datagram {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    pub(super) id: u32,
}

/// One fragment, captured whole.
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    pub(super) datagram: Datagram,
    pub(super) offset: IpFragOffset,
    /// False for the last.
    pub(super) more: bool,
    pub(super) bytes: &'a [u8],
}

/// Datagrams of which fragments are missing.
#[derive(Default)]
pub(super) struct Fragments {
    open: HashMap<Datagram, Open>,
    /// Oldest first; a datagram that is whole leaves its number behind.
    order: VecDeque<(u64, Datagram)>,
    count: u64,
}

struct Open {
    number: u64,
    fragments: u16,
    buffer: IpDefragBuf,
}

/// What came of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The payload of its datagram, now whole.
    Whole(Vec<u8>),
    /// More are to come.
    Waits,
    /// So many datagrams, its own or the oldest, are given up.
    Lost(u64),
}

impl Fragments {
    /// Takes in a fragment.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>) -> Added {
        let key = fragment.datagram;
        let mut lost = 0;
        if !self.open.contains_key(&key) {
            lost = self.make_room();
            self.count += 1;
            self.order.push_back((self.count, key));
        }
        let open = self.open.entry(key).or_insert_with(|| Open {
            number: self.count,
            fragments: 0,
            buffer: IpDefragBuf::new(ip_number::TCP, Vec::new(), Vec::new()),
        });
        open.fragments += 1;
        let added = open.buffer.add(fragment.offset, fragment.more, fragment.bytes);
        if added.is_err() || open.fragments > MAX_FRAGMENTS {
            self.open.remove(&key);
            return Added::Lost(lost + 1);
        }
        if open.buffer.is_complete()
            && let Some(open) = self.open.remove(&key)
        {
            return Added::Whole(open.buffer.take_bufs().0);
        }
        if lost > 0 { Added::Lost(lost) } else { Added::Waits }
    }

    /// How many datagrams are not whole, which are given up.
    pub(super) fn clear(&mut self) -> u64 {
        self.order.clear();
        self.open.drain().count() as u64
    }

    fn make_room(&mut self) -> u64 {
        let mut lost = 0;
        while self.order.len() >= MAX_DATAGRAMS
            && let Some((number, oldest)) = self.order.pop_front()
        {
            if self.open.get(&oldest).is_some_and(|open| open.number == number) {
                self.open.remove(&oldest);
                lost += 1;
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(id: u32, offset: u16, more: bool, bytes: &[u8]) -> Fragment<'_> {
        let datagram = Datagram { from: [10, 0, 0, 1].into(), to: [10, 0, 0, 2].into(), id };
        let offset = IpFragOffset::try_new(offset / 8).expect("the tests' offsets fit");
        Fragment { datagram, offset, more, bytes }
    }

    #[test]
    fn any_order_makes_one_datagram() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(&fragment(1, 16, false, b"end")), Added::Waits);
        assert_eq!(fragments.add(&fragment(2, 0, true, b"other da")), Added::Waits);
        assert_eq!(fragments.add(&fragment(1, 8, true, b"89abcdef")), Added::Waits);
        let whole = b"0123456789abcdefend".to_vec();
        assert_eq!(fragments.add(&fragment(1, 0, true, b"01234567")), Added::Whole(whole));
        assert_eq!(fragments.clear(), 1);
    }

    #[test]
    fn nonsense_is_lost() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(&fragment(1, 0, true, b"not a multiple of 8")), Added::Lost(1));
        assert_eq!(fragments.add(&fragment(1, 16, false, b"")), Added::Waits);
        assert_eq!(fragments.add(&fragment(1, 24, false, b"after the end")), Added::Lost(1));
    }

    #[test]
    fn the_oldest_go_first() {
        let mut fragments = Fragments::default();
        let mut lost = 0;
        for id in 0..10 * MAX_DATAGRAMS as u32 {
            if let Added::Lost(n) = fragments.add(&fragment(id, 0, true, b"01234567")) {
                lost += n;
            }
        }
        assert_eq!(lost, 9 * MAX_DATAGRAMS as u64);
        assert_eq!(fragments.open.len(), MAX_DATAGRAMS);
        let last = fragment(10 * MAX_DATAGRAMS as u32 - 1, 8, false, b"end");
        assert!(matches!(fragments.add(&last), Added::Whole(_)));
    }
}
