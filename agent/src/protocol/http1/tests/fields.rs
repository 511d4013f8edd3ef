//! What is kept of a head, and what is not.

use super::super::body::Method;
use super::super::head::{Head, RequestHead, request};
use super::super::{Forwarded, Propagated, Request, Signs};

fn head(bytes: &[u8]) -> RequestHead {
    match request(bytes) {
        Head::Whole(head, len) if len == bytes.len() => head,
        other => panic!("not a whole head: {other:?}"),
    }
}

fn kept(bytes: &[u8]) -> Request {
    head(bytes).request
}

/// A request with these header lines.
fn with(lines: &str) -> Request {
    kept(format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes())
}

#[test]
fn the_named_fields_and_nothing_else() {
    let request = kept(
        b"GET /a?b=c HTTP/1.1\r\n\
          HOST: example.com:8080\r\n\
          User-Agent: curl/8\r\n\
          Authorization: Bearer secret-1\r\n\
          Proxy-Authorization: secret-2\r\n\
          Cookie: session=secret-3\r\n\
          X-Api-Key: secret-4\r\n\
          traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
          tracestate: a=1\r\n\
          TraceState: b=2\r\n\
          Forwarded: for=1.2.3.4\r\n\
          X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n\
          X-Forwarded-For: 9.9.9.9\r\n\
          X-Forwarded-Host: public.example\r\n\
          X-Forwarded-Proto: https\r\n\
          X-Real-IP: 1.2.3.4\r\n\r\n",
    );
    assert!(!format!("{request:?}").contains("secret"));
    let text = |text: &str| Some(text.into());
    assert_eq!(
        request,
        Request {
            method: "GET".into(),
            target: "/a?b=c".into(),
            minor: 1,
            host: text("example.com:8080"),
            user_agent: text("curl/8"),
            traceparent: text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            tracestate: text("a=1,b=2"),
            signs: Signs::default(),
            content: None,
            propagated: None,
            trimmed: false,
            forwarded: Some(Box::new(Forwarded {
                forwarded: text("for=1.2.3.4"),
                x_forwarded_for: text("1.2.3.4, 5.6.7.8,9.9.9.9"),
                x_forwarded_host: text("public.example"),
                x_forwarded_proto: text("https"),
                x_real_ip: text("1.2.3.4"),
            })),
        }
    );
    assert_eq!(with("Accept: */*\r\n").forwarded, None);
}

#[test]
fn a_parent_that_is_given_twice_is_none() {
    assert_eq!(with("traceparent: a\r\ntraceparent: b\r\ntraceparent: a\r\n").traceparent, None);
    assert_eq!(with("traceparent: a\r\ntraceparent: a\r\n").traceparent.as_deref(), Some("a"));
}

#[test]
fn trace_context_in_other_formats_is_kept() {
    let propagated = |fields| with(fields).propagated.map(|propagated| *propagated);
    let text = |text: &str| Some(text.into());
    assert_eq!(
        propagated(
            "B3: 1\r\nX-B3-TraceId: 2\r\nX-B3-SpanId: 3\r\nX-B3-Sampled: 4\r\nX-B3-Flags: 5\r\n\
             uber-trace-id: 6\r\nX-Amzn-Trace-Id: 7\r\nx-datadog-trace-id: 8\r\n\
             x-datadog-parent-id: 9\r\nx-datadog-sampling-priority: 10\r\nx-datadog-tags: 11\r\n",
        ),
        Some(Propagated {
            b3: text("1"),
            b3_trace_id: text("2"),
            b3_span_id: text("3"),
            b3_sampled: text("4"),
            b3_flags: text("5"),
            jaeger: text("6"),
            xray: text("7"),
            datadog_trace_id: text("8"),
            datadog_parent_id: text("9"),
            datadog_priority: text("10"),
            datadog_tags: text("11"),
        })
    );
    assert_eq!(propagated("x-b3: 1\r\n"), None);
    let twice = propagated("b3: 1\r\nb3: 2\r\n").expect("a header");
    assert_eq!(twice.b3.as_deref(), Some(""), "which of them counts nobody knows");
}

#[test]
fn what_is_not_text_is_replaced_or_dropped() {
    let request = kept(
        b"GET /caf\xe9/\xe4\xb8\xad HTTP/1.1\r\nHost: \xff\r\nUser-Agent: a\xffb\r\n\
          X-Forwarded-For: \xff\r\ntracestate: a=1\r\ntracestate: \xff\r\n\r\n",
    );
    assert_eq!(&*request.target, "/caf\u{fffd}/\u{4e2d}");
    assert_eq!(request.host, None);
    assert_eq!(request.user_agent.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(request.tracestate, None);
    assert_eq!(request.forwarded, Some(Box::default()));
}

#[test]
fn every_field_is_bounded() {
    let long = "\u{e9}".repeat(15_000);
    let mut lines = String::new();
    for name in ["Host", "User-Agent", "traceparent", "tracestate", "X-Forwarded-For"] {
        lines += &format!("{name}: {long}\r\n");
    }
    let head = format!("GET /{} HTTP/1.1\r\n{lines}\r\n", &long[..20_000]);
    let request = kept(head.as_bytes());
    // Cut before the character that the limit would go through.
    assert_eq!(request.target.len(), 8 * 1024 - 1);
    assert_eq!(request.user_agent.unwrap().len(), 1024);
    assert_eq!((request.host, request.traceparent, request.tracestate), (None, None, None));
    assert_eq!(request.forwarded, Some(Box::default()));

    let mut bytes = b"GET /".to_vec();
    bytes.resize(10_000, 0xff);
    bytes.extend(b" HTTP/1.1\r\n\r\n");
    assert!(kept(&bytes).target.len() <= 8 * 1024);
}

#[test]
fn heads_of_many_lines() {
    let lines =
        |n: usize| (0..n).map(|i| format!("X-{i}: {i}\r\n")).collect::<String>() + "Host: last\r\n";
    for n in [0, 63, 64, 200, 255] {
        assert_eq!(with(&lines(n)).host.as_deref(), Some("last"), "{n} lines before");
    }
    let head = format!("HEAD /x HTTP/1.1\r\nHost: first\r\n{}\r\n", lines(256));
    let Head::Broken(head) = request(head.as_bytes()) else { panic!("too many lines") };
    assert_eq!(head.request.host.as_deref(), Some("first"));
    assert_eq!(head.method, Method::Head);
}

#[test]
fn a_cut_head_keeps_its_complete_lines() {
    let head = b"GET /x HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/8.1";
    let Head::Partial(Some(head)) = request(head) else { panic!("not a cut head") };
    assert_eq!(&*head.request.target, "/x");
    assert_eq!(head.request.host.as_deref(), Some("h"));
    assert_eq!(head.request.user_agent, None);
    assert!(matches!(request(b"GET /x HTTP/1.1\r"), Head::Partial(None)));
}
