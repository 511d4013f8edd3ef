//! What is HTTP/1.x, what is not, and how early that is known.

use proptest::prelude::*;

use super::conversations::CONVERSATIONS;
use super::{A, Q};
use crate::protocol::http1::detect::detect;
use crate::protocol::{Detection, MAX_UNPARSED};

/// Fails unless `bytes` are refused at the byte numbered `at`, and not before.
#[track_caller]
fn refused_at(at: usize, bytes: &[u8]) {
    for length in 1..bytes.len() {
        let expected = if length < at { Detection::Unsure } else { Detection::IsNot };
        assert_eq!(detect(&bytes[..length]), expected, "after {length} of {bytes:?}");
    }
}

#[test]
fn messages_are_recognised_by_their_first_line_only() {
    for conversation in CONVERSATIONS {
        let heads = conversation.turns.iter().filter(|(_, text)| {
            text.trim_start().lines().next().is_some_and(|line| line.contains("HTTP/1."))
        });
        for (side, text) in heads {
            let blank = text.len() - text.trim_start().len();
            let line = match side {
                Q => blank + text.trim_start().find('\n').unwrap() + 1,
                A => "HTTP/1.1 200 ".len(),
            };
            for length in 1..line {
                assert_eq!(detect(&text.as_bytes()[..length]), Detection::Unsure, "{text:?}");
            }
            assert_eq!(detect(&text.as_bytes()[..line]), Detection::Is(*side), "{text:?}");
        }
    }
    assert_eq!(detect(b"BREW /pot HTTP/1.0\n"), Detection::Is(Q));
    assert_eq!(detect(b"GET /\xff\xe9 HTTP/1.1\r\n"), Detection::Is(Q));
    assert_eq!(detect(b"HTTP/1.0 999\n"), Detection::Is(A));
}

#[test]
fn foreign_traffic_is_refused_at_the_first_byte_that_proves_it() {
    refused_at(1, b"\x16\x03\x01\x02\x00\x01\x00"); // TLS
    refused_at(1, b"*1\r\n$4\r\nPING\r\n"); // Redis
    refused_at(1, b"+OK\r\n");
    refused_at(1, b"$5\r\nhello\r\n");
    refused_at(5, b"PING\r\n");
    refused_at(1, b"\x00\x00\x00\x08\x04\xd2\x16\x2f"); // Postgres
    refused_at(2, b"R\x00\x00\x00\x08\x00\x00\x00\x00");
    refused_at(1, b"\x00\x00\x00\x23\x00\x12\x00\x04"); // Kafka
    refused_at(2, b"J\x00\x00\x00\x0a8.0.36"); // MySQL
    refused_at(5, b"AMQP\x00\x00\x09\x01");
    refused_at(12, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    refused_at(22, b"SSH-2.0-OpenSSH_9.6p1\r\n");
    refused_at(1, b"220 mail.example.com ESMTP\r\n"); // SMTP
    refused_at(17, b"EHLO example.com\r\n");
    refused_at(8, b"get key\r\n"); // memcached
    refused_at(12, b"INVITE a@b SIP/2.0\r\n");
    refused_at(11, b"OPTIONS * RTSP/1.0\r\n");
    refused_at(6, b"INFO {\"server_id\":\"x\"}\r\n"); // NATS
    refused_at(5, b"GET  / HTTP/1.1\r\n");
    refused_at(14, b"GET / HTTP/1.2\r\n");
    refused_at(15, b"GET / HTTP/1.1 \r\n");
    refused_at(8, b"HTTP/1.3 200 OK\r\n");
    refused_at(10, b"HTTP/1.1 020 OK\r\n");
    refused_at(13, b"HTTP/1.1 2000\r\n");
    refused_at(25, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\n");
    refused_at(2, b"\r\r\n");
}

#[test]
fn it_does_not_wait_for_ever() {
    let mut endless = b"GET /".to_vec();
    endless.resize(MAX_UNPARSED, b'a');
    assert_eq!(detect(&endless[..MAX_UNPARSED - 1]), Detection::Unsure);
    assert_eq!(detect(&endless), Detection::IsNot);
    assert_eq!(detect(&[b'\n'; 9]), Detection::IsNot);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_are_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!matches!(detect(&bytes), Detection::Is(_)));
    }

    /// Nor is text that has the words of HTTP in it.
    #[test]
    fn random_words_are_nothing(text in "([A-Z]{1,6}|HTTP/1|[ -~]{1,3}|\r|\n){0,30}") {
        prop_assert!(!matches!(detect(text.as_bytes()), Detection::Is(_)));
    }

    /// What was said of a beginning stays true of all that begins with it.
    #[test]
    fn a_judgement_is_final(text in "(GET|HTTP/1.1|HTTP/1.0| |/|200|\r\n|\n|\r|x){0,12}") {
        let mut settled = None;
        for length in 1..=text.len() {
            let detection = detect(&text.as_bytes()[..length]);
            if let Some(before) = settled {
                prop_assert_eq!(before, detection);
            } else if detection != Detection::Unsure {
                settled = Some(detection);
            }
        }
    }
}
