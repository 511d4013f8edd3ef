//! Spans as the messages of opentelemetry-proto: what the encoding is held against.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, span, span::SpanKind, status::StatusCode,
};

use crate::export::{SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION, group, link_flags, span_flags};
use crate::trace::{Kind, Span, SpanLink};
use crate::value::Value;
use crate::workload;

/// One request with all of `spans`, grouped by resource.
pub(super) fn request(spans: Vec<Arc<Span>>) -> ExportTraceServiceRequest {
    let resource_spans = group::by_resource(spans, |span| &span.resource)
        .into_iter()
        .map(|(resource, spans)| ResourceSpans {
            resource: Some(convert_resource(&resource)),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans: spans.into_iter().map(convert_span).collect(),
                schema_url: SCHEMA_URL.to_owned(),
            }],
            schema_url: SCHEMA_URL.to_owned(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: SCOPE_NAME.to_owned(),
        version: SCOPE_VERSION.to_owned(),
        ..Default::default()
    }
}

fn convert_resource(resource: &workload::Resource) -> Resource {
    let attributes =
        resource.attributes.iter().map(|(key, value)| key_value(key, value.clone())).collect();
    Resource { attributes, ..Default::default() }
}

fn convert_span(span: Arc<Span>) -> OtlpSpan {
    // Alone unless another sink still holds it: then its text moves.
    let span = Arc::unwrap_or_clone(span);
    OtlpSpan {
        trace_id: span.trace_id.to_bytes().to_vec(),
        span_id: span.span_id.to_bytes().to_vec(),
        parent_span_id: span
            .parent
            .map_or_else(Vec::new, |parent| parent.span_id.to_bytes().to_vec()),
        flags: span_flags(&span),
        trace_state: span.trace_state.map(String::from).unwrap_or_default(),
        name: span.name.as_ref().to_owned(),
        kind: match span.kind {
            Kind::Client => SpanKind::Client,
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        } as i32,
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: span.attributes.into_iter().map(|(k, v)| key_value(k, v)).collect(),
        links: span.links.iter().map(convert_link).collect(),
        status: span.error.then(|| Status { code: StatusCode::Error as i32, ..Default::default() }),
        ..Default::default()
    }
}

fn convert_link(link: &SpanLink) -> span::Link {
    span::Link {
        trace_id: link.trace_id.to_bytes().to_vec(),
        span_id: link.span_id.to_bytes().to_vec(),
        flags: link_flags(link),
        ..Default::default()
    }
}

fn key_value(key: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Static(text) => Any::StringValue(text.to_owned()),
        Value::Text(text) => Any::StringValue(text.into()),
        Value::Shared(text) => Any::StringValue(text.as_ref().to_owned()),
        Value::Int(n) => Any::IntValue(n),
        Value::Bool(truth) => Any::BoolValue(truth),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::{client_span, span};

    fn text(key: &str, value: &str) -> KeyValue {
        key_value(key, Value::Text(value.into()))
    }

    fn int(key: &str, value: i64) -> KeyValue {
        key_value(key, Value::Int(value))
    }

    #[test]
    fn every_field_has_its_place() {
        let mut failed = client_span(0x52);
        failed.error = true;
        let server = Arc::new(span(0x51));
        let mut again = span(0x53);
        again.resource = Arc::clone(&server.resource);
        let request = request(vec![Arc::clone(&server), Arc::new(failed), Arc::new(again)]);

        let [shop, cart] = &request.resource_spans[..] else { panic!("{request:#?}") };
        let resource = |of: &ResourceSpans| of.resource.clone().expect("set").attributes;
        assert_eq!(resource(shop), [text("service.name", "shop"), int("process.pid", 4242)]);
        assert_eq!(resource(cart), [text("service.name", "cart")]);
        for group in [shop, cart] {
            assert_eq!(group.schema_url, "https://opentelemetry.io/schemas/1.44.0");
            let [scope] = &group.scope_spans[..] else { panic!("one scope: {group:?}") };
            assert_eq!(scope.schema_url, group.schema_url);
            let scope = scope.scope.as_ref().expect("set");
            assert_eq!((scope.name.as_str(), scope.version.as_str()), ("tracebee", SCOPE_VERSION));
        }
        assert_eq!(shop.scope_spans[0].spans.len(), 2);
        let id = |low: u8| [[0; 7].as_slice(), &[low]].concat();
        let trace_id = [[0; 14].as_slice(), &[0xab, 0xcd]].concat();
        assert_eq!(
            shop.scope_spans[0].spans[0],
            OtlpSpan {
                trace_id: trace_id.clone(),
                span_id: id(0x51),
                flags: 0x103,
                name: "GET /movies/{id}".to_owned(),
                kind: 2,
                start_time_unix_nano: 1_790_000_000_123_000_000,
                end_time_unix_nano: 1_790_000_000_126_200_000,
                attributes: vec![
                    text("http.request.method", "GET"),
                    text("url.path", "/movies/7"),
                    text("url.query", "lang=en"),
                    int("http.response.status_code", 200),
                    text("client.address", "10.0.0.9"),
                    text("network.peer.address", "10.0.0.1"),
                ],
                ..Default::default()
            }
        );
        assert_eq!(
            cart.scope_spans[0].spans[0],
            OtlpSpan {
                trace_id,
                span_id: id(0x52),
                parent_span_id: id(0x99),
                trace_state: "a=1".to_owned(),
                flags: 0x303,
                name: "POST".to_owned(),
                kind: 3,
                start_time_unix_nano: 1_790_000_000_123_000_000,
                end_time_unix_nano: 1_790_000_001_623_000_000,
                attributes: vec![
                    text("http.request.method", "POST"),
                    text("url.full", "https://pay.example/v2/pay?t=REDACTED"),
                    text("server.address", "pay.example"),
                    int("server.port", 443),
                    text("tracebee.link", "header"),
                ],
                status: Some(Status { code: 2, message: String::new() }),
                ..Default::default()
            }
        );
    }
}
