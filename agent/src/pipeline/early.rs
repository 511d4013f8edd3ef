//! Server spans whose client was not heard of before they were over.
//!
//! Where a hook runs after a send, it may be kept waiting until the peer has read the request and
//! answered it. So the word of a client that may be on this host is awaited.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::link::generations::Generations;
use crate::link::{Ancestor, Link, MessageKey};
use crate::source::Time;
use crate::trace::{Identity, Parent, Span};
use crate::value::Value;

/// How long a client may take: its thread has lost the processor in the middle of a system call.
/// Clients that are not traced never come.
const PATIENCE: u64 = 1_000_000_000;
/// Spans that wait, about a kilobyte each. At the limit the oldest go as they are.
const MAX_WAITING: usize = 1024;

/// The spans that wait.
#[derive(Default)]
pub(super) struct Early {
    /// And whether it has children, which are told already.
    spans: FxHashMap<MessageKey, (Span, bool)>,
    /// Since when, oldest first; of those that are gone, too.
    since: VecDeque<(Time, MessageKey)>,
}

impl Early {
    /// Has the span of the call `key`, which ended at `ended`, wait; gives back what waited too
    /// long for it. `settled`: it has children, and no other trace than theirs.
    pub(super) fn hold(
        &mut self,
        key: MessageKey,
        ended: Time,
        span: Span,
        settled: bool,
    ) -> Option<Span> {
        let oldest = if self.since.len() >= MAX_WAITING { self.oldest() } else { None };
        self.since.push_back((ended, key));
        // No two calls have one key.
        self.spans.insert(key, (span, settled)).map(|(span, _)| span).or(oldest)
    }

    /// The span of the call `key`, under the client's if it can be, if it waits.
    pub(super) fn join(&mut self, key: MessageKey, client: &Identity) -> Option<Span> {
        let (mut span, settled) = self.spans.remove(&key)?;
        if settled && span.trace_id != client.trace_id {
            return Some(span);
        }
        span.trace_id = client.trace_id;
        span.depth = client.depth.saturating_add(1);
        span.flags = client.flags;
        let link = Link::Sequence;
        span.parent = Some(Parent { span_id: client.span_id, remote: false, link });
        span.attributes.retain(|(name, _)| *name != "tracebee.link");
        span.attributes.push(("tracebee.link", Value::Static(link.name())));
        Some(span)
    }

    /// Gives back what has waited long enough.
    pub(super) fn due(&mut self, now: Time) -> Option<Span> {
        while let Some((since, _)) = self.since.front() {
            if now.0.saturating_sub(since.0) < PATIENCE {
                return None;
            }
            if let Some(span) = self.oldest() {
                return Some(span);
            }
        }
        None
    }

    fn oldest(&mut self) -> Option<Span> {
        let (_, key) = self.since.pop_front()?;
        self.spans.remove(&key).map(|(span, _)| span)
    }
}

/// Requests whose clients have not had their answers: of them the youngest are known, twice as many
/// at most, 64 bytes each.
const MAX_READS: usize = 16_384;

/// A request that a server on this host began to read.
#[derive(Clone, Copy)]
struct Read {
    /// When it did.
    began: Time,
    /// The server's span, if nothing is known to be above it.
    root: Option<Ancestor>,
}

/// What servers on this host began to read.
pub(super) struct Reads(Generations<MessageKey, Read>);

impl Default for Reads {
    fn default() -> Self {
        // However long ago that was.
        Self(Generations::new(u64::MAX, MAX_READS))
    }
}

impl Reads {
    /// A server read the first byte of the request `key`.
    pub(super) fn began(&mut self, key: MessageKey, began: Time) {
        self.0.insert(key, Read { began, root: None }, began);
    }

    /// Nothing is known to be above the server's span of the request `key`.
    pub(super) fn is_root(&mut self, key: MessageKey, span: Ancestor) {
        if let Some(read) = self.0.get_mut(&key) {
            read.root = Some(span);
        }
    }

    /// The server's span, if nothing is known to be above it: that of a long request may have
    /// children before its client is heard of.
    pub(super) fn root(&self, key: MessageKey) -> Option<Ancestor> {
        self.0.get(&key)?.root
    }

    /// When it was read, once.
    pub(super) fn take(&mut self, key: MessageKey) -> Option<Time> {
        self.0.remove(&key).map(|read| read.began)
    }
}
