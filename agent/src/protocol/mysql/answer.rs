//! One answer, packet by packet.

mod prepared;

use super::command::Form;
use super::packet::{self, End, Header, PROGRESS, Status};

/// Bytes of a packet that may be read: an `OK` tells changes of the session behind its message.
const WANTED: usize = 1024;

/// Columns that a result may have: the server's own limit.
const MAX_COLUMNS: u64 = 4096;

/// Every description of a column begins with the catalog, which is always this.
const CATALOG: &[u8] = b"\x03def";

/// Where in an answer we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// At its first packet, or at that of the next result.
    First,
    /// So many descriptions follow.
    Columns(u32),
    /// At the first packet behind them.
    AfterColumns,
    Rows,
    /// The client sends a file.
    File,
    /// Of a statement: descriptions of parameters, then of columns.
    Parameters(u32, u32),
    AfterParameters(u32),
    ResultColumns(u32),
    AfterResultColumns,
}

/// What a packet says of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// It goes on.
    On,
    /// The client is asked for a file.
    File,
    /// The statement has this number; the answer goes on, or not.
    Prepared { id: u32, over: bool },
    /// It is over, and all went well.
    Over(Option<Status>),
    /// The same, and this is the session's database from now on.
    Database(Status, &'a [u8]),
    /// It is over, with an error.
    Failed(u16),
    /// No such answer is.
    Strange,
}

/// What is agreed on that matters to the form of answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Agreed {
    /// Descriptions of columns end with an `EOF`; none: not known.
    pub(super) eof: Option<bool>,
    pub(super) tracked: bool,
    pub(super) optional_metadata: bool,
}

/// What was seen of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    stage: Stage,
    /// Number of the next packet; none: not known.
    number: Option<u8>,
    /// The packet goes on in the next.
    continued: bool,
    pub(super) begun: bool,
    /// Rows, if there was a result that has any.
    pub(super) rows: Option<u64>,
    pub(super) affected: u64,
    /// Results that ended.
    pub(super) results: u32,
    /// Seen in it: whether descriptions of columns end with an `EOF`.
    pub(super) eof: Option<bool>,
}

impl Answer {
    /// An answer the first packet of which has this number.
    pub(super) fn new(number: Option<u8>) -> Self {
        Self {
            stage: Stage::First,
            number,
            continued: false,
            begun: false,
            rows: None,
            affected: 0,
            results: 0,
            eof: None,
        }
    }

    /// The number of its first packet is not known.
    pub(super) fn unnumbered(&mut self) {
        self.number = None;
    }

    /// The command went on: the answer begins with this number.
    pub(super) fn await_from(&mut self, number: u8) {
        self.number = Some(number);
    }

    /// True if the client is sending a file.
    pub(super) fn asks_for_file(&self) -> bool {
        self.stage == Stage::File
    }

    /// True among the rows of the first result.
    pub(super) fn in_first_rows(&self) -> bool {
        self.stage == Stage::Rows && self.results == 0
    }

    /// Number of the next packet.
    pub(super) fn next(&self) -> Option<u8> {
        self.number
    }

    /// How much of the payload of the next packet has to be seen.
    pub(super) fn wants(&self, header: Header, first: Option<u8>) -> usize {
        let all = header.length.min(WANTED);
        match (self.stage, first) {
            _ if self.continued => 0,
            (Stage::Columns(_) | Stage::Parameters(..) | Stage::ResultColumns(_), _) => {
                all.min(CATALOG.len())
            }
            (Stage::Rows | Stage::AfterColumns, Some(byte)) if !matches!(byte, 0xfe | 0xff) => 1,
            (_, None) => all.min(1),
            _ => all,
        }
    }

    /// Takes in a packet; `body` is as much of its payload as is wanted.
    pub(super) fn packet<'a>(
        &mut self,
        form: Form,
        agreed: Agreed,
        header: Header,
        body: &'a [u8],
    ) -> Said<'a> {
        if self.number.is_some_and(|number| number != header.number) {
            return Said::Strange;
        }
        self.number = Some(header.number.wrapping_add(1));
        self.begun = true;
        let continued = std::mem::replace(&mut self.continued, header.length == packet::LONGEST);
        if continued {
            return Said::On;
        }
        let length = header.length;
        match (packet::error(body), form) {
            (Some(PROGRESS), _) => return Said::On,
            (Some(code), _) => return Said::Failed(code),
            (None, _) => {}
        }
        match form {
            Form::Nothing => Said::Strange,
            Form::One => match (packet::end(length, body), body.first()) {
                (Some(End::Eof(status) | End::Ok(status)), _) => Said::Over(Some(status)),
                (None, Some(0)) => self.ok(agreed, body),
                _ => Said::Strange,
            },
            Form::Line => Said::Over(None),
            Form::Login => match body.first() {
                Some(0) => self.ok(agreed, body),
                Some(1 | 2 | 0xfe) => {
                    self.number = None;
                    Said::On
                }
                _ => Said::Strange,
            },
            Form::Statement => self.statement(agreed, length, body),
            Form::Columns if self.stage == Stage::First && body.starts_with(CATALOG) => Said::On,
            Form::Columns => match packet::end(length, body) {
                Some(End::Eof(status) | End::Ok(status)) => Said::Over(Some(status)),
                None => Said::Strange,
            },
            Form::Rows => self.row(length, body),
            Form::Results => self.result(agreed, length, body),
        }
    }

    fn result<'a>(&mut self, agreed: Agreed, length: usize, body: &'a [u8]) -> Said<'a> {
        match self.stage {
            Stage::First => match body.first() {
                Some(0) if length >= 7 => self.ok(agreed, body),
                Some(0xfb) => {
                    self.stage = Stage::File;
                    self.number = None;
                    Said::File
                }
                _ => self.columns(agreed, length, body),
            },
            Stage::File => match body.first() {
                Some(0) => self.ok(agreed, body),
                _ => Said::Strange,
            },
            Stage::Columns(left) => {
                if !body.starts_with(CATALOG) {
                    return Said::Strange;
                }
                self.stage = match left {
                    0 | 1 => Stage::AfterColumns,
                    left => Stage::Columns(left - 1),
                };
                Said::On
            }
            Stage::AfterColumns => match packet::end(length, body) {
                Some(End::Eof(status)) => {
                    self.eof = Some(true);
                    if status.cursor() {
                        return self.end_of_result(status);
                    }
                    self.stage = Stage::Rows;
                    Said::On
                }
                _ => {
                    self.eof = Some(false);
                    self.stage = Stage::Rows;
                    self.row(length, body)
                }
            },
            _ => self.row(length, body),
        }
    }

    /// The number of columns, with which a result begins.
    fn columns<'a>(&mut self, agreed: Agreed, length: usize, body: &'a [u8]) -> Said<'a> {
        let read = |bytes| packet::number(bytes).filter(|(n, _)| (1..=MAX_COLUMNS).contains(n));
        let described = match (body, read(body)) {
            // MySQL says before how many they are whether they are described, MariaDB after it.
            ([described @ (0 | 1), rest @ ..], _)
                if agreed.optional_metadata && !rest.is_empty() =>
            {
                read(rest).filter(|(_, rest)| rest.is_empty()).map(|(n, _)| (n, *described))
            }
            (_, Some((n, []))) => Some((n, 1)),
            (_, Some((n, [described @ (0 | 1)]))) => Some((n, *described)),
            _ => None,
        };
        let Some((n, described)) = described.filter(|_| length == body.len()) else {
            return Said::Strange;
        };
        self.rows.get_or_insert(0);
        let described = if described == 1 { n as u32 } else { 0 };
        self.stage = if described > 0 { Stage::Columns(described) } else { Stage::AfterColumns };
        Said::On
    }

    fn row<'a>(&mut self, length: usize, body: &[u8]) -> Said<'a> {
        match packet::end(length, body) {
            Some(End::Eof(status) | End::Ok(status)) => self.end_of_result(status),
            None if body.is_empty() => Said::Strange,
            None => {
                self.rows = Some(self.rows.unwrap_or_default().saturating_add(1));
                Said::On
            }
        }
    }

    fn end_of_result<'a>(&mut self, status: Status) -> Said<'a> {
        self.results = self.results.saturating_add(1);
        self.rows.get_or_insert(0);
        if status.more() {
            self.stage = Stage::First;
            return Said::On;
        }
        Said::Over(Some(status))
    }

    fn ok<'a>(&mut self, agreed: Agreed, body: &'a [u8]) -> Said<'a> {
        let Some(done) = packet::done(body, agreed.tracked) else { return Said::Strange };
        self.results = self.results.saturating_add(1);
        self.affected = self.affected.saturating_add(done.affected);
        match done.schema {
            _ if done.status.more() => {
                self.stage = Stage::First;
                // The number was unknown after a file.
                Said::On
            }
            Some(name) => Said::Database(done.status, name),
            None => Said::Over(Some(done.status)),
        }
    }
}
