#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

//! Every conversation is run whole, cut at every byte, in random pieces, from its middle and with
//! bytes missing.

mod bytes;
mod conversations;
mod detection;
mod doubt;
mod gaps;
mod hostile;
mod last;
mod oracle;
mod splits;
mod tags;

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
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    pieces.for_each(|(side, bytes)| driver.data(side, bytes));
    end(driver)
}

/// Closes both sides and returns what was found.
fn end(mut driver: Driver) -> Vec<String> {
    driver.finish(Q);
    driver.finish(A);
    driver.gone();
    check(&driver.parts);
    let mut calls = calls(&driver.parts);
    calls.extend(driver.over.map(|step| format!("{step:?}")));
    calls
}

/// The calls in the order in which they ended, those that did not last.
fn calls(parts: &[Part]) -> Vec<String> {
    let mut open: Vec<(String, Option<String>)> = Vec::new();
    let mut out = Vec::new();
    for part in parts {
        match part {
            Part::Request { at, request } => open.push((format!("{at} {}", asked(request)), None)),
            Part::Asked(request) => {
                let last = &mut open.last_mut().unwrap().0;
                let at = last.split(' ').next().unwrap().to_owned();
                *last = format!("{at} {}", asked(request));
            }
            Part::Response { response, .. } => {
                let call = open.iter_mut().find(|(_, answer)| answer.is_none()).unwrap();
                call.1 = Some(answered(response));
            }
            Part::ResponseEnd { at, .. } => {
                let (asked, answer) = open.remove(0);
                let end = at.map_or("?".to_owned(), |at| at.to_string());
                out.push(format!("{asked} -> {}{end}", answer.unwrap()));
            }
            Part::Withdrawn => drop(open.remove(0)),
            Part::Desync => {
                open.remove(0);
                out.push("desync".to_owned());
            }
            Part::Orphan => out.push("orphan".to_owned()),
            Part::Unreadable(why) => out.push(format!("{why:?}")),
            Part::Numbered(..) => panic!("answers come in turn"),
            Part::Answering | Part::RequestEnd { .. } | Part::Content { .. } => {}
        }
    }
    out.extend(open.into_iter().map(|(asked, answer)| format!("{asked} -> {answer:?} open")));
    out
}

fn asked(request: &Request) -> String {
    let Request::Database(request) = request else { panic!("not of a database") };
    let text = match (&request.statement, request.operation) {
        (Some(statement), _) => format!("{:?}", statement.summary),
        (None, Some(operation)) => operation.to_owned(),
        (None, None) => "?".to_owned(),
    };
    match request.executions {
        1 => text,
        n => format!("{text} x{n}"),
    }
}

fn answered(response: &Response) -> String {
    let Response::Database(response) = response else { panic!("not of a database") };
    let mut out = String::new();
    if response.failed {
        out.push_str("failed ");
    }
    if response.skipped {
        out.push_str("skipped ");
    }
    if let Some(code) = &response.code {
        out += &format!("{code} ");
    }
    if let Some(command) = &response.command {
        out += &format!("({command}) ");
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
