//! Spans as the messages of opentelemetry-proto.
//!
//! On the hot path of a loaded host. Text of a span is moved, not copied; keys have to be
//! copied, as the generated types own them. A converted resource is not kept: the request needs
//! one of its own, and to clone it costs as much as to convert it again.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, span::SpanKind, status::StatusCode,
};

use crate::export::{SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION, group, span_flags};
use crate::trace::{Kind, Span, Value};
use crate::workload;

/// One request with all of `spans`, grouped by resource.
pub(super) fn request(spans: Vec<Arc<Span>>) -> ExportTraceServiceRequest {
    let resource_spans = group::by_resource(spans)
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
        } as i32,
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: span.attributes.into_iter().map(|(k, v)| key_value(k, v)).collect(),
        status: span.error.then(|| Status { code: StatusCode::Error as i32, ..Default::default() }),
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
