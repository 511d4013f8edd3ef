//! Operations are counted, or nothing is said.

use proptest::prelude::*;

use super::super::Content;
use super::super::bulk::{Action, Bulk, Reader};
use super::read;

fn of(body: &str) -> Option<Bulk> {
    in_pieces(&[body.as_bytes()], true)
}

fn in_pieces(pieces: &[&[u8]], whole: bool) -> Option<Bulk> {
    read(Reader::default(), pieces, whole).map(|content| match content {
        Content::Bulk(bulk) => *bulk,
        other => panic!("not operations: {other:?}"),
    })
}

fn bulk(operations: u64, action: Option<Action>, index: Option<&str>) -> Option<Bulk> {
    let names_indices = index.is_some();
    Some(Bulk { operations, action, index: index.map(Into::into), names_indices })
}

#[test]
fn operations_are_counted() {
    for (body, expected) in [
        ("", bulk(0, None, None)),
        ("\n", bulk(0, None, None)),
        ("{\"index\":{}}\n{\"a\":1}\n", bulk(1, Some(Action::Index), None)),
        ("{\"index\":{}}\r\n{\"a\":1}\r\n", bulk(1, Some(Action::Index), None)),
        (
            "{\"index\":{\"_index\":\"p\",\"_id\":\"1\"}}\n{\"a\":1}\n\
             {\"index\":{\"_id\":\"2\",\"_index\":\"p\"}}\n{\"a\":{\"_index\":\"x\"}}\n\n",
            bulk(2, Some(Action::Index), Some("p")),
        ),
        (
            "{\"delete\":{\"_index\":\"p\",\"_id\":\"1\"}}\n{\"delete\":{\"_index\":\"p\"}}\n",
            bulk(2, Some(Action::Delete), Some("p")),
        ),
        (
            " { \"create\" : { \"_index\" : \"p\" } } \n{}\n{\"update\":{\"_index\":\"p\"}}\n{}\n",
            bulk(2, None, Some("p")),
        ),
        // What a source looks like does not matter.
        ("{\"index\":{}}\n{\"delete\":{}}\n", bulk(1, Some(Action::Index), None)),
        (
            "{\"update\":{\"retry_on_conflict\":3,\"x\":[{\"_index\":\"q\"}]}}\n{}\n",
            bulk(1, Some(Action::Update), None),
        ),
    ] {
        assert_eq!(of(body), expected, "{body}");
    }
}

#[test]
fn indices_that_differ_are_none() {
    let body = "{\"delete\":{\"_index\":\"p\"}}\n{\"delete\":{\"_index\":\"q\"}}\n";
    let found = of(body).unwrap();
    assert_eq!((found.index, found.names_indices), (None, true));
    let body =
        "{\"delete\":{\"_index\":\"p\"}}\n{\"delete\":{}}\n{\"delete\":{\"_index\":\"p\"}}\n";
    assert_eq!(of(body).unwrap().index, None);
    let body = "{\"delete\":{\"_index\":\"\\u0070\"}}\n";
    assert_eq!(of(body).unwrap().index, None);
}

#[test]
fn what_is_not_understood_is_not_counted() {
    let long = format!("{{\"delete\":{{\"_id\":\"{}\"}}}}\n", "x".repeat(5000));
    for body in [
        "{\"index\":{}}\n",
        "{\"index\":{}}\n{\"a\":1}",
        "{\"index\":{}}\n\n{\"a\":1}\n",
        "{\"index\":{}\n{}\n",
        "{\"upsert\":{}}\n{}\n",
        "{\"index\":1}\n{}\n",
        "{\"delete\":{}} x\n",
        "{\"delete\":{\"_id\":\"1}}\n",
        "delete\n",
        "\u{1}\u{2}\n",
    ] {
        assert_eq!(of(body), None, "{body}");
    }
    // In one piece it was never kept.
    assert!(of(&long).is_some());
    let (front, back) = long.split_at(4500);
    assert_eq!(in_pieces(&[front.as_bytes(), back.as_bytes()], true), None);
    assert_eq!(in_pieces(&[b"{\"delete\":{}}\n"], false), None);
}

fn operation() -> impl Strategy<Value = (Action, Option<&'static str>, String)> {
    let action = prop_oneof![
        Just(Action::Create),
        Just(Action::Delete),
        Just(Action::Index),
        Just(Action::Update)
    ];
    let index = prop_oneof![Just(None), Just(Some("products")), Just(Some("orders"))];
    (action, index, "[ -~]{0,30}")
}

proptest! {
    #[test]
    fn in_any_pieces(
        operations in prop::collection::vec(operation(), 0..12),
        cuts in prop::collection::vec(any::<bool>(), 1..61),
    ) {
        let mut body = String::new();
        for (action, index, text) in &operations {
            let text = serde_json::to_string(text).unwrap();
            let index = index.map_or(String::new(), |index| format!("\"_index\":\"{index}\","));
            body += &format!("{{\"{}\":{{{index}\"_id\":{text}}}}}\n", action.name());
            if *action != Action::Delete {
                body += &format!("{{\"field\":{text}}}\n");
            }
        }
        let mut pieces = Vec::new();
        let mut start = 0;
        for at in 1..=body.len() {
            if at == body.len() || cuts[at % cuts.len()] {
                pieces.push(&body.as_bytes()[start..at]);
                start = at;
            }
        }
        let found = in_pieces(&pieces, true).unwrap();
        prop_assert_eq!(found.operations, operations.len() as u64);
        let first = operations.first();
        let same_action = first.filter(|first| operations.iter().all(|o| o.0 == first.0));
        prop_assert_eq!(found.action, same_action.map(|first| first.0));
        let same_index = first.filter(|first| operations.iter().all(|o| o.1 == first.1));
        prop_assert_eq!(found.index.as_deref(), same_index.and_then(|first| first.1));
        prop_assert_eq!(found.names_indices, operations.iter().any(|o| o.1.is_some()));
    }

    #[test]
    fn hostile_bodies_are_harmless(pieces in prop::collection::vec("[{}\":,a\\n\\\\delete_index]{0,40}", 0..9)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let _ = in_pieces(&pieces, true);
    }
}
