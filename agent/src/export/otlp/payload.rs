//! A request as the bytes that go over the wire.
//!
//! Encoded once: a retry then needs no copy of the messages, both protocols send the same
//! bytes, and the size that receivers limit is known. Parts are only needed rarely, so they are
//! made by decoding.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;

use super::{Encoded, encode};

/// Receivers refuse messages above 4 MiB by default (gRPC libraries); a little below, as some
/// count their own framing.
pub(super) const MAX_BYTES: usize = 4_000_000;

/// An encoded `ExportTraceServiceRequest`. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    pub(super) body: Bytes,
    pub(super) spans: usize,
}

impl Payload {
    pub(super) fn new(spans: Vec<Encoded>) -> Self {
        let count = spans.len();
        Payload { body: encode::request(spans).into(), spans: count }
    }

    /// Two requests with half of the spans each; none if there is only one span.
    pub(super) fn halves(&self) -> Option<(Payload, Payload)> {
        if self.spans < 2 {
            return None;
        }
        // These are our own bytes: if they do not decode, they cannot be split either.
        let mut first = ExportTraceServiceRequest::decode(self.body.clone()).ok()?;
        let half = self.spans / 2;
        let second = split_off(&mut first, half);
        let encode = |request: ExportTraceServiceRequest, spans| Payload {
            body: request.encode_to_vec().into(),
            spans,
        };
        Some((encode(first, half), encode(second, self.spans - half)))
    }
}

/// Leaves the first `keep` spans in `request` and returns the others.
fn split_off(
    request: &mut ExportTraceServiceRequest,
    mut keep: usize,
) -> ExportTraceServiceRequest {
    let mut rest = Vec::new();
    request.resource_spans.retain_mut(|resource| {
        let mut moved_scopes = Vec::new();
        resource.scope_spans.retain_mut(|scope| {
            let kept = keep.min(scope.spans.len());
            keep -= kept;
            let moved = scope.spans.split_off(kept);
            if !moved.is_empty() {
                moved_scopes.push(ScopeSpans {
                    scope: scope.scope.clone(),
                    spans: moved,
                    schema_url: scope.schema_url.clone(),
                });
            }
            kept > 0
        });
        if !moved_scopes.is_empty() {
            rest.push(ResourceSpans {
                resource: resource.resource.clone(),
                scope_spans: moved_scopes,
                schema_url: resource.schema_url.clone(),
            });
        }
        !resource.scope_spans.is_empty()
    });
    ExportTraceServiceRequest { resource_spans: rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::{client_span, flatten, span};

    #[test]
    fn halves_hold_every_span_once_with_its_resource() {
        let spans: Vec<_> =
            (0..7).map(|i| if i % 3 == 0 { client_span(i) } else { span(i) }).collect();
        let whole = Payload::new(Encoded::all(&spans));
        let mut parts = vec![whole.clone()];
        while let Some(at) = parts.iter().position(|part| part.spans > 1) {
            let (a, b) = parts.swap_remove(at).halves().expect("two spans or more");
            parts.extend([a, b]);
        }
        assert_eq!(parts.len(), 7);
        let decode = |part: &Payload| {
            ExportTraceServiceRequest::decode(part.body.clone()).expect("our own bytes")
        };
        let mut all: Vec<_> = parts.iter().flat_map(|part| flatten(decode(part))).collect();
        let mut expected = flatten(decode(&whole));
        let order =
            |span: &(String, opentelemetry_proto::tonic::trace::v1::Span)| span.1.span_id.clone();
        all.sort_by_key(order);
        expected.sort_by_key(order);
        assert_eq!(all, expected);
    }
}
