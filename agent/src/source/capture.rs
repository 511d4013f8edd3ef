//! A capture file as a source of events.
//!
//! ```text
//! file -> packet -> segment -> connection -> events of one end
//!         (link layer, IP, fragments)  (reordering, repeats, gaps)
//! ```
//!
//! A capture shows what passed between two ends, and a call is one span, not two. So each
//! connection is told once, as its *server's* socket would have seen it: a span of the server's
//! kind says by itself what was asked, by whom, and how it was answered, and a `traceparent` in
//! the request names its parent, as it does live. Times are those of the wire.
//!
//! Nothing here knows processes: an event's thread and process are 0.

pub mod file;
mod fragments;
mod segment;
mod tcp;

use std::sync::Arc;

use super::{ConnectionId, Event, Time};
use crate::stats::{Loss, Stats, count};
use file::Packet;
use fragments::{Added, Fragments};
use segment::Content;

/// All connections of one or more captures that follow one another.
pub struct Capture {
    fragments: Fragments,
    tcp: tcp::Tcp,
    time: Time,
    stats: Arc<Stats>,
}

impl Capture {
    /// A capture of which nothing was read; losses are counted in `stats`.
    pub fn new(stats: Arc<Stats>) -> Self {
        Self {
            fragments: Fragments::default(),
            tcp: tcp::Tcp::new(Arc::clone(&stats)),
            time: Time::default(),
            stats,
        }
    }

    /// Takes in the next packet.
    pub fn packet(&mut self, packet: &Packet<'_>, mut on: impl FnMut(Event<'_>)) {
        count(&self.stats.events);
        self.time = packet.time;
        match segment::content(packet) {
            Content::Segment(segment) => self.tcp.segment(&segment, packet.time, &mut on),
            Content::Fragment(fragment) => match self.fragments.add(&fragment) {
                Added::Whole(bytes) => {
                    let datagram = fragment.datagram;
                    match segment::segment(datagram.from, datagram.to, &bytes, 0) {
                        Some(segment) => self.tcp.segment(&segment, packet.time, &mut on),
                        None => self.stats.lose(Loss::BadPacket, 1),
                    }
                }
                Added::Waits => {}
                Added::Lost(datagrams) => self.stats.lose(Loss::BadPacket, datagrams),
            },
            Content::Other => {}
            Content::Unreadable => self.stats.lose(Loss::BadPacket, 1),
        }
    }

    /// Gives up what was awaited for too long at `now`; to be called about every second of the
    /// capture's time.
    pub fn expire(&mut self, now: Time, mut on: impl FnMut(Event<'_>)) {
        self.tcp.expire(now, &mut on);
    }

    /// Tells no more data of a connection, only its end.
    pub fn ignore(&mut self, id: ConnectionId) {
        self.tcp.ignore(id);
    }

    /// There are no more packets: tells what is still kept, and that connections vanish.
    pub fn finish(&mut self, mut on: impl FnMut(Event<'_>)) {
        self.stats.lose(Loss::BadPacket, self.fragments.clear());
        self.tcp.finish(self.time, &mut on);
    }
}
