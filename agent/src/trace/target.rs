//! Request targets (RFC 9112, section 3.2) and authorities (RFC 3986, section 3.2).

use super::method::Method;
use super::redact::split_userinfo;

/// A request target, taken apart. Nothing is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Scheme of the absolute form.
    pub(super) scheme: Option<&'a str>,
    /// Authority of the absolute and the authority form, without userinfo.
    pub(super) authority: Option<&'a str>,
    /// True if the authority had userinfo.
    pub(super) has_userinfo: bool,
    /// Path; `*` for the asterisk form, empty for the authority form.
    pub(super) path: &'a str,
    /// Query, without `?`.
    pub(super) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes a target apart. Any text is something: what has no known form is a path.
    pub(super) fn of(method: Method, target: &'a str) -> Self {
        if method == Method::Connect && !target.starts_with('/') && !target.contains("://") {
            let (userinfo, authority) = split_userinfo(target);
            let authority = Some(authority);
            return Self { authority, has_userinfo: userinfo.is_some(), ..Self::default() };
        }
        let Some((scheme, rest)) = absolute(target) else {
            let (path, query) = split_query(target);
            return Self { path, query, ..Self::default() };
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (userinfo, authority) = split_userinfo(authority);
        let (path, query) = split_query(rest);
        Self {
            scheme: Some(scheme),
            authority: Some(authority),
            has_userinfo: userinfo.is_some(),
            path: if path.is_empty() { "/" } else { path },
            query,
        }
    }
}

/// Host (IPv6 without its brackets) and port of an authority or a `Host` header.
pub(super) fn split_port(authority: &str) -> (&str, Option<u16>) {
    let (_, authority) = split_userinfo(authority.trim());
    if let Some(rest) = authority.strip_prefix('[')
        && let Some((host, port)) = rest.split_once(']')
    {
        return (host, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    let mut colons = memchr::memchr_iter(b':', authority.as_bytes());
    match (colons.next(), colons.next()) {
        (Some(at), None) => (&authority[..at], authority[at + 1..].parse().ok()),
        // Two colons: IPv6 that lacks its brackets.
        _ => (authority, None),
    }
}

/// The port that a scheme stands for.
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    let is = |names: [&str; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name));
    if is(["http", "ws"]) {
        Some(80)
    } else if is(["https", "wss"]) {
        Some(443)
    } else {
        None
    }
}

fn absolute(target: &str) -> Option<(&str, &str)> {
    // Nearly all targets begin with a slash.
    if !target.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    let valid =
        scheme.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

/// Path and query; a fragment, which has no business here, is dropped.
fn split_query(text: &str) -> (&str, Option<&str>) {
    let end = memchr::memchr(b'#', text.as_bytes()).unwrap_or(text.len());
    match memchr::memchr(b'?', &text.as_bytes()[..end]) {
        Some(at) => (&text[..at], Some(&text[at + 1..end])),
        None => (&text[..end], None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn targets() {
        let parse = |text| Target::of(Method::Get, text);
        let none = Target::default();
        assert_eq!(parse("/a?b=c?d"), Target { path: "/a", query: Some("b=c?d"), ..none });
        assert_eq!(parse("/a?"), Target { path: "/a", query: Some(""), ..none });
        assert_eq!(parse("/a#b?c"), Target { path: "/a", ..none });
        assert_eq!(
            parse("/r?u=http://x/"),
            Target { path: "/r", query: Some("u=http://x/"), ..none }
        );
        assert_eq!(parse("*"), Target { path: "*", ..none });
        assert_eq!(parse(""), none);
        assert_eq!(
            parse("HTTP://me:pw@host:81/a?b"),
            Target {
                scheme: Some("HTTP"),
                authority: Some("host:81"),
                has_userinfo: true,
                path: "/a",
                query: Some("b"),
            }
        );
        assert_eq!(
            parse("http://host?b"),
            Target {
                scheme: Some("http"),
                authority: Some("host"),
                path: "/",
                query: Some("b"),
                ..none
            }
        );
        assert_eq!(
            Target::of(Method::Connect, "host:443"),
            Target { authority: Some("host:443"), ..none }
        );
    }

    #[test]
    fn ports() {
        for (text, host, port) in [
            ("host", "host", None),
            ("host:80", "host", Some(80)),
            ("host:", "host", None),
            ("host:x", "host", None),
            ("host:70000", "host", None),
            ("[::1]:80", "::1", Some(80)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
            ("[::1", "[::1", None),
            ("me:pw@host:80", "host", Some(80)),
            ("", "", None),
        ] {
            assert_eq!(split_port(text), (host, port), "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_is_harmless(text in "\\PC{0,60}|[a-z:/?#@\\[\\]]{0,40}") {
            let _ = Target::of(Method::Get, &text);
            let _ = Target::of(Method::Connect, &text);
            let _ = split_port(&text);
        }
    }
}
