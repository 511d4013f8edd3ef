//! A connection's events, as its server's socket would have seen them.

use super::super::flow::Flow;
use super::{Connection, On};
use crate::source::{Data, Direction, End, Event, Opened, Role, Thread, Time};

/// Most bytes in one event, as in a record of the kernel.
const MAX_EVENT: usize = 32 * 1024;

impl Connection {
    /// The connection is gone.
    pub(super) fn end(&mut self, error: Option<i32>, time: Time, on: &mut On<'_>) {
        self.ending = true;
        self.flush(on);
        let position = |from: usize| self.flows[from].outward(self.flows[from].next);
        let (received, sent) = match self.server() {
            0 => (position(1), position(0)),
            _ => (position(0), position(1)),
        };
        if self.told.is_some() {
            let end = match error {
                // Who closed first, and why, nobody knows.
                None if self.hidden => End::Unseen,
                error => End::Closed { error, received, sent },
            };
            on(Event::Ended { id: self.id, time, end });
        }
        self.close(time);
    }

    /// Nothing more of it will be seen, for whatever reason.
    pub(in super::super) fn vanish(&mut self, time: Time, on: &mut On<'_>) {
        if self.ended.is_some() {
            return;
        }
        self.flush(on);
        // That may have been its end.
        if self.ended.is_none() && self.told.is_some() {
            on(Event::Ended { id: self.id, time, end: End::Unseen });
        }
        self.close(time);
    }

    fn close(&mut self, time: Time) {
        self.ended = Some(time);
        for flow in &mut self.flows {
            flow.clear();
        }
    }

    /// Tells the next `length` bytes of a flow.
    pub(super) fn tell(
        &mut self,
        from: usize,
        length: u64,
        bytes: &[u8],
        time: Time,
        on: &mut On<'_>,
    ) {
        self.open(time, on);
        let direction = self.direction(from);
        let flow = &mut self.flows[from];
        let mut position = flow.outward(flow.next);
        flow.next += length;
        flow.told = time;
        if self.ignored {
            return;
        }
        let end = position + length;
        let mut rest = bytes;
        while position < end {
            let (bytes, more) = rest.split_at(rest.len().min(MAX_EVENT));
            rest = more;
            let length = if rest.is_empty() { end - position } else { bytes.len() as u64 };
            on(Event::Data(Data {
                id: self.id,
                time,
                direction,
                position,
                length,
                bytes,
                tail: &[],
                pending: false,
                rest: false,
                thread: Thread::default(),
                waited: 0,
                work: None,
                losses: 0,
            }));
            position += length;
        }
    }

    /// Tells that it exists, once.
    fn open(&mut self, time: Time, on: &mut On<'_>) {
        if self.told.is_some() {
            return;
        }
        let server = self.server();
        self.told = Some(server);
        on(Event::Opened(Opened {
            id: self.id,
            time,
            local: self.ends[server].into(),
            remote: self.ends[1 - server].into(),
            role: self.client.map(|_| Role::Server),
            midlife: !self.flows.iter().all(Flow::is_whole),
            pid: 0,
            netns: 0,
            // The two ends of a connection are one here: there is nothing to join.
            pair: None,
            after: false,
        }));
    }

    /// The end whose view is told: the server's. Where no SYN says which that is, the lower port
    /// is taken for it, until the protocol tells.
    pub(super) fn server(&self) -> usize {
        self.told.unwrap_or_else(|| match self.client {
            Some(client) => 1 - client,
            None => usize::from(self.ends[1].port() < self.ends[0].port()),
        })
    }

    /// Which way the bytes of an end go in the view that is told.
    pub(super) fn direction(&self, from: usize) -> Direction {
        if from == self.server() { Direction::Sent } else { Direction::Received }
    }
}
