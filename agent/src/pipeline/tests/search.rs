//! Both ends of calls to a search server.

use super::*;
use crate::link::Link;

const QUERY: &str = "{\"query\":{\"terms\":{\"user.id\":[\"kimchy\",17]}},\"aggs\":{\"by_country_of_origin\":{\"terms\":{\"field\":\"origin\"}}}}";

impl Host {
    /// A search, in two pieces, and its answer, seen at both ends.
    fn search(&mut self) -> [Span; 2] {
        let head = format!(
            "POST /p/_search HTTP/1.1\r\nHost: a\r\nUser-Agent: opensearch-py/3.2.0\r\n\
             traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
             Content-Length: {}\r\n\r\n",
            QUERY.len()
        );
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        let (asked, answered) = (self.asked, self.answered);
        for (id, direction) in [(CLIENT, Direction::Sent), (SERVER, Direction::Received)] {
            self.data(id, direction, asked, head.as_bytes());
            self.data(id, direction, asked + head.len() as u64, QUERY.as_bytes());
        }
        for (id, direction) in [(SERVER, Direction::Sent), (CLIENT, Direction::Received)] {
            self.data(id, direction, answered, answer);
        }
        self.asked += (head.len() + QUERY.len()) as u64;
        self.answered += answer.len() as u64;
        let mut spans: Vec<Span> = self.pipeline.spans().drain(..).collect();
        spans.sort_by_key(|span| span.kind == Kind::Server);
        spans.try_into().expect("a span for each end")
    }
}

fn text(span: &Span, key: &str) -> Option<String> {
    span.attribute(key).map(|value| format!("{value:?}"))
}

#[test]
fn the_clients_end_is_a_database_call_and_the_servers_one_over_http() {
    let mut host = Host::new(Budget::unlimited());
    let [client, server] = host.search();
    assert_eq!((&*client.name, &*server.name), ("search p", "POST /p/_search"));
    assert!(text(&client, "db.query.text").expect("a text").contains("by_country_of_origin"));
    assert!(!format!("{client:?}{server:?}").contains("kimchy"));
    assert!(text(&server, "db.system.name").is_none() && text(&server, "db.query.text").is_none());
    // The link between them, and that to who asked for it, are those of any call over HTTP.
    let parent = server.parent.expect("a parent");
    assert_eq!((parent.span_id, parent.link), (client.span_id, Link::Sequence));
    assert_eq!(client.parent.expect("a parent").link, Link::Header);
    assert_eq!(client.trace_id, server.trace_id);
    assert_eq!(host.stats.lost(Loss::Gap), 0);
}

#[test]
fn under_load_it_has_no_text() {
    let mut host = Host::new(Budget::unlimited());
    host.pipeline.shed(Step::TEXT, Time(host.now));
    let [client, _] = host.search();
    assert_eq!(&*client.name, "search p");
    assert!(text(&client, "db.query.text").is_none());
    assert!(text(&client, "tracebee.trimmed").is_some());
    assert_eq!(host.stats.lost(Loss::Trimmed), 1);
}
