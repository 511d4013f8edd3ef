use super::*;

const BROKER: ConnectionId = ConnectionId(1);
const OTHER: ConnectionId = ConnectionId(2);
const THREAD: Thread = Thread { pid: 7, tid: 8 };

fn doing(tid: u32) -> Doing {
    Doing { thread: Thread { tid, ..THREAD }, time: Time(5), losses: 0 }
}

/// A message is brought, worked on and settled: for which message the call was.
fn works(consumers: &mut Consumers, at: u64) -> Option<Place> {
    let me = doing(THREAD.tid);
    consumers.does(me, BROKER, true);
    consumers.brought(me, (BROKER, at));
    consumers.does(me, OTHER, false);
    let place = consumers.asks(me, OTHER, true);
    consumers.does(me, OTHER, true);
    consumers.does(me, BROKER, false);
    consumers.settled((BROKER, at), Some(me));
    place
}

fn believed() -> Consumers {
    let mut consumers = Consumers::default();
    for at in 0..u64::from(PROOFS) {
        assert_eq!(works(&mut consumers, at), None, "proof {at}");
    }
    assert_eq!(works(&mut consumers, 1000), Some((BROKER, 1000)));
    consumers
}

/// After this a process that was believed has no calls.
fn ends_it(what: impl FnOnce(&mut Consumers)) {
    let mut consumers = believed();
    what(&mut consumers);
    for at in 2000..2100 {
        assert_eq!(works(&mut consumers, at), None);
    }
    assert!(consumers.threads.is_empty() && consumers.messages.is_empty());
}

#[test]
fn calls_of_a_thread_that_works_on_one_message() {
    believed();
}

#[test]
fn of_several_messages_none_has_calls() {
    let mut consumers = believed();
    let me = doing(THREAD.tid);
    consumers.brought(me, (BROKER, 1));
    consumers.brought(me, (BROKER, 2));
    assert_eq!(consumers.asks(me, OTHER, false), None);
    consumers.settled((BROKER, 1), Some(me));
    assert_eq!(consumers.asks(me, OTHER, false), None, "it may have settled first");
    consumers.settled((BROKER, 2), Some(me));
    assert_eq!(works(&mut consumers, 3), Some((BROKER, 3)));
}

#[test]
fn deeds_end_it() {
    let me = doing(THREAD.tid);
    ends_it(|consumers| {
        consumers.brought(me, (BROKER, 1));
        consumers.asks(me, OTHER, true);
        consumers.does(me, ConnectionId(3), false);
    });
    ends_it(|consumers| {
        consumers.brought(me, (BROKER, 1));
        consumers.settled((BROKER, 1), Some(doing(9)));
    });
    ends_it(|consumers| {
        consumers.asks(me, OTHER, true);
    });
    ends_it(|consumers| consumers.serves(THREAD));
    ends_it(|consumers| consumers.brought_for_good(THREAD));
}

#[test]
fn work_goes_on_when_the_connection_has_ended() {
    let mut consumers = believed();
    let me = doing(THREAD.tid);
    consumers.brought(me, (BROKER, 1));
    consumers.settled((BROKER, 1), None);
    assert_eq!(consumers.asks(me, OTHER, true), None, "it is brought again to somebody else");
    consumers.does(me, OTHER, true);
    assert_eq!(works(&mut consumers, 2), Some((BROKER, 2)));
}

#[test]
fn another_thread_has_calls_of_its_own() {
    let mut consumers = believed();
    consumers.brought(doing(THREAD.tid), (BROKER, 1));
    assert_eq!(consumers.asks(doing(9), OTHER, true), None);
    consumers.brought(doing(9), (OTHER, 1));
    assert_eq!(consumers.asks(doing(9), OTHER, false), Some((OTHER, 1)));
    assert_eq!(consumers.asks(doing(THREAD.tid), OTHER, false), Some((BROKER, 1)));
}

#[test]
fn what_was_lost_may_have_been_anything() {
    let mut consumers = believed();
    let me = doing(THREAD.tid);
    consumers.brought(me, (BROKER, 1));
    let later = Doing { losses: 1, ..me };
    consumers.does(later, OTHER, false);
    assert_eq!(consumers.asks(later, OTHER, true), None);
}

#[test]
fn no_more_are_remembered_than_there_is_room_for() {
    let mut consumers = believed();
    for at in 0..MAX_MESSAGES as u64 + 10 {
        consumers.brought(doing(THREAD.tid), (BROKER, at));
    }
    assert!(consumers.messages.len() <= MAX_MESSAGES);
    assert_eq!(works(&mut consumers, u64::MAX), None);
    consumers.expire(Time(5 + IDLE));
    assert!(consumers.processes.is_empty() && consumers.threads.is_empty());
}
