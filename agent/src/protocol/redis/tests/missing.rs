//! Any bytes of either side missing, anywhere, as often as may be: what is told is true, what is
//! not told is counted, and the next call at the beginning of a turn is found again.
//!
//! What is true is known from how the conversations were made, not from the parser.

use std::collections::VecDeque;
use std::ops::Range;

use proptest::prelude::*;
use tracebee_common::record::TAIL;
use tracebee_tests::capture::random::Random;

use super::{A, DETECTOR, Driver, Q, array, at_least};
use crate::protocol::database::{Request, Response};
use crate::protocol::fuzz::check;
use crate::protocol::{self, Part, Side, Step};

/// A call as it was made.
struct Made {
    /// Position of its first byte, and behind the last of its answer.
    at: u64,
    end: u64,
    /// What the span must say: operation, commands, error.
    name: String,
    size: usize,
    error: Option<&'static str>,
    /// Its first piece and the last of its answer, in the conversation.
    pieces: Range<usize>,
    /// It begins like an array: a line at the beginning of a turn may be anything.
    plain: bool,
    /// The database that it asks, and how many commands it sends, whatever they are called.
    database: u64,
    commands: usize,
}

/// What went over a connection, in the order in which the client sent and read it.
#[derive(Default)]
struct Talk {
    pieces: Vec<(Side, Vec<u8>)>,
    calls: Vec<Made>,
    at: [u64; 2],
    database: u64,
}

impl Talk {
    fn send(&mut self, random: &mut Random, side: Side, bytes: &[u8]) {
        self.at[side as usize] += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = if random.chance(50) { rest.len() } else { rest.len().min(40) };
            let (piece, behind) = rest.split_at(random.between(1, most));
            self.pieces.push((side, piece.to_vec()));
            rest = behind;
        }
    }

    /// A client that waits for all replies before it asks again.
    fn call(&mut self, random: &mut Random) {
        let database = self.database;
        let mut commands: Vec<(&str, Vec<u8>)> = Vec::new();
        let mut replies = Vec::new();
        let mut error = None;
        let (mut name, size);
        let plain = random.chance(95);
        if random.chance(10) {
            let count = random.between(1, 4);
            commands.push(("MULTI", array("MULTI")));
            (0..count).for_each(|_| commands.push(("SET", array("SET key 1"))));
            commands.push(("EXEC", array("EXEC")));
            replies.extend(b"+OK\r\n");
            replies.extend(b"+QUEUED\r\n".repeat(count));
            replies.extend(format!("*{count}\r\n").bytes());
            for _ in 0..count {
                let failed = random.chance(10);
                replies.extend_from_slice(if failed { b"-OOM out\r\n" } else { b"+OK\r\n" });
                error = error.or(failed.then_some("OOM"));
            }
            (name, size) = ("MULTI SET".to_owned(), count);
        } else {
            let count = if random.chance(60) { 1 } else { random.between(2, 6) };
            for n in 0..count {
                let line = !plain && n == 0;
                let (name, command, reply, failed) = match random.chance(10) && !line {
                    true => self.select(random),
                    false => command(random, line),
                };
                commands.push((name, command));
                replies.extend(reply);
                error = error.or(failed);
            }
            name = commands[0].0.to_owned();
            let same = commands.iter().all(|(other, _)| *other == name);
            if count > 1 {
                name = if same { format!("PIPELINE {name}") } else { "PIPELINE".to_owned() };
            }
            size = count;
        }
        let (at, first, sent) = (self.at[0], self.pieces.len(), commands.len());
        self.send(
            random,
            Q,
            &commands.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>(),
        );
        self.send(random, A, &replies);
        let (end, pieces) = (self.at[1], first..self.pieces.len());
        let commands = sent;
        self.calls.push(Made { at, end, name, size, error, pieces, plain, database, commands });
    }

    /// A client that several tasks share: each asks when it likes. From the first turn on, so that
    /// there is something to know it by.
    fn share(&mut self, random: &mut Random, calls: usize) {
        let mut replies: VecDeque<(usize, Vec<u8>, Option<&'static str>)> = VecDeque::new();
        let mut left: Vec<usize> = Vec::new();
        let mut asked_last = false;
        let mut sent = 0;
        while sent < calls || !replies.is_empty() {
            let asks = match self.pieces.len() {
                0 | 1 | 3 => true,
                2 => false,
                _ => sent < calls && (replies.is_empty() || random.chance(50)),
            };
            if asks {
                sent += 1;
                let (name, asked, reply, error) = command(random, false);
                if !std::mem::replace(&mut asked_last, true) {
                    let (at, first, database) = (self.at[0], self.pieces.len(), self.database);
                    left.push(0);
                    self.calls.push(Made {
                        at,
                        end: u64::MAX,
                        name: name.to_owned(),
                        size: 0,
                        error: None,
                        pieces: first..first,
                        plain: true,
                        database,
                        commands: 0,
                    });
                }
                let call = self.calls.len() - 1;
                let made = &mut self.calls[call];
                let one = made.name.strip_prefix("PIPELINE ").unwrap_or(&made.name);
                made.name = match (made.commands, one == name) {
                    (0, _) => name.to_owned(),
                    (_, true) => format!("PIPELINE {name}"),
                    (_, false) => "PIPELINE".to_owned(),
                };
                (made.commands, made.size) = (made.commands + 1, made.size + 1);
                left[call] += 1;
                self.at[0] += asked.len() as u64;
                self.pieces.push((Q, asked));
                replies.push_back((call, reply, error));
            } else if let Some((call, reply, error)) = replies.pop_front() {
                asked_last = false;
                self.at[1] += reply.len() as u64;
                self.pieces.push((A, reply));
                let made = &mut self.calls[call];
                made.error = made.error.or(error);
                left[call] -= 1;
                if left[call] == 0 {
                    made.end = self.at[1];
                    made.pieces.end = self.pieces.len();
                }
            }
        }
    }

    fn select(&mut self, random: &mut Random) -> Command {
        let database = random.below(20) as u64;
        let asked = array(&format!("SELECT {database}"));
        if database > 15 {
            let refused = b"-ERR DB index is out of range\r\n".to_vec();
            return ("SELECT", asked, refused, Some("ERR"));
        }
        self.database = database;
        ("SELECT", asked, b"+OK\r\n".to_vec(), None)
    }
}

type Command = (&'static str, Vec<u8>, Vec<u8>, Option<&'static str>);

/// A command, what is answered, and the error that this is.
fn command(random: &mut Random, line: bool) -> Command {
    if line {
        return ("PING", b"PING\r\n".to_vec(), b"+PONG\r\n".to_vec(), None);
    }
    if random.chance(8) {
        let wrong = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        return ("LPOP", array("LPOP key"), wrong.to_vec(), Some("WRONGTYPE"));
    }
    let size = *random.pick(&[0, 3, 30, 300]);
    // What looks like commands and replies, where it is none.
    let tricky = *random.pick(&["*1\r\n$4\r\nPING\r\n", "+OK\r\n-ERR x\r\n", ":1\r\n", "\r\n"]);
    let text: String = tricky.chars().cycle().take(size).collect();
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let set = || format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n{}", bulk(&text)).into_bytes();
    match random.below(8) {
        0 | 1 => ("GET", array("GET key"), bulk(&text).into(), None),
        2 => ("GET", array("GET key"), b"$-1\r\n".to_vec(), None),
        3 | 4 => ("SET", set(), b"+OK\r\n".to_vec(), None),
        5 => ("INCR", array("INCR key"), format!(":{size}\r\n").into(), None),
        6 => {
            let count = random.below(6);
            let elements = bulk(&text).repeat(count);
            ("LRANGE", array("LRANGE key 0 -1"), format!("*{count}\r\n{elements}").into(), None)
        }
        _ => {
            let nested =
                format!("*2\r\n{}*2\r\n:1\r\n%1\r\n+a\r\n(12345678901234567890\r\n", bulk(&text));
            ("XRANGE", array("XRANGE key - +"), nested.into(), None)
        }
    }
}

/// A call as it was told.
#[derive(Debug)]
struct Told {
    at: u64,
    request: Request,
    /// Its answer, and where that ends.
    answer: Option<(Response, u64)>,
}

/// What was told, and how many were counted as lost.
fn told(driver: &Driver) -> (Vec<Told>, usize) {
    let mut open: VecDeque<Told> = VecDeque::new();
    let (mut told, mut lost, mut response) = (Vec::new(), 0, None);
    for part in &driver.parts {
        match part {
            Part::Request { at, request: protocol::Request::Database(request) } => {
                open.push_back(Told { at: *at, request: *request.clone(), answer: None });
            }
            Part::Asked(protocol::Request::Database(request)) => {
                open.back_mut().unwrap().request = *request.clone();
            }
            Part::Response { response: protocol::Response::Database(said), .. } => {
                response = Some(*said.clone());
            }
            Part::ResponseEnd { at, .. } => {
                let mut call = open.pop_front().unwrap();
                call.answer = response.take().zip(*at);
                told.push(call);
            }
            Part::Desync => {
                open.pop_front().unwrap();
                lost += 1;
            }
            Part::Orphan => lost += 1,
            Part::Answering => {}
            other => panic!("not of these conversations: {other:?}"),
        }
    }
    told.extend(open);
    (told, lost + usize::from(driver.over == Some(Step::GiveUp)))
}

/// Bytes that are missing, as positions of a side.
type Holes = Vec<(Side, Range<u64>)>;

/// Plays the pieces `shown` of a conversation, without what is missing.
fn play(talk: &Talk, shown: Range<usize>, holes: &Holes, tails: bool) -> Driver {
    let mut at = [0; 2];
    for (side, bytes) in &talk.pieces[..shown.start] {
        at[*side as usize] += bytes.len() as u64;
    }
    let mut driver = Driver::joined(&DETECTOR, at[0], at[1]);
    for (side, bytes) in &talk.pieces[shown] {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let here = at[*side as usize];
            let of_side = || holes.iter().filter(|(of, _)| of == side).map(|(_, hole)| hole);
            let inside = of_side().filter(|hole| hole.contains(&here)).map(|hole| hole.end).max();
            let next = of_side().map(|hole| hole.start).filter(|start| *start > here).min();
            let to = inside.or(next).unwrap_or(u64::MAX);
            let length = rest.len().min((to - here) as usize);
            let (piece, behind) = rest.split_at(length);
            if inside.is_some() {
                driver.gap(*side, length as u64);
                if tails {
                    // The kernel tells how what it left out ends.
                    driver.tail(*side, &piece[length.saturating_sub(TAIL)..]);
                }
            } else {
                driver.data(*side, piece);
            }
            at[*side as usize] += length as u64;
            rest = behind;
        }
    }
    driver.close();
    check(&driver.parts);
    driver
}

/// What was told is true.
fn is_true(told: &[Told], made: &[Made], answered: u64) -> Result<(), TestCaseError> {
    for call in told {
        let truth = made.iter().find(|made| made.at == call.at);
        let Some(truth) = truth else {
            return Err(TestCaseError::fail(format!("no call begins there: {call:?}")));
        };
        let statement = call.request.statement.as_ref().unwrap();
        if let Some(database) = &call.request.namespace {
            prop_assert_eq!(&**database, &truth.database.to_string(), "{:?}", call);
        }
        let Some((response, end)) = &call.answer else {
            prop_assert!(truth.end > answered, "it was answered: {:?}", call);
            continue;
        };
        prop_assert_eq!(*end, truth.end, "{:?}", call);
        let (name, size) = (statement.operation.as_deref().unwrap(), statement.statements as usize);
        let unseen = name == "PIPELINE" && size == truth.commands;
        prop_assert!(unseen || (name == truth.name && size == truth.size), "{:?}", call);
        if !response.cut {
            prop_assert_eq!(response.code.as_deref(), truth.error, "{:?}", call);
            prop_assert_eq!(response.failed, truth.error.is_some(), "{:?}", call);
        }
    }
    Ok(())
}

fn position(talk: &Talk, side: Side, piece: usize) -> u64 {
    let before = talk.pieces[..piece].iter().filter(|(of, _)| *of == side);
    before.map(|(_, bytes)| bytes.len() as u64).sum()
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

prop_compose! {
    /// Where bytes are missing: a few of them, or whole pieces.
    fn holes()(
        holes in proptest::collection::vec(
            (any::<bool>(), any::<prop::sample::Index>(), prop_oneof![1..20_u64, 1..2000_u64]),
            1..5,
        ),
    ) -> Vec<(bool, prop::sample::Index, u64)> {
        holes
    }
}

fn placed(talk: &Talk, holes: &[(bool, prop::sample::Index, u64)], from: [u64; 2]) -> Holes {
    let place = |(of_client, at, length): &(bool, prop::sample::Index, u64)| {
        let side = if *of_client { Q } else { A };
        let room = talk.at[side as usize] - from[side as usize];
        let at = from[side as usize] + at.index(room.max(1) as usize) as u64;
        (side, at..at + length)
    };
    holes.iter().map(place).collect()
}

proptest! {
    #![proptest_config(at_least(2000))]

    #[test]
    fn of_clients_that_wait(
        seed in any::<u64>(),
        calls in 2..9_usize,
        holes in holes(),
        join in proptest::option::of(any::<prop::sample::Index>()),
        stop in proptest::option::of(any::<prop::sample::Index>()),
        tails in any::<bool>(),
    ) {
        let mut random = Random::new(seed);
        let mut talk = Talk::default();
        (0..calls).for_each(|_| talk.call(&mut random));
        // A connection that was joined midway is recognised by what a client says.
        let of_client = |piece: &usize| talk.pieces[*piece].0 == Q;
        let first = join.map_or(0, |join| join.index(talk.pieces.len()));
        let first = (0..=first).rev().find(of_client).unwrap_or(0);
        let last = stop.map_or(talk.pieces.len(), |stop| stop.index(talk.pieces.len() + 1)).max(first);
        let holes = placed(&talk, &holes, [0; 2]);
        let driver = play(&talk, first..last, &holes, tails);
        let (told, lost) = told(&driver);
        let seen_to = position(&talk, A, last);
        is_true(&told, &talk.calls, seen_to)?;
        prop_assert_eq!(driver.over, None);

        // Whether all bytes of some pieces were seen, or any. A call is known by its answer.
        let missing = |piece: usize| {
            let (side, bytes) = &talk.pieces[piece];
            let at = position(&talk, *side, piece);
            let whole = at..at + bytes.len() as u64;
            holes.iter().any(|(of, hole)| of == side && overlap(hole, &whole))
        };
        let gone = |piece: usize| {
            let (side, bytes) = &talk.pieces[piece];
            let at = position(&talk, *side, piece);
            (at..at + bytes.len() as u64).all(|at| {
                holes.iter().any(|(of, hole)| of == side && hole.contains(&at))
            })
        };
        let shown = |piece: &usize| (first..last).contains(piece);
        let visible = talk.calls.iter().filter(|made| {
            let mut pieces = made.pieces.clone();
            pieces.any(|piece| !of_client(&piece) && shown(&piece) && !gone(piece))
        });
        let visible = visible.count();
        prop_assert!(told.len() + lost >= visible, "{} told, {} lost of {}", told.len(), lost, visible);

        // The next message boundary: a whole call, behind which the client asks again.
        for pair in talk.calls.windows(2) {
            let [call, next] = pair else { unreachable!() };
            // Behind the first turn that was seen.
            let joined = first > 0 && call.pieces.start <= first;
            let mut pieces = call.pieces.clone().chain([next.pieces.start]);
            if call.plain && !joined && pieces.all(|piece| shown(&piece) && !missing(piece)) {
                prop_assert!(told.iter().any(|told| told.at == call.at), "not found: {}", call.at);
            }
        }
    }

    /// Of clients that do not wait nothing is found again, and nothing is told wrongly.
    #[test]
    fn of_clients_that_do_not_wait(
        seed in any::<u64>(),
        calls in 4..30_usize,
        holes in holes(),
        stop in proptest::option::of(any::<prop::sample::Index>()),
        tails in any::<bool>(),
    ) {
        let mut random = Random::new(seed);
        let mut talk = Talk::default();
        talk.share(&mut random, calls);
        let last = stop.map_or(talk.pieces.len(), |stop| stop.index(talk.pieces.len() + 1)).max(5);
        // That it does not wait was seen.
        let known = [position(&talk, Q, 5), position(&talk, A, 5)];
        let holes = placed(&talk, &holes, known);
        let driver = play(&talk, 0..last, &holes, tails);
        let (told, lost) = told(&driver);
        let seen_to = position(&talk, A, last);
        is_true(&told, &talk.calls, seen_to)?;
        let answered = talk.calls.iter().filter(|made| made.end <= seen_to).count();
        let found = told.iter().filter(|told| told.answer.is_some()).count();
        prop_assert!(found == answered || lost > 0, "{} told, {} lost of {}", found, lost, answered);
    }

    /// Of a client that does not wait, and was not seen to do so: what is told is true, or nobody
    /// could know better, because behind the first turn that was seen, which may be the end of a
    /// value, and what was said to it each turn was followed by as many replies as it has commands.
    #[test]
    fn of_clients_that_were_not_seen_to_share(
        seed in any::<u64>(),
        calls in 4..30_usize,
        join in any::<prop::sample::Index>(),
    ) {
        let mut random = Random::new(seed);
        let mut talk = Talk::default();
        talk.share(&mut random, calls);
        let of_client = |piece: &usize| talk.pieces[*piece].0 == Q;
        let first = (0..=join.index(talk.pieces.len())).rev().find(of_client).unwrap_or(0);
        let driver = play(&talk, first..talk.pieces.len(), &Holes::new(), false);
        for call in told(&driver).0 {
            let Err(wrong) = is_true(std::slice::from_ref(&call), &talk.calls, talk.at[1]) else {
                continue;
            };
            let end = call.answer.as_ref().map_or(u64::MAX, |(_, end)| *end);
            let until = (first..talk.pieces.len()).find(|piece| position(&talk, A, piece + 1) >= end);
            let seen = &talk.pieces[first..=until.unwrap_or(talk.pieces.len() - 1)];
            let behind = |skipped: Side| move |piece: &&(Side, Vec<u8>)| piece.0 == skipped;
            let seen: Vec<_> = seen.iter().skip_while(behind(Q)).skip_while(behind(A)).collect();
            let turns: Vec<usize> = seen.chunk_by(|one, next| one.0 == next.0).map(<[_]>::len).collect();
            let even = turns.chunks_exact(2).all(|turn| turn[0] == turn[1]);
            prop_assert!(even, "it could be known that it does not wait: {}", wrong);
        }
    }
}
