//! What is enough to call a call one to these servers, and what is not.

use super::*;
use crate::protocol::search::{ELASTICSEARCH, OPENSEARCH};

const SECOND: u64 = 1_000_000_000;

fn request(method: &'static str, target: &str, fields: &[(&str, &str)]) -> http1::Request {
    let mut request = http1::Request {
        method: method.into(),
        target: target.into(),
        host: Some("es:9200".into()),
        ..http1::Request::default()
    };
    fields.iter().for_each(|(name, value)| request.signs.search.field(name, value.as_bytes()));
    request
}

fn response(status: u16, fields: &[(&str, &str)]) -> http1::Response {
    let mut response = http1::Response { status, minor: 1, ..http1::Response::default() };
    fields.iter().for_each(|(name, value)| response.signs.search.field(name, value.as_bytes()));
    response
}

const JSON: (&str, &str) = ("content-type", "application/json; charset=UTF-8");
const DATE: (&str, &str) = ("date", "Sun, 22 Nov 2026 01:00:00 GMT");
const PRODUCT: (&str, &str) = ("x-elastic-product", "Elasticsearch");
const OPENSEARCH_PY: (&str, &str) = ("user-agent", "opensearch-py/3.2.0 (Python 3.11.7)");
const ELASTICSEARCH_PY: (&str, &str) = ("user-agent", "elasticsearch-py/7.13.4 (Python 3.11.7)");
const CURL: (&str, &str) = ("user-agent", "curl/8.5.0");

/// Servers, and a clock.
#[derive(Default)]
struct Host {
    servers: Servers,
    now: u64,
}

impl Host {
    fn judge(&mut self, request: &http1::Request, answer: Option<&http1::Response>) -> String {
        self.judge_at(1, request, answer)
    }

    fn judge_at(
        &mut self,
        netns: u32,
        request: &http1::Request,
        answer: Option<&http1::Response>,
    ) -> String {
        self.now += SECOND;
        let address = Address::Inet(([10, 0, 0, 1], 9200).into());
        let server = || Server { netns, address };
        match self.servers.meaning(request, answer, server, Time(self.now)) {
            Some(meaning) => format!("{} {}", meaning.system.name, meaning.endpoint.name),
            None => "http".to_owned(),
        }
    }

    /// A search of a client that says nothing, and its answer by a server that does not.
    fn plain(&mut self) -> String {
        let answer = response(200, &[JSON]);
        self.judge(&request("POST", "/p/_search", &[CURL]), Some(&answer))
    }

    /// The server is asked who it is.
    fn root(&mut self, system: &'static System) -> String {
        let mut answer = response(200, &[JSON]);
        answer.content = Some(Box::new(Content::Search(search::Content::Root(system))));
        self.judge(&request("GET", "/", &[CURL]), Some(&answer))
    }
}

#[test]
fn a_path_is_no_evidence() {
    let mut host = Host::default();
    assert_eq!(host.plain(), "http");
    let answer = response(200, &[JSON, DATE]);
    for (method, target) in [("GET", "/p/_search"), ("PUT", "/p"), ("GET", "/_cluster/health")] {
        assert_eq!(host.judge(&request(method, target, &[]), Some(&answer)), "http", "{target}");
    }
    assert!(host.servers.0.is_empty());
}

#[test]
fn a_server_names_itself_in_each_answer() {
    let mut host = Host::default();
    // Also behind a proxy, and when it refuses.
    for fields in [&[JSON, PRODUCT][..], &[JSON, PRODUCT, DATE], &[PRODUCT]] {
        for status in [200, 401, 404, 503] {
            let answer = response(status, fields);
            let asked = request("POST", "/p/_search", &[CURL]);
            assert_eq!(host.judge(&asked, Some(&answer)), "elasticsearch search");
        }
    }
    // What is no endpoint stays a call over HTTP.
    let answer = response(200, &[PRODUCT]);
    assert_eq!(host.judge(&request("GET", "/app/p/_search", &[]), Some(&answer)), "http");
    assert_eq!(host.judge(&request("GET", "http://x/_search", &[]), Some(&answer)), "http");
}

#[test]
fn a_client_says_whom_it_asks() {
    let mut host = Host::default();
    let asked = request("POST", "/p/_search", &[OPENSEARCH_PY]);
    assert_eq!(host.judge(&asked, None), "opensearch search");
    let refused = response(502, &[("content-type", "text/html"), DATE]);
    assert_eq!(host.judge(&asked, Some(&refused)), "opensearch search");
    assert_eq!(host.plain(), "http", "an answer like this proves nothing of the server");
    let asked = request("GET", "/a/b/c", &[OPENSEARCH_PY]);
    assert_eq!(host.judge(&asked, Some(&response(200, &[JSON]))), "http");
}

#[test]
fn what_an_answer_shows_holds_for_later_ones() {
    let mut host = Host::default();
    assert_eq!(host.plain(), "http");
    let asked = request("POST", "/p/_search", &[OPENSEARCH_PY]);
    assert_eq!(host.judge(&asked, Some(&response(200, &[JSON]))), "opensearch search");
    assert_eq!(host.plain(), "opensearch search");
    // Not for a call without an answer, another host, another network.
    let silent = request("POST", "/p/_search", &[CURL]);
    assert_eq!(host.judge(&silent, None), "http");
    let mut elsewhere = silent.clone();
    elsewhere.host = Some("other:9200".into());
    let answer = response(200, &[JSON]);
    assert_eq!(host.judge(&elsewhere, Some(&answer)), "http");
    let asked = request("POST", "/p/_search", &[OPENSEARCH_PY]);
    host.judge(&asked, Some(&answer));
    assert_eq!(host.judge_at(2, &silent, Some(&answer)), "http");
    assert_eq!(host.plain(), "opensearch search");
}

#[test]
fn the_server_knows_better() {
    let mut host = Host::default();
    let asked = request("POST", "/p/_search", &[ELASTICSEARCH_PY]);
    let answer = response(200, &[JSON]);
    assert_eq!(host.judge(&asked, Some(&answer)), "elasticsearch search");
    assert_eq!(host.root(&OPENSEARCH), "opensearch info");
    assert_eq!(host.judge(&asked, Some(&answer)), "opensearch search");
    assert_eq!(host.plain(), "opensearch search");
    assert_eq!(host.root(&ELASTICSEARCH), "elasticsearch info");
    assert_eq!(host.plain(), "elasticsearch search");
}

#[test]
fn an_answer_of_somebody_else_ends_it() {
    for foreign in [&[JSON, DATE][..], &[("content-type", "text/html")], &[JSON, ("server", "x")]] {
        let mut host = Host::default();
        host.root(&OPENSEARCH);
        assert_eq!(host.plain(), "opensearch search");
        let asked = request("POST", "/p/_search", &[CURL]);
        assert_eq!(host.judge(&asked, Some(&response(200, foreign))), "http", "{foreign:?}");
        assert_eq!(host.plain(), "http");
    }
}

#[test]
fn silence_ends_it() {
    let mut host = Host::default();
    host.root(&OPENSEARCH);
    for _ in 0..3 {
        host.now += MEMORY - 2 * SECOND;
        assert_eq!(host.plain(), "opensearch search");
    }
    host.now += MEMORY;
    assert_eq!(host.plain(), "http");
}

#[test]
fn servers_are_bounded() {
    let mut servers = Servers::default();
    let answer = response(200, &[PRODUCT]);
    let asked = request("GET", "/", &[]);
    for n in 0..2 * MAX_SERVERS as u32 {
        let address = Address::Inet((n.to_be_bytes(), 9200).into());
        let server = || Server { netns: 1, address };
        servers.meaning(&asked, Some(&answer), server, Time(n.into()));
        assert!(servers.0.len() <= MAX_SERVERS);
    }
    assert_eq!(servers.0.len(), MAX_SERVERS);
    let oldest = servers.0.values().map(|known| known.last.0).min();
    assert_eq!(oldest, Some(MAX_SERVERS as u64));
}
