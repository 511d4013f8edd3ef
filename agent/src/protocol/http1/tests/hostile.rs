//! Limits, and bytes that nobody sends in good faith.

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::conversations::CONVERSATIONS;
use super::{A, DETECTOR, Driver, Q, Turns, end, run};
use crate::protocol::http1::fuzz;
use crate::protocol::{MAX_UNPARSED, Step};

/// How many mutated conversations a test run tries: about two seconds in a debug build.
const MUTATIONS: usize = 4_000;

/// A conversation as [`fuzz`] reads it.
fn encode(turns: &Turns) -> Vec<u8> {
    let mut data = vec![0];
    for (side, text) in turns {
        for piece in text.as_bytes().chunks(255) {
            data.extend([6 + *side as u8, piece.len() as u8]);
            data.extend(piece);
        }
    }
    data
}

#[test]
fn all_prefixes_of_conversations() {
    for conversation in CONVERSATIONS {
        let data = encode(conversation.turns);
        (0..=data.len()).for_each(|length| fuzz(&data[..length]));
    }
}

/// What a fuzzer does, without one: the same mutations in each run.
#[test]
fn mutated_conversations() {
    const WORDS: [&[u8]; 12] = [
        b"\r\n\r\n",
        b"\n",
        b"Content-Length: 18446744073709551615\r\n",
        b"Content-Length: 9223372036854775807\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"7fffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"CONNECT a HTTP/1.1\r\n\r\n",
        b"\x00\x00\x01\x80",
    ];
    let mut random = StdRng::seed_from_u64(9112);
    let seeds: Vec<_> = CONVERSATIONS.iter().map(|c| encode(c.turns)).collect();
    for i in 0..MUTATIONS {
        let mut data = seeds[i % seeds.len()].clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..data.len());
            match random.random_range(0..4) {
                0 => data[at] = random.random(),
                1 => drop(data.remove(at)),
                2 => drop(data.splice(at..at, WORDS[random.random_range(0..WORDS.len())].to_vec())),
                _ => {
                    let other = &seeds[random.random_range(0..seeds.len())];
                    data.truncate(at + 1);
                    data.extend(&other[random.random_range(0..other.len())..]);
                }
            }
        }
        fuzz(&data);
    }
}

proptest! {
    #[test]
    fn random_bytes(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        fuzz(&data);
    }
}

#[test]
fn heads_of_any_length() {
    for length in [8 * 1024, 32 * 1024, MAX_UNPARSED - 1, MAX_UNPARSED] {
        let mut head = b"GET /long HTTP/1.1\r\nX: ".to_vec();
        head.resize(length - 4, b'x');
        head.extend(b"\r\n\r\n");
        for piece in [length, 1448] {
            let mut driver = Driver::joined(&DETECTOR, 0, 0);
            head.chunks(piece).for_each(|bytes| driver.data(Q, bytes));
            driver.data(A, b"HTTP/1.1 204 No Content\r\n\r\n");
            let [request, asked, ..] = &end(driver)[..] else { panic!("{length} in {piece}") };
            assert_eq!((&**request, asked), ("0 GET /long", &format!("asked {length} body 0")));
        }
    }
    // Longer ones are given up, but for their first line.
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(Q, b"GET /endless HTTP/1.1\r\n");
    (0..200).for_each(|_| driver.data(Q, &[b'x'; 1000]));
    driver.data(A, b"HTTP/1.1 431 Too large\r\nContent-Length: 0\r\n\r\n");
    let found = ["0 GET /endless", "asked 0 body ?", "0 431", "answered 45 body 0"];
    assert_eq!(end(driver), found);
}

#[test]
fn a_long_head_byte_by_byte_takes_linear_time() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    let head =
        format!("GET /{} HTTP/1.1\r\nCookie: {}\r\n\r\n", "a".repeat(8000), "b".repeat(50_000));
    head.bytes().for_each(|byte| driver.data(Q, &[byte]));
    assert_eq!(driver.parts.len(), 2);
}

#[test]
fn too_many_requests_without_an_answer() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    for _ in 0..1024 {
        driver.data(Q, b"GET / HTTP/1.1\r\n\r\n");
    }
    assert_eq!(driver.over, None);
    driver.data(Q, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(driver.over, Some(Step::GiveUp));
    assert_eq!(driver.parts.len(), 3 * 1024);
}

#[test]
fn lengths_that_cannot_be() {
    let found = |request, response| run(&[(Q, request), (A, response)]).split_off(1);
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for length in ["18446744073709551616", "99999999999999999999999", "-1", "+1", "1 1", "0x1", ""]
    {
        let request = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        let mut driver = Driver::joined(&DETECTOR, 0, 0);
        driver.data(Q, request.as_bytes());
        driver.data(A, ok.as_bytes());
        assert_eq!(end(driver)[1], "asked 0 body ?", "{length:?}");
    }
    let get = "GET / HTTP/1.1\r\n\r\n";
    let huge = "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n";
    assert_eq!(
        found(get, huge),
        ["asked 18 body 0", "0 200", "answered 9223372036854775863 body 9223372036854775807"]
    );
    // Chunks whose sizes would overflow are none.
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1ffffffffffffffff\r\n";
    assert_eq!(found(get, chunks), ["asked 18 body 0", "0 200", "answered 66 body ?"]);
}

#[test]
fn codings_that_do_not_end_a_message() {
    let found = |request, response| run(&[(Q, request), (A, response)]).split_off(1);
    let get = "GET / HTTP/1.1\r\n\r\n";
    let gzip = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabc";
    assert_eq!(found(get, gzip), ["asked 18 body 0", "0 200", "answered 56 body 3"]);
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nabc";
    assert_eq!(found(get, old), ["asked 18 body 0", "0 200", "answered 50 body ?"]);
    let identity = "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(found(get, identity), ["asked 18 body 0", "0 200", "answered 70 body 3"]);
}
