//! Calls to Elasticsearch and OpenSearch as spans: semantic conventions for Elasticsearch (in
//! development), of which OpenSearch has no own, with the choices of this project.
//!
//! - A span is the client's. The server's end of the same call is a span of HTTP.
//! - Of a `_bulk` request that was seen whole, the operation is `bulk index` if all it does is that,
//!   and `index` if it is a single one; its index is that of the path or of all its operations. Of
//!   any other it is `bulk`. The size of a batch is that of its operations or, of `_msearch`, queries;
//!   of a `_bulk` request that was not seen whole that of the items in its answer, if that was.
//! - `_bulk` answers 200 also if some of its operations failed. So does the span, and says how many.
//! - `db.query.text` is the masked body of a search, a query or a count, `db.operation.parameter.*`
//!   what is in the path.
//! - An answer of 4xx or 5xx is an error, also to the question whether something exists.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::http::{asked_server, error_type, full_url};
use super::method::Method;
use super::target::Target;
use super::{Attributes, Described, Kind, Known, MAX_TEXT, Tracer, bounded};
use crate::protocol::http1::{self, Content};
use crate::protocol::search::bulk::Bulk;
use crate::protocol::search::endpoints::INDEX;
use crate::protocol::search::{self, PORT, Request};
use crate::source::Address;
use crate::value::Value;

/// Attributes of a span that has them all, with three parts of a path.
const CAPACITY: usize = 21;

/// Describes a call.
pub(super) fn describe(
    tracer: &mut Tracer,
    request: Request,
    response: Option<&http1::Response>,
    call: &Known<'_>,
) -> Described {
    let Request { http, system, endpoint, values } = request;
    let status = response.map(|response| response.status);
    let method = Method::of(&http.method);
    let target = Target::of(method, &http.target);
    let (query, bulk) = match http.content.map(|content| *content) {
        Some(Content::Search(search::Content::Query(query))) => (Some(query), None),
        Some(Content::Search(search::Content::Bulk(bulk))) => (None, Some(bulk)),
        _ => (None, None),
    };

    let operation = operation(endpoint.name, bulk.as_deref());
    let parts = || endpoint.parts.iter().zip(&values);
    let in_path = parts().find(|(key, _)| **key == INDEX).map(|(_, value)| decoded(value));
    let collection = match bulk.as_deref() {
        Some(Bulk { index: Some(index), .. }) => Some(Cow::Borrowed(&**index)),
        Some(Bulk { names_indices: true, .. }) => None,
        _ => in_path,
    };

    let mut attributes = Attributes::with_capacity(CAPACITY);
    let text_of = |text: &str| Value::Text(bounded(text.into(), MAX_TEXT));
    attributes.push(("db.system.name", Value::Static(system.name)));
    if let Some(node) = response.and_then(|response| response.signs.search.node.as_deref()) {
        let names = [("db.namespace", &node.cluster), ("elasticsearch.node.name", &node.instance)];
        for (key, name) in names {
            attributes.extend(name.as_deref().map(|name| (key, text_of(name))));
        }
    }
    let items = match response.and_then(|response| response.content.as_deref()) {
        Some(Content::Search(search::Content::Items(items))) => Some(items),
        _ => None,
    };
    let size = match (&bulk, &query) {
        (Some(bulk), _) => Some(bulk.operations),
        (None, Some(query)) => query.queries,
        (None, None) => items.map(|items| items.operations),
    };
    let text = query.map(|query| query.text).filter(|text| !text.is_empty());
    attributes.extend(text.map(|text| ("db.query.text", Value::Text(bounded(text, MAX_TEXT)))));
    attributes.push(("db.operation.name", Value::Static(operation)));
    let name = collection.as_deref();
    attributes.extend(name.map(|name| ("db.collection.name", text_of(name))));
    for (key, value) in parts() {
        attributes.push((*key, text_of(&decoded(value))));
    }
    if let Some(size) = size.filter(|size| *size != 1) {
        let size = size.try_into().unwrap_or(i64::MAX);
        attributes.push(("db.operation.batch.size", Value::Int(size)));
    }
    if let Some(failed) = items.map(|items| items.failed).filter(|failed| *failed > 0) {
        let failed = failed.try_into().unwrap_or(i64::MAX);
        attributes.push(("tracebee.db.failed_operations", Value::Int(failed)));
    }
    attributes.push(("http.request.method", Value::Static(method.attribute())));
    let url = full_url(&target, http.host.as_deref(), call.endpoint);
    attributes.push(("url.full", Value::Text(bounded(url.into(), MAX_TEXT))));
    if let Some(status) = status {
        attributes.push(("db.response.status_code", text_of(&status.to_string())));
    }
    let error_type = error_type(Kind::Client, status, call.no_answer);
    let error = error_type.is_some();
    attributes.extend(error_type.map(|value| ("error.type", value)));
    if http.trimmed {
        attributes.push(("tracebee.trimmed", Value::Bool(true)));
    }

    let remote = &call.endpoint.remote;
    let peer = tracer.addresses.of(remote);
    let (address, port) = asked_server(&target, http.host.as_deref(), remote, peer.as_ref());
    attributes.extend(address.map(|address| ("server.address", address)));
    let port = port.filter(|port| *port != PORT);
    attributes.extend(port.map(|port| ("server.port", Value::Int(port.into()))));
    attributes.extend(peer.map(|peer| ("network.peer.address", peer)));
    match remote {
        Address::Inet(address) => {
            attributes.push(("network.peer.port", Value::Int(address.port().into())));
        }
        Address::Unix(_) => attributes.push(("network.transport", Value::Static("unix"))),
    }

    let name = match name {
        Some(name) => tracer.names.plain(call.service, &format!("{operation} {name}"), operation),
        None => tracer.names.plain(call.service, operation, operation),
    };
    Described { name, error, attributes }
}

/// `db.operation.name`: the endpoint; of a batch what all of it does.
fn operation(endpoint: &'static str, bulk: Option<&Bulk>) -> &'static str {
    use search::bulk::Action::{Create, Delete, Index, Update};
    let Some(Bulk { operations, action: Some(action), .. }) = bulk else { return endpoint };
    match (operations, action) {
        (1, action) => action.name(),
        (_, Create) => "bulk create",
        (_, Delete) => "bulk delete",
        (_, Index) => "bulk index",
        (_, Update) => "bulk update",
    }
}

/// A part of a path as it was meant.
fn decoded(value: &str) -> Cow<'_, str> {
    percent_decode_str(value).decode_utf8_lossy()
}
