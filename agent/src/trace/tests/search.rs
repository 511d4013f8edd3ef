//! Whole spans of calls to search servers.

use super::*;
use crate::protocol::search::bulk::{Action, Bulk};
use crate::protocol::search::items::Items;
use crate::protocol::search::{self, Content, OPENSEARCH, endpoints};

/// A call of `method` to `target`, with what its body says.
fn search_span(method: &'static str, target: &str, content: Option<Content>, case: Case) -> Span {
    let http = http1::Request {
        method: method.into(),
        target: target.into(),
        content: content.map(|content| Box::new(http1::Content::Search(content))),
        ..case.request.clone()
    };
    let (endpoint, values) = endpoints::find(method, search::path(target).expect("a path"))
        .unwrap_or_else(|| panic!("{method} {target} is no endpoint"));
    let values = values.into_iter().map(Into::into).collect();
    let request = search::Request { http, system: &OPENSEARCH, endpoint, values };
    case.span_of(Request::Search(Box::new(request)))
}

fn call() -> Case {
    let mut case = case(Role::Client, "GET", "/");
    case.remote = "192.0.2.7:9200";
    case.request.host = Some("search.example:9200".into());
    case
}

fn bulk(operations: u64, action: Option<Action>, index: Option<&str>) -> Option<Content> {
    let names_indices = index.is_some();
    let index = index.map(Into::into);
    Some(Content::Bulk(Box::new(Bulk { operations, action, index, names_indices })))
}

fn has(span: &Span, line: &str) -> bool {
    rendered(span).lines().any(|found| found == line)
}

#[test]
fn a_query() {
    let text = Content::Query(search::Query {
        text: "{\"query\":{\"match_all\":{}}}".into(),
        queries: None,
    });
    let span = search_span("POST", "/a%2Cb*/_search?token=s3cret", Some(text), call());
    assert_eq!(&*span.name, "search a,b*");
    assert_eq!((span.kind, span.error), (Kind::Client, false));
    assert_eq!(
        rendered(&span),
        "db.system.name=opensearch\n\
         db.query.text={\"query\":{\"match_all\":{}}}\n\
         db.operation.name=search\n\
         db.collection.name=a,b*\n\
         db.operation.parameter.index=a,b*\n\
         http.request.method=POST\n\
         url.full=http://search.example:9200/a%2Cb*/_search?token=REDACTED\n\
         db.response.status_code=200\n\
         server.address=search.example\n\
         network.peer.address=192.0.2.7\n\
         network.peer.port=9200\n\
         tracebee.link=seq"
    );
}

#[test]
fn documents_and_errors() {
    let mut case = call();
    case.status = Some(404);
    case.request.host = Some("search.example:9201".into());
    let span = search_span("GET", "/p/_doc/a%2Fb", None, case);
    assert_eq!((&*span.name, span.error), ("get p", true));
    for line in [
        "db.operation.parameter.index=p",
        "db.operation.parameter.id=a/b",
        "db.response.status_code=404",
        "error.type=404",
        "server.port=9201",
    ] {
        assert!(has(&span, line), "{line} in {}", rendered(&span));
    }
    let mut case = call();
    (case.status, case.no_answer) = (None, Some(NoAnswer::Timeout));
    let span = search_span("GET", "/_cluster/health", None, case);
    assert_eq!((&*span.name, span.error), ("cluster.health", true));
    assert!(has(&span, "error.type=timeout") && !rendered(&span).contains("status_code"));
}

#[test]
fn operations_of_a_batch() {
    use Action::{Delete, Index};
    for (target, content, name, size) in [
        ("/_bulk", bulk(3, Some(Index), Some("p")), "bulk index p", Some(3)),
        ("/p/_bulk", bulk(3, Some(Delete), None), "bulk delete p", Some(3)),
        ("/p/_bulk", bulk(3, None, None), "bulk p", Some(3)),
        ("/p/_bulk", bulk(1, Some(Index), None), "index p", None),
        ("/p/_bulk", bulk(0, None, None), "bulk p", Some(0)),
        ("/q/_bulk", bulk(2, None, Some("p")), "bulk p", Some(2)),
        ("/_bulk", bulk(2, None, None), "bulk", Some(2)),
        ("/p/_bulk", None, "bulk p", None),
    ] {
        let span = search_span("POST", target, content, call());
        assert_eq!(&*span.name, name);
        let found = span.attribute("db.operation.batch.size");
        assert_eq!(found, size.map(Value::Int).as_ref(), "{name}");
    }
    let answered = |content, items| {
        let mut case = call();
        case.content = Some(http1::Content::Search(Content::Items(items)));
        search_span("POST", "/p/_bulk", content, case)
    };
    let (attribute, number) = ("tracebee.db.failed_operations", |n| Some(Value::Int(n)));
    let span = answered(None, Items { operations: 70, failed: 2 });
    assert_eq!(&*span.name, "bulk p");
    assert_eq!(span.attribute("db.operation.batch.size"), number(70).as_ref());
    assert_eq!((span.attribute(attribute), span.error), (number(2).as_ref(), false));
    let span = answered(bulk(1, Some(Index), None), Items { operations: 1, failed: 0 });
    assert_eq!((&*span.name, span.attribute(attribute)), ("index p", None));
    let differ = Bulk { operations: 2, names_indices: true, ..Bulk::default() };
    let span = search_span("POST", "/p/_bulk", Some(Content::Bulk(Box::new(differ))), call());
    assert_eq!(&*span.name, "bulk");
    assert_eq!(span.attribute("db.collection.name"), None);
}
