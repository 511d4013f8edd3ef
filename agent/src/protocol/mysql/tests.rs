#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

//! Every conversation is run whole, cut at every byte, in random pieces, from its middle and with
//! bytes missing.

mod bytes;
mod conversations;
mod detection;
mod doubt;
mod gaps;
mod hostile;
mod session;
mod splits;
mod whole;

use super::DETECTOR;
use crate::protocol::Side::{self, Request as Q, Response as A};
use crate::protocol::fuzz::{Driver, check};
use crate::protocol::tests::{Pieces, Turns};
use crate::protocol::{Part, Request, Response};

/// Runs a conversation on a connection seen from its beginning to its end.
fn run(turns: &Turns) -> Vec<String> {
    told(&mut turns.iter().map(|(side, bytes)| (*side, &bytes[..])))
}

/// The same of one that comes in pieces.
fn told(pieces: &mut Pieces<'_>) -> Vec<String> {
    let mut player = Player::joined(0, 0);
    pieces.for_each(|(side, bytes)| player.data(side, bytes));
    player.end()
}

/// Plays a conversation and keeps the calls in the order in which they ended, those that did not
/// last.
struct Player {
    driver: Driver,
    /// Parts that were looked at.
    looked: usize,
    open: Vec<(String, Option<String>)>,
    out: Vec<String>,
}

impl Player {
    fn joined(requests: u64, responses: u64) -> Self {
        let driver = Driver::joined(&DETECTOR, requests, responses);
        Self { driver, looked: 0, open: Vec::new(), out: Vec::new() }
    }

    fn data(&mut self, side: Side, bytes: &[u8]) {
        // What stands before these bytes is the end of what ended before.
        let at = self.driver.position(A);
        self.driver.data(side, bytes);
        self.look(if side == A { self.driver.position(A) } else { at });
    }

    fn gap(&mut self, side: Side, length: usize) {
        if length > 0 {
            self.driver.gap(side, length as u64);
            self.look(self.driver.position(A));
        }
    }

    fn rest(&mut self) {
        self.driver.rest(A);
        self.look(self.driver.position(A));
    }

    /// Closes both sides and returns what was found.
    fn end(mut self) -> Vec<String> {
        self.driver.finish(Q);
        self.driver.finish(A);
        self.driver.gone();
        self.look(self.driver.position(A));
        check(&self.driver.parts);
        let open = self.open.into_iter();
        self.out.extend(open.map(|(asked, answer)| format!("{asked} -> {answer:?} open")));
        self.out.extend(self.driver.over.map(|step| format!("{step:?}")));
        self.out
    }

    fn look(&mut self, stands_at: u64) {
        let Self { driver, looked, open, out } = self;
        for part in &driver.parts[*looked..] {
            match part {
                Part::Request { at, request } => {
                    open.push((format!("{at} {}", asked(request)), None))
                }
                Part::Response { response, .. } => {
                    let call = open.iter_mut().find(|(_, answer)| answer.is_none()).unwrap();
                    call.1 = Some(answered(response));
                }
                Part::ResponseEnd { at, .. } => {
                    let (asked, answer) = open.remove(0);
                    out.push(format!("{asked} -> {}{}", answer.unwrap(), at.unwrap_or(stands_at)));
                }
                Part::Withdrawn => drop(open.remove(0)),
                Part::Desync => {
                    open.remove(0);
                    out.push("desync".to_owned());
                }
                Part::Orphan => out.push("orphan".to_owned()),
                Part::Unreadable(why) => out.push(format!("{why:?}")),
                Part::Asked(_) => panic!("nothing is said of a request later"),
                Part::Numbered(..) => panic!("answers come in turn"),
                Part::Answering | Part::RequestEnd { .. } | Part::Content { .. } => {}
            }
        }
        *looked = driver.parts.len();
    }
}

fn asked(request: &Request) -> String {
    let Request::Database(request) = request else { panic!("not of a database") };
    let text = match (&request.statement, request.operation) {
        (Some(statement), _) => format!("{:?}", statement.summary),
        (None, Some(operation)) => operation.to_owned(),
        (None, None) => "?".to_owned(),
    };
    let namespace = request.namespace.as_deref().unwrap_or("-");
    format!("{}.{namespace} {text}", request.system.name)
}

fn answered(response: &Response) -> String {
    let Response::Database(response) = response else { panic!("not of a database") };
    let mut out = String::new();
    if response.failed {
        out.push_str("failed ");
    }
    if let Some(code) = &response.code {
        out += &format!("{code} ");
    }
    if let Some(rows) = response.returned {
        out += &format!("{rows} rows ");
    }
    if let Some(rows) = response.affected {
        out += &format!("{rows} affected ");
    }
    if response.cut {
        out.push_str("cut ");
    }
    out
}

/// A call without what differs between places: its position, its server and database, its end.
fn bare(line: &str) -> String {
    let Some((asked, answer)) = line.split_once(" -> ") else { return line.to_owned() };
    let asked = asked.splitn(3, ' ').nth(2).unwrap_or_default();
    let answer = answer.rsplit_once(' ').map_or("", |(answer, _)| answer);
    format!("{asked} -> {answer}")
}
