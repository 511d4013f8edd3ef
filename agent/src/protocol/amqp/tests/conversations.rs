//! What clients and brokers say to each other, and which calls that is.

use proptest::prelude::*;

use super::bytes::*;
use super::{B, C, told};
use crate::protocol::Side;
use crate::protocol::tests::{Subject, cuts};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A conversation behind the welcome, on channel 1, which is open. Positions of calls are told
/// from there on.
pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) turns: Vec<(Side, Vec<u8>)>,
    pub(super) calls: &'static [&'static str],
}

/// What comes before each of them.
pub(super) fn welcomed(turns: &[(Side, Vec<u8>)]) -> Vec<(Side, Vec<u8>)> {
    let [client, broker] = welcome();
    let begins = [(C, hello()), (B, broker), (C, client), (C, opens(1)), (B, opened(1))];
    begins.into_iter().chain(turns.iter().cloned()).collect()
}

pub(super) fn all() -> Vec<Conversation> {
    let one = |name, turns, calls| Conversation { name, turns, calls };
    let traced = Props { id: "m", of: "talk", trace: TRACE };
    let [select, selected] = confirms(1);
    let empty = message(1, Props::default(), b"", 1);
    let returned = message(1, Props::default(), b"hello", 100);
    let mandatory = [publish(1, "ex", "k", true), returned.clone()].concat();
    vec![
        one(
            "two messages at once, one to the default exchange, one without anything",
            vec![(
                C,
                [sends(1, "", "queue", "a"), publish(1, "", "", false), empty.clone()].concat(),
            )],
            &["c0 publish queue 5B id=a -> c60", "c60 publish amq.default 0B -> c100"],
        ),
        one(
            "properties, and a body in frames",
            vec![(
                C,
                [publish(1, "ex", "k", false), message(1, traced, b"secret bodies", 5)].concat(),
            )],
            &["c0 publish ex:k 13B id=m of=talk \
               trace=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 -> c205"],
        ),
        one(
            "channels in each other, and heartbeats",
            vec![
                (C, opens(2)),
                (B, [heartbeat(), opened(2)].concat()),
                (
                    C,
                    [
                        publish(1, "one", "k", false),
                        publish(2, "two", "k", false),
                        heartbeat(),
                        message(2, Props::default(), b"22", 100),
                        message(1, Props::default(), b"1", 100),
                    ]
                    .concat(),
                ),
            ],
            &["c34 publish two:k 2B -> c96", "c13 publish one:k 1B -> c128"],
        ),
        one(
            "confirms one by one, several at once, and refused",
            vec![
                (C, select.clone()),
                (B, selected.clone()),
                (C, sends(1, "e", "k", "1")),
                (B, ack(1, 1, false)),
                (C, [sends(1, "e", "k", "2"), sends(1, "e", "k", "3")].concat()),
                (C, [sends(1, "e", "k", "4"), sends(1, "e", "k", "5")].concat()),
                (B, nack(1, 4, false, false)),
                (B, ack(1, 3, true)),
            ],
            &[
                "c13 publish e:k 5B id=1 -> b33 confirmed",
                "c184 publish e:k 5B id=4 -> b54 refused",
                "c70 publish e:k 5B id=2 -> b75 confirmed",
                "c127 publish e:k 5B id=3 -> b75 confirmed",
                "c241 publish e:k 5B id=5 open",
            ],
        ),
        one(
            "a message that comes back",
            vec![
                (C, [select.clone(), mandatory.clone()].concat()),
                (
                    B,
                    [selected.clone(), returns(1, "ex", "k"), returned.clone(), ack(1, 1, false)]
                        .concat(),
                ),
            ],
            &["c13 publish ex:k 5B -> b97 confirmed 312"],
        ),
        one(
            "one of two that are the same comes back",
            vec![
                (C, [select.clone(), mandatory.clone(), mandatory.clone()].concat()),
                (B, [selected, returns(1, "ex", "k"), returned.clone(), ack(1, 2, true)].concat()),
            ],
            &[
                "b12 return ex:k 5B -> b76 312",
                "c13 publish ex:k 5B -> b97 confirmed",
                "c69 publish ex:k 5B -> b97 confirmed",
            ],
        ),
        one(
            "one comes back, and nobody waits for a confirm",
            vec![(C, mandatory), (B, [returns(1, "ex", "k"), returned].concat())],
            &["c0 publish ex:k 5B -> c56", "b0 return ex:k 5B -> b64 312"],
        ),
        one(
            "deliveries that are settled",
            vec![
                (C, consume(1, "q", "tag", false)),
                (B, [consume_ok(1, "tag"), brings(1, "tag", 1), brings(1, "tag", 2)].concat()),
                (B, [brings(1, "tag", 3), brings(1, "tag", 4), brings(1, "tag", 5)].concat()),
                (B, [brings(1, "tag", 6), brings(1, "tag", 7)].concat()),
                (C, ack(1, 2, false)),
                (C, reject(1, 1, false)),
                (C, ack(1, 4, true)),
                (C, nack(1, 5, false, true)),
                (C, reject(1, 6, true)),
                (C, method(1, 60, 110, &[&[1]])),
            ],
            &[
                "b84 consume ex:key:q #2 5B -> c46 ack",
                "b16 consume ex:key:q #1 5B -> c67 reject",
                "b152 consume ex:key:q #3 5B -> c88 ack",
                "b220 consume ex:key:q #4 5B -> c88 ack",
                "b288 consume ex:key:q #5 5B -> c109 requeue",
                "b356 consume ex:key:q #6 5B -> c130 requeue",
                "b424 consume ex:key:q #7 5B -> c143 requeue",
            ],
        ),
        one(
            "deliveries that are not settled, of a consumer that the broker names",
            vec![
                (C, consume(1, "key", "", true)),
                (B, consume_ok(1, "amq.ctag-1")),
                (B, [brings(1, "amq.ctag-1", 1), brings(1, "amq.ctag-1", 2)].concat()),
                (C, method(1, 60, 30, &[&short("amq.ctag-1"), &[0]])),
                (B, method(1, 60, 31, &[&short("amq.ctag-1")])),
            ],
            &["b23 consume ex:key #1 5B -> b98", "b98 consume ex:key #2 5B -> b173"],
        ),
        one(
            "a queue that the broker names",
            vec![
                (C, method(1, 50, 10, &[&[0, 0], &short(""), &[0], &long(b"")])),
                (B, method(1, 50, 11, &[&short("amq.gen-x"), &[0; 8]])),
                (C, consume(1, "", "t", true)),
                (B, [consume_ok(1, "t"), brings(1, "t", 1)].concat()),
                (C, sends(1, "", "amq.gen-x", "reply")),
            ],
            &[
                "b44 consume ex:key:amq.gen-x anonymous #1 5B -> b110",
                "c42 publish amq.gen-x anonymous 5B id=reply -> c110",
            ],
        ),
        one(
            "asking for messages",
            vec![
                (C, get(1, "q")),
                (B, get_empty(1)),
                (C, get(1, "q")),
                (B, [get_ok(1, 1, "ex", "key"), message(1, Props::default(), b"abc", 2)].concat()),
            ],
            &["c17 get ex:key:q #1 again 3B -> b87"],
        ),
        one(
            "a channel that the broker ends",
            vec![
                (C, get(1, "missing")),
                (B, close(1, 404)),
                (C, [close_ok(1), opens(1)].concat()),
                (B, opened(1)),
                (C, [select, sends(1, "nowhere", "k", "1")].concat()),
                (B, close(1, 404)),
                (C, [close_ok(1), opens(1)].concat()),
                (B, opened(1)),
                (C, sends(1, "nowhere", "k", "2")),
                (B, close(1, 404)),
            ],
            &[
                "c0 get missing -> b26 404",
                "c61 publish nowhere:k 5B id=1 -> b68 404",
                "c149 publish nowhere:k 5B id=2 -> c212",
                "b84 close -> b110 404",
            ],
        ),
        one(
            "a broker that goes, and one that is let go",
            vec![
                (C, consume(1, "q", "t", false)),
                (B, [consume_ok(1, "t"), brings(1, "t", 1)].concat()),
                (B, close(0, 320)),
                (C, close_ok(0)),
            ],
            &["b14 consume ex:key:q #1 5B -> b80", "b80 close -> b106 320"],
        ),
        one(
            "a client that goes",
            vec![
                (C, consume(1, "q", "t", false)),
                (B, [consume_ok(1, "t"), brings(1, "t", 1)].concat()),
                (C, sends(1, "e", "k", "1")),
                (C, close(0, 200)),
                (B, close_ok(0)),
            ],
            &["c23 publish e:k 5B id=1 -> c80", "b14 consume ex:key:q #1 5B -> b80"],
        ),
    ]
}

/// The calls, with positions from the end of the welcome on.
pub(super) fn from_welcome(calls: &[String]) -> Vec<String> {
    let before = welcomed(&[]);
    let length =
        |of| before.iter().filter(|(side, _)| *side == of).map(|(_, b)| b.len()).sum::<usize>();
    let (client, broker) = (length(C), length(B));
    let moved = |word: &str| {
        let (side, at) = word.split_at_checked(1)?;
        let at: usize = at.parse().ok()?;
        match side {
            "c" => Some(format!("c{}", at - client)),
            "b" => Some(format!("b{}", at - broker)),
            _ => None,
        }
    };
    let call = |call: &String| {
        let words = call.split(' ').map(|word| moved(word).unwrap_or_else(|| word.to_owned()));
        words.collect::<Vec<_>>().join(" ")
    };
    calls.iter().map(call).collect()
}

#[test]
fn calls_are_told() {
    for Conversation { name, turns, calls } in all() {
        let turns = welcomed(&turns);
        let found = told(&mut turns.iter().map(|(side, bytes)| (*side, &bytes[..])));
        assert_eq!(from_welcome(&found), calls, "{name}");
    }
}

fn subjects() -> impl Iterator<Item = Subject> {
    all().into_iter().map(|Conversation { name, turns, .. }| Subject {
        name: name.to_owned(),
        turns: welcomed(&turns),
        told,
    })
}

#[test]
fn cut_at_any_byte() {
    subjects().for_each(|subject| subject.cut_at_any_byte());
}

/// What was brought and not settled yet ends with its body, and what is under way is lost.
#[test]
fn stopped_anywhere() {
    let unsettled = |call: &str| {
        let is_settled = ["ack", "reject", "requeue"].iter().any(|how| call.ends_with(how));
        call == "lost" || call.ends_with("open") || call.contains("consume") && !is_settled
    };
    subjects().filter(|subject| !subject.name.contains(" not settled")).for_each(|subject| {
        let mut subject = subject;
        // Those that are settled by nothing in the whole of it either.
        subject.told = |pieces| {
            let mut calls = told(pieces);
            calls.retain(|call| !call.contains("consume") || call.contains(" ack"));
            calls
        };
        subject.stopped_anywhere(unsettled);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn cut_into_any_pieces(cuts in cuts()) {
        for subject in subjects() {
            subject.cut_into(&cuts)?;
        }
    }
}
