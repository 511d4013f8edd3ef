//! What is AMQP, and what is not.

use super::super::detect::{detect, resume};
use super::bytes::*;
use super::{B, C};
use crate::protocol::Detection::{Is, IsNot, Unsure};
use crate::protocol::{DETECTORS, Detection};

#[test]
fn the_first_words() {
    assert_eq!(detect(&hello()), Is(C));
    for length in 0..8 {
        assert_eq!(detect(&hello()[..length]), Unsure, "{length}");
    }
    let others: [&[u8]; 6] = [
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x03\x01\x00\x00",
        b"AMQP\x01\x01\x00\x0a",
        b"AMQQ",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/1.1\r\n",
    ];
    for other in others {
        assert_eq!(detect(other), IsNot, "{other:?}");
    }
    assert_eq!(detect(&welcome()[1]), IsNot, "a broker waits to be spoken to");
}

#[test]
fn a_turn_in_the_middle() {
    let message = message(1, Props::default(), b"hello", 100);
    for (bytes, expected) in [
        (sends(1, "ex", "k", "a"), Is(C)),
        (publish(1, "ex", "k", false), Unsure),
        (brings(3, "t", 7), Is(B)),
        (consume(1, "q", "t", false), Is(C)),
        (get_empty(1), Is(B)),
        (ack(1, 7, false), Unsure),
        ([ack(1, 7, false), heartbeat(), reject(1, 8, true)].concat(), Is(C)),
        ([heartbeat(), brings(1, "t", 1)].concat(), Is(B)),
        (heartbeat(), Unsure),
        (message.clone(), IsNot),
        (frame(3, 1, b"hello"), IsNot),
        ([publish(1, "ex", "k", false), heartbeat()].concat(), IsNot),
        ([publish(1, "ex", "k", false), frame(3, 1, b"hello")].concat(), IsNot),
        (method(0, 60, 40, &[&[0, 0], &short("e"), &short("k"), &[0]]), IsNot),
        (method(1, 60, 40, &[&[0, 0], &short("e"), &short("k"), &[0], &[0]]), IsNot),
        (method(1, 60, 41, &[]), IsNot),
        (b"\x01\x00\x00\x00\x01".to_vec(), IsNot),
        (b"hello".to_vec(), IsNot),
    ] {
        assert_eq!(resume(&bytes), expected, "{bytes:?}");
        for length in 0..bytes.len() {
            let of_less = resume(&bytes[..length]);
            assert!(of_less == Unsure || of_less == expected, "{bytes:?}, {length}: {of_less:?}");
        }
    }
    let mut wrong = sends(1, "ex", "k", "a");
    let end = publish(1, "ex", "k", false).len() - 1;
    wrong[end] = 0xcd;
    assert_eq!(resume(&wrong), IsNot);
}

#[test]
fn nobody_else_takes_it() {
    let takes = |judge: fn(&[u8]) -> Detection, bytes: &[u8]| matches!(judge(bytes), Is(_));
    for bytes in [hello(), sends(1, "ex", "k", "a"), brings(1, "t", 1), welcome()[1].clone()] {
        for other in DETECTORS.iter().filter(|detector| detector.name != "amqp") {
            let name = other.name;
            assert!(!takes(other.detect, &bytes) && !takes(other.resume, &bytes), "{name}");
        }
    }
}
