//! Spans as the suites compare them, from OTLP/JSON lines or from OTLP protobuf.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use serde_json::Value as Json;

/// The kinds that calls and messages have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The caller's end.
    Client,
    /// The callee's end.
    Server,
    /// Who sends a message.
    Producer,
    /// Who is brought one.
    Consumer,
}

/// Attributes as text; numbers and booleans are written out. [`Span::int`] demands a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer.
    Int(i64),
    /// Anything else, written out.
    Other(String),
}

/// Attributes by name.
pub type Attributes = BTreeMap<String, Value>;

/// A received span.
#[derive(Clone, Debug)]
pub struct Span {
    /// Trace id, 32 hex digits.
    pub trace: String,
    /// Span id, 16 hex digits.
    pub id: String,
    /// Parent's span id, if there is one.
    pub parent: Option<String>,
    /// Which end it tells about.
    pub kind: Kind,
    /// Name.
    pub name: String,
    /// Unix time in nanoseconds.
    pub start: u64,
    /// Unix time in nanoseconds.
    pub end: u64,
    /// True if its status is Error.
    pub error: bool,
    /// Its attributes.
    pub attributes: Attributes,
    /// Trace id and span id of what it is linked to.
    pub links: Vec<(String, String)>,
    /// The attributes of its resource.
    pub resource: Arc<Attributes>,
}

impl Span {
    /// A text attribute.
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }

    /// A number attribute.
    pub fn int(&self, key: &str) -> Option<i64> {
        int(&self.attributes, key)
    }

    /// A text attribute of the resource.
    pub fn resource_text(&self, key: &str) -> Option<&str> {
        text(&self.resource, key)
    }

    /// The observed process.
    pub fn pid(&self) -> u32 {
        int(&self.resource, "process.pid").unwrap_or(0) as u32
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        text(&self.resource, "service.name").unwrap_or("")
    }

    /// The id that the workload gave the call, from the query of the URL or, failing that, the path, or
    /// from the statement.
    pub fn call(&self) -> Option<&str> {
        ["url.query", "url.full", "url.path", "server.address", "db.query.text"].iter().find_map(
            |key| {
                let rest = self.text(key)?.split_once("call=")?.1;
                rest.split(|c: char| !(c.is_alphanumeric() || "._-".contains(c))).next()
            },
        )
    }
}

fn text<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a str> {
    match attributes.get(key) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn int(attributes: &Attributes, key: &str) -> Option<i64> {
    match attributes.get(key) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}

// --- OTLP protobuf ---

/// The spans of a request as a receiver gets it.
pub fn from_proto(request: ExportTraceServiceRequest) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    for group in request.resource_spans {
        let resource = Arc::new(proto_attributes(group.resource.unwrap_or_default().attributes));
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(valid(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
                kind: kind(i64::from(span.kind))?,
                name: span.name,
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                error: span.status.is_some_and(|status| status.code == 2),
                attributes: proto_attributes(span.attributes),
                links: span.links.iter().map(|l| (hex(&l.trace_id), hex(&l.span_id))).collect(),
                resource: resource.clone(),
            })?);
        }
    }
    Ok(spans)
}

fn proto_attributes(list: Vec<KeyValue>) -> Attributes {
    list.into_iter()
        .filter_map(|pair| {
            let value = match pair.value?.value? {
                any_value::Value::StringValue(text) => Value::Text(text),
                any_value::Value::IntValue(number) => Value::Int(number),
                other => Value::Other(format!("{other:?}")),
            };
            Some((pair.key, value))
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kind(number: i64) -> Result<Kind> {
    match number {
        2 => Ok(Kind::Server),
        3 => Ok(Kind::Client),
        4 => Ok(Kind::Producer),
        5 => Ok(Kind::Consumer),
        other => bail!("span kind {other} is none that calls have"),
    }
}

fn valid(span: Span) -> Result<Span> {
    let digits = |id: &str, length| {
        id.len() == length
            && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && id.bytes().any(|b| b != b'0')
    };
    ensure!(digits(&span.trace, 32), "trace id {:?} is not 32 hex digits, not all 0", span.trace);
    ensure!(digits(&span.id, 16), "span id {:?} is not 16 hex digits, not all 0", span.id);
    if let Some(parent) = &span.parent {
        ensure!(digits(parent, 16), "parent id {parent:?} is not 16 hex digits, not all 0");
        ensure!(*parent != span.id, "span {} is its own parent", span.id);
    }
    ensure!(span.start > 0 && span.start <= span.end, "times {}..{}", span.start, span.end);
    ensure!(!span.name.is_empty(), "span {} has no name", span.id);
    ensure!(!span.service().is_empty(), "span {} has no service.name", span.id);
    Ok(span)
}

// --- OTLP/JSON ---

/// The spans of one line of `--output json`. Read strictly: ids in hex, 64-bit integers as
/// strings, as the OTLP specification demands.
pub fn from_json(line: &str) -> Result<Vec<Span>> {
    let request: Json = serde_json::from_str(line).context("not JSON")?;
    let mut spans = Vec::new();
    for group in array(&request, "resourceSpans")? {
        let resource = Arc::new(json_attributes(group.get("resource").unwrap_or(&Json::Null))?);
        for scope in array(group, "scopeSpans")? {
            for span in array(scope, "spans")? {
                spans.push(json_span(span, &resource).with_context(|| span.to_string())?);
            }
        }
    }
    Ok(spans)
}

fn json_span(span: &Json, resource: &Arc<Attributes>) -> Result<Span> {
    let text = |key: &str| span.get(key).and_then(Json::as_str).unwrap_or("").to_string();
    let number =
        |key: &str| text(key).parse::<u64>().with_context(|| format!("{key} is no uint64 string"));
    let link = |link: &Json| {
        let id = |key: &str| link.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        (id("traceId"), id("spanId"))
    };
    valid(Span {
        trace: text("traceId"),
        id: text("spanId"),
        parent: Some(text("parentSpanId")).filter(|id| !id.is_empty()),
        kind: kind(span.get("kind").and_then(Json::as_i64).context("kind")?)?,
        name: text("name"),
        start: number("startTimeUnixNano")?,
        end: number("endTimeUnixNano")?,
        error: span.pointer("/status/code").and_then(Json::as_i64) == Some(2),
        attributes: json_attributes(span)?,
        links: array(span, "links")?.iter().map(link).collect(),
        resource: resource.clone(),
    })
}

fn json_attributes(owner: &Json) -> Result<Attributes> {
    let mut attributes = Attributes::new();
    for pair in array(owner, "attributes")? {
        let key = pair.get("key").and_then(Json::as_str).context("attribute without key")?;
        let value = pair.get("value").with_context(|| format!("{key} has no value"))?;
        let value = if let Some(text) = value.get("stringValue").and_then(Json::as_str) {
            Value::Text(text.into())
        } else if let Some(number) = value.get("intValue") {
            let text = number.as_str().with_context(|| format!("{key}: intValue is no string"))?;
            Value::Int(text.parse()?)
        } else {
            Value::Other(value.to_string())
        };
        ensure!(attributes.insert(key.into(), value).is_none(), "attribute {key} occurs twice");
    }
    Ok(attributes)
}

fn array<'a>(owner: &'a Json, key: &str) -> Result<&'a [Json]> {
    match owner.get(key) {
        None | Some(Json::Null) => Ok(&[]),
        Some(Json::Array(list)) => Ok(list),
        Some(_) => bail!("{key} is no array"),
    }
}
