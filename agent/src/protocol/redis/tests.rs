#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

//! Every conversation is run whole, cut at every byte, in random pieces and with bytes missing.

mod commands;
mod conversations;
mod detection;
mod gaps;
mod hostile;
mod missing;
mod oracle;
mod splits;
mod texts;

use std::collections::HashMap;

use proptest::prelude::ProptestConfig;

use super::DETECTOR;
use crate::protocol::Side::{self, Request as Q, Response as A};
use crate::protocol::database::{Request, Response};
use crate::protocol::fuzz::{Driver, check};
use crate::protocol::tests::{Pieces, Turns};
use crate::protocol::{self, Part, Step};

/// So many cases, or what `PROPTEST_CASES` says if that is more.
fn at_least(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(cases), ..config }
}

/// A turn of the client's: a command a line, words by spaces. `~n` is a word of n bytes.
fn asks(commands: &str) -> (Side, Vec<u8>) {
    (Q, commands.lines().flat_map(|line| array(line.trim())).collect())
}

/// A command as an array of strings.
fn array(command: &str) -> Vec<u8> {
    let words: Vec<Vec<u8>> = command.split_whitespace().map(word).collect();
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

fn word(word: &str) -> Vec<u8> {
    match word.strip_prefix('~').and_then(|length| length.parse().ok()) {
        Some(length) => vec![b'v'; length],
        None => word.into(),
    }
}

/// A turn of the server's: `/` is the end of a line.
fn says(text: &str) -> (Side, Vec<u8>) {
    (A, text.replace('/', "\r\n").into_bytes())
}

/// The calls of a connection seen from its beginning to its end. Positions are told as those of
/// turns: `q2` is where turn 2 begins, `a3` where turn 3 ends.
fn run(turns: &Turns) -> Vec<String> {
    let (mut begins, mut ends) = (HashMap::new(), HashMap::new());
    let mut at = [0; 2];
    for (number, (side, bytes)) in turns.iter().enumerate() {
        let at = &mut at[*side as usize];
        if *side == Q {
            begins.insert(at.to_string(), format!("q{number}"));
        }
        *at += bytes.len();
        if *side == A {
            ends.insert(at.to_string(), format!("a{number}"));
        }
    }
    let told = run_raw(turns);
    let in_turns = |call: &String| {
        let mut words: Vec<&str> = call.split(' ').collect();
        words[0] = begins.get(words[0]).map_or(words[0], String::as_str);
        if let Some(arrow) = words.iter().position(|word| *word == "->") {
            let end = words[arrow + 1];
            words[arrow + 1] = ends.get(end).map_or(end, String::as_str);
        }
        words.join(" ")
    };
    told.iter().map(in_turns).collect()
}

/// The same with positions.
fn run_raw(turns: &Turns) -> Vec<String> {
    told(&mut turns.iter().map(|(side, bytes)| (*side, &bytes[..])))
}

/// The same of a conversation that comes in pieces.
fn told(pieces: &mut Pieces<'_>) -> Vec<String> {
    let mut driver = Driver::joined(&DETECTOR, 0, 0);
    pieces.for_each(|(side, bytes)| driver.data(side, bytes));
    end(driver)
}

/// Closes both sides and returns the calls.
fn end(mut driver: Driver) -> Vec<String> {
    driver.close();
    check(&driver.parts);
    let over = driver.over.filter(|step| *step != Step::Leave);
    let mut calls = calls(&driver.parts);
    calls.extend(over.map(|step| format!("{step:?}")));
    calls
}

struct Open<'a> {
    at: u64,
    request: &'a Request,
    response: Option<&'a Response>,
}

/// What was told: `at operation xSIZE @namespace "text" -> end code`, then what was lost.
fn calls(parts: &[Part]) -> Vec<String> {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut told = Vec::new();
    for part in parts {
        match part {
            Part::Request { at, request: protocol::Request::Database(request) } => {
                open.push(Open { at: *at, request, response: None });
            }
            Part::Asked(protocol::Request::Database(request)) => {
                open.last_mut().unwrap().request = request;
            }
            Part::Response { response: protocol::Response::Database(response), .. } => {
                open[0].response = Some(response);
            }
            Part::ResponseEnd { at, .. } => told.push(show(&open.remove(0), *at)),
            Part::Answering => {}
            Part::Withdrawn => drop(open.remove(0)),
            Part::Desync => {
                open.remove(0);
                told.push("lost".to_owned());
            }
            Part::Orphan => told.push("orphan".to_owned()),
            Part::Unreadable(why) => told.push(format!("{why:?}")),
            other => panic!("not of Redis: {other:?}"),
        }
    }
    told.extend(open.iter().map(|call| show(call, None)));
    told
}

fn show(call: &Open<'_>, end: Option<u64>) -> String {
    let Open { at, request, response } = call;
    let statement = request.statement.as_ref().unwrap();
    let mut text = format!("{at} {}", statement.operation.as_deref().unwrap_or("?"));
    if statement.statements > 1 {
        text += &format!(" x{}", statement.statements);
    }
    if let Some(namespace) = &request.namespace {
        text += &format!(" @{namespace}");
    }
    text += &format!(" \"{}\"", statement.text);
    if let Some(procedure) = &statement.procedure {
        text += &format!(" calls {procedure}");
    }
    if request.waits {
        text += " waits";
    }
    let Some(end) = end else { return text + " unanswered" };
    text += &format!(" -> {end}");
    let response = response.unwrap();
    if response.failed {
        text += &format!(" {}", response.code.as_deref().unwrap_or("failed"));
    }
    if response.cut {
        text += " cut";
    }
    text
}
