//! What answers for `/`.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::{Content, ELASTICSEARCH, OPENSEARCH, root};
use super::read;

const OURS: &str = r#"{
  "name" : "one",
  "cluster_name" : "suite",
  "cluster_uuid" : "7LJbb9b1QzKZhvpCTwUZCw",
  "version" : {
    "distribution" : "opensearch",
    "number" : "2.11.1",
    "lucene_version" : "9.7.0"
  },
  "tagline" : "The OpenSearch Project: https://opensearch.org/"
}
"#;

const OLD: &str = r#"{"name":"n","cluster_name":"c","version":{"number":"7.10.2",
"lucene_version":"8.7.0"},"tagline":"You Know, for Search"}"#;

fn of(body: &str) -> Option<Content> {
    read(root::Reader::default(), &[body.as_bytes()], true)
}

#[test]
fn products_name_themselves() {
    assert_eq!(of(OURS), Some(Content::Root(&OPENSEARCH)));
    assert_eq!(of(OLD), Some(Content::Root(&ELASTICSEARCH)));
    let nameless = OURS.replace("\"distribution\" : \"opensearch\",", "");
    assert_eq!(of(&nameless), Some(Content::Root(&OPENSEARCH)));
}

#[test]
fn a_compressed_answer_is_read_up_to_the_limit() {
    let compressed = |body: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let of = |body: &[u8]| read(root::Reader::default(), &[body], true);
    let answer = compressed(OURS);
    assert_eq!(of(&answer), Some(Content::Root(&OPENSEARCH)));
    for cut in 0..answer.len() - 8 {
        assert_eq!(of(&answer[..cut]), None, "cut at {cut}");
    }
    assert_eq!(of(&compressed(&format!("{}{OURS}", " ".repeat(1 << 20)))), None);
}

#[test]
fn nobody_else_does() {
    for body in [
        "",
        "{}",
        "[]",
        "\"You Know, for Search\"",
        "{\"tagline\":\"You Know, for Search\"}",
        "{\"version\":{\"distribution\":\"opensearch\"}}",
        &OURS.replace("\"opensearch\"", "\"closedsearch\""),
        &OLD.replace("You Know", "Nobody knows"),
        &OLD[..OLD.len() - 1],
        &"[".repeat(2000),
    ] {
        assert_eq!(of(body), None, "{body}");
    }
    let long = format!("{OURS}{}", " ".repeat(root::MAX_LENGTH));
    assert_eq!(of(&long), None);
}

#[test]
fn an_answer_is_read_wherever_it_is_cut() {
    let body = OURS.as_bytes();
    for cut in 0..body.len() {
        let (front, back) = body.split_at(cut);
        let found = read(root::Reader::default(), &[front, back], true);
        assert_eq!(found, Some(Content::Root(&OPENSEARCH)), "cut at {cut}");
        assert_eq!(read(root::Reader::default(), &[front], false), None);
    }
}
