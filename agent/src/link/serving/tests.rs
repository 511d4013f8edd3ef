use opentelemetry::{SpanId, TraceId};

use super::*;

const CONNECTION: ConnectionId = ConnectionId(7);

fn ancestor(n: u64) -> Ancestor {
    let (trace_id, span_id) = (TraceId::from(u128::from(n)), SpanId::from(n));
    Ancestor { trace_id, span_id, depth: 0, flags: 1 }
}

fn work(position: u64, length: u64) -> Work {
    Work { id: CONNECTION, position, length }
}

fn found(serving: &mut Serving, position: u64, length: u64, time: u64) -> Option<SpanId> {
    serving.of(&work(position, length), Time(time)).map(|ancestor| ancestor.span_id)
}

#[test]
fn bytes_of_a_request_lead_to_it() {
    let mut serving = Serving::default();
    serving.has_contexts(1, Time(0));
    serving.began(CONNECTION, 0, Time(4), 1, ancestor(1));
    assert_eq!(found(&mut serving, 0, 100, 0), Some(SpanId::from(1)));
    assert_eq!(found(&mut serving, 50, 10, 0), Some(SpanId::from(1)), "a part of its body");
    serving.asked(CONNECTION, 0, 100);
    assert_eq!(found(&mut serving, 100, 10, 0), None, "of the next one, which was not seen");
    serving.began(CONNECTION, 100, Time(4), 1, ancestor(2));
    assert_eq!(found(&mut serving, 100, 10, 0), None, "it waits behind the first");
    serving.answered(CONNECTION, 0, Time(4));
    assert_eq!(found(&mut serving, 100, 10, 0), Some(SpanId::from(2)));
    assert_eq!(found(&mut serving, 90, 20, 0), None, "of both");
    serving.asked(CONNECTION, 100, 110);
    assert_eq!(found(&mut serving, 0, 200, 0), None, "of both");
}

#[test]
fn work_goes_on_after_the_answer_for_a_while() {
    let mut serving = Serving::default();
    serving.has_contexts(1, Time(0));
    serving.began(CONNECTION, 0, Time(4), 1, ancestor(1));
    serving.asked(CONNECTION, 0, 100);
    assert!(!serving.answered(CONNECTION, 0, Time(5)), "no calls yet");
    assert_eq!(found(&mut serving, 0, 100, 5 + AFTER), Some(SpanId::from(1)));
    assert_eq!(found(&mut serving, 0, 100, 6 + AFTER), None);
    serving.expire(Time(6 + AFTER));
    assert_eq!(serving.requests.len(), 0);
    serving.expire(Time(IDLE + 4));
    assert!(serving.processes.is_empty() && serving.answered.is_empty());
}

#[test]
fn the_sole_request_is_the_one_that_is_open() {
    let mut serving = Serving::default();
    let sole = |serving: &mut Serving, pid| serving.sole(pid, Time(5));
    assert_eq!(sole(&mut serving, 1), None);
    serving.begins(Time(3));
    serving.runs(1, Time(4), false);
    serving.began(CONNECTION, 0, Time(4), 1, ancestor(1));
    assert_eq!(sole(&mut serving, 1), Some(ancestor(1)));
    assert_eq!(sole(&mut serving, 2), None, "another process");
    serving.began(ConnectionId(8), 0, Time(4), 1, ancestor(2));
    assert_eq!(sole(&mut serving, 1), None, "two are open");
    assert!(serving.answered(CONNECTION, 0, Time(1)), "a call is under it");
    assert_eq!(sole(&mut serving, 1), Some(ancestor(2)));
    assert!(serving.answered(ConnectionId(8), 0, Time(2)));
    assert_eq!(sole(&mut serving, 1), None);
    serving.began(CONNECTION, 9, Time(4), 1, ancestor(3));
    serving.has_contexts(1, Time(0));
    assert_eq!(sole(&mut serving, 1), None, "there is a better rule");
}

#[test]
fn a_message_may_be_what_a_process_is_busy_with() {
    let message = (ConnectionId(8), 0);
    let brought = |serving: &mut Serving| serving.brought(message, Time(10), 1, ancestor(2));
    assert_eq!(sole_after(10, brought), None);
    let settled = |serving: &mut Serving| {
        brought(serving);
        serving.answered(message.0, message.1, Time(20));
    };
    assert_eq!(sole_after(20, settled), Some(SpanId::from(1)));
    let alone = |serving: &mut Serving| {
        brought(serving);
        serving.answered(CONNECTION, 0, Time(10));
    };
    assert_eq!(sole_after(20, alone), None, "which thread asks matters");
}

#[test]
fn a_runtime_that_tells_is_asked_from_the_beginning() {
    let mut serving = Serving::default();
    serving.begins(Time(3));
    serving.runs(1, Time(4), true);
    serving.began(CONNECTION, 0, Time(4), 1, ancestor(1));
    assert_eq!(serving.sole(1, Time(5)), None);
    assert!(!serving.asks_threads(1));
    assert!(!serving.answered(CONNECTION, 0, Time(6)));
    assert_eq!(found(&mut serving, 0, 10, 7), Some(SpanId::from(1)));
}

#[test]
fn a_process_older_than_the_agent_may_serve_what_was_not_seen() {
    let mut serving = Serving::default();
    serving.begins(Time(100));
    serving.runs(1, Time(4), false);
    serving.began(CONNECTION, 0, Time(4), 1, ancestor(1));
    assert_eq!(serving.sole(1, Time(99 + UNSEEN)), None);
    assert_eq!(serving.sole(1, Time(100 + UNSEEN)), Some(ancestor(1)));
}

/// Of process 1 at `time`, which is young and has one request open since 10.
fn sole_after(time: u64, happens: impl FnOnce(&mut Serving)) -> Option<SpanId> {
    let mut serving = Serving::default();
    serving.begins(Time(3));
    serving.runs(1, Time(4), false);
    serving.began(CONNECTION, 0, Time(10), 1, ancestor(1));
    happens(&mut serving);
    serving.sole(1, Time(time)).map(|ancestor| ancestor.span_id)
}

#[test]
fn a_request_that_came_later_or_was_not_alone_is_not_the_sole_one() {
    let other = ConnectionId(8);
    let only = Some(SpanId::from(1));
    assert_eq!(sole_after(10, |_| ()), only);
    assert_eq!(sole_after(9, |_| ()), None, "the process calls itself");
    let was_there = |serving: &mut Serving| {
        serving.began(other, 0, Time(11), 1, ancestor(2));
        serving.answered(other, 0, Time(20));
    };
    assert_eq!(sole_after(20, was_there), only);
    assert_eq!(sole_after(19, was_there), None, "two were open");
}

#[test]
fn what_is_not_seen_may_be_what_a_process_is_busy_with() {
    let other = ConnectionId(8);
    let only = Some(SpanId::from(1));
    let lost = |serving: &mut Serving| {
        serving.began(other, 0, Time(11), 1, ancestor(2));
        serving.lost(other, 0);
    };
    assert_eq!(sole_after(10 + UNSEEN, lost), None);
    assert_eq!(sole_after(11 + UNSEEN, lost), only);
    assert_eq!(sole_after(11 + UNSEEN, |serving| serving.unreadable(2)), only);
    assert_eq!(sole_after(11 + UNSEEN, |serving| serving.unreadable(1)), None);
}

#[test]
fn no_more_are_remembered_than_there_is_room_for() {
    let mut serving = Serving::default();
    serving.has_contexts(1, Time(0));
    for n in 0..MAX_REQUESTS as u64 + 10 {
        serving.began(ConnectionId(n), 0, Time(n), 1, ancestor(n));
        if n < 5 {
            serving.answered(ConnectionId(n), 0, Time(n));
        }
    }
    assert_eq!(serving.requests.len(), MAX_REQUESTS);
    assert!(!serving.requests.contains_key(&(ConnectionId(4), 0)));
}

#[test]
fn what_a_process_asks_of_its_own_accord_it_may_ask_at_any_time() {
    let only = Some(SpanId::from(1));
    let idle = |serving: &mut Serving| {
        serving.answered(CONNECTION, 0, Time(20));
        assert_eq!(serving.sole(1, Time(21)), None);
        serving.began(CONNECTION, 50, Time(22), 1, ancestor(1));
    };
    assert_eq!(sole_after(23, idle), None);
    assert_eq!(
        sole_after(23, |serving| {
            idle(serving);
            serving.runs(1, Time(22), false);
            serving.began(CONNECTION, 50, Time(22), 1, ancestor(1));
        }),
        only,
        "another program"
    );
    let answered_in_time = |serving: &mut Serving| {
        serving.answered(CONNECTION, 0, Time(20));
        assert_eq!(serving.sole(1, Time(19)), None, "told of late");
        serving.began(CONNECTION, 50, Time(22), 1, ancestor(1));
    };
    assert_eq!(sole_after(23, answered_in_time), only);
    let forgotten = |serving: &mut Serving| {
        idle(serving);
        serving.answered(CONNECTION, 50, Time(24));
        serving.expire(Time(24 + IDLE));
        serving.began(CONNECTION, 90, Time(25 + IDLE), 1, ancestor(1));
    };
    assert_eq!(sole_after(26 + IDLE, forgotten), only, "long ago");
}

#[test]
fn a_process_gets_ready_before_its_first_request() {
    let mut serving = Serving::default();
    serving.begins(Time(3));
    serving.runs(1, Time(4), false);
    assert_eq!(serving.sole(1, Time(5)), None);
    serving.began(CONNECTION, 0, Time(6), 1, ancestor(1));
    assert_eq!(serving.sole(1, Time(7)), Some(ancestor(1)));
}
