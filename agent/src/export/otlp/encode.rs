//! Spans as protobuf, written straight from [`Span`].
//!
//! The hottest part of a loaded agent after parsing: through the types of opentelemetry-proto,
//! which own every key and value, a span costs some forty allocations. A span is encoded by the
//! thread that made it while it lies in that processor's cache, so that what waits for the
//! receiver is one small buffer for each span. The tests hold every byte against prost's.

use std::sync::Arc;

use bytes::Bytes;

use crate::export::queue::Item;
use crate::export::{SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION, group, link_flags, span_flags};
use crate::trace::{Kind, Span, SpanLink};
use crate::value::Value;
use crate::workload::Resource;

/// A span as it goes over the wire: the field `spans` of `ScopeSpans`, tag and length included.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::export) struct Encoded {
    resource: Arc<Resource>,
    /// Those that were encoded together share one buffer: it is made on one thread and freed on
    /// another, which allocators do not like to do for each span.
    field: Bytes,
}

impl Encoded {
    /// Encodes `spans`.
    pub(in crate::export) fn all(spans: &[Span]) -> Vec<Self> {
        /// Most spans are shorter.
        const USUAL: usize = 768;
        let mut body = Vec::with_capacity(USUAL);
        let mut fields = Vec::with_capacity(USUAL * spans.len());
        let encode = |span: &Span| {
            body.clear();
            put_span(&mut body, span);
            put_bytes(&mut fields, 2, &body);
            fields.len()
        };
        let ends: Vec<usize> = spans.iter().map(encode).collect();
        let fields = Bytes::copy_from_slice(&fields);
        let mut start = 0;
        let slice = |(span, end): (&Span, usize)| {
            let field = fields.slice(start..end);
            start = end;
            Self { resource: Arc::clone(&span.resource), field }
        };
        spans.iter().zip(ends).map(slice).collect()
    }
}

impl Item for Encoded {
    fn size(&self) -> usize {
        size_of::<Self>() + self.field.len()
    }
}

/// An `ExportTraceServiceRequest` with all of `spans`, grouped by resource.
pub(super) fn request(spans: Vec<Encoded>) -> Vec<u8> {
    let length: usize = spans.iter().map(|span| span.field.len()).sum();
    /// Room for a resource with its attributes.
    const RESOURCE: usize = 1024;
    let mut out = Vec::with_capacity(length + RESOURCE * 2);
    let mut resource_bytes = Vec::with_capacity(RESOURCE);
    for (resource, spans) in group::by_resource(spans, |span| &span.resource) {
        resource_bytes.clear();
        for (key, value) in &resource.attributes {
            put_attribute(&mut resource_bytes, 1, key, value);
        }
        let scope = delimited(SCOPE_NAME.len()) + delimited(SCOPE_VERSION.len());
        let fields: usize = spans.iter().map(|span| span.field.len()).sum();
        let scope_spans = delimited(scope) + fields + delimited(SCHEMA_URL.len());
        let resource_spans =
            delimited(resource_bytes.len()) + delimited(scope_spans) + delimited(SCHEMA_URL.len());

        head(&mut out, 1, resource_spans);
        put_bytes(&mut out, 1, &resource_bytes);
        head(&mut out, 2, scope_spans);
        head(&mut out, 1, scope);
        put_bytes(&mut out, 1, SCOPE_NAME.as_bytes());
        put_bytes(&mut out, 2, SCOPE_VERSION.as_bytes());
        for span in spans {
            out.extend_from_slice(&span.field);
        }
        put_bytes(&mut out, 3, SCHEMA_URL.as_bytes());
        put_bytes(&mut out, 3, SCHEMA_URL.as_bytes());
    }
    out
}

/// `Status` with the code `ERROR`.
const STATUS_ERROR: [u8; 2] = [3 << 3, 2];

/// The field numbers are those of opentelemetry/proto/trace/v1/trace.proto, in their order.
fn put_span(out: &mut Vec<u8>, span: &Span) {
    put_bytes(out, 1, &span.trace_id.to_bytes());
    put_bytes(out, 2, &span.span_id.to_bytes());
    if let Some(state) = &span.trace_state {
        put_bytes(out, 3, state.as_bytes());
    }
    if let Some(parent) = &span.parent {
        put_bytes(out, 4, &parent.span_id.to_bytes());
    }
    put_bytes(out, 5, span.name.as_bytes());
    out.extend_from_slice(&[6 << 3, kind(span)]);
    out.push(7 << 3 | 1);
    out.extend_from_slice(&span.start.to_le_bytes());
    out.push(8 << 3 | 1);
    out.extend_from_slice(&span.end.to_le_bytes());
    for (key, value) in &span.attributes {
        put_attribute(out, 9, key, value);
    }
    for link in &span.links {
        put_link(out, link);
    }
    if span.error {
        put_bytes(out, 15, &STATUS_ERROR);
    }
    // The first field whose tag takes two bytes: (16 << 3 | 5) as a varint.
    out.extend_from_slice(&[0x85, 0x01]);
    out.extend_from_slice(&span_flags(span).to_le_bytes());
}

fn kind(span: &Span) -> u8 {
    match span.kind {
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    }
}

/// A `Link` as the field `links`.
fn put_link(out: &mut Vec<u8>, link: &SpanLink) {
    /// Both ids with their heads, and the flags.
    const LENGTH: usize = (2 + 16) + (2 + 8) + (1 + 4);
    head(out, 13, LENGTH);
    put_bytes(out, 1, &link.trace_id.to_bytes());
    put_bytes(out, 2, &link.span_id.to_bytes());
    out.push(6 << 3 | 5);
    out.extend_from_slice(&link_flags(link).to_le_bytes());
}

/// A `KeyValue` as the field `field`.
fn put_attribute(out: &mut Vec<u8>, field: u8, key: &str, value: &Value) {
    match value {
        Value::Static(text) => put_text(out, field, key, text),
        Value::Text(text) => put_text(out, field, key, text),
        Value::Shared(text) => put_text(out, field, key, text),
        Value::Bool(truth) => put_number(out, field, key, 2, u64::from(*truth)),
        Value::Int(number) => put_number(out, field, key, 3, number.cast_unsigned()),
    }
}

/// A key with an `AnyValue` that is text.
fn put_text(out: &mut Vec<u8>, field: u8, key: &str, text: &str) {
    let (k, t) = (key.len(), text.len());
    if k + t < 0x80 - 8 {
        // All lengths take one byte: nearly always.
        out.extend_from_slice(&[field << 3 | 2, (k + t + 6) as u8, 1 << 3 | 2, k as u8]);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&[2 << 3 | 2, (t + 2) as u8, 1 << 3 | 2, t as u8]);
        out.extend_from_slice(text.as_bytes());
        return;
    }
    put_key(out, field, key, delimited(t));
    put_bytes(out, 1, text.as_bytes());
}

/// A key with an `AnyValue` that is a varint in its field `kind`.
fn put_number(out: &mut Vec<u8>, field: u8, key: &str, kind: u8, number: u64) {
    put_key(out, field, key, 1 + varint_length(number));
    out.push(kind << 3);
    put_varint(out, number);
}

/// All of a `KeyValue` before its value of `length` bytes.
fn put_key(out: &mut Vec<u8>, field: u8, key: &str, length: usize) {
    head(out, field, delimited(key.len()) + delimited(length));
    put_bytes(out, 1, key.as_bytes());
    head(out, 2, length);
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// Tag and length of a field of `length` bytes. Fields up to 15 have tags of one byte.
fn head(out: &mut Vec<u8>, field: u8, length: usize) {
    let tag = field << 3 | 2;
    if length < 0x80 {
        out.extend_from_slice(&[tag, length as u8]);
        return;
    }
    out.push(tag);
    put_varint(out, length as u64);
}

/// Length of a field of `length` bytes with its tag and length.
fn delimited(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_length(value: u64) -> usize {
    // Seven bits a byte, and zero takes one, too.
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::export::otlp::convert;
    use crate::export::tests::{client_span, linked_span, set, span};

    /// Holds the encoding against the one that opentelemetry-proto and prost make.
    fn check(spans: Vec<Span>) {
        let encoded = request(Encoded::all(&spans));
        let spans = spans.into_iter().map(Arc::new).collect();
        assert_eq!(encoded, convert::request(spans).encode_to_vec());
    }

    #[test]
    fn bytes_are_those_of_prost() {
        check(vec![]);
        check(vec![span(1)]);
        let mut failed = client_span(2);
        failed.error = true;
        check(vec![span(1), failed, span(3), client_span(u64::MAX)]);
    }

    #[test]
    fn messages_and_their_links() {
        let mut consumer = linked_span(5);
        let mut producer = client_span(4);
        producer.kind = Kind::Producer;
        check(vec![producer, consumer.clone()]);
        consumer.error = true;
        consumer.links.extend(consumer.links.clone());
        check(vec![consumer]);
    }

    #[test]
    fn every_kind_and_length_of_value() {
        let mut all = span(1);
        for length in [0, 1, 50, 127, 128, 200, 16_383, 16_384, 100_000] {
            let text = "x".repeat(length);
            all.attributes.push(("text", Value::Text(text.as_str().into())));
            all.attributes.push(("shared", Value::Shared(text.into())));
            check(vec![all.clone()]);
        }
        for number in [0, 1, 127, 128, i64::MAX, -1, i64::MIN] {
            set(&mut all, "number", Value::Int(number));
            check(vec![all.clone()]);
        }
        all.attributes.push(("yes", Value::Bool(true)));
        all.attributes.push(("no", Value::Bool(false)));
        all.attributes.push(("empty", Value::Static("")));
        check(vec![all; 3]);
    }
}
