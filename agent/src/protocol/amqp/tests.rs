//! Conversations made by hand, and what is told of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod bytes;
mod conversations;
mod detection;
mod gaps;
mod hostile;

use std::collections::BTreeMap;

use super::DETECTOR;
use crate::protocol::fuzz::{Driver, check};
use crate::protocol::messaging::{Request, Response};
use crate::protocol::tests::Pieces;
use crate::protocol::{self, Numbered, Part, Side};

const C: Side = Side::Request;
const B: Side = Side::Response;

/// The calls of a connection that is seen from its beginning to its end.
fn told(pieces: &mut Pieces<'_>) -> Vec<String> {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    pieces.for_each(|(side, bytes)| driver.data(side, bytes));
    end(driver)
}

/// Closes it and returns the calls.
fn end(mut driver: Driver) -> Vec<String> {
    driver.close();
    check(&driver.parts);
    let over = driver.over;
    let mut calls = calls(&driver.parts);
    calls.extend(over.map(|step| format!("{step:?}")));
    calls
}

struct Open<'a> {
    begins: String,
    request: &'a Request,
    whole: Option<String>,
}

fn place(side: Side, at: u64) -> String {
    format!("{}{at}", if side == C { 'c' } else { 'b' })
}

/// What was told: where it begins, what it is, where it ends and how; `open` if it does not.
fn calls(parts: &[Part]) -> Vec<String> {
    let mut open: BTreeMap<u64, Open<'_>> = BTreeMap::new();
    let mut told = Vec::new();
    for part in parts {
        let (number, what) = match part {
            Part::Orphan => {
                told.push("orphan".to_owned());
                continue;
            }
            Part::Numbered(number, what) => (number, what),
            other => panic!("not of AMQP: {other:?}"),
        };
        match what {
            Numbered::Begins { side, at, request: protocol::Request::Messaging(request) } => {
                let begins = place(*side, *at);
                open.insert(*number, Open { begins, request, whole: None });
            }
            Numbered::Is(protocol::Request::Messaging(request)) => {
                open.get_mut(number).unwrap().request = request;
            }
            Numbered::Whole { side, at } => {
                open.get_mut(number).unwrap().whole = Some(place(*side, *at));
            }
            Numbered::Ends { at, response } => {
                let call = open.remove(number).unwrap();
                let end = at.map_or_else(|| call.whole.clone().unwrap(), |(s, at)| place(s, at));
                let response = response.clone().and_then(protocol::Response::messaging);
                told.push(show(&call, Some(&end), response.as_deref()));
            }
            Numbered::Withdrawn => drop(open.remove(number)),
            Numbered::Lost => {
                open.remove(number).unwrap();
                told.push("lost".to_owned());
            }
            other => panic!("not of AMQP: {other:?}"),
        }
    }
    told.extend(open.values().map(|call| show(call, None, None)));
    told
}

fn show(call: &Open<'_>, end: Option<&str>, response: Option<&Response>) -> String {
    let Open { begins, request, .. } = call;
    let mut text = format!("{begins} {}", request.operation.name());
    if let Some(destination) = &request.destination {
        text += &format!(" {destination}");
    }
    if request.anonymous {
        text += " anonymous";
    }
    if let Some(tag) = request.delivery_tag {
        text += &format!(" #{tag}");
    }
    if request.redelivered {
        text += " again";
    }
    if let Some(body) = request.body {
        text += &format!(" {body}B");
    }
    if let Some(id) = &request.message_id {
        text += &format!(" id={id}");
    }
    if let Some(id) = &request.conversation_id {
        text += &format!(" of={id}");
    }
    if let Some(context) = &request.context {
        text += &format!(" trace={}", context.traceparent);
    }
    let Some(end) = end else { return text + " open" };
    text += &format!(" -> {end}");
    let Some(Response { code, confirmed, refused, settled }) = response else { return text };
    if *confirmed {
        text += " confirmed";
    }
    if *refused {
        text += " refused";
    }
    if let Some(settled) = settled {
        text += &format!(" {}", settled.name());
    }
    if let Some(code) = code {
        text += &format!(" {code}");
    }
    text
}
