//! Queries as text.

use super::super::text::{Reader, mask};
use super::super::{Content, Query};
use super::read;

#[test]
fn values_are_hidden() {
    for (body, text) in [
        ("", ""),
        ("{}", "{}"),
        (r#"{"query":{"term":{"user.id":"kimchy"}}}"#, r#"{"query":{"term":{"user.id":?}}}"#),
        ("{ \"size\" : 10,\n \"from\": -1.5e3 }", r#"{"size":?,"from":?}"#),
        (r#"{"terms":{"id":[1,"two",null,true]}}"#, r#"{"terms":{"id":[?]}}"#),
        (r#"{"a":[[1,2],[3]],"b":[{"c":1},2,3]}"#, r#"{"a":[[?],[?]],"b":[{"c":?},?]}"#),
        (r#"{"a":[]}"#, r#"{"a":[]}"#),
        (r#"{"a":"say \"hi\"","b":"\\"}"#, r#"{"a":?,"b":?}"#),
        (r#"{"sort":["@timestamp"]}"#, r#"{"sort":[?]}"#),
        (
            "{\"index\":\"p\"}\n{\"query\":{\"match_all\":{}}}\n{}\n{\"size\":1}\n",
            r#"{"index":?}; {"query":{"match_all":{}}}; {}; {"size":?}"#,
        ),
        ("\"kimchy\"", "?"),
        ("17 18", "?; ?"),
    ] {
        assert_eq!(mask(body.as_bytes(), false), text, "{body}");
    }
}

#[test]
fn keys_are_shown_if_they_are_names() {
    for (key, shown) in [
        ("@timestamp", "@timestamp"),
        ("http.response.status_code", "http.response.status_code"),
        ("title.keyword", "title.keyword"),
        ("geo_v12", "geo_v12"),
        ("top-sellers", "top-sellers"),
        ("labels.*", "labels.*"),
        ("kimchy@example.com", "?"),
        ("Ada Lovelace", "?"),
        ("user.550e8400-e29b-41d4-a716-446655440000", "user.?"),
        ("phone.491701234567", "phone.?"),
        ("4111111111111111", "?"),
        ("deadbeefcafe", "?"),
        ("", "?"),
        ("a\\u0041", "?"),
        ("na\u{ef}ve", "?"),
    ] {
        let body = format!("{{\"{key}\":1}}");
        assert_eq!(mask(body.as_bytes(), false), format!("{{\"{shown}\":?}}"), "{key}");
    }
    let long = "word.".repeat(40);
    assert_eq!(mask(format!("{{\"{long}\":1}}").as_bytes(), false), "{\"?\":?}");
}

#[test]
fn what_is_cut_says_so() {
    let body = br#"{"query":{"term":{"user.id":"kimchy"}},"size":10}"#;
    let whole = mask(body, false);
    for cut in 0..body.len() {
        let text = mask(&body[..cut], true);
        let front = text.strip_suffix(" ...").unwrap_or_else(|| panic!("cut at {cut}: {text}"));
        assert!(whole.starts_with(front), "cut at {cut}: {text}");
    }
}

#[test]
fn what_is_not_json_ends_there() {
    for (body, text) in [
        (r#"{"a" "secret"}"#, "{ ..."),
        (r#"{"a":1]"#, r#"{"a":? ..."#),
        ("}", " ..."),
        ("q=secret&size=1", "?"),
        ("the secret", "?; ?"),
        (r#"{"a":1,,"b":2}"#, r#"{"a":? ..."#),
        (r#"{"a":{"b":1}"#, r#"{"a":{"b":?} ..."#),
    ] {
        assert_eq!(mask(body.as_bytes(), false), text, "{body}");
    }
    let deep = "{\"a\":".repeat(100);
    assert!(mask(deep.as_bytes(), false).len() < 500);
}

#[test]
fn a_long_body_is_cut() {
    let body = format!("{{{}\"last\":1}}", "\"field\":1,".repeat(10_000));
    let found = read(Reader::default(), &[body.as_bytes()], true).unwrap();
    let Content::Query(Query { text, .. }) = found else { panic!("{found:?}") };
    assert!(text.len() <= 4096 && text.ends_with(" ..."), "{}", text.len());
    // A long value is no reason to cut.
    let body = format!("{{\"a\":\"{}\",\"b\":1}}", "x".repeat(10_000));
    let (front, back) = body.as_bytes().split_at(777);
    let found = read(Reader::default(), &[front, back], true);
    assert_eq!(
        found,
        Some(Content::Query(Query { text: "{\"a\":?,\"b\":?}".into(), queries: None }))
    );
    for none in [&b""[..], b"q=secret", b"\xbfsecret\xff", b"\"secret\""] {
        assert_eq!(read(Reader::default(), &[none], true), None);
    }
}

#[test]
fn several_are_counted() {
    let count = |body: &str| {
        let found = read(Reader::of_several(), &[body.as_bytes()], true);
        found.and_then(|content| match content {
            Content::Query(query) => query.queries,
            other => panic!("{other:?}"),
        })
    };
    for (body, queries) in [
        ("{}\n{\"size\":1}\n", Some(1)),
        ("{\"index\":\"p\"}\n{\"size\":1}\n{}\n{}\n", Some(2)),
        // An empty line before the first pair is none of it; any other is.
        ("\n{\"size\":1}\n\n{\"size\":2}\n", Some(1)),
        ("{}\n{\"size\":1}\n\n{\"size\":2}\n\n", Some(2)),
        ("{}\r\n{\"size\":1}\r\n", Some(1)),
        // What follows the last end of a line is refused, or ignored.
        ("{}\n{\"size\":1}\n{}\n{\"size\":2}", Some(1)),
        // Whatever this is, nobody counts it.
        ("{}\n{\"size\":1\n", None),
        ("size\n", None),
    ] {
        assert_eq!(count(body), queries, "{body:?}");
    }
    let body = "{}\n{\"size\":1}\n".as_bytes();
    let cut = |body: &[u8], whole| match read(Reader::of_several(), &[body], whole) {
        Some(Content::Query(query)) => query.queries,
        other => panic!("{other:?}"),
    };
    assert_eq!(cut(body, false), None);
    assert_eq!(cut(&body.repeat(2000), true), None, "more than is looked at");
    assert_eq!(
        read(Reader::default(), &[body], true).map(|content| match content {
            Content::Query(query) => query.queries,
            other => panic!("{other:?}"),
        }),
        Some(None),
        "not of an endpoint that takes several"
    );
}
