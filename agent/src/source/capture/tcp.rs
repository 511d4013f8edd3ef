//! TCP connections in a capture: which segment belongs to which, and for how long.
//!
//! A connection begins with a SYN or with the first bytes that are seen of it, and ends with both
//! FINs, a reset, another connection between the same ports, or the end of the capture.

mod connection;
mod flow;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxHashMap;

use super::segment::Segment;
use crate::source::{ConnectionId, Time};
use crate::stats::{Loss, Stats};
use connection::{Belongs, Connection, On, PATIENCE};

/// Connections that are followed at once, those that ended a while ago included; as many as the
/// pipeline follows. At the limit those that were silent longest go.
const MAX_CONNECTIONS: usize = crate::limit::budget::MAX_CONNECTIONS;
/// The part of them that goes at once, so that looking for it costs little for each.
const EVICTED: usize = MAX_CONNECTIONS / 8;
/// Most bytes that all connections together keep of what cannot be told yet.
const MAX_HELD: usize = 64 << 20;

/// Two addresses, the lower first.
type Key = [SocketAddr; 2];

/// All connections.
pub(super) struct Tcp {
    // A hasher with a secret: whoever makes the packets chooses these keys.
    connections: HashMap<Key, Connection>,
    by_id: FxHashMap<ConnectionId, Key>,
    /// What is looked at again, and when; each connection at most once.
    waiting: VecDeque<(Time, ConnectionId)>,
    ids: u64,
    segments: u64,
    /// Bytes that are kept.
    held: usize,
    stats: Arc<Stats>,
}

impl Tcp {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self {
            connections: HashMap::new(),
            by_id: FxHashMap::default(),
            waiting: VecDeque::new(),
            ids: 0,
            segments: 0,
            held: 0,
            stats,
        }
    }

    /// Takes in a segment.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, time: Time, on: &mut On<'_>) {
        // Nobody talks to himself over one socket, but for a simultaneous open of a port to
        // itself, of which the two directions cannot be told apart.
        if segment.from == segment.to {
            return;
        }
        let from = usize::from(segment.from > segment.to);
        let key = if from == 0 { [segment.from, segment.to] } else { [segment.to, segment.from] };
        let known = match self.connections.get_mut(&key) {
            Some(known) => match known.belongs(from, segment, time) {
                Belongs::Late => return,
                Belongs::Here => Some(known),
                Belongs::Elsewhere => {
                    self.remove(&key, time, on);
                    None
                }
            },
            None => None,
        };
        let connection = match known {
            Some(known) => known,
            // What carries nothing and begins nothing is the rest of something older.
            None if segment.reset || !(segment.syn || segment.length > 0) => return,
            None => {
                self.make_room(time, on);
                self.ids += 1;
                let id = ConnectionId(self.ids);
                self.by_id.insert(id, key);
                self.connections.entry(key).or_insert_with(|| Connection::new(id, key))
            }
        };
        self.segments += 1;
        connection.touched = self.segments;
        let (cost, gaps) = (connection.cost(), connection.gaps);
        connection.segment(from, segment, time, on);
        if self.held + connection.cost() > MAX_HELD + cost {
            connection.flush(on);
        }
        self.held = self.held + connection.cost() - cost;
        self.stats.lose(Loss::CaptureGap, connection.gaps - gaps);
        if connection.waits() && !connection.queued {
            connection.queued = true;
            let id = connection.id;
            if self.waiting.len() >= 2 * MAX_CONNECTIONS {
                // Of a capture in which time stands still: most of them are gone.
                self.waiting.retain(|(_, id)| self.by_id.contains_key(id));
            }
            self.waiting.push_back((Time(time.0.saturating_add(PATIENCE)), id));
        }
    }

    /// Gives up what was awaited for too long at `now`.
    pub(super) fn expire(&mut self, now: Time, on: &mut On<'_>) {
        while let Some((_, id)) = self.waiting.pop_front_if(|(due, _)| *due <= now) {
            let connection = self.by_id.get(&id).and_then(|key| self.connections.get_mut(key));
            let Some(connection) = connection else { continue };
            let (cost, gaps) = (connection.cost(), connection.gaps);
            connection.watch(now, on);
            self.held = self.held + connection.cost() - cost;
            self.stats.lose(Loss::CaptureGap, connection.gaps - gaps);
            connection.queued = connection.waits();
            if connection.queued {
                self.waiting.push_back((Time(now.0.saturating_add(PATIENCE)), id));
            }
        }
    }

    /// Tells no more data of a connection.
    pub(super) fn ignore(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get(&id).and_then(|key| self.connections.get_mut(key))
        {
            self.held -= connection.cost();
            connection.ignore();
        }
    }

    /// The capture ended at `time`.
    pub(super) fn finish(&mut self, time: Time, on: &mut On<'_>) {
        let mut keys: Vec<_> = self.connections.iter().map(|(key, c)| (c.id, *key)).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            self.remove(&key, time, on);
        }
        self.waiting.clear();
    }

    fn remove(&mut self, key: &Key, time: Time, on: &mut On<'_>) {
        let Some(mut connection) = self.connections.remove(key) else { return };
        self.by_id.remove(&connection.id);
        self.held -= connection.cost();
        let gaps = connection.gaps;
        connection.vanish(time, on);
        self.stats.lose(Loss::CaptureGap, connection.gaps - gaps);
    }

    /// Makes room for one more connection.
    fn make_room(&mut self, time: Time, on: &mut On<'_>) {
        if self.connections.len() < MAX_CONNECTIONS {
            return;
        }
        let mut oldest: Vec<_> = self
            .connections
            .iter()
            .map(|(key, connection)| (!connection.has_ended(), connection.touched, *key))
            .collect();
        oldest.select_nth_unstable(EVICTED);
        for (open, _, key) in oldest.into_iter().take(EVICTED) {
            self.remove(&key, time, on);
            self.stats.lose(Loss::TableFull, u64::from(open));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections that wait for bytes and are replaced, all in one instant.
    #[test]
    fn a_capture_in_which_time_stands_still() {
        let mut tcp = Tcp::new(Arc::default());
        let (from, to) = (([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into());
        let segment = |sequence, syn, bytes| Segment {
            from,
            to,
            sequence,
            acknowledged: None,
            syn,
            fin: false,
            reset: false,
            length: if syn { 0 } else { 1 },
            bytes,
        };
        for n in 0..3 * MAX_CONNECTIONS as u32 {
            tcp.segment(&segment(1000 * n, true, b""), Time(1), &mut |_| ());
            tcp.segment(&segment(1000 * n + 500, false, b"x"), Time(1), &mut |_| ());
        }
        assert_eq!(tcp.connections.len(), 1);
        assert!(tcp.waiting.len() <= 2 * MAX_CONNECTIONS + 1);
    }
}
