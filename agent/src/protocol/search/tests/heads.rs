//! What heads say, and what they do not.

use super::super::{AnswerSigns, ELASTICSEARCH, OPENSEARCH, Signs};

fn asked(fields: &[(&str, &str)]) -> Signs {
    let mut signs = Signs::default();
    fields.iter().for_each(|(name, value)| signs.field(name, value.as_bytes()));
    signs
}

fn answered(fields: &[(&str, &str)]) -> AnswerSigns {
    let mut signs = AnswerSigns::default();
    fields.iter().for_each(|(name, value)| signs.field(name, value.as_bytes()));
    signs
}

#[test]
fn clients_say_whom_they_ask() {
    for (name, value) in [
        ("User-Agent", "elasticsearch-py/8.12.0 (Python/3.11.7; elastic-transport/8.12.0)"),
        ("user-agent", "elasticsearch-js/8.11.0 (linux 6.1-x64; Node.js 20; Transport 8.3.4)"),
        ("user-agent", "go-elasticsearch/8.11.1 (linux amd64; Go 1.21)"),
        ("user-agent", "elastic-java/8.13.0 (Java/17)"),
        ("x-elastic-client-meta", "es=7.13.4,py=3.11.7,t=7.13.4,ur=1.26.20"),
        ("Accept", "application/vnd.elasticsearch+json; compatible-with=8"),
        ("content-type", "application/vnd.elasticsearch+x-ndjson; compatible-with=8"),
    ] {
        assert_eq!(asked(&[(name, value)]).system(), Some(&ELASTICSEARCH), "{value}");
    }
    for value in ["opensearch-py/3.2.0 (Python 3.11.7)", "opensearch-go/2.3.0 (linux amd64)"] {
        assert_eq!(asked(&[("user-agent", value)]).system(), Some(&OPENSEARCH), "{value}");
    }
    let both = [("user-agent", "opensearch-py/1"), ("x-elastic-client-meta", "es=8")];
    assert_eq!(asked(&both).system(), None);
}

#[test]
fn others_do_not() {
    for (name, value) in [
        ("user-agent", "curl/8.5.0"),
        ("user-agent", "Python/3.11 aiohttp/3.14.5"),
        ("user-agent", "Mozilla/5.0 elasticsearch-py/8"),
        ("user-agent", "elasticsearch-py"),
        ("user-agent", "elasticsearch-/1"),
        ("user-agent", "opensearch-1/2"),
        ("user-agent", "elasticsearch"),
        ("user-agent", ""),
        ("accept", "application/json"),
        ("accept", "application/vnd.elasticsearch"),
        ("x-elastic-client-met", "es=8"),
        ("host", "elasticsearch-py/8"),
    ] {
        assert_eq!(asked(&[(name, value)]).system(), None, "{name}: {value}");
    }
}

#[test]
fn servers_say_who_they_are() {
    let product = [("X-elastic-product", "Elasticsearch")];
    assert_eq!(answered(&product).system(), Some(&ELASTICSEARCH));
    assert_eq!(answered(&[("x-elastic-product", "other")]).system(), None);
    let version = [("X-OpenSearch-Version", "OpenSearch/3.0.0 (opensearch)")];
    assert_eq!(answered(&version).system(), Some(&OPENSEARCH));
    assert_eq!(answered(&[product[0], version[0]]).system(), None);
}

#[test]
fn servers_of_their_own_look_different() {
    let json = ("content-type", "application/json; charset=UTF-8");
    assert!(answered(&[json, ("content-length", "5")]).may_be_theirs());
    assert!(answered(&[json, ("content-encoding", "gzip")]).is_json());
    for value in ["application/json", "Application/JSON", "application/vnd.elasticsearch+json; a=b"]
    {
        let signs = answered(&[("Content-Type", value)]);
        assert!(signs.is_json() && signs.may_be_theirs(), "{value}");
    }
    let other = answered(&[("content-type", "application/jsonlines")]);
    assert!(!other.is_json() && !other.may_be_theirs());
    assert!(answered(&[("content-type", "text/plain; charset=UTF-8")]).may_be_theirs());
    for foreign in [
        ("Date", "Sun, 22 Nov 2026 01:00:00 GMT"),
        ("Server", "nginx/1.22.1"),
        ("Via", "1.1 proxy"),
        ("Content-Type", "text/html"),
    ] {
        assert!(!answered(&[json, foreign]).may_be_theirs(), "{foreign:?}");
    }
}

#[test]
fn compressed_bodies_are_known() {
    assert!(asked(&[("Content-Encoding", "gzip")]).is_encoded());
    assert!(!asked(&[("content-encoding", "identity")]).is_encoded());
    assert!(!asked(&[]).is_encoded());
}

#[test]
fn clouds_name_cluster_and_node() {
    let signs =
        answered(&[("X-Found-Handling-Cluster", "abc"), ("x-found-handling-instance", "i-0")]);
    let node = signs.node.unwrap();
    assert_eq!((node.cluster.as_deref(), node.instance.as_deref()), (Some("abc"), Some("i-0")));
    let long = "x".repeat(2000);
    assert_eq!(answered(&[("x-found-handling-cluster", &long)]).node.unwrap().cluster, None);
}
