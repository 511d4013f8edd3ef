//! What Wireshark says of a capture of PostgreSQL.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use anyhow::{Result, ensure};

use super::{BETWEEN, frames};

/// A statement that the server was asked to carry out.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// When the first packet of its cycle was captured, which ends with a `Sync` or is a query, in
    /// nanoseconds of Unix time.
    pub start: u64,
    /// When the packet with the `ReadyForQuery` behind it was.
    pub end: u64,
    /// Its text, with all that a simple query asks at once.
    pub text: String,
    /// The error's SQLSTATE; empty: none. What follows one in a cycle is not told.
    pub error: String,
    /// Rows that came.
    pub returned: i64,
    /// Rows that the server says were written.
    pub affected: i64,
}

const FIELDS: [&str; 7] = [
    "pgsql.type",
    "pgsql.query",
    "pgsql.statement",
    "pgsql.portal",
    "pgsql.tag",
    "pgsql.severity",
    "pgsql.code",
];

/// What was asked of the server at `port`, in the order of the cycles' ends.
pub fn told(file: &Path, port: u16) -> Result<Vec<Told>> {
    let mut sessions: HashMap<String, Session> = HashMap::new();
    let mut all = Vec::new();
    frames(file, port, "pgsql", FIELDS, |frame, fields| {
        let [kinds, lists @ ..] = fields.map(|list| list.split(BETWEEN).collect());
        let mut packet = Packet { start: frame.start, end: frame.end, kinds, lists };
        let session = sessions.entry(frame.stream.to_owned()).or_default();
        match frame.asks {
            true => session.client(&mut packet),
            false => {
                session.server(&mut packet, &mut all);
                Ok(())
            }
        }
    })?;
    Ok(all)
}

/// The messages that were complete in a packet: their kinds, and what those of a kind say, in order.
struct Packet<'a> {
    /// When the first of them began, and when the last was complete.
    start: u64,
    end: u64,
    kinds: VecDeque<&'a str>,
    /// Queries, statements, portals, tags, severities, codes.
    lists: [VecDeque<&'a str>; 6],
}

const QUERY: usize = 0;
const STATEMENT: usize = 1;
const PORTAL: usize = 2;
const TAG: usize = 3;
const SEVERITY: usize = 4;
const CODE: usize = 5;

impl Packet<'_> {
    /// The next of a list, as it was before it was put on a line.
    fn next(&mut self, list: usize) -> String {
        let line = self.lists[list].pop_front().unwrap_or_default();
        let mut text = String::new();
        let mut characters = line.chars();
        while let Some(character) = characters.next() {
            text.push(match character {
                '\\' => match characters.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    other => other.unwrap_or('\\'),
                },
                other => other,
            });
        }
        text
    }

    fn count(&self, kinds: &[&str]) -> usize {
        self.kinds.iter().filter(|kind| kinds.contains(kind)).count()
    }
}

/// What is asked until a `Sync`, or by a query.
#[derive(Default)]
struct Cycle {
    start: u64,
    /// Statements that are not answered, and those that are.
    open: VecDeque<Told>,
    done: Vec<Told>,
    /// The text that was parsed last: the one that is refused if nothing is carried out.
    parsed: String,
    whole: bool,
    simple: bool,
    failed: bool,
}

/// A connection.
#[derive(Default)]
struct Session {
    statements: HashMap<String, String>,
    portals: HashMap<String, String>,
    cycles: VecDeque<Cycle>,
}

impl Session {
    fn client(&mut self, packet: &mut Packet<'_>) -> Result<()> {
        let named = packet.count(&["Bind", "Execute"]);
        let either = packet.count(&["Describe", "Close"]);
        // What these are of is not told, but how many names there are.
        let of_portals = either > 0 && packet.lists[PORTAL].len() == named + either;
        let of_statements = packet.lists[PORTAL].len() <= named.max(1);
        ensure!(
            of_portals || of_statements,
            "descriptions of statements and portals in one packet"
        );
        while let Some(kind) = packet.kinds.pop_front() {
            match kind {
                "Simple query" => {
                    let text = packet.next(QUERY);
                    let cycle = self.cycle(packet.start);
                    // What was parsed before it, without a `Sync`, is of another.
                    cycle.start = packet.start;
                    cycle.open.push_back(Told { text, ..Told::default() });
                    (cycle.whole, cycle.simple) = (true, true);
                }
                "Parse" => {
                    let (text, name) = (packet.next(QUERY), packet.next(STATEMENT));
                    self.cycle(packet.start).parsed = text.clone();
                    self.statements.insert(name, text);
                }
                "Bind" => {
                    let (portal, name) = (packet.next(PORTAL), packet.next(STATEMENT));
                    let text = self.statements.get(&name).cloned().unwrap_or_default();
                    self.cycle(packet.start);
                    self.portals.insert(portal, text);
                }
                "Execute" => {
                    let portal = packet.next(PORTAL);
                    let text = self.portals.get(&portal).cloned().unwrap_or_default();
                    let told = Told { text, ..Told::default() };
                    self.cycle(packet.start).open.push_back(told);
                }
                "Describe" | "Close" => {
                    packet.next(if of_portals { PORTAL } else { STATEMENT });
                    self.cycle(packet.start);
                }
                "Sync" => self.cycle(packet.start).whole = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// The cycle that the client is in.
    fn cycle(&mut self, start: u64) -> &mut Cycle {
        if self.cycles.back().is_none_or(|cycle| cycle.whole) {
            self.cycles.push_back(Cycle { start, ..Cycle::default() });
        }
        let last = self.cycles.len() - 1;
        &mut self.cycles[last]
    }

    fn server(&mut self, packet: &mut Packet<'_>, all: &mut Vec<Told>) {
        while let Some(kind) = packet.kinds.pop_front() {
            let Some(cycle) = self.cycles.front_mut() else { continue };
            match kind {
                "Data row" => {
                    if let Some(told) = cycle.open.front_mut() {
                        told.returned += 1;
                    }
                }
                "Command completion" => {
                    let tag = packet.next(TAG);
                    if let Some(told) = cycle.open.front_mut() {
                        told.complete(&tag);
                    }
                    cycle.end_one();
                }
                "Portal suspended" | "Empty query" => cycle.end_one(),
                "Error" => {
                    let (_, error) = (packet.next(SEVERITY), packet.next(CODE));
                    let text = cycle.parsed.clone();
                    let refused =
                        cycle.open.pop_front().unwrap_or(Told { text, ..Told::default() });
                    if !std::mem::replace(&mut cycle.failed, true) {
                        cycle.done.push(Told { error, returned: 0, affected: 0, ..refused });
                    }
                    cycle.open.clear();
                }
                "Notice" => drop((packet.next(SEVERITY), packet.next(CODE))),
                "Ready for query" => {
                    let Some(cycle) = self.cycles.pop_front() else { continue };
                    let (start, end) = (cycle.start, packet.end);
                    let simple = cycle.open.into_iter().filter(|_| cycle.simple);
                    let done = cycle.done.into_iter().chain(simple);
                    all.extend(done.map(|told| Told { start, end, ..told }));
                }
                _ => {}
            }
        }
    }
}

impl Cycle {
    /// The result of a statement is over; a query has one for each in its text.
    fn end_one(&mut self) {
        if !self.simple {
            self.done.extend(self.open.pop_front());
        }
    }
}

impl Told {
    /// What the tag of a command says of its rows. `SHOW` and its like do not count theirs.
    fn complete(&mut self, tag: &str) {
        let mut words = tag.split(' ');
        let (command, rows) = (words.next(), words.next_back().and_then(|rows| rows.parse().ok()));
        match (command, rows) {
            (_, None) => self.returned = 0,
            (Some("FETCH" | "MOVE"), _) => {}
            (Some("SELECT"), _) if self.returned > 0 => {}
            (_, Some::<i64>(rows)) => self.affected += rows,
        }
    }
}
