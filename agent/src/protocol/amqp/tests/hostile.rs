//! Anything, from anybody.

use std::path::Path;

use proptest::prelude::*;

use super::super::{DETECTOR, fuzz};
use super::bytes::*;
use super::conversations::{all, welcomed};
use super::{B, C, told};
use crate::protocol::Side;
use crate::protocol::fuzz::{Driver, check};
use crate::protocol::tests::bytes;

#[test]
fn what_is_no_frame_is_not_mine() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    driver.data(C, &hello());
    driver.data(B, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(format!("{:?}", driver.over), "Some(NotMine)");
}

#[test]
fn frames_that_end_wrong_are_left_out() {
    let [client, broker] = welcome();
    let mut wrong = sends(1, "e", "k", "wrong");
    let last = wrong.len() - 1;
    wrong[last] = 0;
    let right = sends(1, "e", "k", "right");
    let turns = [(C, hello()), (B, broker), (C, [client, wrong, right].concat())];
    let found = told(&mut turns.iter().map(|(side, bytes)| (*side, &bytes[..])));
    let published: Vec<_> = found.iter().filter(|call| call.contains("publish")).collect();
    assert!(published.len() == 1 && published[0].contains("id=right"), "{found:?}");
    assert!(found.contains(&"lost".to_owned()) && found.contains(&"orphan".to_owned()));
}

#[test]
fn bodies_longer_than_their_header_says() {
    let [client, broker] = welcome();
    let long = [sends(1, "e", "k", "a"), frame(3, 1, b"more")].concat();
    let turns = [(C, hello()), (B, broker), (C, [client, long].concat())];
    let found = told(&mut turns.iter().map(|(side, bytes)| (*side, &bytes[..])));
    assert!(found[0].contains("publish e:k 5B id=a") && found[1] == "orphan", "{found:?}");
}

/// Channels, consumers and messages without number: tables stay within bounds, and what is let go is
/// told or counted.
#[test]
fn floods() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    for (side, bytes) in welcomed(&[]) {
        driver.data(side, &bytes);
    }
    driver.data(C, &confirms(1)[0]);
    for number in 0..5000u64 {
        driver.data(C, &sends(1, "e", "k", "x"));
        driver.data(C, &consume(1, "q", &format!("t{number}"), false));
        driver.data(B, &brings(1, "t0", number + 1));
    }
    for channel in 2..5000 {
        driver.data(C, &opens(channel));
    }
    assert_eq!(format!("{:?}", driver.over), "Some(GiveUp)");
    check(&driver.parts);
    assert!(driver.parts.len() < 60_000);
}

#[test]
fn deliveries_with_absurd_numbers() {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    for (side, bytes) in welcomed(&[]) {
        driver.data(side, &bytes);
    }
    for tag in [u64::MAX, 0, u64::MAX, 5] {
        driver.data(B, &brings(1, "t", tag));
    }
    driver.close();
    check(&driver.parts);
    assert!(driver.parts.len() < 20_000);
}

/// Writes the seeds of the fuzz target anew.
#[test]
#[ignore = "writes fuzz/seeds"]
fn make_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/amqp");
    std::fs::create_dir_all(&seeds).unwrap();
    for conversation in all() {
        let name = conversation.name.split(',').next().unwrap();
        let file = seeds.join(name.replace(' ', "-"));
        std::fs::write(file, encode(&welcomed(&conversation.turns))).unwrap();
    }
}

/// A conversation as the fuzz target is given it.
fn encode(turns: &[(Side, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0];
    for (side, bytes) in turns {
        for piece in bytes.chunks(255) {
            out.extend([*side as u8 | 3 << 1, piece.len() as u8]);
            out.extend(piece);
        }
    }
    out
}

proptest! {
    #[test]
    fn anything(data in bytes()) {
        fuzz(&data);
    }

    /// Conversations with bytes changed.
    #[test]
    fn nearly_right(which in 0..14usize, changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let conversations = all();
        let turns = welcomed(&conversations[which % conversations.len()].turns);
        let mut driver = Driver::joined(&DETECTOR, 0, 0);
        for (number, (side, bytes)) in turns.iter().enumerate() {
            let mut bytes = bytes.clone();
            for (at, value) in &changes {
                if usize::from(*at) % turns.len() == number {
                    let length = bytes.len();
                    bytes[usize::from(*at / 7) % length] = *value;
                }
            }
            driver.data(*side, &bytes);
        }
        driver.close();
        check(&driver.parts);
    }
}
