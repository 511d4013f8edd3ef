//! What is PostgreSQL, and what is not.

use super::super::detect::{detect, resume};
use super::bytes::*;
use super::conversations::all;
use crate::protocol::Detection::{Is, IsNot, Unsure};
use crate::protocol::Side::Request;
use crate::protocol::tests::{self, recognised};

#[test]
fn of_the_first_bytes() {
    for first in
        [login(), question(TLS), question(GSS), startup(&["user", "me", "options", "-c a=b"])]
    {
        assert_eq!(detect(&first), Is(Request));
        for length in 0..first.len() {
            assert_eq!(detect(&first[..length]), Unsure, "{length} of {first:?}");
        }
    }
    for not in [
        startup(&["database", "shop"]),
        startup(&["user"]),
        startup(&["", "user"]),
        query("SELECT 1"),
        vec![0, 0, 0, 8, 4, 210, 22, 50],
        // A request to Kafka for metadata.
        vec![
            0, 0, 0, 20, 0, 3, 0, 1, 0, 0, 0, 1, 0, 6, b'c', b'l', b'i', b'e', b'n', b't', 0, 0, 0,
            0,
        ],
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
    ] {
        assert_eq!(detect(&not), IsNot, "{not:?}");
    }
}

#[test]
fn of_a_turn() {
    for turn in [
        query("SELECT 1"),
        query(" -- x\n(select 1)"),
        query(&format!("INSERT INTO t VALUES ('{}')", "x".repeat(100_000)))[..5000].to_vec(),
        [parse("s", "SELECT 1"), describe(b'S', "s"), sync()].concat(),
        [bind("", "s", b"\0\xff"), execute("", 0), sync()].concat(),
        [execute("c", 50), sync()].concat(),
        login(),
    ] {
        recognised(resume, Request, &turn);
    }
    let long = |text: &str| query(&text.repeat(3000));
    for not in [
        query("hello world"),
        query("SELECT \x01"),
        long("hello "),
        sync(),
        message(b'd', b"x"),
        [bind("", "s", b"x"), query("SELECT 1")].concat(),
        [&message(b'B', b"\0\0\0\0\0\x01\0\0\0\x09x\0\0")[..], &sync()].concat(),
        result(1),
        ready(b'I'),
        b"QUIT\r\n".to_vec(),
        b"PING\r\n".to_vec(),
        b"POST / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        assert_eq!(resume(&not), IsNot, "{not:?}");
    }
}

/// No bytes are a message of two protocols.
#[test]
fn of_one_protocol() {
    let mut samples: Vec<Vec<u8>> =
        all().into_iter().flat_map(|c| c.turns).map(|(_, b)| b).collect();
    samples.push(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec());
    samples.push(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    samples.push(b"PQBED / HTTP/1.1\r\n\r\n".to_vec());
    tests::of_one_protocol(samples.iter().map(Vec::as_slice));
}
