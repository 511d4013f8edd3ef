//! HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112).
//!
//! `head` reads message heads, `body` finds where messages end, `detect` judges the first
//! bytes of a connection, and `conversation` pairs requests with responses. `over` is where protocols
//! come in that are spoken over HTTP.
//!
//! # Pairing
//!
//! Responses come in the order of the requests (RFC 9112 9.3.2). While both streams are known
//! from their first byte on, a queue of what was asked is therefore all it takes, pipelined or
//! not. The queue remembers methods, because the answers to HEAD and CONNECT have no body.
//!
//! # When bytes are missing
//!
//! The kernel captures the head of each turn, the agent joins connections midway, and rings
//! overflow. A call that is lost costs one span; a call that is paired with another's answer
//! makes the trace a lie. So a pairing is made only where it is certain:
//!
//! - **A body of known length** is skipped by the engine; what is missing inside is not missed.
//! - **A body whose framing is lost** (a chunk header is missing, or is none; a head that is cut,
//!   malformed or contradicts itself) ends with the turn. A response: when the next request
//!   begins, or the stream ends. A request: when its response begins. Its call is kept.
//! - **A cut head** is enough for a call if its first line is there; the fields that are known
//!   are kept.
//! - **Responses missing at a message boundary** may be any number of answers: all open calls are
//!   given up ([`Part::Desync`]).
//! - **Requests missing at a message boundary** do not touch the requests before them: their
//!   answers come first. What comes after is answered by nothing we know ([`Part::Orphan`]).
//! - **An orphan's length is not known**, as it may answer a HEAD: it ends with the turn.
//!
//! - **Requests missing before one that is seen** may be answered before it. What looks like its
//!   answer is believed when no other answer follows: the client asks again, or the connection ends
//!   or rests. If one follows, the client pipelines.
//!
//! After each of these the stream is *lost*: the next message begins at the first bytes of a new
//! turn, if they look like one while nothing is outstanding. That this is the next message, and
//! that a body ends with its turn, is certain for clients that wait for each answer before they
//! ask again: nearly all of them. It is not for clients that pipeline, where any number of
//! messages may be under way unseen. So a connection that was ever in *doubt* (joined midway, or
//! any of the above) and where a request was ever seen to be sent before the answer to the one
//! before it was complete (*pipelined*) is given up for good, with all that is open on it
//! ([`Step::GiveUp`]), whichever comes first. Bytes missing right after a request that nobody has
//! answered yet are such a request, too.
//!
//! What remains is a client that pipelines unseen, and from then on so evenly that each request
//! we see is followed by exactly one response, and then by silence: that of an older one. From
//! outside nothing tells it from a client that waits.
//!
//! This needs an engine that reports a gap as soon as it knows of it, before it shows later bytes
//! of either side, and that shows both sides in the order in which things happened.
//!
//! [`Part::Desync`]: super::Part::Desync
//! [`Part::Orphan`]: super::Part::Orphan
//! [`Step::GiveUp`]: super::Step::GiveUp

mod body;
mod conversation;
mod detect;
mod head;
mod over;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::{Detector, Ends};

pub use over::{AnswerSigns, Content, Reader, Signs};

/// The line of [`super::DETECTORS`].
pub const DETECTOR: Detector = Detector {
    name: "http",
    ends: Ends::Both,
    passes_on: false,
    detect: detect::detect,
    resume: detect::detect,
    parser: || Box::new(conversation::Conversation::default()),
};

/// For fuzzers; see [`super::fuzz`].
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    super::fuzz::play(&DETECTOR, data);
}

/// What is kept of a request head: exactly the fields that spans need. Credentials and cookies
/// are never copied out of the captured bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Method as sent.
    pub method: Cow<'static, str>,
    /// Request target as sent: origin, absolute, authority or asterisk form, query included.
    pub target: Box<str>,
    /// Minor version: 0 or 1.
    pub minor: u8,
    /// `Host`.
    pub host: Option<Box<str>>,
    /// `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// `traceparent` (W3C Trace Context), as sent.
    pub traceparent: Option<Box<str>>,
    /// `tracestate`, several lines joined by commas.
    pub tracestate: Option<Box<str>>,
    /// Trace context in other formats than W3C's: rare, so behind one pointer.
    pub propagated: Option<Box<Propagated>>,
    /// `Forwarded`, `X-Forwarded-For`, ...: rare, so behind one pointer.
    pub forwarded: Option<Box<Forwarded>>,
    /// What it says of a protocol over HTTP.
    pub signs: Signs,
    /// What its body says there.
    pub content: Option<Box<Content>>,
    /// Long texts were left out ([`trim`](Self::trim)).
    pub trimmed: bool,
}

/// Headers of trace context in other formats than W3C's, as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Propagated {
    /// `b3`.
    pub b3: Option<Box<str>>,
    /// `X-B3-TraceId`.
    pub b3_trace_id: Option<Box<str>>,
    /// `X-B3-SpanId`.
    pub b3_span_id: Option<Box<str>>,
    /// `X-B3-Sampled`.
    pub b3_sampled: Option<Box<str>>,
    /// `X-B3-Flags`.
    pub b3_flags: Option<Box<str>>,
    /// `uber-trace-id`.
    pub jaeger: Option<Box<str>>,
    /// `X-Amzn-Trace-Id`.
    pub xray: Option<Box<str>>,
    /// `x-datadog-trace-id`.
    pub datadog_trace_id: Option<Box<str>>,
    /// `x-datadog-parent-id`.
    pub datadog_parent_id: Option<Box<str>>,
    /// `x-datadog-sampling-priority`.
    pub datadog_priority: Option<Box<str>>,
    /// `x-datadog-tags`.
    pub datadog_tags: Option<Box<str>>,
}

/// What a query or a `User-Agent` may have to stay when texts are left out: half a line.
const SHORT: usize = 64;

impl Request {
    /// Leaves out a long query and a long `User-Agent`; false if there are none. What decides where
    /// the call belongs, what it is named and who asked is kept.
    pub fn trim(&mut self) -> bool {
        let path = self.target.find('?').unwrap_or(self.target.len());
        let cut = self.target.len() - path > SHORT;
        if cut {
            self.target = self.target[..path].into();
        }
        let long = self.user_agent.as_ref().is_some_and(|agent| agent.len() > SHORT);
        if long {
            self.user_agent = None;
        }
        self.trimmed |= cut || long;
        self.trimmed
    }
}

/// What proxies said about the original request, several lines of one name joined by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// `Forwarded` (RFC 7239).
    pub forwarded: Option<Box<str>>,
    /// `X-Forwarded-For`.
    pub x_forwarded_for: Option<Box<str>>,
    /// `X-Forwarded-Host`.
    pub x_forwarded_host: Option<Box<str>>,
    /// `X-Forwarded-Proto`.
    pub x_forwarded_proto: Option<Box<str>>,
    /// `X-Real-IP`.
    pub x_real_ip: Option<Box<str>>,
}

/// What is kept of a final response head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Status code, 200 to 999 (or 101).
    pub status: u16,
    /// Minor version: 0 or 1.
    pub minor: u8,
    /// What it says of a protocol over HTTP.
    pub signs: AnswerSigns,
    /// What its body says there.
    pub content: Option<Box<Content>>,
}
