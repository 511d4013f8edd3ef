//! The small parts of messages.

use super::super::message::{Tag, ready_for_query, report, sqlstate, tag};

#[test]
fn tags() {
    let read = |text: &'static str| tag(text.as_bytes());
    let is = |command: &'static str, rows: Option<u64>| Some(Tag { command, rows });
    assert_eq!(read("SELECT 5\0"), is("SELECT", Some(5)));
    assert_eq!(read("INSERT 0 12\0"), is("INSERT", Some(12)));
    assert_eq!(read("CREATE TABLE\0"), is("CREATE TABLE", None));
    assert_eq!(read("BEGIN\0"), is("BEGIN", None));
    assert_eq!(read("SELECT 99999999999999999999\0"), is("SELECT", None));
    for none in ["", "\0", "SELECT 5", "5\0", "select 5\0", "A\0B\0", "SELECT\x01\0"] {
        assert_eq!(tag(none.as_bytes()), None, "{none:?}");
    }
}

#[test]
fn reports() {
    let body = b"SFEHLER\0VERROR\0C42P01\0Msecret\0\0";
    let read = report(body);
    assert_eq!((read.severity, read.code), (&b"ERROR"[..], &b"42P01"[..]));
    assert_eq!((report(&body[..9]).severity, report(&body[..9]).code), (&b"FEHLER"[..], &b""[..]));
    assert_eq!(sqlstate(b"42P01").as_deref(), Some("42P01"));
    assert_eq!(sqlstate(b"42p01"), None);
    assert_eq!(sqlstate(b"42P0"), None);
}

#[test]
fn tails() {
    assert_eq!(ready_for_query(b"1\0Z\0\0\0\x05I"), Some(b'I'));
    assert_eq!(ready_for_query(b"Z\0\0\0\x05E"), Some(b'E'));
    assert_eq!(ready_for_query(b"Z\0\0\0\x05x"), None);
    assert_eq!(ready_for_query(b"\0\0\0\x05I"), None);
}
