//! Incoming trace context (W3C Trace Context, Level 2) and new ids.

use opentelemetry::{SpanId, TraceId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::protocol::http1::Request;

/// W3C flag: the caller may have recorded this trace.
pub const SAMPLED: u8 = 0x01;

/// W3C flag (Level 2): the right-most 7 bytes of the trace id are random.
pub const RANDOM: u8 = 0x02;

/// Most characters of a `tracestate` that are kept. The recommendation asks for at least 512.
const MAX_STATE: usize = 512;

/// Most members of a `tracestate` (section 3.3.1.1).
const MAX_MEMBERS: usize = 32;

/// Members longer than this go first when a `tracestate` has to be cut (section 3.3.1.5).
const LONG_MEMBER: usize = 128;

/// What a request says about the trace that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Trace id, never zero.
    pub trace_id: TraceId,
    /// The span that sent the request, never zero; only some formats know a trace without one.
    pub span_id: Option<SpanId>,
    /// [`SAMPLED`] and [`RANDOM`] as sent; other bits have no meaning yet and are dropped.
    pub flags: u8,
    /// `tracestate`, if it is valid.
    pub state: Option<Box<str>>,
}

impl Remote {
    /// The context of W3C's format that a request carries, if it carries a valid one.
    pub fn of(request: &Request) -> Option<Self> {
        Self::w3c(request.traceparent.as_deref()?, request.tracestate.as_deref())
    }

    /// The context that these two fields say, if the first is valid.
    pub fn w3c(parent: &str, state: Option<&str>) -> Option<Self> {
        let (trace_id, span_id, flags) = traceparent(parent)?;
        let state = state.and_then(tracestate);
        Some(Self { trace_id, span_id: Some(span_id), flags, state })
    }
}

/// Parses `traceparent`. Lower case only; zero ids and version `ff` are invalid; of a later
/// version the fields of version 00 are read if nothing or a `-` follows them.
pub fn traceparent(text: &str) -> Option<(TraceId, SpanId, u8)> {
    let text = text.trim_matches([' ', '\t']).as_bytes();
    let (head, rest) = text.split_at_checked(55)?;
    if head[2] != b'-' || head[35] != b'-' || head[52] != b'-' {
        return None;
    }
    let [version] = hex(&head[..2])?;
    let follows = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest[0] == b'-',
    };
    let trace_id = TraceId::from_bytes(hex(&head[3..35])?);
    let span_id = SpanId::from_bytes(hex(&head[36..52])?);
    let [flags] = hex(&head[53..])?;
    let valid = follows && trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
    valid.then_some((trace_id, span_id, flags & (SAMPLED | RANDOM)))
}

/// The part of a `tracestate` that is kept: all of it, verbatim, where it is within the limits.
/// `None` if a member of it is malformed or nothing is in it.
pub fn tracestate(text: &str) -> Option<Box<str>> {
    let text = text.trim_matches([' ', '\t', ',']);
    let members = || text.split(',').map(|m| m.trim_matches([' ', '\t'])).filter(|m| !m.is_empty());
    if text.is_empty() || !members().all(is_member) {
        return None;
    }
    if text.len() <= MAX_STATE && members().count() <= MAX_MEMBERS {
        return Some(text.into());
    }
    let short = |member: &&str| text.len() <= MAX_STATE || member.len() <= LONG_MEMBER;
    let mut kept = String::with_capacity(MAX_STATE);
    for member in members().filter(short).take(MAX_MEMBERS) {
        if kept.len() + 1 + member.len() > MAX_STATE {
            break;
        }
        if !kept.is_empty() {
            kept.push(',');
        }
        kept.push_str(member);
    }
    (!kept.is_empty()).then(|| kept.into())
}

/// Makes ids. Not a secret source: ids need to be unique, not unguessable, and 80,000 calls a
/// second must not each ask the operating system.
#[derive(Debug)]
pub struct Ids {
    random: SmallRng,
}

impl Ids {
    /// Seeded by the operating system.
    pub fn new() -> Self {
        Self { random: SmallRng::from_os_rng() }
    }

    /// 16 random bytes, never zero, in all bits random ([`RANDOM`]).
    pub fn trace_id(&mut self) -> TraceId {
        loop {
            let id = TraceId::from_bytes(self.random.random());
            if id != TraceId::INVALID {
                return id;
            }
        }
    }

    /// 8 random bytes, never zero.
    pub fn span_id(&mut self) -> SpanId {
        loop {
            let id = SpanId::from_bytes(self.random.random());
            if id != SpanId::INVALID {
                return id;
            }
        }
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

/// Lower-case hexadecimal of exactly `N` bytes.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// `key=value` as sections 3.3.1.3.1 and 3.3.1.3.2 have it.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let key_byte =
        |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let first = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    key.len() <= 256
        && key.as_bytes().first().is_some_and(first)
        && key.bytes().all(key_byte)
        && key.bytes().filter(|c| *c == b'@').count() <= 1
        && !key.ends_with('@')
        && !value.is_empty()
        && value.len() <= 256
        && value.bytes().all(|c| matches!(c, b' '..=b'~') && c != b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn valid_traceparents() {
        for (text, flags) in [
            (format!("00-{TRACE}-{SPAN}-01"), 1),
            (format!("00-{TRACE}-{SPAN}-00"), 0),
            (format!("00-{TRACE}-{SPAN}-03"), 3),
            (format!("00-{TRACE}-{SPAN}-ff"), 3),
            (format!(" 00-{TRACE}-{SPAN}-01\t"), 1),
            (format!("01-{TRACE}-{SPAN}-01"), 1),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), 1),
            (format!("fe-{TRACE}-{SPAN}-09-"), 1),
        ] {
            let (trace, span, seen) = traceparent(&text).expect(&text);
            assert_eq!((trace.to_string(), span.to_string()), (TRACE.into(), SPAN.into()));
            assert_eq!(seen, flags, "{text}");
        }
    }

    #[test]
    fn invalid_traceparents() {
        for text in [
            String::new(),
            "00".into(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("00-{TRACE}-{SPAN}-01."),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("FE-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01.what"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{}é-{SPAN}-01", &TRACE[2..]),
            format!("00-{}g-{SPAN}-01", &TRACE[1..]),
        ] {
            assert_eq!(traceparent(&text), None, "{text}");
        }
    }

    #[test]
    fn tracestates() {
        let long = format!("a={}", "x".repeat(200));
        let many = |n: usize| (0..n).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
        let fat = (0..3).map(|i| format!("k{i}={}", "y".repeat(250))).collect::<Vec<_>>().join(",");
        let wide = (0..8).map(|i| format!("k{i}={}", "z".repeat(97))).collect::<Vec<_>>().join(",");
        for (text, kept) in [
            (
                "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
                Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            ),
            ("ot=th:8;rv:0123456789abcd , dd=s:1", Some("ot=th:8;rv:0123456789abcd , dd=s:1")),
            ("fw529a3039@dt=FfAB", Some("fw529a3039@dt=FfAB")),
            ("a=1,,b=2,", Some("a=1,,b=2")),
            (long.as_str(), Some(long.as_str())),
            (&many(32), Some(many(32).as_str())),
            (&many(40), Some(many(32).as_str())),
            (&format!("{long},{},b=2", many(99)), Some(many(32).as_str())),
            (&fat, None),
            (&wide, Some(&wide[..5 * 101 - 1])),
            ("", None),
            (" , ", None),
            ("A=1", None),
            ("a", None),
            ("a=", None),
            ("=1", None),
            ("a=1=2", None),
            ("a@=1", None),
            ("a=é", None),
            ("a=b\u{7f}", None),
        ] {
            assert_eq!(tracestate(text).as_deref(), kept, "{text}");
        }
    }

    #[test]
    fn a_bad_state_does_not_spoil_the_parent() {
        let request = Request {
            traceparent: Some(format!("00-{TRACE}-{SPAN}-01").into()),
            tracestate: Some("not a state".into()),
            ..Request::default()
        };
        let remote = Remote::of(&request).expect("valid parent");
        assert_eq!((remote.flags, remote.state), (1, None));
        assert_eq!(Remote::of(&Request { traceparent: None, ..request }), None);
    }

    #[test]
    fn ids_differ() {
        let (mut one, mut other) = (Ids::new(), Ids::new());
        let ids: std::collections::HashSet<_> =
            (0..1000).flat_map(|_| [one.trace_id(), other.trace_id()]).collect();
        assert_eq!(ids.len(), 2000);
        assert_ne!(one.span_id(), other.span_id());
    }

    proptest! {
        #[test]
        fn hostile_text_is_harmless(text in "\\PC{0,80}", state in "[a-z=,@ \\x00-\\x7f]{0,900}") {
            let _ = traceparent(&text);
            if let Some(kept) = tracestate(&state) {
                prop_assert!(kept.len() <= MAX_STATE);
            }
        }
    }
}
