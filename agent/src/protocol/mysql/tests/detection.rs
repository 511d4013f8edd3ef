//! What is MySQL, and what is not.

use super::super::detect::{compressed, detect, resume};
use super::bytes::*;
use super::conversations::all;
use crate::protocol::Detection::{Is, IsNot, Unsure};
use crate::protocol::Side::{Request, Response};
use crate::protocol::tests::{self, recognised};

#[test]
fn of_the_first_bytes() {
    for version in ["8.4.3", "5.5.5-10.11.6-MariaDB-0+deb12u1", "8.0.11-TiDB-v7.5.1", "5.7.44-log"]
    {
        let first = greeting_of(version, u32::MAX, AUTOCOMMIT);
        assert_eq!(detect(&first), Is(Response));
        for length in 0..first.len() {
            assert_eq!(detect(&first[..length]), Unsure, "{length} of {first:?}");
        }
    }
    let changed = |at: usize, byte: u8| {
        let mut greeting = greeting();
        greeting[at] = byte;
        greeting
    };
    let reserved = 4 + 1 + 6 + 12 + 9 + 2;
    for not in [
        changed(3, 1),
        changed(4, 9),
        changed(5, b'x'),
        changed(6, 1),
        changed(reserved, 7),
        greeting_of("", u32::MAX, 0),
        greeting_of("8.4.3", 0xff, 0),
        packet(0, &error(1040)),
        [&b"\x4a\x00\x00\x00\x0a8.0.1\x00"[..], &[0xaa; 67]].concat(),
        query("SELECT 1"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"+OK\r\n".to_vec(),
        b"220 mail ESMTP\r\n".to_vec(),
        b"R\0\0\0\x08\0\0\0\0".to_vec(),
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        vec![0, 0, 0, 20, 0, 3, 0, 1, 0, 0, 0, 1, 0, 6],
    ] {
        assert_eq!(detect(&not), IsNot, "{not:?}");
    }
}

#[test]
fn of_a_turn() {
    for turn in [
        query("SELECT 1"),
        query(" /* x */ -- x\n(select 1)"),
        query(&format!("INSERT INTO t VALUES ('{}')", "x".repeat(100_000)))[..5000].to_vec(),
        command(3, b"\0\x01SELECT 1"),
        prepare("SELECT ?"),
        [close(3), prepare("SELECT ?")].concat()[9..].to_vec(),
        execute(1, b"\0\xff"),
        execute(u32::MAX, b""),
        fetch(70, 100),
        [execute(1, b""), close(1)].concat(),
    ] {
        recognised(resume, Request, &turn);
    }
    assert_eq!(resume(&greeting()), Is(Response));
    for not in [
        query("hello world"),
        query("SELECT \x01"),
        query(&"hello ".repeat(3000)),
        packet(1, b"\x03SELECT 1"),
        [query("SELECT 1"), b"\x01\0\0\x01\x0e".to_vec()].concat(),
        ping(),
        quit(),
        command(2, b"shop"),
        command(23, &[0, 0, 0, 0, 0, 1, 0, 0, 0]),
        command(23, &[1, 0, 0, 0, 0, 2, 0, 0, 0]),
        result(Eof, 1),
        one(ok(0, AUTOCOMMIT)),
        b"Q\0\0\0\x0dSELECT 1\0".to_vec(),
        b"PING\r\n".to_vec(),
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
        b"POST / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0, 0, 0, 20, 0, 3, 0, 1, 0, 0, 0, 1, 0, 6],
    ] {
        assert_eq!(resume(&not), IsNot, "{not:?}");
    }
}

/// zlib begins what it compressed with 0x78 and a check of that.
#[test]
fn of_a_compressed_turn() {
    let stored = |inner: &[u8]| [&[inner.len() as u8, 0, 0, 0, 0, 0, 0][..], inner].concat();
    let squeezed = |first: &[u8]| {
        let inner = [first, &[0x55; 60]].concat();
        [&[inner.len() as u8, 0, 0, 0, 200, 0, 0][..], &inner].concat()
    };
    for turn in [stored(&query("SELECT * FROM a")), squeezed(b"\x78\x9c"), squeezed(b"\x78\x01")] {
        recognised(compressed, Request, &turn);
        recognised(resume, Request, &turn);
    }
    for not in [
        stored(&query("hello world")),
        stored(&ping()),
        [stored(&query("SELECT 1")), vec![0]].concat(),
        squeezed(b"\x78\x9d"),
        squeezed(b"\x1f\x8b"),
    ] {
        assert_eq!(compressed(&not), IsNot, "{not:?}");
    }
}

/// No bytes are a message of two protocols.
#[test]
fn of_one_protocol() {
    let mut samples: Vec<Vec<u8>> =
        all().into_iter().flat_map(|c| c.turns).map(|(_, b)| b).collect();
    samples.push(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec());
    samples.push(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    samples.push(b"Q\0\0\0\x0dSELECT 1\0".to_vec());
    tests::of_one_protocol(samples.iter().map(Vec::as_slice));
}
