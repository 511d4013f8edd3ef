//! Items of answers are counted, or nothing is said.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::super::items::{Items, Reader, are_told};
use super::super::{Content, Tells, awaited};
use super::read;

/// As OpenSearch 2.11 answers, with one that failed.
const ANSWER: &str = r#"{"took":30,"errors":true,"items":[
{"create":{"_index":"p","_id":"1","status":409,"error":{"type":"version_conflict_engine_exception",
"reason":"[1]: version conflict, \"error\": document [{\\\"items\\\":[{}]}] \\","index":"p","error":{"a":1}}}},
{"index":{"_index":"p","_id":"}]}","_version":1,"result":"created","_shards":{"total":1,"items":[{}]},"status":201}},
{"delete":{"_index":"p","_id":"error","result":"error","status":404}}],"ingest_took":7,"more":[{}]}"#;

fn of(body: &[u8]) -> Option<Items> {
    in_pieces(&[body], true)
}

fn in_pieces(pieces: &[&[u8]], whole: bool) -> Option<Items> {
    read(Reader::default(), pieces, whole).map(|content| match content {
        Content::Items(items) => items,
        other => panic!("not items: {other:?}"),
    })
}

fn items(operations: u64, failed: u64) -> Option<Items> {
    Some(Items { operations, failed })
}

fn compressed(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn items_are_counted() {
    assert_eq!(of(ANSWER.as_bytes()), items(3, 1));
    // As Elasticsearch 8 does.
    let first = br#"{"errors":false,"took":0,"items":[{"index":{"status":201}},{"index":{}}]}"#;
    assert_eq!(of(first), items(2, 0));
    assert_eq!(of(b" {\n \"items\" : [ ] \n}\n"), items(0, 0));
    assert_eq!(of(&compressed(ANSWER)), items(3, 1));
}

#[test]
fn wherever_it_is_cut() {
    for body in [ANSWER.as_bytes(), &compressed(ANSWER)] {
        for cut in 0..body.len() {
            let (front, back) = body.split_at(cut);
            assert_eq!(in_pieces(&[front, back], true), items(3, 1), "cut at {cut}");
            assert_eq!(in_pieces(&[front], false), None, "until {cut}");
        }
    }
    // The last byte is what makes an answer whole.
    let body = ANSWER.as_bytes();
    (0..body.len()).for_each(|end| assert_eq!(of(&body[..end]), None, "until {end}"));
}

#[test]
fn nothing_else_is_counted() {
    for body in [
        "",
        "{}",
        "[{\"items\":[{}]}]",
        "{\"errors\":false}",
        "{\"took\":1,\"hits\":{\"items\":[{}]}}",
        "{\"items\":{\"items\":[{}]}}",
        "{\"error\":{\"reason\":\"\\\"items\\\":[{}]\"},\"status\":200}",
        "{\"items\":[{}]}{\"items\":[{}]}",
        "x{\"items\":[{}]}",
        "{\"items\":[{}",
        "\u{1f}",
    ] {
        assert_eq!(of(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn what_a_few_bytes_come_to_is_bounded() {
    let many = |count: usize| format!("{{\"items\":[{}{{}}]}}", "{},".repeat(count - 1));
    assert_eq!(of(&compressed(&many(100_000))), items(100_000, 0));
    assert_eq!(of(&compressed(&many(2_000_000))), None);
}

#[test]
fn where_items_may_be_left_out_nothing_is_read() {
    for (query, told) in [
        ("", true),
        ("?refresh=true&pretty", true),
        ("?filter_path=-took", true),
        ("?filter_path=-took,-ingest_took.x", true),
        ("?filter_path=-took&filter_path=errors", false),
        ("?filter_path=took,errors,items.*.error", false),
        ("?filter_path=-took%2C-items.*.result", false),
        ("?filter_path=-i*", false),
        ("?filter%5Fpath=errors", false),
        ("?filter_path=", false),
    ] {
        assert_eq!(are_told(&format!("/p/_bulk{query}")), told, "{query}");
        let expected = told.then_some(Tells::Items);
        assert_eq!(awaited("POST", &format!("/_bulk{query}")), expected, "{query}");
    }
    for (method, target) in
        [("GET", "/_bulk"), ("POST", "/_bulk/x"), ("POST", "/p/_doc"), ("PUT", "/")]
    {
        assert_eq!(awaited(method, target), None, "{method} {target}");
    }
    assert_eq!(awaited("GET", "/?pretty"), Some(Tells::Root));
}

proptest! {
    /// Whatever the items hold, each is one, in pieces of any size.
    #[test]
    fn any_items(
        sources in proptest::collection::vec(("\\PC{0,20}", any::<bool>()), 0..20),
        size in 1usize..40,
    ) {
        let item = |(text, failed): &(String, bool)| {
            let mut outcome = serde_json::json!({"_id": text, text: {"error": [text, {"items": [1]}]}});
            if *failed {
                outcome["error"] = serde_json::json!({"reason": text, "error": {}});
            } else {
                outcome.as_object_mut().unwrap().remove("error");
            }
            serde_json::json!({"index": outcome})
        };
        let all: Vec<_> = sources.iter().map(item).collect();
        let body = serde_json::json!({"took": 1, "items": all, "z": "items"}).to_string();
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
        let failed = sources.iter().filter(|(_, failed)| *failed).count() as u64;
        prop_assert_eq!(in_pieces(&pieces, true), items(sources.len() as u64, failed));
    }
}
