//! What is Redis, and what is not.

use super::super::detect::{detect, resume};
use super::conversations::all;
use super::{A, DETECTOR, Driver, Q, array, end};
use crate::protocol::Detection::{Is, IsNot, Unsure};
use crate::protocol::{MAX_UNPARSED, Side, Step, tests};

#[test]
fn commands_are_evidence() {
    for command in ["PING", "get k", "HELLO 3 AUTH a b", "JSON.GET k $", "CLIENT SETINFO a b"] {
        let bytes = array(command);
        for length in 0..bytes.len() {
            let (first, next) = (detect(&bytes[..length]), resume(&bytes[..length]));
            // As soon as the name is there.
            assert!(matches!(first, Unsure | Is(Side::Request)), "{command}, {length}");
            assert_eq!(first, next, "{command}, {length} bytes");
        }
        assert_eq!(detect(&bytes), Is(Side::Request), "{command}");
    }
}

#[test]
fn foreign_bytes_are_not() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\n"[..],
        b"GET / HTTP/1.1\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\n",
        b"EHLO me\r\n",
        b"HELO me\r\n",
        b"220 mail ESMTP\r\n",
        b"USER me\r\n",
        b"STAT\r\n",
        b"gets k\r\n",
        b"VALUE k 0 1\r\n",
        b"END\r\n",
        b"INFO {\"server_id\":\"x\"}\r\n ",
        b"CONNECT {\"verbose\":false}\r\n",
        b"+OK POP3 ready\r\n",
        b"+PONG\r\n",
        b"$5\r\nhello\r\n",
        b"*1\r\n",
        b"*2\r\n$7\r\nUNKNOWN\r\n$1\r\na\r\n",
        b"*3\r\n$3\r\nGET\r\n",
        b"*1\r\n$4\r\nPINGPONG",
        b"*-5\r\n",
        b"*99999999999999\r\n",
        b"* OK IMAP4rev1 ready\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"\x82\x00\x00\x00\x0a5.5.5-10.11",
        b"AMQP\x00\x00\x09\x01",
        b"SSH-2.0-OpenSSH\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0",
    ] {
        let text = String::from_utf8_lossy(bytes);
        assert!(!matches!(resume(bytes), Is(_)), "{text}");
        if text != "INFO {\"server_id\":\"x\"}\r\n " && text != "*1\r\n" {
            assert_eq!(detect(bytes), IsNot, "{text}");
        }
    }
    assert_eq!(detect(&vec![b'a'; MAX_UNPARSED]), IsNot);
    assert_eq!(detect(&[&b"GET "[..], &[b'a'; MAX_UNPARSED]].concat()), IsNot);
}

/// Lines look like those of many protocols; the answers do not.
#[test]
fn lines_need_an_answer_of_redis() {
    for (line, answer) in [
        ("get key\r\n", "VALUE key 0 5\r\nhello\r\nEND\r\n"),
        ("get key\r\n", "END\r\n"),
        ("set key 0 0 5\r\nhello\r\n", "STORED\r\n"),
        ("PING\r\n", "PONG\r\n"),
        ("PING\r\n", ":irc.example PONG irc.example :me\r\n"),
        ("QUIT\r\n", "221 Bye\r\n"),
        ("GET /index.html\r\n", "<html></html>"),
        ("dump\n", "SessionTracker dump:\n"),
        ("echo hello\r\n", "hello\r\n"),
    ] {
        let mut driver = Driver::joined(&DETECTOR, 0, 0);
        driver.data(Q, line.as_bytes());
        driver.data(A, answer.as_bytes());
        assert_eq!(driver.over, Some(Step::NotMine), "{line}{answer}");
        assert_eq!(end(driver), ["NotMine"], "{line}{answer}");
    }
}

/// A server confirms a subscription by what looks like a command.
#[test]
fn a_confirmation_is_no_command() {
    let confirmation = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    assert_eq!(resume(confirmation), IsNot);
    assert_eq!(resume(&array("SUBSCRIBE a")), IsNot);
    assert_eq!(detect(&array("SUBSCRIBE a")), Is(Side::Request));
}

/// What a master sends its replica are commands, and what it gets for them are commands.
#[test]
fn a_replication_stream_joined_midway_is_no_call() {
    let mut driver = Driver::joined(&DETECTOR, 5000, 300);
    driver.data(Q, &[array("SELECT 0"), array("SET k v")].concat());
    driver.data(A, &array("REPLCONF ACK 5100"));
    assert_eq!(end(driver), ["NotMine"]);
}

/// Sides that were mistaken for each other show by the first answer.
#[test]
fn a_client_taken_for_the_server() {
    let mut driver = Driver::joined(&DETECTOR, 5000, 300);
    driver.data(Q, &array("get set"));
    driver.data(A, &array("GET k"));
    assert_eq!(end(driver), ["NotMine"]);
}

/// No bytes are a message of two protocols.
#[test]
fn of_one_protocol() {
    let turns: Vec<_> = all().into_iter().flat_map(|conversation| conversation.turns).collect();
    tests::of_one_protocol(turns.iter().map(|(_, bytes)| &bytes[..]));
}
