#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

//! Every conversation is run whole, cut at every byte, in random pieces and with bytes missing.

mod conversations;
mod detection;
mod doubt;
mod fields;
mod gaps;
mod hostile;
mod over;
mod splits;

use super::DETECTOR;
use crate::protocol::Side::{self, Request as Q, Response as A};
use crate::protocol::fuzz::{Driver, check};
use crate::protocol::{self, Part};

/// Who sends what, one entry per write.
type Turns = [(Side, &'static str)];

/// Runs a conversation on a connection seen from its beginning to its end.
fn run(turns: &Turns) -> Vec<String> {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    for (side, text) in turns {
        driver.data(*side, text.as_bytes());
    }
    end(driver)
}

/// Closes both sides and returns what was found.
fn end(mut driver: Driver) -> Vec<String> {
    driver.finish(Q);
    driver.finish(A);
    check(&driver.parts);
    let mut parts: Vec<_> = driver.parts.iter().map(show).collect();
    parts.extend(driver.over.map(|step| format!("{step:?}")));
    parts
}

/// A part in one short line; `?` is what is not known.
fn show(part: &Part) -> String {
    let or_unknown = |number: &Option<u64>| number.map_or("?".to_owned(), |n| n.to_string());
    match part {
        Part::Request { at, request: protocol::Request::Http(request) } => {
            format!("{at} {} {}", request.method, request.target)
        }
        Part::RequestEnd { at, body } => format!("asked {at} body {}", or_unknown(body)),
        Part::Response { at, response: protocol::Response::Http(response) } => {
            format!("{at} {}", response.status)
        }
        Part::ResponseEnd { at, body } => {
            format!("answered {} body {}", or_unknown(at), or_unknown(body))
        }
        Part::Orphan => "orphan".to_owned(),
        Part::Desync => "desync".to_owned(),
        other => panic!("not of HTTP: {other:?}"),
    }
}
