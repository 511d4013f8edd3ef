//! Whose request is this call part of?
//!
//! Both ends of a TCP connection can compute the same key for a message: the two initial sequence
//! numbers and the message's offset in its stream. The key survives NAT and network namespaces,
//! does not wrap and needs no clock. A UNIX socket has no sequence numbers; there the client's
//! socket has an inode number, which its peer can look up as well.
//!
//! The parent of a client span is a request that its own process serves ([`serving`]); where nobody
//! else says which, the thread may ([`threads`]).

pub mod consumers;
pub mod generations;
pub mod queue;
pub mod serving;
pub mod threads;

use opentelemetry::{SpanId, TraceId};
use tracebee_common::sample::{self, Share};

use self::generations::Generations;
use crate::source::{Pair, Role, Time};

/// How the parent of a span was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Link {
    /// The client span on this host sent the request: sequence numbers and offset are equal.
    Sequence,
    /// The request named it in a `traceparent` header.
    Header,
    /// What was brought is equal to what one on this host was seen to send, and nobody else.
    Queue,
    /// The unit of work that made the call is about the request, by the runtime's own notion.
    Context,
    /// The thread that made the call serves one request at a time, and this was it.
    Thread,
    /// It was the only request that the process had open, and there was no better rule.
    Sole,
}

impl Link {
    /// Every kind.
    pub const ALL: [Link; 6] =
        [Link::Sequence, Link::Header, Link::Queue, Link::Context, Link::Thread, Link::Sole];

    /// The value of the `tracebee.link` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Link::Sequence => "seq",
            Link::Header => "header",
            Link::Queue => "queue",
            Link::Context => "context",
            Link::Thread => "thread",
            Link::Sole => "sole",
        }
    }
}

/// Name of a message that both ends of its connection compute alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageKey {
    connection: Connection,
    position: u64,
}

/// Name of a connection that both ends compute alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Connection {
    Tcp { client: u32, server: u32 },
    Unix { client: u32 },
}

impl MessageKey {
    /// By which both ends decide alike whether the call is left out under load.
    pub fn number(self) -> Share {
        match self.connection {
            Connection::Tcp { client, server } => sample::number(client, server, self.position),
            Connection::Unix { client } => sample::number(client, 0, self.position),
        }
    }

    /// The key of the request at `position` for the end of a connection that is its `role`; none
    /// if nothing names the connection.
    pub fn new(pair: Option<Pair>, role: Role, position: u64) -> Option<Self> {
        let connection = match (pair?, role) {
            (Pair::Sequences { sent, received }, Role::Client) => {
                Connection::Tcp { client: sent, server: received }
            }
            (Pair::Sequences { sent, received }, Role::Server) => {
                Connection::Tcp { client: received, server: sent }
            }
            (Pair::Inodes { own, .. }, Role::Client) => Connection::Unix { client: own },
            (Pair::Inodes { peer, .. }, Role::Server) => Connection::Unix { client: peer? },
        };
        Some(Self { connection, position })
    }
}

/// How long a request that was sent waits at least for its server's end, and at most twice as
/// long: the accept queue and the socket buffer of a busy server, not more.
pub const KEEP: u64 = 30_000_000_000;
/// Requests of one generation at most; the two together hold two seconds' worth at 100,000 calls
/// a second to other hosts, at 48 bytes each. As many as a table of its size takes. Less memory
/// ([`Budget`](crate::limit::budget::Budget)) is fewer.
pub const MAX_WAITING: usize = 131_072 / 8 * 7;

/// Requests sent from this host whose server's end has not been seen yet.
pub struct SameHost(Generations<MessageKey, Ancestor>);

/// What a span needs to know of the one above it. `tracestate` is not in it: both ends of a call see
/// the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Trace id of both.
    pub trace_id: TraceId,
    /// The span above.
    pub span_id: SpanId,
    /// How many ancestors of it are known on this host.
    pub depth: u8,
    /// W3C trace flags.
    pub flags: u8,
}

impl Default for SameHost {
    fn default() -> Self {
        Self::with_max(MAX_WAITING)
    }
}

impl SameHost {
    /// Of at most `max` requests a generation.
    pub fn with_max(max: usize) -> Self {
        Self(Generations::new(KEEP, max.clamp(1, MAX_WAITING)))
    }

    /// A client on this host began to send the request `key`, whose span is `ancestor`.
    pub fn sent(&mut self, key: MessageKey, time: Time, ancestor: Ancestor) {
        self.0.insert(key, ancestor, time);
    }

    /// A server on this host read the request `key`: who sent it, if that was on this host.
    pub fn received(&mut self, key: MessageKey) -> Option<Ancestor> {
        self.0.remove(&key)
    }

    /// Forgets what waited too long.
    pub fn expire(&mut self, now: Time) {
        self.0.expire(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn key(position: u64) -> MessageKey {
        MessageKey { connection: Connection::Tcp { client: 1, server: 2 }, position }
    }

    fn ancestor(id: u64) -> Ancestor {
        Ancestor { trace_id: TraceId::from(7), span_id: SpanId::from(id), depth: 0, flags: 3 }
    }

    #[test]
    fn a_request_is_found_once() {
        let mut same = SameHost::default();
        same.sent(key(0), Time(100 * SECOND), ancestor(5));
        assert_eq!(same.received(key(1)), None);
        assert_eq!(same.received(key(0)).map(|sent| sent.span_id), Some(SpanId::from(5)));
        assert_eq!(same.received(key(0)), None);
    }

    #[test]
    fn a_request_waits_for_its_time_and_not_for_ever() {
        let mut same = SameHost::default();
        let start = 100 * SECOND;
        same.expire(Time(start));
        for at in 0..2 {
            same.sent(key(at), Time(start + KEEP), ancestor(at));
        }
        same.expire(Time(start + KEEP + SECOND));
        same.expire(Time(start + 2 * KEEP));
        assert!(same.received(key(0)).is_some());
        same.expire(Time(start + 3 * KEEP));
        assert!(same.received(key(1)).is_none());
    }

    #[test]
    fn a_flood_is_bounded_and_the_youngest_stay() {
        let mut same = SameHost::default();
        let n = 3 * MAX_WAITING as u64;
        for at in 0..n {
            same.sent(key(at), Time(SECOND), ancestor(at));
        }
        assert!(same.0.len() <= 2 * MAX_WAITING);
        assert!(same.received(key(n - MAX_WAITING as u64)).is_some());
        assert!(same.received(key(0)).is_none());
    }
}
