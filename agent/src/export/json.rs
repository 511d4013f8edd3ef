//! OTLP/JSON: one `ExportTraceServiceRequest` a line, grouped by resource.
//!
//! The JSON mapping of OTLP differs from that of protobuf: ids are hex, enums are numbers,
//! 64-bit integers are decimal strings (opentelemetry-proto docs/specification.md "JSON
//! Protobuf Encoding").

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::export::{SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION, group, link_flags, span_flags};
use crate::trace::{Kind, Span, SpanLink};
use crate::value::Value;
use crate::workload;

/// Writes `spans` as one line.
pub(super) fn write_line(out: &mut dyn Write, spans: Vec<Arc<Span>>) -> io::Result<()> {
    let groups = group::by_resource(spans, |span| &span.resource);
    let resource_spans = groups
        .iter()
        .map(|(resource, spans)| ResourceSpans {
            resource: resource_json(resource),
            scope_spans: [ScopeSpans {
                scope: Scope { name: SCOPE_NAME, version: SCOPE_VERSION },
                spans: spans.iter().map(|span| span_json(span)).collect(),
                schema_url: SCHEMA_URL,
            }],
            schema_url: SCHEMA_URL,
        })
        .collect();
    serde_json::to_writer(&mut *out, &Request { resource_spans })?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: Vec<ResourceSpans<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: ResourceJson<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
    schema_url: &'static str,
}

#[derive(Serialize)]
struct ResourceJson<'a> {
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<SpanJson<'a>>,
    schema_url: &'static str,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanJson<'a> {
    #[serde(serialize_with = "as_text")]
    trace_id: opentelemetry::TraceId,
    #[serde(serialize_with = "as_text")]
    span_id: opentelemetry::SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_as_text")]
    parent_span_id: Option<opentelemetry::SpanId>,
    flags: u32,
    name: &'a str,
    kind: i32,
    #[serde(serialize_with = "as_text")]
    start_time_unix_nano: u64,
    #[serde(serialize_with = "as_text")]
    end_time_unix_nano: u64,
    attributes: Vec<KeyValue<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<LinkJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkJson {
    #[serde(serialize_with = "as_text")]
    trace_id: opentelemetry::TraceId,
    #[serde(serialize_with = "as_text")]
    span_id: opentelemetry::SpanId,
    flags: u32,
}

#[derive(Serialize)]
struct Status {
    code: i32,
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'a str,
    value: AnyValue<'a>,
}

#[derive(Serialize)]
enum AnyValue<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "intValue", serialize_with = "as_text")]
    Int(i64),
    #[serde(rename = "boolValue")]
    Bool(bool),
}

fn resource_json(resource: &workload::Resource) -> ResourceJson<'_> {
    ResourceJson { attributes: resource.attributes.iter().map(|(k, v)| key_value(k, v)).collect() }
}

fn span_json(span: &Span) -> SpanJson<'_> {
    use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
    SpanJson {
        trace_id: span.trace_id,
        span_id: span.span_id,
        trace_state: span.trace_state.as_deref(),
        parent_span_id: span.parent.map(|parent| parent.span_id),
        flags: span_flags(span),
        name: &span.name,
        kind: match span.kind {
            Kind::Client => SpanKind::Client,
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        } as i32,
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: span.attributes.iter().map(|(k, v)| key_value(k, v)).collect(),
        links: span.links.iter().map(link_json).collect(),
        status: span.error.then_some(Status { code: StatusCode::Error as i32 }),
    }
}

fn link_json(link: &SpanLink) -> LinkJson {
    LinkJson { trace_id: link.trace_id, span_id: link.span_id, flags: link_flags(link) }
}

fn key_value<'a>(key: &'a str, value: &'a Value) -> KeyValue<'a> {
    let value = match value {
        Value::Static(text) => AnyValue::Text(text),
        Value::Text(text) => AnyValue::Text(text),
        Value::Shared(text) => AnyValue::Text(text),
        Value::Int(n) => AnyValue::Int(*n),
        Value::Bool(truth) => AnyValue::Bool(*truth),
    };
    KeyValue { key, value }
}

fn as_text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn some_as_text<T: Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::{client_span, linked_span, span};

    #[test]
    fn links_are_those_of_the_mapping() {
        let mut out = Vec::new();
        write_line(&mut out, vec![Arc::new(linked_span(5))]).expect("memory takes it all");
        let line = String::from_utf8(out).expect("JSON is UTF-8");
        let links = r#""links":[{"traceId":"0000000000000000000000000000abcd","spanId":"0000000000000099","flags":769}]"#;
        assert!(line.contains(links) && line.contains(r#""kind":5"#), "{line}");
    }

    #[test]
    fn line_follows_the_otlp_json_mapping() {
        let mut server = span(0x51);
        server.attributes.truncate(3);
        server.error = true;
        let mut client = client_span(0x52);
        client.attributes.truncate(1);
        let mut out = Vec::new();
        write_line(&mut out, vec![Arc::new(server), Arc::new(client)])
            .expect("memory takes it all");
        let version = SCOPE_VERSION;
        let expected = concat!(
            r#"{"resourceSpans":[{"resource":{"attributes":["#,
            r#"{"key":"service.name","value":{"stringValue":"shop"}},"#,
            r#"{"key":"process.pid","value":{"intValue":"4242"}}]},"#,
            r#""scopeSpans":[{"scope":{"name":"tracebee","version":"VERSION"},"spans":[{"#,
            r#""traceId":"0000000000000000000000000000abcd","spanId":"0000000000000051","#,
            r#""flags":259,"name":"GET /movies/{id}","kind":2,"#,
            r#""startTimeUnixNano":"1790000000123000000","endTimeUnixNano":"1790000000126200000","#,
            r#""attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},"#,
            r#"{"key":"url.path","value":{"stringValue":"/movies/7"}},"#,
            r#"{"key":"url.query","value":{"stringValue":"lang=en"}}],"#,
            r#""status":{"code":2}}],"schemaUrl":"https://opentelemetry.io/schemas/1.44.0"}],"#,
            r#""schemaUrl":"https://opentelemetry.io/schemas/1.44.0"},"#,
            r#"{"resource":{"attributes":["#,
            r#"{"key":"service.name","value":{"stringValue":"cart"}}]},"#,
            r#""scopeSpans":[{"scope":{"name":"tracebee","version":"VERSION"},"spans":[{"#,
            r#""traceId":"0000000000000000000000000000abcd","spanId":"0000000000000052","#,
            r#""traceState":"a=1","parentSpanId":"0000000000000099","#,
            r#""flags":771,"name":"POST","kind":3,"#,
            r#""startTimeUnixNano":"1790000000123000000","endTimeUnixNano":"1790000001623000000","#,
            r#""attributes":[{"key":"http.request.method","value":{"stringValue":"POST"}}]}],"#,
            r#""schemaUrl":"https://opentelemetry.io/schemas/1.44.0"}],"#,
            r#""schemaUrl":"https://opentelemetry.io/schemas/1.44.0"}]}"#,
            "\n",
        )
        .replace("VERSION", version);
        assert_eq!(String::from_utf8(out).expect("JSON is UTF-8"), expected);
    }
}
