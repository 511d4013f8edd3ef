use super::*;
use crate::export::tests::{client_span, set, span};
use crate::value::Value;

fn render(look: Look, spans: &[Span]) -> String {
    let mut renderer = Renderer::new(look);
    let mut out = String::new();
    for span in spans {
        renderer.line(&mut out, span);
    }
    out
}

fn plain(columns: Option<usize>) -> Look {
    Look { colour: false, columns, zone: TimeZone::UTC }
}

#[test]
fn lines_are_aligned() {
    let mut nested = client_span(2);
    nested.depth = 1;
    nested.error = true;
    nested.attributes.retain(|(key, _)| *key != "http.response.status_code");
    set(&mut nested, "error.type", Value::Static("connection_reset"));
    let mut database = span(3);
    database.attributes.clear();
    assert_eq!(
        render(plain(None), &[span(1), nested, database]),
        "\
14:13:20.126  shop      ← GET /movies/7?lang=en                              200     3.2 ms  10.0.0.9
14:13:21.623  cart        → POST /v2/pay?t=REDACTED             connection_reset     1.50 s  pay.example:443
14:13:20.126  shop      ← GET /movies/{id}                                     -     3.2 ms
"
    );
}

#[test]
fn queries_are_one_line_with_their_rows() {
    let mut query = client_span(2);
    query.attributes.clear();
    set(&mut query, "db.system.name", Value::Static("postgresql"));
    set(&mut query, "db.query.text", Value::Text("SELECT *\n  FROM users\nWHERE id = $1".into()));
    set(&mut query, "db.response.returned_rows", Value::Int(1));
    set(&mut query, "server.address", Value::Static("10.0.0.5"));
    let mut failed = query.clone();
    failed.error = true;
    set(&mut failed, "error.type", Value::Static("42P01"));
    let mut nameless = query.clone();
    nameless.name = "SELECT shop".into();
    nameless.attributes.retain(|(key, _)| *key == "db.system.name");
    let out = render(plain(None), &[query, failed, nameless]);
    let calls = out.lines().map(|line| {
        let call = line.split_once("→ ").map_or("", |(_, call)| call);
        call.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    assert_eq!(
        calls.collect::<Vec<_>>(),
        [
            "SELECT * FROM users WHERE id = $1 1 row 1.50 s 10.0.0.5",
            "SELECT * FROM users WHERE id = $1 42P01 1.50 s 10.0.0.5",
            "SELECT shop ok 1.50 s",
        ]
    );
}

#[test]
fn long_text_is_cut_on_a_terminal_and_kept_in_a_pipe() {
    let mut call = span(1);
    set(&mut call, "url.path", Value::Text(format!("/{}", "x".repeat(200)).into()));
    let line = render(plain(Some(100)), std::slice::from_ref(&call));
    assert!(line.contains("xxx… 200     3.2 ms  10.0.0.9\n"), "{line}");
    assert!(width_of(line.trim_end()) <= 100, "{line}");
    assert!(render(plain(None), &[call]).contains(&"x".repeat(200)));
}

#[test]
fn service_column_grows_once() {
    let mut other = span(2);
    other.resource = std::sync::Arc::new(crate::workload::Resource {
        service: "a-rather-long-service-name".into(),
        pid: 1,
        attributes: vec![],
    });
    let out = render(plain(None), &[other, span(1)]);
    assert_eq!(
        out.lines()
            .map(|line| line.find(" ← ").map(|at| width_of(&line[..at])))
            .collect::<Vec<_>>(),
        [Some(35); 2],
        "{out}"
    );
    assert!(out.starts_with("14:13:20.126  a-rather-long-servi…  ← GET"), "{out}");
}

#[test]
fn colours_mark_what_matters() {
    let look = Look { colour: true, ..plain(None) };
    let mut call = span(1);
    assert!(render(look.clone(), std::slice::from_ref(&call)).contains("\x1b[32m200\x1b[0m"));
    call.error = true;
    set(&mut call, "http.response.status_code", Value::Int(503));
    assert!(render(look, &[call]).contains("\x1b[1;31m503\x1b[0m"));
}

#[test]
fn hostile_text_cannot_act() {
    let mut call = span(1);
    for key in ["url.path", "url.query", "http.request.method", "client.address"] {
        set(&mut call, key, Value::Text("a\x1b[2J\nb\u{9b}".into()));
    }
    let line = render(plain(None), &[call]);
    assert_eq!(line.matches(char::is_control).collect::<Vec<_>>(), ["\n"], "{line:?}");
}

#[test]
fn durations_read_well() {
    for (nanos, text) in [
        (0, "0 us"),
        (999, "1 us"),
        (250_400, "250 us"),
        (999_499, "999 us"),
        (999_500, "1.0 ms"),
        (3_200_000, "3.2 ms"),
        (99_949_999, "99.9 ms"),
        (99_950_000, "100 ms"),
        (999_499_999, "999 ms"),
        (999_500_000, "1.00 s"),
        (9_949_000_000, "9.95 s"),
        (12_340_000_000, "12.3 s"),
        (3_600_000_000_000, "3600 s"),
    ] {
        assert_eq!(duration(Duration::from_nanos(nanos)), text, "{nanos}");
    }
}
