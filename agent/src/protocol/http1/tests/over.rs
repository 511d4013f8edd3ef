//! Bodies that somebody reads: what they say is found however they come, and nothing else changes.

use proptest::prelude::*;

use super::super::Content;
use super::{A, DETECTOR, Driver, Q, Side};
use crate::protocol::fuzz::check;
use crate::protocol::{Part, search};

const BULK: &str = "{\"index\":{\"_id\":1}}\n{\"a\":1}\n{\"delete\":{\"_id\":2}}\n";

const QUERY: &str = "{\"query\":{\"term\":{\"name\":\"secret\"}}}";

const ITEMS: &str =
    "{\"took\":1,\"errors\":true,\"items\":[{\"index\":{\"error\":{}}},{\"delete\":{}}]}";

const ROOT: &str = "{\"cluster_name\":\"c\",\"version\":{\"distribution\":\"opensearch\",\"lucene_version\":\"9\"},\"tagline\":\"t\"}";

/// Requests and their answers.
fn turns() -> Vec<(Side, String)> {
    let length = |head: &str, body: &str| {
        format!("{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let chunked = |head: &str, body: &str, size: usize| {
        let chunks = body.as_bytes().chunks(size).map(|chunk| {
            format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
        });
        let body: String = chunks.collect();
        format!("{head} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n")
    };
    let ok = || (A, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned());
    let root = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ROOT}",
        ROOT.len()
    );
    let items = length("HTTP/1.1 200 OK", ITEMS).replacen(
        " HTTP/1.1\r\nHost: x",
        "\r\nContent-Type: application/json",
        1,
    );
    let in_chunks = chunked("HTTP/1.1 200 OK", ITEMS, 9).replacen(
        " HTTP/1.1\r\n",
        "\r\nContent-Type: application/json\r\n",
        1,
    );
    let expects = length("POST /p/_search", QUERY).replace("Host: x", "Expect: 100-continue");
    let body_at = expects.len() - QUERY.len();
    vec![
        (Q, length("POST /p/_bulk", BULK)),
        ok(),
        (Q, chunked("POST /p/_bulk", BULK, 7)),
        ok(),
        (Q, length("GET /p/_search?pretty", QUERY)),
        ok(),
        (Q, chunked("POST /p/_search", QUERY, 100)),
        ok(),
        (Q, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (A, root),
        (Q, expects[..body_at].to_owned()),
        (A, "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
        (Q, expects[body_at..].to_owned()),
        ok(),
        // Nobody reads these.
        (Q, length("POST /p/_doc", QUERY)),
        ok(),
        (Q, length("POST /p/_search", QUERY).replace("Host: x", "Content-Encoding: gzip")),
        ok(),
        (Q, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (A, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi".to_owned()),
        // What became of operations.
        (Q, length("POST /p/_bulk", BULK)),
        (A, items.clone()),
        (Q, length("POST /p/_bulk", BULK)),
        (A, in_chunks),
        // Of which some may have been left out.
        (Q, length("POST /p/_bulk?filter_path=items", BULK)),
        (A, items),
    ]
}

const FOUND: &[&str] = &[
    "0: 2 operations, None",
    "1: 2 operations, None",
    "2: {\"query\":{\"term\":{\"name\":?}}}",
    "3: {\"query\":{\"term\":{\"name\":?}}}",
    "4: opensearch",
    "5: {\"query\":{\"term\":{\"name\":?}}}",
    "9: 2 operations, None",
    "9: 1 of 2 failed",
    "10: 2 operations, None",
    "10: 1 of 2 failed",
    "11: 2 operations, None",
];

/// What is said of which message, by its number, and all else that is said.
fn found(driver: &Driver) -> (Vec<String>, Vec<String>) {
    check(&driver.parts);
    let (mut contents, mut others) = (Vec::new(), Vec::new());
    let (mut requests, mut responses) = (Vec::new(), Vec::new());
    for part in &driver.parts {
        let Part::Content { side, at, content } = part else {
            match part {
                Part::Request { at, .. } => requests.push(*at),
                Part::Response { at, .. } => responses.push(*at),
                _ => {}
            }
            others.push(super::show(part));
            continue;
        };
        let messages = if *side == Side::Request { &requests } else { &responses };
        let number = messages.iter().position(|message| message == at).unwrap();
        let Content::Search(content) = &**content;
        contents.push(match content {
            search::Content::Query(query) => format!("{number}: {}", query.text),
            search::Content::Bulk(bulk) => {
                format!("{number}: {} operations, {:?}", bulk.operations, bulk.action)
            }
            search::Content::Items(items) => {
                format!("{number}: {} of {} failed", items.failed, items.operations)
            }
            search::Content::Root(system) => format!("{number}: {}", system.name),
        });
    }
    (contents, others)
}

fn as_turns(turns: &[(Side, String)]) -> Driver {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    turns.iter().for_each(|(side, text)| driver.data(*side, text.as_bytes()));
    driver
}

/// The same, as if nobody read anything: by other paths.
fn unread() -> Vec<(Side, String)> {
    let other = |text: String| {
        let text = text.replace("/_bulk", "/-bulk").replace("/_search", "/-search");
        text.replace("GET / ", "PUT / ")
    };
    turns().into_iter().map(|(side, text)| (side, other(text))).collect()
}

fn plain(others: Vec<String>) -> Vec<String> {
    let plain = |line: String| line.replace("/-", "/_").replace("PUT /", "GET /");
    others.into_iter().map(plain).collect()
}

#[test]
fn whole_messages() {
    let (contents, others) = found(&as_turns(&turns()));
    assert_eq!(contents, FOUND);
    let (none, as_ever) = found(&as_turns(&unread()));
    assert_eq!(none, [""; 0]);
    assert_eq!(others, plain(as_ever));
}

#[test]
fn cut_anywhere() {
    let turns = turns();
    for (turn, (_, text)) in turns.iter().enumerate() {
        for cut in 1..text.len() {
            let mut driver = Driver::joined(&DETECTOR, 0, 0);
            for (number, (side, text)) in turns.iter().enumerate() {
                let cut = if number == turn { cut } else { text.len() };
                driver.data(*side, &text.as_bytes()[..cut]);
                driver.data(*side, &text.as_bytes()[cut..]);
            }
            assert_eq!(found(&driver).0, FOUND, "turn {turn}, cut at {cut}");
        }
    }
}

/// With the bytes from `from` to `to` of one turn missing.
fn without(turns: &[(Side, String)], turn: usize, from: usize, to: usize) -> Driver {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    for (number, (side, text)) in turns.iter().enumerate() {
        if number == turn {
            driver.data(*side, &text.as_bytes()[..from]);
            driver.gap(*side, (to - from) as u64);
            driver.data(*side, &text.as_bytes()[to..]);
        } else {
            driver.data(*side, text.as_bytes());
        }
    }
    driver
}

/// What is missing is not made up: operations are counted or not, a query says that it is cut. All
/// that is said of messages is what is said of those that nobody reads.
#[test]
fn with_a_gap_anywhere() {
    let (turns, unread) = (turns(), unread());
    for (turn, (_, text)) in turns.iter().enumerate() {
        for from in 0..text.len() {
            for to in [from + 1, from + 9, text.len()] {
                let to = to.min(text.len());
                let context = format!("turn {turn}, without {from}..{to}");
                let (contents, others) = found(&without(&turns, turn, from, to));
                for content in &contents {
                    let (_, said) = content.split_once(": ").unwrap();
                    let whole = FOUND.iter().any(|found| found.ends_with(&format!(": {said}")));
                    let front = said.strip_suffix(" ...");
                    let cut = front.is_some_and(|front| FOUND.iter().any(|f| f.contains(front)));
                    assert!(whole || cut, "{context}: {content}");
                    assert!(!said.contains("secret"), "{context}: {content}");
                }
                let (_, as_ever) = found(&without(&unread, turn, from, to));
                assert_eq!(others, plain(as_ever), "{context}");
            }
        }
    }
}

/// After records were lost, what follows is doubted as it is where nobody reads.
#[test]
fn with_lost_records() {
    let (turns, unread) = (turns(), unread());
    for (turn, (side, text)) in turns.iter().enumerate() {
        for cut in 0..text.len() {
            let run = |turns: &[(Side, String)]| {
                let mut driver = Driver::joined(&DETECTOR, 0, 0);
                for (number, (side, text)) in turns.iter().enumerate() {
                    let end = if number == turn { cut } else { text.len() };
                    driver.data(*side, &text.as_bytes()[..end]);
                    if number == turn {
                        driver.lost(*side, (text.len() - cut) as u64);
                    }
                }
                found(&driver).1
            };
            assert_eq!(run(&turns), plain(run(&unread)), "turn {turn} of {side:?}, at {cut}");
        }
    }
}

#[test]
fn a_body_that_is_only_begun_says_nothing_whole() {
    let turns = turns();
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    let (side, text) = &turns[4];
    driver.data(*side, &text.as_bytes()[..text.len() - 10]);
    driver.finish(*side);
    let (contents, _) = found(&driver);
    assert_eq!(contents, ["0: {\"query\":{\"term\":{\"name\": ..."]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_random_pieces(cuts in proptest::collection::vec(any::<bool>(), 1..97)) {
        let mut driver = Driver::joined(&DETECTOR, 0, 0);
        let mut position = 0;
        for (side, text) in turns() {
            let mut start = 0;
            for end in 1..=text.len() {
                position += 1;
                if end == text.len() || cuts[position % cuts.len()] {
                    driver.data(side, &text.as_bytes()[start..end]);
                    start = end;
                }
            }
        }
        prop_assert_eq!(found(&driver).0, FOUND);
    }
}
