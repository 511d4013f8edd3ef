//! What is said when not everything is known, case by case.

use super::{A, DETECTOR, Driver, Q, Side, end, show};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome";

/// Something that happens to a side of a connection.
enum Happens {
    Sends(Side, &'static str),
    Loses(Side, u64),
}

use Happens::{Loses, Sends};

/// Plays `happens` and returns what was found up to there, and then at the close.
fn play(mut driver: Driver, happens: &[Happens]) -> (Vec<String>, Vec<String>) {
    for happens in happens {
        match happens {
            Sends(side, text) => driver.data(*side, text.as_bytes()),
            Loses(side, length) => driver.gap(*side, *length),
        }
    }
    let found: Vec<_> = driver.parts.iter().map(show).collect();
    let at_close = end(driver).split_off(found.len());
    (found, at_close)
}

#[track_caller]
fn finds(driver: Driver, happens: &[Happens], found: &[&str], at_close: &[&str]) {
    let (really_found, really_at_close) = play(driver, happens);
    assert_eq!(really_found, found);
    assert_eq!(really_at_close, at_close);
}

fn from_the_beginning() -> Driver {
    Driver::joined(&DETECTOR, 0, 0)
}

#[test]
fn a_capped_response_ends_with_the_next_request() {
    let capped = &[Sends(Q, "GET /a HTTP/1.1\r\n\r\n"), Sends(A, CHUNKED), Loses(A, 9000)];
    let found = &["0 GET /a", "asked 19 body 0", "0 200"];
    finds(from_the_beginning(), capped, found, &["answered 9054 body ?"]);

    let next = &[
        Sends(Q, "GET /a HTTP/1.1\r\n\r\n"),
        Sends(A, CHUNKED),
        Loses(A, 9000),
        Sends(A, "HTTP/1.1 200 of the body\r\n\r\n"),
        Sends(Q, "GET /b HTTP/1.1\r\n\r\n"),
        Sends(A, OK),
    ];
    let found = &[
        "0 GET /a",
        "asked 19 body 0",
        "0 200",
        "answered ? body ?",
        "19 GET /b",
        "asked 38 body 0",
        "9082 200",
        "answered 9120 body 0",
    ];
    finds(from_the_beginning(), next, found, &[]);
}

#[test]
fn a_capped_request_ends_when_it_is_answered() {
    let capped = &[
        Sends(Q, "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsom"),
        Loses(Q, 9000),
        Sends(A, "HTTP/1.1 100 Continue\r\n\r\n"),
        Sends(Q, "GET /in-the-body HTTP/1.1\r\n\r\n"),
        Sends(A, OK),
        Sends(Q, "still the body"),
        Sends(A, OK),
        Sends(Q, "GET /b HTTP/1.1\r\n\r\n"),
        Sends(A, OK),
    ];
    let found = &[
        "0 PUT /a",
        "asked 9053 body ?",
        "25 200",
        "answered 63 body 0",
        "orphan",
        "9096 GET /b",
        "asked 9115 body 0",
        "101 200",
    ];
    finds(from_the_beginning(), capped, found, &["answered 139 body 0"]);
}

#[test]
fn a_body_of_known_length_is_not_missed() {
    let happens = &[
        Sends(Q, "PUT /a HTTP/1.1\r\nContent-Length: 9000\r\n\r\nsome"),
        Loses(Q, 8996),
        Sends(A, "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n"),
        Loses(A, 70_000),
        Sends(Q, "GET /b HTTP/1.1\r\n\r\n"),
    ];
    let found = &[
        "0 PUT /a",
        "asked 9041 body 9000",
        "0 200",
        "answered 70042 body 70000",
        "9041 GET /b",
        "asked 9060 body 0",
    ];
    finds(from_the_beginning(), happens, found, &[]);
}

#[test]
fn a_body_that_ends_with_the_stream_is_not_missed_either() {
    let happens = &[
        Sends(Q, "GET /a HTTP/1.0\r\n\r\n"),
        Sends(A, "HTTP/1.0 200 OK\r\n\r\nsome"),
        Loses(A, 100),
    ];
    let found = &["0 GET /a", "asked 19 body 0", "0 200"];
    finds(from_the_beginning(), happens, found, &["answered 123 body 104"]);
}

#[test]
fn cut_heads_are_enough_for_a_call() {
    let happens = &[
        Sends(Q, "GET /a HTTP/1.1\r\nHost: x\r\nCookie: aaaa"),
        Loses(Q, 9000),
        Sends(A, "HTTP/1.1 200 OK\r\nSet-Cookie: aaaa"),
        Loses(A, 9000),
        Sends(Q, "GET /b HTTP/1.1\r\n\r\n"),
    ];
    let found = &[
        "0 GET /a",
        "asked 0 body ?",
        "0 200",
        "answered ? body ?",
        "9038 GET /b",
        "asked 9057 body 0",
    ];
    finds(from_the_beginning(), happens, found, &[]);
}

#[test]
fn a_lost_answer_is_not_replaced_by_the_next() {
    let happens = &[
        Sends(Q, "GET /a HTTP/1.1\r\n\r\n"),
        Loses(A, 38),
        Sends(A, OK),
        Sends(Q, "GET /b HTTP/1.1\r\n\r\n"),
        Sends(A, OK),
    ];
    let found = &[
        "0 GET /a",
        "asked 19 body 0",
        "desync",
        "19 GET /b",
        "asked 38 body 0",
        "76 200",
        "answered 114 body 0",
    ];
    finds(from_the_beginning(), happens, found, &[]);
}

#[test]
fn a_client_that_pipelines_is_given_up_with_the_first_doubt() {
    let asks = "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
    let asked = ["0 GET /a", "asked 19 body 0", "19 GET /b", "asked 38 body 0"];
    // Without doubt nothing is lost.
    let found = [&asked[..], &["0 200", "answered 38 body 0"]].concat();
    finds(from_the_beginning(), &[Sends(Q, asks), Sends(A, OK)], &found, &[]);
    // Answers are missing.
    let found = [&asked[..], &["desync", "desync"]].concat();
    finds(from_the_beginning(), &[Sends(Q, asks), Loses(A, 9)], &found, &["GiveUp"]);
    // The framing of one is lost.
    let found = [&asked[..], &["0 200", "desync", "desync"]].concat();
    let happens = &[Sends(Q, asks), Sends(A, CHUNKED), Loses(A, 9)];
    finds(from_the_beginning(), happens, &found, &["GiveUp"]);
    // The doubt was there before.
    let asked = ["1000 GET /a", "asked 1019 body 0", "1019 GET /b", "asked 1038 body 0"];
    let found = [&asked[..], &["desync", "desync"]].concat();
    let happens = &[Sends(Q, asks), Sends(A, OK), Sends(Q, "GET /c HTTP/1.1\r\n\r\n")];
    finds(Driver::joined(&DETECTOR, 1000, 1000), happens, &found, &["GiveUp"]);
    // What was pipelined is what is missing.
    let happens = &[Sends(Q, "GET /a HTTP/1.1\r\n\r\n"), Loses(Q, 40), Sends(A, OK)];
    let found = ["0 GET /a", "asked 19 body 0", "desync"];
    finds(from_the_beginning(), happens, &found, &["GiveUp"]);
}

#[test]
fn lost_records_of_both_sides_cost_the_calls_concerned() {
    let happens = &[
        Sends(Q, "GET /a HTTP/1.1\r\n\r\n"),
        Loses(Q, 100),
        Loses(A, 100),
        Sends(Q, "GET /b HTTP/1.1\r\n\r\n"),
        Sends(A, OK),
    ];
    let found =
        &["0 GET /a", "asked 19 body 0", "desync", "119 GET /b", "asked 138 body 0", "100 200"];
    finds(from_the_beginning(), happens, found, &["answered 138 body 0"]);
}

#[test]
fn joined_in_the_middle_of_an_answer() {
    let happens = &[
        Sends(A, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        Sends(A, "body, or not: it may answer a HEAD"),
        Sends(Q, "GET /b HTTP/1.1\r\n\r\n"),
        Sends(A, OK),
    ];
    let found = &["orphan", "500 GET /b", "asked 519 body 0", "578 200"];
    finds(Driver::joined(&DETECTOR, 500, 500), happens, found, &["answered 616 body 0"]);
}

#[test]
fn a_second_answer_shows_that_the_first_was_anothers() {
    let seen = [Sends(Q, "GET /b HTTP/1.1\r\n\r\n"), Sends(A, OK), Sends(A, OK)];
    let found = &["500 GET /b", "asked 519 body 0", "500 200", "desync", "orphan"];
    finds(Driver::joined(&DETECTOR, 500, 500), &seen, found, &["GiveUp"]);
    let answered = "answered 538 body 0";
    let seen = [Sends(Q, "GET /b HTTP/1.1\r\n\r\n"), Sends(A, OK), Loses(A, 38)];
    let found = &["500 GET /b", "asked 519 body 0", "500 200", "desync"];
    finds(Driver::joined(&DETECTOR, 500, 500), &seen, found, &[]);
    // The next request shows that there is none.
    let mut driver = Driver::joined(&DETECTOR, 500, 500);
    driver.data(Q, b"GET /b HTTP/1.1\r\n\r\n");
    driver.data(A, OK.as_bytes());
    driver.data(Q, b"GET /c HTTP/1.1\r\n\r\n");
    assert_eq!(show(&driver.parts[3]), answered);
    // As does silence.
    let mut driver = Driver::joined(&DETECTOR, 500, 500);
    driver.data(Q, b"GET /b HTTP/1.1\r\n\r\n");
    driver.data(A, &OK.as_bytes()[..30]);
    driver.rest(A);
    assert_eq!(driver.parts.len(), 2);
    driver.data(A, &OK.as_bytes()[30..]);
    driver.rest(A);
    assert_eq!(show(&driver.parts[3]), answered);
}

#[test]
fn a_tunnel_is_left_also_with_a_cut_answer() {
    let happens = &[
        Sends(Q, "CONNECT a:1 HTTP/1.1\r\n\r\n"),
        Sends(A, "HTTP/1.1 200 OK\r\nVia: "),
        Loses(A, 50),
        Sends(Q, "GET / HTTP/1.1\r\n\r\n"),
    ];
    let found = &["0 CONNECT a:1", "asked 24 body 0", "0 200", "answered ? body ?"];
    finds(from_the_beginning(), happens, found, &["Leave"]);
}

#[test]
fn what_is_not_http_is_refused() {
    finds(from_the_beginning(), &[Sends(Q, "\u{16}\u{3}")], &[], &["NotMine"]);
    finds(from_the_beginning(), &[Sends(A, "220 smtp\r\n")], &[], &["NotMine"]);
    let happens = &[Sends(Q, "GET / HTTP/1.1\r\n\r\n"), Sends(A, "get off")];
    finds(from_the_beginning(), happens, &["0 GET /", "asked 18 body 0"], &["NotMine"]);
}

#[test]
fn a_response_that_begins_before_the_request_is_not_its_answer() {
    let happens = &[
        Loses(A, 200),
        Loses(Q, 100),
        // The rest of a body that nobody can tell from an answer.
        Sends(A, "HTTP/1.1 299 Wro"),
        Sends(Q, "GET /a HTTP/1.1\r\n\r\n"),
        Sends(A, "HTTP/1.1 204 X\r\n\r\n"),
        Sends(Q, "GET /b HTTP/1.1\r\n\r\n"),
        Sends(A, OK),
    ];
    let found = &[
        "100 GET /a",
        "asked 119 body 0",
        "orphan",
        "desync",
        "119 GET /b",
        "asked 138 body 0",
        "234 200",
        "answered 272 body 0",
    ];
    finds(from_the_beginning(), happens, found, &[]);
}

#[test]
fn a_refusal_may_come_while_its_request_is_sent() {
    let happens = &[
        Sends(Q, "GET /a HTT"),
        Sends(A, "HTTP/1.1 400 "),
        Sends(Q, "P/1.1\r\n\r\n"),
        Sends(A, "X\r\nContent-Length: 0\r\n\r\n"),
    ];
    let found = &["0 GET /a", "asked 19 body 0", "0 400", "answered 37 body 0"];
    finds(from_the_beginning(), happens, found, &[]);
}
