//! Methods and paths are the endpoints that the specification names.

use proptest::prelude::*;

use super::super::endpoints::{Body, find};
use super::super::path;

#[test]
fn endpoints_have_their_names_and_parts() {
    for (method, path, name, parts) in [
        ("GET", "/", "info", &[][..]),
        ("HEAD", "/", "ping", &[]),
        ("POST", "/_search", "search", &[]),
        ("GET", "/products/_search", "search", &[("index", "products")]),
        ("POST", "/a,b*/_search", "search", &[("index", "a,b*")]),
        ("POST", "/_all/_search", "search", &[("index", "_all")]),
        ("POST", "/products/_bulk", "bulk", &[("index", "products")]),
        ("PUT", "/_bulk", "bulk", &[]),
        ("POST", "/products/_doc", "index", &[("index", "products")]),
        ("PUT", "/products/_doc/7", "index", &[("index", "products"), ("id", "7")]),
        ("PUT", "/products/_doc/_search", "index", &[("index", "products"), ("id", "_search")]),
        ("PUT", "/products/_create/7", "create", &[("index", "products"), ("id", "7")]),
        ("GET", "/products/_doc/7", "get", &[("index", "products"), ("id", "7")]),
        ("HEAD", "/products/_doc/7", "exists", &[("index", "products"), ("id", "7")]),
        ("DELETE", "/products/_doc/7", "delete", &[("index", "products"), ("id", "7")]),
        ("POST", "/products/_update/7", "update", &[("index", "products"), ("id", "7")]),
        ("POST", "/products/_count", "count", &[("index", "products")]),
        ("POST", "/_msearch", "msearch", &[]),
        ("POST", "/products/_mget", "mget", &[("index", "products")]),
        ("PUT", "/products", "indices.create", &[("index", "products")]),
        ("HEAD", "/products", "indices.exists", &[("index", "products")]),
        ("DELETE", "/products", "indices.delete", &[("index", "products")]),
        ("POST", "/products/_refresh", "indices.refresh", &[("index", "products")]),
        ("GET", "/_cluster/health", "cluster.health", &[]),
        ("GET", "/_cluster/health/a", "cluster.health", &[("index", "a")]),
        ("GET", "/_cat/indices", "cat.indices", &[]),
        ("DELETE", "/_search/scroll", "clear_scroll", &[]),
        ("POST", "/a/_search/point_in_time", "create_pit", &[("index", "a")]),
        ("GET", "/_nodes/_local/stats", "nodes.stats", &[("node_id", "_local")]),
        ("GET", "/_index_template/t", "indices.get_index_template", &[("name", "t")]),
    ] {
        let (endpoint, values) = find(method, path).unwrap_or_else(|| panic!("{method} {path}"));
        assert_eq!(endpoint.name, name, "{method} {path}");
        let keys = endpoint.parts.iter().map(|key| key.strip_prefix("db.operation.parameter."));
        let found: Vec<_> = keys.map(Option::unwrap).zip(values).collect();
        assert_eq!(found, parts, "{method} {path}");
    }
}

#[test]
fn other_paths_are_none() {
    for (method, path) in [
        ("POST", "/"),
        ("get", "/_search"),
        ("DELETE", "/products/_search"),
        ("POST", "/products"),
        ("GET", "/favicon.ico"),
        ("GET", "/api/v1/products"),
        ("GET", "/products/7"),
        ("POST", "/products/type/_search"),
        ("GET", "/_unknown"),
        ("PUT", "/_unknown"),
        ("GET", "/_unknown/_search"),
        ("GET", "//_search"),
        ("GET", "/a//_search"),
        ("GET", ""),
        ("GET", "*"),
        ("GET", "/1/2/3/4/5/6/7/8/9/10/11/12"),
    ] {
        assert_eq!(find(method, path), None, "{method} {path}");
    }
}

#[test]
fn each_line_of_the_table_is_found() {
    let mut bodies = 0;
    let mut shapes = std::collections::HashSet::new();
    for line in include_str!("../endpoints.txt").lines().skip(1) {
        let [methods, path, name] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let value = |segment: &str| if segment.starts_with('{') { "x" } else { segment }.to_owned();
        let asked: Vec<String> = path.split('/').map(value).collect();
        for method in methods.split(',') {
            let shape = asked.join("/");
            let (endpoint, values) = find(method, &shape).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(endpoint.name, name, "{line}");
            assert_eq!(values.len(), path.matches('{').count(), "{line}");
            assert!(shapes.insert((method, shape.clone())), "twice: {line}");
            bodies += usize::from(endpoint.body != Body::None);
        }
    }
    assert!(bodies > 20, "{bodies}");
}

#[test]
fn a_target_in_origin_form_has_a_path() {
    assert_eq!(path("/a/_search?q=1"), Some("/a/_search"));
    assert_eq!(path("/?pretty"), Some("/"));
    assert_eq!(path("/a#b"), Some("/a"));
    assert_eq!(path("http://a/_search"), None);
    assert_eq!(path("*"), None);
}

proptest! {
    #[test]
    fn hostile_paths_are_harmless(path in "/?[/_a-z{}%é]{0,40}|\\PC{0,60}") {
        for method in ["GET", "PUT", "x", ""] {
            if let Some((endpoint, values)) = find(method, &path) {
                prop_assert_eq!(endpoint.parts.len(), values.len());
            }
        }
    }
}
