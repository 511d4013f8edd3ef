//! Whose request is this call part of? Today: the two ends of one call on this host.
//!
//! Both ends of a TCP connection can compute the same key for a message: the two initial sequence
//! numbers and the message's offset in its stream. The key survives NAT and network namespaces,
//! does not wrap and needs no clock. The parent of a client span inside its own process will be
//! decided beside this.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::source::{Opened, Role, Time};
use crate::trace::Identity;

/// Name of a message that both ends of its connection compute alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageKey {
    client: u32,
    server: u32,
    position: u64,
}

impl MessageKey {
    /// The key of the request at `position`; none if the connection's sequence numbers are
    /// unknown.
    pub fn new(opened: &Opened, role: Role, position: u64) -> Option<Self> {
        let (sent, received) = (opened.sent_base?, opened.received_base?);
        let (client, server) = match role {
            Role::Client => (sent, received),
            Role::Server => (received, sent),
        };
        Some(Self { client, server, position })
    }
}

/// How long a request that was sent waits for its server's end: the accept queue and the socket
/// buffer of a busy server, not more.
const KEEP: u64 = 30_000_000_000;
/// Requests that wait at most: three seconds' worth at 100,000 calls a second to other hosts.
const MAX_WAITING: usize = 300_000;

/// Requests sent from this host whose server's end has not been seen yet.
#[derive(Default)]
pub struct SameHost {
    waiting: FxHashMap<MessageKey, Identity>,
    order: VecDeque<(Time, MessageKey)>,
}

impl SameHost {
    /// A client on this host began to send the request `key`.
    pub fn sent(&mut self, key: MessageKey, time: Time, identity: &Identity) {
        self.expire(time);
        if self.waiting.len() >= MAX_WAITING
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.waiting.remove(&oldest);
        }
        self.waiting.insert(key, identity.clone());
        self.order.push_back((time, key));
    }

    /// A server on this host read the request `key`: who sent it, if that was on this host.
    pub fn received(&mut self, key: MessageKey) -> Option<Identity> {
        self.waiting.remove(&key)
    }

    /// Forgets what waited too long.
    pub fn expire(&mut self, now: Time) {
        while let Some((time, key)) = self.order.front()
            && (now.0.saturating_sub(time.0) > KEEP || self.order.len() > 2 * MAX_WAITING)
        {
            self.waiting.remove(key);
            self.order.pop_front();
        }
    }
}
