use opentelemetry::{SpanId, TraceId};

use super::*;
use crate::source::{Pair, Role};

const SECOND: u64 = 1_000_000_000;
const BROKER: u32 = 9;

fn key(number: u32) -> MessageKey {
    let pair = Pair::Sequences { sent: number, received: 1 };
    MessageKey::new(Some(pair), Role::Client, 0).expect("it has sequence numbers")
}

fn ancestor(id: u64) -> Ancestor {
    Ancestor { trace_id: TraceId::from(7), span_id: SpanId::from(id), depth: 0, flags: 3 }
}

/// Two clients of one broker on this host.
fn queues() -> Queues {
    let mut queues = Queues::default();
    queues.expire(Time(100 * SECOND));
    for client in 1..=2 {
        queues.client(key(client));
        queues.broker(Some(key(client)), BROKER);
    }
    queues
}

fn send(queues: &mut Queues, evidence: u64, by: u64) {
    queues.sent(key(1), evidence, Time(100 * SECOND), ancestor(by), true);
}

fn brought(queues: &mut Queues, evidence: u64, seconds: u64) -> Option<SpanId> {
    queues.brought(key(2), evidence, Time(seconds * SECOND)).map(|by| by.span_id)
}

#[test]
fn what_was_sent_once_is_its_senders_each_time_that_it_is_brought() {
    let mut queues = queues();
    send(&mut queues, 5, 1);
    send(&mut queues, 6, 2);
    assert_eq!(brought(&mut queues, 5, 101), Some(SpanId::from(1)));
    assert_eq!(brought(&mut queues, 5, 101), Some(SpanId::from(1)), "to another queue");
    assert_eq!(brought(&mut queues, 6, 101), Some(SpanId::from(2)));
    assert_eq!(brought(&mut queues, 7, 101), None);
    let kept = KEEP / SECOND;
    assert_eq!(brought(&mut queues, 5, 100 + kept), Some(SpanId::from(1)));
    queues.expire(Time((101 + kept) * SECOND));
    assert_eq!(brought(&mut queues, 5, 102 + kept), Some(SpanId::from(1)));
    assert_eq!(brought(&mut queues, 5, 103 + 2 * kept), None);
}

#[test]
fn equal_ones_are_nobodys() {
    let mut queues = queues();
    send(&mut queues, 5, 1);
    assert_eq!(brought(&mut queues, 5, 101), Some(SpanId::from(1)), "there is no other yet");
    send(&mut queues, 5, 2);
    assert_eq!(brought(&mut queues, 5, 101), None);
    queues.expire(Time(100 * SECOND + KEEP + 1));
    send(&mut queues, 5, 3);
    assert_eq!(brought(&mut queues, 5, 162), None, "the others may still be in a queue");
}

#[test]
fn whoever_is_not_seen_may_have_sent_it() {
    let mut queues = queues();
    send(&mut queues, 5, 1);
    queues.broker(Some(key(3)), BROKER);
    assert_eq!(brought(&mut queues, 5, 101), None, "a client on another host");
    queues.client(key(3));
    assert_eq!(brought(&mut queues, 5, 101), Some(SpanId::from(1)), "it is on this one");
    queues.gone(key(3), true);
    queues.gone(key(3), false);
    assert_eq!(brought(&mut queues, 5, 101), Some(SpanId::from(1)));
    queues.broker(Some(key(4)), BROKER);
    queues.gone(key(4), false);
    assert_eq!(brought(&mut queues, 5, 101), None, "what it sent may be in a queue");
    let mut queues = self::queues();
    send(&mut queues, 5, 1);
    queues.broker(None, BROKER);
    assert_eq!(brought(&mut queues, 5, 101), None);
}

#[test]
fn what_was_lost_may_have_been_the_same() {
    let mut queues = queues();
    send(&mut queues, 5, 1);
    queues.doubt();
    assert_eq!(brought(&mut queues, 5, 101), None);
    let later = 101 + 2 * KEEP / SECOND;
    queues.expire(Time(later * SECOND));
    queues.sent(key(1), 6, Time(later * SECOND), ancestor(1), true);
    assert_eq!(brought(&mut queues, 6, later), Some(SpanId::from(1)));
    queues.sent(key(1), 7, Time(later * SECOND), ancestor(1), false);
    assert_eq!(brought(&mut queues, 7, later), None, "told too late");
}

#[test]
fn another_broker_has_other_messages() {
    let mut queues = queues();
    queues.client(key(3));
    queues.broker(Some(key(3)), BROKER + 1);
    queues.sent(key(3), 5, Time(100 * SECOND), ancestor(1), true);
    assert_eq!(brought(&mut queues, 5, 101), None);
    queues.client(key(4));
    queues.sent(key(4), 6, Time(100 * SECOND), ancestor(1), true);
    assert_eq!(brought(&mut queues, 6, 101), None, "a broker on another host");
}

#[test]
fn a_flood_is_bounded() {
    let mut queues = queues();
    for evidence in 0..3 * MAX_WAITING as u64 {
        send(&mut queues, evidence, 1);
    }
    assert!(queues.sent.len() <= 2 * MAX_WAITING);
    for number in 0..MAX_CONNECTIONS as u32 + 10 {
        queues.client(key(number));
    }
    assert!(queues.connections.len() <= MAX_CONNECTIONS);
    send(&mut queues, u64::MAX, 1);
    assert_eq!(brought(&mut queues, u64::MAX, 100), None);
}
