//! Bytes that are missing.

use super::super::DETECTOR;
use super::bytes::*;
use super::conversations::{from_welcome, welcomed};
use super::{B, C, calls, end};
use crate::protocol::Side;
use crate::protocol::fuzz::{Driver, check};

/// What happens on a connection, behind the welcome.
enum Act {
    Says(Side, Vec<u8>),
    /// So many bytes of a side, or these, are not seen.
    Misses(Side, Vec<u8>),
}
use Act::{Misses, Says};

fn run(acts: &[Act]) -> Vec<String> {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    for (side, bytes) in welcomed(&[]) {
        driver.data(side, &bytes);
    }
    play(&mut driver, acts);
    from_welcome(&end(driver))
}

fn play(driver: &mut Driver, acts: &[Act]) {
    for act in acts {
        match act {
            Says(side, bytes) => driver.data(*side, bytes),
            Misses(side, bytes) => driver.gap(*side, bytes.len() as u64),
        }
    }
}

#[test]
fn inside_a_body_nothing_is_missed() {
    let body = [0xce, 1].repeat(500);
    let sent = [publish(1, "e", "k", false), message(1, Props::default(), &body, 600)].concat();
    // The heads of both frames of the body are seen.
    let second = sent.len() - (7 + 400 + 1);
    let told = run(&[
        Says(C, sent[..60].to_vec()),
        Misses(C, sent[60..second - 5].to_vec()),
        Says(C, sent[second - 5..second + 20].to_vec()),
        Misses(C, sent[second + 20..].to_vec()),
        Says(C, sends(1, "e", "k", "next")),
    ]);
    assert_eq!(told, ["c0 publish e:k 1000B -> c1058", "c1058 publish e:k 5B id=next -> c1118"]);
}

/// Of a body that is missing from a frame's head on it is known where it ends: the ends agreed on
/// frames of 128 KiB.
#[test]
fn a_body_is_missed_with_its_heads() {
    let body = [0xce, 1].repeat(200_000);
    let sent = [publish(1, "e", "k", false), message(1, Props::default(), &body, 131_064)].concat();
    let head = sent.len() - 400_000 - 4 * 8;
    for (from, to) in
        [(head, sent.len()), (head, head + 5), (head + 5, 300_000), (head + 131_072, sent.len())]
    {
        let told = run(&[
            Says(C, sent[..from].to_vec()),
            Misses(C, sent[from..to].to_vec()),
            Says(C, [&sent[to..], &sends(1, "e", "k", "next")].concat()),
        ]);
        assert_eq!(
            told,
            ["c0 publish e:k 400000B -> c400074", "c400074 publish e:k 5B id=next -> c400134"]
        );
    }
    // Something else is missing, too.
    let told = run(&[
        Says(C, sent[..head].to_vec()),
        Misses(C, [&sent[head..], &heartbeat()[..]].concat()),
        Says(C, sends(1, "e", "k", "next")),
    ]);
    assert_eq!(told, ["lost", "orphan", "c400082 publish e:k 5B id=next -> c400142"]);
}

#[test]
fn a_head_is_missed_and_the_next_message_found() {
    let lost = sends(1, "e", "k", "lost");
    let told = run(&[
        Misses(C, lost[..30].to_vec()),
        Says(C, [&lost[30..], &sends(1, "e", "k", "a"), &sends(1, "e", "k", "b")].concat()),
    ]);
    assert_eq!(
        told,
        ["orphan", "c60 publish e:k 5B id=a -> c117", "c117 publish e:k 5B id=b -> c174"]
    );
}

#[test]
fn a_message_is_cut() {
    let cut = sends(1, "e", "k", "cut");
    let told = run(&[
        Says(C, cut[..40].to_vec()),
        Misses(C, cut[40..].to_vec()),
        Says(C, sends(1, "e", "k", "a")),
    ]);
    assert_eq!(told, ["lost", "orphan", "c59 publish e:k 5B id=a -> c116"]);
}

#[test]
fn confirms_are_not_believed_after_a_gap() {
    let [select, selected] = confirms(1);
    let told = run(&[
        Says(C, select),
        Says(B, selected),
        Says(C, sends(1, "e", "k", "1")),
        Misses(C, sends(1, "e", "k", "2")),
        Says(C, sends(1, "e", "k", "3")),
        Says(B, ack(1, 1, false)),
        Says(B, ack(1, 2, false)),
        Says(B, ack(1, 3, false)),
    ]);
    assert_eq!(
        told,
        ["orphan", "c127 publish e:k 5B id=3 -> c184", "c13 publish e:k 5B id=1 -> b33 confirmed"]
    );
}

#[test]
fn a_confirm_that_is_missed() {
    let [select, selected] = confirms(1);
    let told = run(&[
        Says(C, select),
        Says(B, selected),
        Says(C, sends(1, "e", "k", "1")),
        Misses(B, ack(1, 1, false)),
        Says(C, sends(1, "e", "k", "2")),
        Says(B, ack(1, 2, false)),
    ]);
    assert_eq!(told, ["lost", "orphan", "c70 publish e:k 5B id=2 -> b54 confirmed"]);
}

#[test]
fn deliveries_that_are_missed_are_counted() {
    let told = run(&[
        Says(C, consume(1, "q", "t", true)),
        Says(B, [consume_ok(1, "t"), brings(1, "t", 1)].concat()),
        Misses(B, [brings(1, "t", 2), brings(1, "t", 3), brings(1, "t", 4)].concat()),
        Says(B, brings(1, "t", 5)),
    ]);
    assert_eq!(
        told,
        [
            "b14 consume ex:key:q #1 5B -> b80",
            "orphan",
            "orphan",
            "orphan",
            "orphan",
            "b278 consume ex:key:q #5 5B -> b344"
        ]
    );
}

#[test]
fn how_a_delivery_is_settled_is_missed() {
    let told = run(&[
        Says(C, consume(1, "q", "t", false)),
        Says(B, [consume_ok(1, "t"), brings(1, "t", 1), brings(1, "t", 2)].concat()),
        Misses(C, ack(1, 1, false)),
        Says(C, reject(1, 2, false)),
        Says(B, brings(1, "t", 3)),
        Says(C, ack(1, 3, false)),
    ]);
    assert_eq!(
        told,
        [
            "b14 consume ex:key:q #1 5B -> b80",
            "b80 consume ex:key:q #2 5B -> b146",
            "orphan",
            "b146 consume ex:key:q #3 5B -> c86 ack"
        ]
    );
}

/// A connection that is older than the agent.
#[test]
fn from_the_middle() {
    let old = sends(1, "e", "k", "old");
    let mut driver = Driver::joined(&DETECTOR, 1000, 2000);
    play(
        &mut driver,
        &[
            Says(C, [&old[20..], &sends(1, "e", "k", "a")].concat()),
            Says(B, [&[b'x'; 30][..], &ack(1, 17, true)].concat()),
            Says(B, [brings(2, "t", 41), brings(2, "t", 42)].concat()),
            Says(C, ack(2, 41, false)),
            Says(B, brings(2, "t", 45)),
            Says(C, get(3, "q")),
            Says(B, get_empty(3)),
        ],
    );
    driver.close();
    check(&driver.parts);
    assert_eq!(
        calls(&driver.parts),
        [
            "c1039 publish e:k 5B id=a -> c1096",
            "b2051 consume ex:key #41 5B -> b2117",
            "b2117 consume ex:key #42 5B -> b2183",
            "orphan",
            "orphan",
            "b2183 consume ex:key #45 5B -> b2249"
        ]
    );
}
