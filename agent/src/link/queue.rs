//! Who sent a message that a broker on this host brings, where the message itself does not say.
//!
//! Nothing on the wire names a message at both ends. But it keeps its exchange, its routing key and its
//! whole header (size of the body, properties, headers), and what has a message id or a correlation id
//! is meant to be told from others by that. So what is equal in all of these was sent by the one who was
//! seen to send it, if that happened once only in a window ([`KEEP`], `MAX_WAITING`), and if nobody can
//! have sent the same unseen:
//!
//! - both ends of the sender's and of the receiver's connection are on this host, with one process as
//!   their broker;
//! - that process has no other clients on AMQP connections: each is on this host, too;
//! - nothing was lost, left out or told late on clients' connections for as long.
//!
//! Two that are equal are nobody's, both of them.

use rustc_hash::FxHashMap;

use super::generations::Generations;
use super::{Ancestor, MessageKey};
use crate::source::Time;

/// How long a message that was sent is remembered at least, and at most twice as long. For so long
/// nothing is linked after something was lost.
pub const KEEP: u64 = 60_000_000_000;
/// Messages of one generation, at 56 bytes each: a minute of some hundreds a second.
const MAX_WAITING: usize = 32_768 / 8 * 7;
/// Connections of which both ends are looked for, at 40 bytes each; with more nothing is linked.
const MAX_CONNECTIONS: usize = 65_536;

/// Messages that were sent from this host.
pub struct Queues {
    /// By what they are equal in.
    sent: Generations<u64, Sent>,
    /// The latest time that was heard of.
    now: Time,
    /// Until then nothing is certain.
    doubtful: Time,
    connections: FxHashMap<MessageKey, Ends>,
    /// Connections of each broker whose clients were not seen.
    strangers: FxHashMap<u32, usize>,
    /// There were more connections than there is room for.
    crowded: bool,
}

/// A message that was sent.
#[derive(Clone, Copy)]
struct Sent {
    /// None if there are several, or it is not certain that there are not.
    by: Option<Ancestor>,
    broker: u32,
}

/// What was seen of a connection's ends.
#[derive(Default)]
struct Ends {
    client: bool,
    /// The process that accepted it.
    broker: Option<u32>,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            sent: Generations::new(KEEP, MAX_WAITING),
            now: Time::default(),
            doubtful: Time::default(),
            connections: FxHashMap::default(),
            strangers: FxHashMap::default(),
            crowded: false,
        }
    }
}

impl Queues {
    /// A client's end of a connection, which `key` names, speaks to a broker.
    pub fn client(&mut self, key: MessageKey) {
        let Some(ends) = self.ends(key) else { return };
        if !std::mem::replace(&mut ends.client, true)
            && let Some(broker) = ends.broker
        {
            self.strangers_of(broker, -1);
        }
    }

    /// A broker's end of a connection, in process `pid`; no `key` if it has none.
    pub fn broker(&mut self, key: Option<MessageKey>, pid: u32) {
        let Some(key) = key else {
            // Who is at the other end will never be known.
            return self.strangers_of(pid, 1);
        };
        let Some(ends) = self.ends(key) else { return };
        if ends.broker.replace(pid).is_none() && !ends.client {
            self.strangers_of(pid, 1);
        }
    }

    /// An end of a connection is gone, the client's if `client`.
    pub fn gone(&mut self, key: MessageKey, client: bool) {
        let Some(ends) = self.connections.get_mut(&key) else { return };
        if client {
            if ends.broker.is_none() {
                self.connections.remove(&key);
            }
            return;
        }
        let stranger = !ends.client;
        let broker = ends.broker.take();
        self.connections.remove(&key);
        if let Some(broker) = broker.filter(|_| stranger) {
            self.strangers_of(broker, -1);
            // What it sent may still be in a queue.
            self.doubt();
        }
    }

    /// A client began to send a message on a connection: one like no other that was sent lately, for all
    /// that is known, if it is `certain`.
    pub fn sent(
        &mut self,
        key: MessageKey,
        evidence: u64,
        time: Time,
        by: Ancestor,
        certain: bool,
    ) {
        self.expire(time);
        let broker = self.connections.get(&key).and_then(|ends| ends.broker);
        let first = self.sent.get(&evidence).is_none();
        let by = (certain && first && broker.is_some()).then_some(by);
        self.sent.insert(evidence, Sent { by, broker: broker.unwrap_or_default() }, time);
    }

    /// A client was brought a message on a connection: who sent it.
    pub fn brought(&mut self, key: MessageKey, evidence: u64, time: Time) -> Option<Ancestor> {
        self.expire(time);
        let sent = self.sent.get(&evidence)?;
        let broker = self.connections.get(&key)?.broker?;
        let strangers = self.crowded || self.strangers.contains_key(&broker);
        let certain = broker == sent.broker && !strangers && self.doubtful <= time;
        sent.by.filter(|_| certain)
    }

    /// A message was sent of which nothing is known, or may have been.
    pub fn doubt(&mut self) {
        self.doubtful = Time(self.now.0.saturating_add(2 * KEEP));
    }

    /// The same, on a connection, if it is one to a broker.
    pub fn lost_on(&mut self, key: MessageKey) {
        if self.connections.contains_key(&key) {
            self.doubt();
        }
    }

    /// There is a connection that nobody looks at.
    pub fn overlooks(&mut self) {
        self.crowded = true;
    }

    /// Forgets what was sent too long ago.
    pub fn expire(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.sent.expire(now);
    }

    fn ends(&mut self, key: MessageKey) -> Option<&mut Ends> {
        if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&key) {
            self.crowded = true;
            return None;
        }
        Some(self.connections.entry(key).or_default())
    }

    fn strangers_of(&mut self, broker: u32, more: isize) {
        let count = self.strangers.entry(broker).or_default();
        *count = count.saturating_add_signed(more);
        if *count == 0 {
            self.strangers.remove(&broker);
        }
    }
}

#[cfg(test)]
mod tests;
