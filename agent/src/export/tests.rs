mod delivery;
mod receiver;

use std::sync::{Arc, LazyLock};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;

use super::{OtlpArgs, OtlpConfig};
use crate::link::Link;
use crate::trace::{Kind, Parent, Span, SpanLink};
use crate::value::Value;
use crate::workload::Resource;

static SHOP: LazyLock<Arc<Resource>> = LazyLock::new(|| resource("shop", Some(4242)));
static CART: LazyLock<Arc<Resource>> = LazyLock::new(|| resource("cart", None));

fn resource(service: &str, pid: Option<i64>) -> Arc<Resource> {
    let mut attributes = vec![("service.name".into(), Value::Shared(service.into()))];
    attributes.extend(pid.map(|pid| ("process.pid".into(), Value::Int(pid))));
    Arc::new(Resource { service: service.into(), pid: 4242, attributes })
}

/// A call of service `shop` that took 3.2 ms and ended well.
pub(super) fn span(id: u64) -> Span {
    Span {
        resource: Arc::clone(&SHOP),
        trace_id: TraceId::from(0xabcd),
        span_id: SpanId::from(id),
        parent: None,
        depth: 0,
        flags: 3,
        trace_state: None,
        kind: Kind::Server,
        name: "GET /movies/{id}".into(),
        start: 1_790_000_000_123_000_000,
        end: 1_790_000_000_126_200_000,
        error: false,
        attributes: vec![
            ("http.request.method", Value::Static("GET")),
            ("url.path", Value::Text("/movies/7".into())),
            ("url.query", Value::Text("lang=en".into())),
            ("http.response.status_code", Value::Int(200)),
            ("client.address", Value::Text("10.0.0.9".into())),
            ("network.peer.address", Value::Text("10.0.0.1".into())),
        ],
        links: Vec::new(),
    }
}

/// The same as a message that was brought.
pub(super) fn linked_span(id: u64) -> Span {
    let (trace_id, span_id) = (TraceId::from(0xabcd), SpanId::from(0x99));
    let links = vec![SpanLink { trace_id, span_id, flags: 1 }];
    Span { kind: Kind::Consumer, links, ..span(id) }
}

/// A call that service `cart` made, 1.5 s, below a remote parent.
pub(super) fn client_span(id: u64) -> Span {
    Span {
        resource: Arc::clone(&CART),
        parent: Some(Parent { span_id: SpanId::from(0x99), remote: true, link: Link::Header }),
        trace_state: Some("a=1".into()),
        kind: Kind::Client,
        name: "POST".into(),
        end: 1_790_000_001_623_000_000,
        attributes: vec![
            ("http.request.method", Value::Static("POST")),
            ("url.full", Value::Text("https://pay.example/v2/pay?t=REDACTED".into())),
            ("server.address", Value::Shared("pay.example".into())),
            ("server.port", Value::Int(443)),
            ("tracebee.link", Value::Static("header")),
        ],
        ..span(id)
    }
}

/// Sets an attribute, replacing an earlier value.
pub(super) fn set(span: &mut Span, key: &'static str, value: Value) {
    span.attributes.retain(|(k, _)| *k != key);
    span.attributes.push((key, value));
}

/// Every span of a request with the name of its service.
pub(super) fn flatten(request: ExportTraceServiceRequest) -> Vec<(String, OtlpSpan)> {
    let mut all = Vec::new();
    for resource_spans in request.resource_spans {
        let attributes = resource_spans.resource.map(|resource| resource.attributes);
        let service = attributes
            .into_iter()
            .flatten()
            .find(|attribute| attribute.key == "service.name")
            .and_then(|attribute| match attribute.value?.value? {
                Any::StringValue(name) => Some(name),
                _ => None,
            })
            .expect("every resource has a service name");
        for scope in resource_spans.scope_spans {
            all.extend(scope.spans.into_iter().map(|span| (service.clone(), span)));
        }
    }
    all
}

/// A configuration made from the flags `--otlp-endpoint ENDPOINT` and `variables`.
pub(super) fn otlp_config(endpoint: &str, variables: &[(&str, &str)]) -> OtlpConfig {
    let args = OtlpArgs { otlp_endpoint: Some(endpoint.to_owned()), ..OtlpArgs::default() };
    let lookup = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    args.resolve(lookup).expect("valid").expect("an endpoint is set")
}
