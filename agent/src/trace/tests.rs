//! Whole spans of HTTP calls.

use std::sync::Arc;

use super::*;
use crate::call::{Endpoint, NoAnswer};
use crate::link::Link;
use crate::protocol::http1;
use crate::source::{Address, ConnectionId, Thread, Time};

mod search;

/// A call as each test varies it.
struct Case {
    role: Role,
    request: http1::Request,
    status: Option<u16>,
    /// What the body of the answer says.
    content: Option<http1::Content>,
    no_answer: Option<NoAnswer>,
    waited: u64,
    local: &'static str,
    remote: &'static str,
    proxies: &'static [&'static str],
}

fn case(role: Role, method: &str, target: &str) -> Case {
    Case {
        role,
        request: http1::Request {
            method: method.to_owned().into(),
            target: target.into(),
            minor: 1,
            host: Some("shop.example:8080".into()),
            user_agent: Some("curl/8".into()),
            ..Default::default()
        },
        status: Some(200),
        content: None,
        no_answer: None,
        waited: 0,
        local: "10.1.1.1:8081",
        remote: "192.0.2.7:4711",
        proxies: &[],
    }
}

/// An address as people write it; `unix:` and a path for a UNIX socket.
fn address(text: &str) -> Address {
    match text.strip_prefix("unix:") {
        Some(path) => Address::Unix((!path.is_empty()).then(|| path.into())),
        None => Address::Inet(text.parse().expect("an address")),
    }
}

impl Case {
    fn span(self) -> Span {
        let request = Request::Http(Box::new(self.request.clone()));
        self.span_of(request)
    }

    fn span_of(self, request: Request) -> Span {
        let call = Call {
            endpoint: Arc::new(Endpoint {
                id: ConnectionId(1),
                role: self.role,
                local: address(self.local),
                remote: address(self.remote),
            }),
            thread: Thread { pid: 7, tid: 8 },
            position: 0,
            started: Time(1000),
            ended: Time(4000),
            waited: self.waited,
            request,
            response: self.status.map(|status| {
                crate::protocol::Response::Http(http1::Response {
                    status,
                    minor: 1,
                    content: self.content.map(Box::new),
                    ..http1::Response::default()
                })
            }),
            no_answer: self.no_answer,
            request_body: Some(0),
            response_body: Some(512),
        };
        let identity = Identity {
            trace_id: TraceId::from_bytes([1; 16]),
            span_id: SpanId::from_bytes([2; 8]),
            parent: Some(Parent {
                span_id: SpanId::from_bytes([3; 8]),
                remote: false,
                link: Link::Sequence,
            }),
            depth: 1,
            flags: 3,
            trace_state: Some("a=1".into()),
        };
        let resource =
            Arc::new(Resource { service: "shop".into(), pid: 7, attributes: Vec::new() });
        let proxies =
            self.proxies.iter().map(|cidr| cidr.parse().unwrap_or_else(|e| panic!("{e}")));
        let mut tracer = Tracer::new(proxies.collect(), Propagators::default(), Sampler::default());
        tracer.span(call, identity, resource, &Clock::fixed(1_000_000))
    }

    fn attributes(self) -> String {
        rendered(&self.span())
    }
}

fn rendered(span: &Span) -> String {
    let text = |value: &Value| match value {
        Value::Static(text) => (*text).to_owned(),
        Value::Text(text) => text.to_string(),
        Value::Shared(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
    };
    let lines: Vec<_> = span.attributes.iter().map(|(k, v)| format!("{k}={}", text(v))).collect();
    lines.join("\n")
}

fn value(case: Case, key: &str) -> Option<String> {
    let rendered = case.attributes();
    let of =
        |line: &str| line.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
    rendered.lines().find_map(of)
}

#[test]
fn a_server_span() {
    let span = case(Role::Server, "GET", "/movies/42?q=a&token=s3cret").span();
    assert_eq!(&*span.name, "GET /movies/{id}");
    assert_eq!((span.start, span.end), (1_001_000, 1_004_000));
    assert_eq!((span.kind, span.error, span.depth, span.flags), (Kind::Server, false, 1, 3));
    assert_eq!(span.trace_state.as_deref(), Some("a=1"));
    assert_eq!(
        rendered(&span),
        "http.request.method=GET\n\
         url.scheme=http\n\
         url.path=/movies/42\n\
         url.query=q=a&token=REDACTED\n\
         server.address=shop.example\n\
         server.port=8080\n\
         client.address=192.0.2.7\n\
         url.template=/movies/{id}\n\
         http.response.status_code=200\n\
         network.peer.address=192.0.2.7\n\
         network.peer.port=4711\n\
         network.protocol.version=1.1\n\
         user_agent.original=curl/8\n\
         http.request.body.size=0\n\
         http.response.body.size=512\n\
         tracebee.link=seq"
    );
}

#[test]
fn a_client_span() {
    let span = case(Role::Client, "POST", "/orders?sig=x").span();
    assert_eq!((&*span.name, span.kind), ("POST /orders", Kind::Client));
    assert_eq!(
        rendered(&span),
        "http.request.method=POST\n\
         url.full=http://shop.example:8080/orders?sig=REDACTED\n\
         server.address=shop.example\n\
         server.port=8080\n\
         url.template=/orders\n\
         http.response.status_code=200\n\
         network.peer.address=192.0.2.7\n\
         network.peer.port=4711\n\
         network.protocol.version=1.1\n\
         http.request.body.size=0\n\
         http.response.body.size=512\n\
         tracebee.link=seq"
    );
}

#[test]
fn failures() {
    use NoAnswer::*;
    use Role::*;
    for (role, status, no_answer, expected) in [
        (Server, Some(200), None, None),
        (Server, Some(302), None, None),
        (Server, Some(404), None, None),
        (Client, Some(404), None, Some("404")),
        (Client, Some(418), None, Some("418")),
        (Server, Some(500), None, Some("500")),
        (Server, Some(599), None, Some("599")),
        (Server, Some(777), None, Some("777")),
        (Client, Some(503), None, Some("503")),
        (Client, None, Some(Timeout), Some("timeout")),
        (Client, None, Some(ConnectionReset), Some("connection_reset")),
        (Client, Some(200), Some(PeerClosed), Some("peer_closed")),
        (Server, Some(200), Some(ClientClosed), Some("client_closed")),
        (Server, Some(500), Some(Closed), Some("closed")),
    ] {
        let span = Case { status, no_answer, ..case(role, "GET", "/") }.span();
        let error_type = rendered(&span)
            .lines()
            .find_map(|line| line.strip_prefix("error.type=").map(str::to_owned));
        assert_eq!(error_type.as_deref(), expected);
        assert_eq!(span.error, expected.is_some());
        // What was seen of an answer stays; what was not is not invented.
        let code = span.attribute("http.response.status_code").cloned();
        assert_eq!(code, status.map(|status| Value::Int(status.into())));
    }
}

#[test]
fn unknown_methods() {
    let span = case(Role::Server, "PROPFIND", "/dav").span();
    assert_eq!(&*span.name, "HTTP /dav");
    assert!(rendered(&span).starts_with(
        "http.request.method=_OTHER\nhttp.request.method_original=PROPFIND\nurl.scheme=http"
    ));
}

#[test]
fn targets_of_every_form() {
    let span = case(Role::Client, "OPTIONS", "*").span();
    assert_eq!(&*span.name, "OPTIONS");
    assert!(rendered(&span).contains("url.full=http://shop.example:8080\n"));
    assert_eq!(value(case(Role::Server, "OPTIONS", "*"), "url.path").as_deref(), Some("*"));

    let span = case(Role::Client, "CONNECT", "db.example:443").span();
    assert_eq!(&*span.name, "CONNECT");
    assert!(
        rendered(&span).contains(
            "url.full=http://db.example:443\nserver.address=db.example\nserver.port=443\n"
        )
    );
    assert!(!rendered(&span).contains("url.template"));

    let absolute = "https://me:pw@api.example/v1/a?x=1";
    let span = case(Role::Client, "GET", absolute).span();
    assert_eq!(&*span.name, "GET /v1/a");
    assert!(rendered(&span).contains(
        "url.full=https://REDACTED:REDACTED@api.example/v1/a?x=1\n\
         server.address=api.example\n\
         server.port=443\n"
    ));
    let server = case(Role::Server, "GET", absolute).attributes();
    assert!(server.contains("url.scheme=https\nurl.path=/v1/a\nurl.query=x=1\nserver.address=api.example\nserver.port=443\n"));
    assert!(!server.contains("pw"));
}

#[test]
fn ports_and_hosts_that_are_missing() {
    let with_host = |role, host: Option<&str>| {
        let mut case = case(role, "GET", "/");
        case.request.host = host.map(Into::into);
        case
    };
    for (role, host, address, port) in [
        (Role::Client, Some("a"), Some("a"), Some("4711")),
        (Role::Client, Some("a:1"), Some("a"), Some("1")),
        (Role::Client, None, Some("192.0.2.7"), Some("4711")),
        (Role::Client, Some(""), Some("192.0.2.7"), Some("4711")),
        (Role::Client, Some("[::1]:9"), Some("::1"), Some("9")),
        (Role::Server, Some("a"), Some("a"), Some("8081")),
        (Role::Server, Some("a:1"), Some("a"), Some("1")),
        (Role::Server, None, None, None),
    ] {
        assert_eq!(value(with_host(role, host), "server.address").as_deref(), address, "{host:?}");
        assert_eq!(value(with_host(role, host), "server.port").as_deref(), port, "{host:?}");
    }
    let url = value(with_host(Role::Client, None), "url.full");
    assert_eq!(url.as_deref(), Some("http://192.0.2.7:4711/"));
    let six = Case { remote: "[2001:db8::1]:80", ..with_host(Role::Client, None) };
    assert_eq!(value(six, "url.full").as_deref(), Some("http://[2001:db8::1]:80/"));
}

#[test]
fn trusted_proxies_speak_for_clients() {
    let forwarded = |proxies| {
        let mut case = case(Role::Server, "GET", "/");
        case.request.forwarded = Some(Box::new(http1::Forwarded {
            x_forwarded_for: Some("203.0.113.9".into()),
            x_forwarded_host: Some("public.example".into()),
            x_forwarded_proto: Some("https".into()),
            ..Default::default()
        }));
        Case { proxies, ..case }
    };
    let trusted = forwarded(&["192.0.2.0/24"]).attributes();
    assert!(trusted.contains("url.scheme=https\n"));
    assert!(
        trusted.contains(
            "server.address=public.example\nserver.port=443\nclient.address=203.0.113.9\n"
        )
    );
    assert!(trusted.contains("network.peer.address=192.0.2.7\n"));
    let stranger = forwarded(&[]).attributes();
    assert!(stranger.contains("url.scheme=http\n"));
    assert!(
        stranger
            .contains("server.address=shop.example\nserver.port=8080\nclient.address=192.0.2.7\n")
    );
}

#[test]
fn the_wait_in_the_socket_is_told_of_servers() {
    let waited =
        |role| value(Case { waited: 1500, ..case(role, "GET", "/") }, "tracebee.socket.wait_ns");
    assert_eq!(waited(Role::Server).as_deref(), Some("1500"));
    assert_eq!(waited(Role::Client), None);
}

#[test]
fn mapped_addresses_are_written_as_ipv4() {
    let mapped = Case { remote: "[::ffff:10.0.0.9]:99", ..case(Role::Server, "GET", "/") };
    assert_eq!(value(mapped, "network.peer.address").as_deref(), Some("10.0.0.9"));
}

#[test]
fn long_texts_are_cut() {
    let long = value(case(Role::Server, "GET", &format!("/{}", "é".repeat(9000))), "url.path");
    assert!(long.is_some_and(|path| (4000..=4096).contains(&path.len())));
}

proptest::proptest! {
    #[test]
    fn hostile_requests_make_spans(
        method in "\\PC{0,40}", target in "\\PC{0,80}|[a-z:/?#@*]{0,30}", host in "\\PC{0,40}|[a-z:@\\[\\]]{0,9}",
        server: bool,
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let mut case = case(role, &method, &target);
        case.request.host = Some(host.into());
        let _ = case.span();
    }
}

#[test]
fn a_unix_socket_has_a_path_and_no_port() {
    let mut client = case(Role::Client, "GET", "/v1/info");
    client.remote = "unix:/run/docker.sock";
    client.request.host = Some("localhost".into());
    let attributes = client.attributes();
    for line in [
        "url.full=http://localhost/v1/info",
        "server.address=/run/docker.sock",
        "network.peer.address=/run/docker.sock",
        "network.transport=unix",
    ] {
        assert!(attributes.contains(line), "{line} in {attributes}");
    }
    assert!(!attributes.contains(".port="), "{attributes}");

    let mut server = case(Role::Server, "GET", "/");
    (server.local, server.remote) = ("unix:@shop", "unix:");
    let attributes = server.attributes();
    assert!(attributes.contains("server.address=shop.example"), "{attributes}");
    assert!(attributes.contains("network.transport=unix"), "{attributes}");
    assert!(!attributes.contains("peer") && !attributes.contains("client"), "{attributes}");
}

#[test]
fn without_a_host_a_unix_server_is_where_it_listens() {
    for host in [None, Some("")] {
        let mut server = case(Role::Server, "GET", "/");
        (server.local, server.remote) = ("unix:@shop", "unix:");
        server.request.host = host.map(Into::into);
        assert_eq!(value(server, "server.address").as_deref(), Some("@shop"));
    }
    let mut client = case(Role::Client, "GET", "/a");
    client.remote = "unix:";
    client.request.host = None;
    assert_eq!(value(client, "url.full").as_deref(), Some("http://localhost/a"));
}

#[test]
fn a_proxy_on_a_unix_socket_is_on_this_host() {
    let asked = |proxies| {
        let mut server = case(Role::Server, "GET", "/");
        (server.local, server.remote) = ("unix:/run/app.sock", "unix:");
        server.request.forwarded = Some(Box::new(http1::Forwarded {
            x_forwarded_for: Some("203.0.113.9".into()),
            ..Default::default()
        }));
        server.proxies = proxies;
        value(server, "client.address")
    };
    assert_eq!(asked(&["127.0.0.0/8"]).as_deref(), Some("203.0.113.9"));
    assert_eq!(asked(&["10.0.0.0/8"]), None);
}
