//! What Wireshark says of a capture of MySQL.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;

use super::{BETWEEN, frames};

/// A command that makes a call, with its answer.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// When its first packet was captured, in nanoseconds of Unix time.
    pub start: u64,
    /// When the last packet of the answer was.
    pub end: u64,
    /// Its text; that of a statement, when it is executed.
    pub text: String,
    /// The error's number; empty: none.
    pub error: String,
    /// Rows that the answer says were written.
    pub affected: i64,
}

const FIELDS: [&str; 7] = [
    "mysql.packet_length",
    "mysql.packet_number",
    "mysql.command",
    "mysql.query",
    "mysql.stmt_id",
    "mysql.error_code",
    "mysql.affected_rows",
];

/// Commands: those with a text, those that make a call, those without an answer.
const QUERY: &str = "3";
const PREPARE: &str = "22";
const EXECUTE: &str = "23";
const CALLS: &[&str] = &["2", QUERY, EXECUTE];
const UNANSWERED: &[&str] = &["1", "24", "25"];

/// Length of a packet that is not all of a message: Wireshark takes the next for another.
const LONGEST: &str = "16777215";

/// What was asked of the server at `port`, by connections that are used one after the other, up to
/// the first message on each that takes more than one packet.
pub fn told(file: &Path, port: u16) -> Result<Vec<Told>> {
    let mut all = Vec::new();
    let mut open: Option<(Told, bool)> = None;
    // The text that was prepared last.
    let mut prepared = String::new();
    let mut texts = HashMap::new();
    let mut long = HashSet::new();
    let is_call = |(told, call): &(Told, bool)| *call || !told.error.is_empty();
    frames(file, port, "mysql", FIELDS, |frame, fields| {
        let [lengths, numbers, commands, query, statement, errors, affected] = fields;
        if lengths.split(BETWEEN).any(|length| length == LONGEST) {
            long.insert(frame.stream.to_owned());
            open = None;
        }
        if long.contains(frame.stream) {
            return Ok(());
        }
        if frame.asks {
            if !numbers.split(BETWEEN).any(|number| number == "0") {
                return Ok(()); // part of a file
            }
            let answered = commands.split(BETWEEN).rfind(|command| !UNANSWERED.contains(command));
            let Some(command) = answered.filter(|command| !command.is_empty()) else {
                return Ok(());
            };
            all.extend(open.take().filter(is_call).map(|(told, _)| told));
            let mut told = Told { start: frame.start, ..Told::default() };
            match command {
                QUERY => told.text = query.to_owned(),
                PREPARE => {
                    told.text = query.to_owned();
                    prepared = told.text.clone();
                }
                EXECUTE => {
                    told.text = texts.get(statement).cloned().unwrap_or_default();
                }
                _ => {}
            }
            open = Some((told, CALLS.contains(&command)));
        } else if let Some((told, call)) = &mut open {
            told.end = frame.end;
            told.error.push_str(errors);
            let numbers = affected.split(BETWEEN).filter_map(|n| n.parse::<i64>().ok());
            told.affected += numbers.sum::<i64>();
            if !*call && !statement.is_empty() {
                texts.insert(statement.to_owned(), prepared.clone());
            }
        }
        Ok(())
    })?;
    all.extend(open.take().filter(is_call).map(|(told, _)| told));
    Ok(all)
}
