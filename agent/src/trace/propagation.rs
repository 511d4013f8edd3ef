//! Incoming trace context in the formats of other tracers, and which of them are believed
//! (`OTEL_PROPAGATORS`).

use std::convert::Infallible;
use std::str::FromStr;

use opentelemetry::{SpanId, TraceId};

use super::context::{Remote, SAMPLED};
use crate::protocol::http1::{Propagated, Request};
use crate::protocol::messaging;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// <https://www.w3.org/TR/trace-context-2/>
    TraceContext,
    /// <https://github.com/openzipkin/b3-propagation>, one header or several.
    B3,
    /// <https://www.jaegertracing.io/docs/1.76/client-libraries/#propagation-format>
    Jaeger,
    /// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
    XRay,
    /// <https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/>
    Datadog,
}

/// The formats that are looked for, in this order: the first valid one wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagators {
    formats: Vec<Format>,
    /// Names that say nothing to us.
    unknown: Vec<String>,
}

impl Default for Propagators {
    fn default() -> Self {
        Self { formats: vec![Format::TraceContext], unknown: Vec::new() }
    }
}

/// As the specification has `OTEL_PROPAGATORS`: names, separated by commas. Nothing is the default;
/// a name that is not known is left out, for the caller to [tell](Propagators::unknown).
impl FromStr for Propagators {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut formats = Vec::new();
        let mut unknown = Vec::new();
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut any = false;
        for name in names {
            any = true;
            let format = match name.to_ascii_lowercase().as_str() {
                "tracecontext" => Format::TraceContext,
                // Whoever reads one form reads the other (B3 in the OpenTelemetry specification).
                "b3" | "b3multi" => Format::B3,
                "jaeger" => Format::Jaeger,
                "xray" => Format::XRay,
                "datadog" => Format::Datadog,
                // It carries no parent.
                "baggage" | "none" => continue,
                _ => {
                    unknown.push(name.to_owned());
                    continue;
                }
            };
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        Ok(if any { Self { formats, unknown } } else { Self::default() })
    }
}

impl Propagators {
    /// Names that were given and are none that is known here.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The context that a request carries, if it carries a valid one.
    pub fn extract(&self, request: &Request) -> Option<Remote> {
        let other = request.propagated.as_deref();
        self.formats.iter().find_map(|format| match format {
            Format::TraceContext => Remote::of(request),
            Format::B3 => b3(other?),
            Format::Jaeger => jaeger(other?.jaeger.as_deref()?),
            Format::XRay => xray(other?.xray.as_deref()?),
            Format::Datadog => datadog(other?),
        })
    }
}

impl Propagators {
    /// The context that the headers of a message carry, if it is a valid one: of W3C's format, the
    /// only one that is looked for there.
    pub fn of_message(&self, message: &messaging::Request) -> Option<Remote> {
        let context = message.context.as_deref()?;
        let is_believed = self.formats.contains(&Format::TraceContext);
        let remote = || Remote::w3c(&context.traceparent, context.tracestate.as_deref());
        is_believed.then(remote).flatten()
    }
}

/// None if the ids are not valid ones. Whoever leaves it to us whether to sample has not said no.
fn remote(trace: u128, span: Option<u64>, sampled: bool) -> Option<Remote> {
    let span_id = span.filter(|span| *span != 0).map(SpanId::from);
    let flags = if sampled { SAMPLED } else { 0 };
    (trace != 0).then(|| Remote { trace_id: TraceId::from(trace), span_id, flags, state: None })
}

/// The same, of a format that always names a parent.
fn with_parent(trace: u128, span: u64, sampled: bool) -> Option<Remote> {
    remote(trace, Some(span), sampled).filter(|remote| remote.span_id.is_some())
}

/// The single header wins over the others.
fn b3(headers: &Propagated) -> Option<Remote> {
    if let Some(single) = headers.b3.as_deref().and_then(b3_single) {
        return Some(single);
    }
    let trace = b3_trace(headers.b3_trace_id.as_deref()?)?;
    let span = fixed_hex(headers.b3_span_id.as_deref()?, 16)? as u64;
    let debug = headers.b3_flags.as_deref() == Some("1");
    let denied = headers.b3_sampled.as_deref().is_some_and(|s| s == "0" || s == "false");
    with_parent(trace, span, debug || !denied)
}

/// `trace-span[-state[-parent]]`. The state alone names nothing.
fn b3_single(text: &str) -> Option<Remote> {
    let mut parts = text.trim().split('-');
    let trace = b3_trace(parts.next()?)?;
    let span = fixed_hex(parts.next()?, 16)? as u64;
    let sampled = match parts.next() {
        None | Some("1" | "d") => true,
        Some("0") => false,
        Some(_) => return None,
    };
    let parent_is_one = parts.next().is_none_or(|parent| fixed_hex(parent, 16).is_some());
    (parent_is_one && parts.next().is_none()).then(|| with_parent(trace, span, sampled))?
}

/// 64 bits are the lower ones of 128.
fn b3_trace(text: &str) -> Option<u128> {
    fixed_hex(text, 32).or_else(|| fixed_hex(text, 16))
}

/// `trace:span:parent:flags`, numbers in hexadecimal without leading zeros; the colons may be encoded
/// for a URL.
fn jaeger(text: &str) -> Option<Remote> {
    let text = text.trim().replace("%3A", ":").replace("%3a", ":");
    let mut parts = text.split(':');
    let trace = short_hex(parts.next()?, 32)?;
    let span = short_hex(parts.next()?, 16)? as u64;
    let _parent = parts.next()?;
    let flags = short_hex(parts.next()?, 2)?;
    // Debug means sampled, too.
    parts.next().is_none().then(|| with_parent(trace, span, flags & 0b11 != 0))?
}

/// `Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=<0, 1 or ?>` in any order. A load balancer names
/// a trace without a parent.
fn xray(text: &str) -> Option<Remote> {
    let (mut trace, mut span, mut sampled) = (None, None, true);
    for (key, value) in text.split(';').filter_map(|part| part.trim().split_once('=')) {
        match key {
            "Root" => {
                let (seconds, rest) = value.strip_prefix("1-")?.split_once('-')?;
                trace = Some(fixed_hex(seconds, 8)? << 96 | fixed_hex(rest, 24)?);
            }
            "Parent" => span = Some(fixed_hex(value, 16)? as u64),
            "Sampled" => sampled = value != "0",
            _ => {}
        }
    }
    remote(trace?, span, sampled)
}

/// Decimal numbers of 64 bits; the upper half of the trace id is in a tag.
fn datadog(headers: &Propagated) -> Option<Remote> {
    let number = |text: &str| {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let low = number(headers.datadog_trace_id.as_deref()?).filter(|low| *low != 0)?;
    let span = number(headers.datadog_parent_id.as_deref()?)?;
    let high = headers.datadog_tags.as_deref().and_then(|tags| {
        let tag = tags.split(',').find_map(|tag| tag.trim().strip_prefix("_dd.p.tid="))?;
        fixed_hex(tag, 16)
    });
    let priority = headers.datadog_priority.as_deref().and_then(|text| text.trim().parse().ok());
    let sampled = priority.is_none_or(|priority: i32| priority > 0);
    with_parent(high.unwrap_or(0) << 64 | u128::from(low), span, sampled)
}

/// A number of exactly `digits` lower-case hexadecimal digits.
fn fixed_hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let valid = text.len() == digits && text.bytes().all(is_digit);
    valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// A number of at most `most` hexadecimal digits.
fn short_hex(text: &str, most: usize) -> Option<u128> {
    let valid = (1..=most).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit());
    valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    /// Trace, span and whether it is sampled.
    fn known(remote: Option<Remote>) -> Option<(String, Option<String>, bool)> {
        let Remote { trace_id, span_id, flags, state } = remote?;
        assert_eq!(state, None);
        Some((trace_id.to_string(), span_id.map(|id| id.to_string()), flags == SAMPLED))
    }

    fn whole(trace: &str, sampled: bool) -> Option<(String, Option<String>, bool)> {
        Some((trace.into(), Some(SPAN.into()), sampled))
    }

    fn text(text: &str) -> Option<Box<str>> {
        Some(text.into())
    }

    #[test]
    fn one_header_of_b3() {
        let short = format!("{:0>32}", &TRACE[16..]);
        for (header, expected) in [
            (format!("{TRACE}-{SPAN}-1"), whole(TRACE, true)),
            (format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"), whole(TRACE, true)),
            (format!("{TRACE}-{SPAN}-d"), whole(TRACE, true)),
            (format!("{TRACE}-{SPAN}"), whole(TRACE, true)),
            (format!("{TRACE}-{SPAN}-0"), whole(TRACE, false)),
            (format!("{}-{SPAN}-0", &TRACE[16..]), whole(&short, false)),
            ("0".into(), None),
            (format!("{TRACE}-{SPAN}-x"), None),
            (format!("{TRACE}-{SPAN}-1-x"), None),
            (format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90-"), None),
            (format!("{}-{SPAN}-1", TRACE.to_uppercase()), None),
            (format!("{TRACE}-{}-1", "0".repeat(16)), None),
        ] {
            let headers = Propagated { b3: Some(header.clone().into()), ..Propagated::default() };
            assert_eq!(known(b3(&headers)), expected, "{header}");
        }
    }

    #[test]
    fn several_headers_of_b3() {
        let headers = |sampled: Option<&str>, flags: Option<&str>| Propagated {
            b3_trace_id: text(TRACE),
            b3_span_id: text(SPAN),
            b3_sampled: sampled.and_then(text),
            b3_flags: flags.and_then(text),
            ..Propagated::default()
        };
        assert_eq!(known(b3(&headers(Some("1"), None))), whole(TRACE, true));
        assert_eq!(known(b3(&headers(None, None))), whole(TRACE, true));
        assert_eq!(known(b3(&headers(Some("0"), None))), whole(TRACE, false));
        assert_eq!(known(b3(&headers(Some("0"), Some("1")))), whole(TRACE, true));
        let both = Propagated { b3: text("0-0-0"), ..headers(Some("false"), None) };
        assert_eq!(known(b3(&both)), whole(TRACE, false), "the single one is none");
        let no_span = Propagated { b3_span_id: None, ..headers(None, None) };
        assert_eq!(known(b3(&no_span)), None);
    }

    #[test]
    fn headers_of_jaeger() {
        let span = "f067aa0ba902b7";
        let low = format!("{:0>32}", "2a");
        for (header, expected) in [
            (format!("{TRACE}:{span}:0:1"), whole(TRACE, true)),
            (format!("{TRACE}:{SPAN}:0:0"), whole(TRACE, false)),
            (format!("{TRACE}%3A{SPAN}%3a0%3A3"), whole(TRACE, true)),
            (format!("2a:{span}:1:2"), whole(&low, true)),
            (format!("{TRACE}:{SPAN}:0"), None),
            (format!("{TRACE}:{SPAN}:0:1:2"), None),
            (format!("0:{SPAN}:0:1"), None),
            (format!("{TRACE}0:{SPAN}:0:1"), None),
            (format!("{TRACE}:{SPAN}:0:"), None),
        ] {
            assert_eq!(known(jaeger(&header)), expected, "{header}");
        }
    }

    #[test]
    fn headers_of_xray() {
        let root = format!("Root=1-{}-{}", &TRACE[..8], &TRACE[8..]);
        for (header, expected) in [
            (format!("{root};Parent={SPAN};Sampled=1"), whole(TRACE, true)),
            (format!("Parent={SPAN}; Sampled=0; {root}"), whole(TRACE, false)),
            (
                format!("Self=1-67891234-12456789abcdef012345678;{root};Parent={SPAN};Sampled=?"),
                whole(TRACE, true),
            ),
            (root.clone(), Some((TRACE.into(), None, true))),
            (format!("{root};Parent=1"), None),
            (format!("Parent={SPAN};Sampled=1"), None),
            (format!("Root=2-{}-{}", &TRACE[..8], &TRACE[8..]), None),
        ] {
            assert_eq!(known(xray(&header)), expected, "{header}");
        }
    }

    #[test]
    fn headers_of_datadog() {
        let headers = |trace: &str, parent: &str, priority: &str, tags: &str| {
            known(datadog(&Propagated {
                datadog_trace_id: text(trace),
                datadog_parent_id: text(parent),
                datadog_priority: text(priority),
                datadog_tags: text(tags),
                ..Propagated::default()
            }))
        };
        let (low, parent) = ("11803532876627986230", "67667974448284343");
        let tid = format!("_dd.p.dm=-0,_dd.p.tid={}", &TRACE[..16]);
        assert_eq!(headers(low, parent, "1", &tid), whole(TRACE, true));
        assert_eq!(headers(low, parent, "-1", &tid), whole(TRACE, false));
        let short = format!("{:0>32}", &TRACE[16..]);
        assert_eq!(headers(low, parent, "2", "_dd.p.tid=no"), whole(&short, true));
        for (trace, parent) in [
            ("0", parent),
            (low, "0"),
            ("", parent),
            ("+1", parent),
            ("18446744073709551616", parent),
        ] {
            assert_eq!(headers(trace, parent, "1", ""), None, "{trace} {parent}");
        }
    }

    #[test]
    fn the_first_valid_one_of_those_that_are_asked_for_wins() {
        let of = |names: &str| names.parse::<Propagators>().expect("any text is one");
        let request = Request {
            traceparent: text(&format!("00-{TRACE}-{SPAN}-00")),
            propagated: Some(Box::new(Propagated {
                b3: text(&format!("{SPAN}-{SPAN}-1")),
                jaeger: text("broken"),
                ..Propagated::default()
            })),
            ..Request::default()
        };
        let b3 = whole(&format!("{SPAN:0>32}"), true);
        for (names, expected) in [
            ("", whole(TRACE, false)),
            ("baggage, tracecontext", whole(TRACE, false)),
            ("B3,tracecontext", b3.clone()),
            ("jaeger,xray,datadog,b3multi", b3),
            ("jaeger", None),
            ("none", None),
            ("ottrace", None),
        ] {
            assert_eq!(known(of(names).extract(&request)), expected, "{names}");
        }
        assert_eq!(of("b3,ottrace,what").unknown(), ["ottrace", "what"]);
    }

    proptest! {
        #[test]
        fn hostile_text_is_harmless(header in "\\PC{0,90}", numbers in "[0-9a-f:;=,%A-Za-z-]{0,90}") {
            for text in [header, numbers] {
                let _ = b3_single(&text);
                let _ = jaeger(&text);
                let _ = xray(&text);
                let tags = Some(format!("_dd.p.tid={text}").into());
                let text = Some(text.into_boxed_str());
                let _ = datadog(&Propagated {
                    datadog_trace_id: text.clone(),
                    datadog_parent_id: text,
                    datadog_tags: tags,
                    ..Propagated::default()
                });
            }
        }
    }
}
