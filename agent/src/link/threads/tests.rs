use super::*;

const PID: u32 = 5;
/// The connection by which each thread asks others.
const OUT: u64 = 1000;

/// A process at work. A thread `tid` has the connections `tid` (its clients') and `OUT + tid`.
#[derive(Default)]
struct Work {
    threads: Threads,
    now: u64,
    losses: u64,
    /// How many requests each connection has read.
    requests: FxHashMap<u32, u64>,
}

fn thread(tid: u32) -> Thread {
    Thread { pid: PID, tid }
}

fn accepted(tid: u32) -> ConnectionId {
    ConnectionId(tid.into())
}

fn out(tid: u32) -> ConnectionId {
    ConnectionId(OUT + u64::from(tid))
}

impl Work {
    /// A process that has proved it.
    fn believed() -> Self {
        let mut work = Self::default();
        work.prove(PROOFS);
        assert_eq!(work.standing(), Standing::Believed);
        work
    }

    fn standing(&self) -> Standing {
        self.threads.processes[&PID].standing
    }

    fn doing(&mut self, tid: u32) -> Doing {
        self.now += 10;
        Doing { thread: thread(tid), time: Time(self.now), losses: self.losses }
    }

    /// `tid` reads a request on the connection of `client`.
    fn reads_of(&mut self, tid: u32, client: u32) -> Place {
        let doing = self.doing(tid);
        let number = self.requests.entry(client).or_default();
        let place = (accepted(client), *number * 100);
        *number += 1;
        self.threads.reads(doing, place, true);
        place
    }

    fn reads(&mut self, tid: u32) -> Place {
        self.reads_of(tid, tid)
    }

    fn asks_on(&mut self, tid: u32, id: ConnectionId) -> Asked {
        let doing = self.doing(tid);
        self.threads.asks(doing, Some(id), doing.time, true)
    }

    fn asks(&mut self, tid: u32) -> Asked {
        self.asks_on(tid, out(tid))
    }

    fn hears(&mut self, tid: u32) {
        let doing = self.doing(tid);
        self.threads.hears(doing, thread(tid), out(tid));
    }

    fn calls(&mut self, tid: u32) -> Asked {
        let asked = self.asks(tid);
        self.hears(tid);
        asked
    }

    /// `writer` sends the answer to `place`, which `reader` has read.
    fn writes(&mut self, writer: u32, reader: u32, place: Place) {
        let doing = self.doing(writer);
        self.threads.answers(doing, thread(reader), place.0);
    }

    fn answers(&mut self, tid: u32, place: Place) {
        self.writes(tid, tid, place);
        self.threads.answered(thread(tid), place, true);
    }

    fn serves(&mut self, tid: u32) -> Asked {
        let place = self.reads(tid);
        let asked = self.calls(tid);
        self.answers(tid, place);
        asked
    }

    /// So many requests that prove something, each while another thread serves one.
    fn prove(&mut self, proofs: u32) {
        let mut waits = self.reads(1);
        for n in 0..=proofs {
            let (serves, other) = if n % 2 == 0 { (1, 2) } else { (2, 1) };
            let next = self.reads(other);
            self.calls(serves);
            self.answers(serves, waits);
            waits = next;
        }
        let last = if proofs.is_multiple_of(2) { 2 } else { 1 };
        self.threads.answered(thread(last), waits, false);
    }
}

#[test]
fn a_process_is_believed_once_it_has_proved_it() {
    let mut work = Work::default();
    work.prove(PROOFS - 1);
    assert_eq!(work.standing(), Standing::Tried(PROOFS - 1));
    let place = work.reads(3);
    assert_eq!(work.calls(3), Asked::Unknown, "not yet");
    work.answers(3, place);
    let mut work = Work::believed();
    let [first, second] = [3, 4].map(|tid| work.reads(tid));
    assert_eq!(work.calls(3), Asked::For(first));
    assert_eq!(work.calls(4), Asked::For(second));
    assert_eq!(work.calls(3), Asked::For(first), "another call");
    assert_eq!(work.calls(5), Asked::Nobody, "serves nothing, and never did");
    work.answers(3, first);
    assert_eq!(work.calls(3), Asked::Nobody, "after its answer");
    assert_eq!(work.calls(4), Asked::For(second));
}

#[test]
fn one_request_at_a_time_in_the_whole_process_proves_nothing() {
    let mut work = Work::default();
    for n in 0..10 * PROOFS {
        work.serves(1 + n % 2);
    }
    assert_eq!(work.standing(), Standing::Tried(0));
    // Nor does one that is open for long beside the others: they may all be one event loop's.
    work.reads(3);
    for _ in 0..10 * PROOFS {
        work.serves(1);
    }
    assert_eq!(work.standing(), Standing::Tried(0));
}

#[test]
fn requests_without_calls_prove_nothing() {
    let mut work = Work::default();
    for _ in 0..10 * PROOFS {
        let [first, second] = [1, 2].map(|tid| work.reads(tid));
        work.answers(1, first);
        work.answers(2, second);
    }
    assert_eq!(work.standing(), Standing::Tried(0));
}

#[test]
fn what_is_not_seen_whole_proves_nothing() {
    let prove = |not_whole: fn(&mut Work, Place)| {
        let mut work = Work::default();
        for _ in 0..2 * PROOFS {
            let places = [1, 2].map(|tid| work.reads(tid));
            for (tid, place) in [1, 2].into_iter().zip(places) {
                work.calls(tid);
                not_whole(&mut work, place);
                work.answers(tid, place);
            }
        }
        work.standing()
    };
    assert_eq!(prove(|_, _| ()), Standing::Believed);
    assert_eq!(prove(|work, _| work.losses += 1), Standing::Tried(0));
    let unanswered = |work: &mut Work, (id, at): Place| {
        work.threads.answered(thread(id.0 as u32), (id, at), false);
    };
    assert_eq!(prove(unanswered), Standing::Tried(0));
    let hung_up = |work: &mut Work, (id, _): Place| {
        let tid = id.0 as u32;
        work.asks(tid);
        work.threads.gives_up(thread(tid), out(tid));
    };
    assert_eq!(prove(hung_up), Standing::Tried(0));
    let mut work = Work::default();
    for _ in 0..2 * PROOFS {
        let places = [1, 2].map(|tid| {
            let (doing, place) = (work.doing(tid), (accepted(tid), work.now));
            work.threads.reads(doing, place, false);
            place
        });
        for (tid, place) in [1, 2].into_iter().zip(places) {
            work.calls(tid);
            work.answers(tid, place);
        }
    }
    assert_eq!(work.standing(), Standing::Tried(0));
}

/// What is left of a process's standing after `deed`, and of what is told.
#[track_caller]
fn disproves(deed: impl Fn(&mut Work)) {
    let mut work = Work::believed();
    deed(&mut work);
    assert_eq!(work.standing(), Standing::Disproved);
    work.reads(7);
    assert_eq!(work.calls(7), Asked::Unknown);
    let mut work = Work::default();
    work.prove(1);
    deed(&mut work);
    work.prove(10 * PROOFS);
    assert_eq!(work.standing(), Standing::Disproved, "for good");
}

#[test]
fn an_event_loop_reads_another_request_before_it_has_answered() {
    disproves(|work| {
        work.reads_of(3, 3);
        work.reads_of(3, 4);
    });
    disproves(|work| {
        let place = work.reads_of(3, 3);
        work.writes(3, 3, place);
        work.reads_of(3, 4);
    });
}

#[test]
fn a_request_that_is_handed_on_is_answered_by_another() {
    disproves(|work| {
        let place = work.reads(3);
        work.writes(4, 3, place);
    });
}

#[test]
fn who_waits_does_nothing_else() {
    disproves(|work| {
        work.reads(3);
        work.asks(3);
        work.asks_on(3, ConnectionId(OUT));
    });
    disproves(|work| {
        let place = work.reads(3);
        work.asks(3);
        work.writes(3, 3, place);
    });
    disproves(|work| {
        work.reads(3);
        work.asks(3);
        work.reads_of(3, 4);
    });
}

#[test]
fn who_asks_is_who_hears() {
    disproves(|work| {
        work.reads(3);
        work.asks(3);
        let doing = work.doing(4);
        work.threads.hears(doing, thread(3), out(3));
    });
}

#[test]
fn a_call_that_fails_or_is_pipelined_is_no_deed() {
    let mut work = Work::believed();
    let place = work.reads(3);
    work.asks(3);
    assert_eq!(work.asks(3), Asked::For(place), "two in one go");
    work.hears(3);
    work.asks(3);
    work.threads.gives_up(thread(3), out(3));
    work.answers(3, place);
    assert_eq!(work.standing(), Standing::Believed);
}

#[test]
fn the_rest_of_an_answer_may_be_left_to_another() {
    let mut work = Work::believed();
    let place = work.reads(3);
    work.writes(3, 3, place);
    assert_eq!(work.calls(3), Asked::For(place), "while it answers");
    work.writes(4, 3, place);
    assert_eq!(work.calls(3), Asked::Nobody);
    assert_eq!(work.standing(), Standing::Believed);
}

#[test]
fn an_answer_without_a_visible_end_ends_with_the_next_request() {
    let mut work = Work::believed();
    let place = work.reads_of(3, 3);
    work.writes(3, 3, place);
    work.threads.is_endless(thread(3), place.0);
    assert_eq!(work.calls(3), Asked::Nobody, "it may be over");
    let next = work.reads_of(3, 4);
    assert_eq!(work.calls(3), Asked::For(next));
    work.threads.answered(thread(3), place, true);
    assert_eq!(work.calls(3), Asked::For(next), "the other one's end comes late");
}

#[test]
fn requests_that_are_read_at_once_are_not_told_apart() {
    let mut work = Work::believed();
    let first = work.reads(3);
    let second = work.reads(3);
    assert_eq!(work.calls(3), Asked::Nobody);
    work.answers(3, first);
    assert_eq!(work.calls(3), Asked::For(second));
    work.answers(3, second);
    assert_eq!(work.calls(3), Asked::Nobody);
    assert_eq!(work.standing(), Standing::Believed);
}

#[test]
fn a_call_is_not_that_of_a_request_which_was_read_later_or_had_others_in_it() {
    let mut work = Work::believed();
    work.reads(3);
    let doing = work.doing(3);
    let early = Time(doing.time.0 - 20);
    assert_eq!(work.threads.asks(doing, Some(out(3)), early, true), Asked::Nobody);
    assert_eq!(work.threads.asks(doing, Some(out(3)), doing.time, false), Asked::Nobody);
}

#[test]
fn what_has_no_answer_is_part_of_the_request_too() {
    let mut work = Work::believed();
    let place = work.reads(3);
    let doing = work.doing(3);
    let tells = |work: &mut Work| work.threads.asks(doing, None, doing.time, true);
    assert_eq!(tells(&mut work), Asked::For(place));
    work.asks(3);
    assert_eq!(tells(&mut work), Asked::Nobody, "it waits for somebody");
    assert_eq!(work.standing(), Standing::Believed);
}

#[test]
fn where_records_are_lost_nothing_is_certain_and_nothing_is_a_deed() {
    let mut work = Work::believed();
    work.reads_of(3, 3);
    work.losses += 1;
    assert_eq!(work.calls(3), Asked::Nobody, "it may have answered, and read another");
    work.reads_of(3, 4);
    work.losses += 1;
    let place = work.reads_of(3, 5);
    work.losses += 1;
    work.writes(4, 3, place);
    let place = work.reads_of(3, 6);
    work.asks(3);
    work.losses += 1;
    let doing = work.doing(4);
    work.threads.hears(doing, thread(3), out(3));
    assert_eq!(work.calls(3), Asked::Nobody);
    assert_eq!(work.standing(), Standing::Believed);
    work.answers(3, place);
}

#[test]
fn another_program_has_to_prove_it_again() {
    let mut work = Work::believed();
    work.reads(3);
    work.threads.runs(PID);
    assert_eq!(work.calls(3), Asked::Unknown);
    assert!(work.threads.threads.is_empty() && work.threads.processes.is_empty());
    // The number of a thread that is gone.
    let mut work = Work::believed();
    work.reads(3);
    let place = (accepted(3), 900);
    let thread = Thread { pid: PID + 1, tid: 3 };
    let doing = Doing { thread, ..work.doing(3) };
    work.threads.reads(doing, place, true);
    assert_eq!(work.threads.asks(doing, Some(out(3)), doing.time, true), Asked::Unknown);
    assert_eq!(work.standing(), Standing::Believed);
}

#[test]
fn who_is_idle_is_forgotten() {
    let mut work = Work::believed();
    work.serves(1);
    let last = work.threads.processes[&PID].last.0;
    work.threads.expire(Time(last + IDLE - 1));
    assert!(!work.threads.processes.is_empty());
    work.threads.expire(Time(work.now + IDLE));
    assert!(work.threads.processes.is_empty() && work.threads.threads.is_empty());
}

#[test]
fn no_more_are_remembered_than_there_is_room_for() {
    let mut threads = Threads::default();
    for n in 0..MAX_PROCESSES.max(MAX_THREADS) as u32 + 10 {
        let doing = Doing { thread: Thread { pid: n, tid: n }, time: Time(1), losses: 0 };
        threads.reads(doing, (ConnectionId(n.into()), 0), true);
    }
    assert_eq!(threads.processes.len(), MAX_PROCESSES);
    assert_eq!(threads.threads.len(), MAX_THREADS);
}
