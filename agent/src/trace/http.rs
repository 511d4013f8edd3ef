//! HTTP calls as spans: semantic conventions 1.44 for HTTP, with the choices of this project.
//!
//! - `url.template` is the folded path; `http.route` is never guessed.
//! - A call without a complete answer keeps the status code that was seen, if one was, and has the
//!   reason as `error.type`; no status is invented.
//! - `tracebee.socket.wait_ns` (server): nanoseconds that the request lay in the socket before the
//!   process read it. It comes before the span's start.
//! - Over a UNIX socket `network.transport` is `unix` and addresses are the socket's path, without
//!   a port; a client's `server.address` is the path, whatever `Host` says. Most clients have no
//!   address there.
//! - `tracebee.trimmed`: long texts (query, user agent) were left out under load.
//! - `tracebee.link`: how the parent was found, where there is one.

use std::sync::Arc;

use super::client_address::Origin;
use super::method::Method;
use super::target::{Target, default_port, split_port};
use super::{Attributes, Described, Kind, Known, MAX_TEXT, Tracer, bounded, redact};
use crate::call::{Endpoint, NoAnswer};
use crate::protocol::http1;
use crate::source::Address;
use crate::value::Value;

/// Longest unknown method that is kept; the longest registered one has 17 letters.
const MAX_METHOD: usize = 32;

/// Attributes of a span that has them all.
const CAPACITY: usize = 20;

/// Describes a call.
pub(super) fn describe(
    tracer: &mut Tracer,
    request: http1::Request,
    response: Option<&http1::Response>,
    call: &Known<'_>,
) -> Described {
    let (kind, endpoint) = (call.kind, call.endpoint);
    let status = response.map(|response| response.status);
    let method = Method::of(&request.method);
    let target = Target::of(method, &request.target);
    let has_path = target.path.starts_with('/');
    let name = has_path.then(|| tracer.names.name(call.service, method, target.path));
    let error_type = error_type(kind, status, call.no_answer);

    let peer = tracer.addresses.of(&endpoint.remote);
    let port = endpoint.remote.port().map(|port| Value::Int(port.into()));
    let mut attributes = Attributes::with_capacity(CAPACITY);
    attributes.push(("http.request.method", Value::Static(method.attribute())));
    if method == Method::Other {
        let original = bounded(request.method.into_owned().into(), MAX_METHOD);
        attributes.push(("http.request.method_original", Value::Text(original)));
    }
    match kind {
        Kind::Server => {
            let origin = tracer.trusted.origin(&endpoint.remote, request.forwarded.as_deref());
            server_url(&target, origin, &mut attributes);
            let host = request.host.as_deref().filter(|host| !host.is_empty());
            let asked = origin.host.or(target.authority).or(host);
            // A port that a proxy or an absolute target leaves out is the scheme's; one that
            // `Host` leaves out is the socket's.
            let implied = if origin.host.is_some() || target.authority.is_some() {
                default_port(scheme(&target, origin))
            } else {
                endpoint.local.port()
            };
            match asked {
                Some(asked) => server(asked, implied, &mut attributes),
                None => {
                    if let path @ Address::Unix(_) = &endpoint.local {
                        attributes.extend(tracer.addresses.of(path).map(|p| ("server.address", p)));
                    }
                }
            }
            let client = origin.client.map(|client| tracer.addresses.text(client));
            let client = client.or_else(|| peer.clone());
            attributes.extend(client.map(|client| ("client.address", client)));
        }
        Kind::Client | Kind::Producer | Kind::Consumer => {
            let url = full_url(&target, request.host.as_deref(), endpoint);
            attributes.push(("url.full", Value::Text(bounded(url.into(), MAX_TEXT))));
            let host = request.host.as_deref();
            let (address, port) = asked_server(&target, host, &endpoint.remote, peer.as_ref());
            attributes.extend(address.map(|address| ("server.address", address)));
            attributes.extend(port.map(|port| ("server.port", Value::Int(port.into()))));
        }
    }
    if let Some(name) = &name {
        attributes.push(("url.template", Value::Shared(Arc::clone(&name.template))));
    }
    if let Some(status) = status {
        attributes.push(("http.response.status_code", Value::Int(status.into())));
    }
    let error = error_type.is_some();
    attributes.extend(error_type.map(|value| ("error.type", value)));
    attributes.extend(peer.map(|peer| ("network.peer.address", peer)));
    attributes.extend(port.map(|port| ("network.peer.port", port)));
    if matches!(endpoint.remote, Address::Unix(_)) {
        attributes.push(("network.transport", Value::Static("unix")));
    }
    let version = if request.minor == 0 { "1.0" } else { "1.1" };
    attributes.push(("network.protocol.version", Value::Static(version)));
    if kind == Kind::Server {
        let agent = request.user_agent.map(|agent| Value::Text(bounded(agent, MAX_TEXT)));
        attributes.extend(agent.map(|agent| ("user_agent.original", agent)));
    }
    let sizes = [
        ("http.request.body.size", call.request_body),
        ("http.response.body.size", call.response_body),
    ];
    for (key, size) in sizes {
        attributes.extend(size.map(|size| (key, Value::Int(size.try_into().unwrap_or(i64::MAX)))));
    }
    if kind == Kind::Server && call.waited > 0 {
        let waited = call.waited.try_into().unwrap_or(i64::MAX);
        attributes.push(("tracebee.socket.wait_ns", Value::Int(waited)));
    }
    if request.trimmed {
        attributes.push(("tracebee.trimmed", Value::Bool(true)));
    }
    let name = name.map_or_else(|| tracer.names.bare(method), |name| name.name);
    Described { name, error, attributes }
}

/// Whom a client asks, by the name and port that it knows; `peer` is the address of `remote`.
pub(super) fn asked_server(
    target: &Target<'_>,
    host: Option<&str>,
    remote: &Address,
    peer: Option<&Value>,
) -> (Option<Value>, Option<u16>) {
    let host = host.filter(|host| !host.is_empty());
    match (target.authority.or(host), remote) {
        (Some(asked), Address::Inet(_)) => {
            let implied = target.scheme.and_then(default_port).or(remote.port());
            named_server(asked, implied)
        }
        // `Host` says nothing of where a UNIX socket leads.
        (None, _) | (_, Address::Unix(_)) => (peer.cloned(), remote.port()),
    }
}

/// `error.type`, if the call failed: 4xx is the client's failure alone.
pub(super) fn error_type(
    kind: Kind,
    status: Option<u16>,
    no_answer: Option<NoAnswer>,
) -> Option<Value> {
    if let Some(reason) = no_answer {
        return Some(Value::Static(reason.error_type()));
    }
    let first = if kind == Kind::Client { 400 } else { 500 };
    let status = status.filter(|status| *status >= first)?;
    Some(match status {
        400 => Value::Static("400"),
        401 => Value::Static("401"),
        403 => Value::Static("403"),
        404 => Value::Static("404"),
        409 => Value::Static("409"),
        422 => Value::Static("422"),
        429 => Value::Static("429"),
        500 => Value::Static("500"),
        502 => Value::Static("502"),
        503 => Value::Static("503"),
        504 => Value::Static("504"),
        other => Value::Text(other.to_string().into()),
    })
}

fn server_url(target: &Target<'_>, origin: Origin<'_>, attributes: &mut Attributes) {
    let scheme = match scheme(target, origin) {
        "http" => Value::Static("http"),
        "https" => Value::Static("https"),
        other => Value::Text(bounded(other.to_ascii_lowercase().into(), MAX_METHOD)),
    };
    attributes.push(("url.scheme", scheme));
    if !target.path.is_empty() {
        let path = redact::path(target.path);
        attributes.push(("url.path", Value::Text(bounded(path.into(), MAX_TEXT))));
    }
    if let Some(query) = target.query.filter(|query| !query.is_empty()) {
        let query = redact::query(query);
        attributes.push(("url.query", Value::Text(bounded(query.into(), MAX_TEXT))));
    }
}

/// The scheme of the original request where a trusted proxy tells it, else of this one. Encrypted
/// streams are not read, so a request that was seen came over plain HTTP.
fn scheme<'a>(target: &Target<'a>, origin: Origin<'_>) -> &'a str {
    origin.scheme.or(target.scheme).unwrap_or("http")
}

fn server(authority: &str, implied: Option<u16>, attributes: &mut Attributes) {
    let (address, port) = named_server(authority, implied);
    attributes.extend(address.map(|address| ("server.address", address)));
    attributes.extend(port.map(|port| ("server.port", Value::Int(port.into()))));
}

fn named_server(authority: &str, implied: Option<u16>) -> (Option<Value>, Option<u16>) {
    let (host, port) = split_port(authority);
    if host.is_empty() {
        return (None, None);
    }
    (Some(Value::Text(bounded(host.into(), MAX_TEXT))), port.or(implied))
}

/// The target URI (RFC 9112, section 3.3), without its secrets.
pub(super) fn full_url(target: &Target<'_>, host: Option<&str>, endpoint: &Endpoint) -> String {
    let path = if target.path.starts_with('/') { target.path } else { "" };
    let mut url = String::with_capacity(64 + path.len() + target.query.map_or(0, str::len));
    url.push_str(target.scheme.unwrap_or("http"));
    url.push_str("://");
    let host = host.map(str::trim).filter(|host| !host.is_empty());
    let (userinfo, authority) = match (target.authority, host) {
        (Some(authority), _) => (target.has_userinfo, authority),
        (None, Some(host)) => {
            let (userinfo, host) = redact::split_userinfo(host);
            (userinfo.is_some(), host)
        }
        (None, None) => (false, ""),
    };
    if userinfo {
        url.push_str("REDACTED:REDACTED@");
    }
    match &endpoint.remote {
        _ if !authority.is_empty() => url.push_str(authority),
        remote @ Address::Inet(_) => url.push_str(&remote.canonical().to_string()),
        // No host was named; what follows the scheme has to be one (RFC 9110, 4.2.1).
        Address::Unix(_) => url.push_str("localhost"),
    }
    url.push_str(&redact::path(path));
    if let Some(query) = target.query {
        url.push('?');
        url.push_str(&redact::query(query));
    }
    url
}
