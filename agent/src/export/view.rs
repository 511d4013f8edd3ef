//! What people want to know of a span, read from its attributes. Shared by text and filters.

use std::time::Duration;

use crate::trace::{Kind, Span};
use crate::value::Value;

/// How long the call took.
pub(super) fn duration(span: &Span) -> Duration {
    Duration::from_nanos(span.end.saturating_sub(span.start))
}

/// An attribute that is text.
pub(super) fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    match span.attribute(key)? {
        Value::Static(text) => Some(text),
        Value::Text(text) => Some(text),
        Value::Shared(text) => Some(text),
        Value::Int(_) | Value::Bool(_) => None,
    }
}

/// An attribute that is a number.
pub(super) fn int(span: &Span, key: &str) -> Option<i64> {
    match span.attribute(key)? {
        Value::Int(n) => Some(*n),
        _ => None,
    }
}

/// The path of the call, without its query: `url.path`, or the path inside `url.full`.
pub(super) fn path(span: &Span) -> Option<&str> {
    text(span, "url.path").or_else(|| {
        let (path, _) = split_query(target_of(text(span, "url.full")?));
        Some(path)
    })
}

/// Path and query as they were sent (and redacted before they got here).
pub(super) fn target(span: &Span) -> Option<(&str, Option<&str>)> {
    match text(span, "url.path") {
        Some(path) => Some((path, text(span, "url.query").filter(|query| !query.is_empty()))),
        None => Some(split_query(target_of(text(span, "url.full")?))),
    }
}

/// Who is at the other end: the caller of a server, the callee of a client.
pub(super) fn peer(span: &Span) -> Option<(&str, Option<i64>)> {
    match span.kind {
        Kind::Server => {
            let address =
                text(span, "client.address").or_else(|| text(span, "network.peer.address"))?;
            Some((address, None))
        }
        Kind::Client | Kind::Producer | Kind::Consumer => match text(span, "server.address") {
            Some(address) => Some((address, int(span, "server.port"))),
            None => Some((text(span, "network.peer.address")?, int(span, "network.peer.port"))),
        },
    }
}

/// What follows the authority of an absolute URL; `/` if nothing does.
fn target_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    match url[authority..].find(['/', '?']) {
        Some(at) => &url[authority + at..],
        None => "/",
    }
}

fn split_query(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query).filter(|query| !query.is_empty())),
        None => (target, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_what_follows_the_authority() {
        assert_eq!(target_of("http://a:80/x?y=1"), "/x?y=1");
        assert_eq!(target_of("http://a"), "/");
        assert_eq!(target_of("http://a?y"), "?y");
        assert_eq!(target_of("/x/y"), "/x/y");
        assert_eq!(split_query("/x?y=1"), ("/x", Some("y=1")));
        assert_eq!(split_query("/x?"), ("/x", None));
    }
}
