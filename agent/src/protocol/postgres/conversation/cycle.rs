//! What is asked up to one `ReadyForQuery`, and the calls that it consists of.

use std::collections::VecDeque;

use super::super::message::Tag;
use super::super::statements::Prepared;
use crate::protocol::database;
use crate::protocol::{Part, Response};

/// Calls of one cycle that are told apart. Drivers send batches of some hundreds; what comes
/// beyond is counted as lost.
const MAX_UNITS: usize = 512;

/// Everything between two `Sync`, or a `Query`.
#[derive(Default)]
pub(super) struct Cycle {
    /// Its number on the connection.
    pub(super) number: u64,
    /// Calls that have not ended, oldest first.
    pub(super) units: VecDeque<Unit>,
    /// All of it was sent: a `ReadyForQuery` will end it.
    pub(super) synced: bool,
    /// It is a `Query` or a `FunctionCall`: only that ends its call.
    pub(super) simple: bool,
    /// A `Query` came before the `Sync` of other messages.
    pub(super) mixed: bool,
    /// Replies to come before those of the first call.
    pub(super) preface: u32,
    /// Statements that were prepared: asked and answered.
    pub(super) parses: u32,
    pub(super) parsed: u32,
    /// The same for `Close`.
    pub(super) closes: u32,
    pub(super) closed: u32,
    /// An error was reported.
    pub(super) failed: bool,
    /// The client sends COPY data.
    pub(super) copying: bool,
    /// Not all of its messages were seen.
    pub(super) request_cut: bool,
    /// Not all of its answer was seen.
    pub(super) answer_cut: bool,
    /// There were more calls than are told apart.
    pub(super) full: bool,
    /// There was an answer to what was not seen to be asked.
    unasked: bool,
    /// A statement was prepared or bound that was not seen to be asked for.
    foreign: bool,
    /// The error was in what was not seen to be asked.
    unclear: bool,
}

/// One call.
pub(super) struct Unit {
    /// Which statement: messages for another make another call.
    pub(super) prepared: Option<Prepared>,
    /// What the call is, as it was told.
    pub(super) request: database::Request,
    /// How often it was executed; 0 if it was only prepared.
    pub(super) executions: u32,
    /// It was bound to values: what comes next of it is its execution.
    pub(super) bound: bool,
    /// Messages that have no reply yet.
    pub(super) pending: u32,
    /// Where its last reply ended.
    end: Option<u64>,
    answering: bool,
    answered: bool,
    /// Rows seen since the last command was complete; whether any were.
    rows: u64,
    described: bool,
    outcome: database::Response,
}

impl Cycle {
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// True if statements were, or may have been, prepared or closed in it.
    pub(super) fn prepares(&self) -> bool {
        self.parses > 0 || self.closes > 0 || self.request_cut
    }

    /// True if there is room for another call.
    pub(super) fn has_room(&mut self) -> bool {
        self.full |= self.units.len() >= MAX_UNITS;
        !self.full
    }

    /// The call that messages for `prepared` belong to, if it is still being asked.
    pub(super) fn current(&mut self, prepared: &Prepared) -> Option<&mut Unit> {
        let unit = self.units.back_mut()?;
        (unit.prepared.as_ref()?.id == prepared.id).then_some(unit)
    }

    /// The call that is being answered. Those before it that have all their replies end.
    fn answered_now(&mut self, parts: &mut Vec<Part>) -> Option<&mut Unit> {
        self.end_answered(parts);
        self.units.front_mut()
    }

    /// Ends the calls that have all their replies, but for the last one, which `ReadyForQuery` ends.
    pub(super) fn end_answered(&mut self, parts: &mut Vec<Part>) {
        while let Some(unit) = self.units.front()
            && unit.pending == 0
            && (self.units.len() > 1 || self.full)
            && !self.answer_cut
            && !self.simple
        {
            let Some(mut unit) = self.units.pop_front() else { return };
            let end = unit.end;
            unit.finish(end, false, parts);
        }
    }

    /// A message of the answer begins.
    pub(super) fn answering(&mut self, parts: &mut Vec<Part>) {
        if self.preface == 0
            && let Some(unit) = self.answered_now(parts)
            && !std::mem::replace(&mut unit.answering, true)
            && !unit.answered
        {
            parts.push(Part::Answering);
        }
    }

    /// A message was answered by one of type `kind` that ends at `end`.
    pub(super) fn reply(&mut self, kind: u8, end: u64, parts: &mut Vec<Part>) {
        if self.preface > 0 {
            self.preface -= 1;
            return;
        }
        let (cut, foreign) = (self.request_cut, self.foreign);
        let executed = matches!(kind, b'C' | b'I' | b's');
        match self.answered_now(parts) {
            Some(unit) if unit.pending > 0 => {
                unit.pending -= 1;
                unit.end = Some(end);
            }
            // What is bound and was not seen to be executed is executed.
            Some(unit) if cut && !foreign && executed && unit.bound && unit.executions == 0 => {
                unit.executions = 1;
            }
            Some(_) | None => {
                self.unasked |= executed && !self.full;
                self.foreign |= matches!(kind, b'1' | b'2');
            }
        }
        self.end_answered(parts);
    }

    /// A row of a result, or the description of one.
    pub(super) fn row(&mut self, is_row: bool) {
        if let Some(unit) = self.units.front_mut() {
            unit.described = true;
            unit.rows += u64::from(is_row);
        }
    }

    /// A portal gave as many rows as were asked for.
    pub(super) fn suspended(&mut self) {
        if let Some(unit) = self.units.front_mut() {
            let rows = std::mem::take(&mut unit.rows);
            add(&mut unit.outcome.returned, rows);
        }
    }

    /// A command is complete.
    pub(super) fn complete(&mut self, tag: Option<Tag<'_>>) {
        let Some(unit) = self.units.front_mut() else { return };
        let seen = std::mem::take(&mut unit.rows);
        let described = std::mem::take(&mut unit.described);
        let Some(tag) = tag else { return };
        if unit.request.statement.is_none() {
            unit.outcome.command = Some(tag.command.into());
        }
        let Some(rows) = tag.rows else { return };
        match tag.command {
            "FETCH" => add(&mut unit.outcome.returned, rows),
            // `CREATE TABLE AS` says the same, and returns nothing.
            "SELECT" if rows == 0 || described || seen > 0 => {
                add(&mut unit.outcome.returned, rows);
            }
            "MOVE" => {}
            _ => {
                add(&mut unit.outcome.affected, rows);
                // RETURNING
                if described || seen > 0 {
                    add(&mut unit.outcome.returned, rows);
                }
            }
        }
    }

    /// The server reports a warning: its code is the call's if there is no error.
    pub(super) fn warned(&mut self, code: Box<str>) {
        if let Some(unit) = self.units.front_mut()
            && !unit.answered
        {
            unit.outcome.code = Some(code);
        }
    }

    /// The server reports an error.
    pub(super) fn fail(&mut self, code: Option<Box<str>>, parts: &mut Vec<Part>) {
        self.end_answered(parts);
        (self.failed, self.copying) = (true, false);
        let Some(unit) = self.units.front_mut() else { return };
        let own = unit.bound && unit.executions == 0 && !self.foreign;
        if self.request_cut && unit.pending == 0 && !own {
            // It answers a message that was not seen.
            self.unclear = true;
        } else if !unit.answered {
            // What it had read or written is void.
            let command = unit.outcome.command.take();
            let failed = database::Response { failed: true, code, command, ..Default::default() };
            unit.outcome = failed;
            unit.answer(parts);
        }
    }

    /// The session ended with an error: the answer ends here, without a `ReadyForQuery`.
    pub(super) fn abort(&mut self, end: u64, parts: &mut Vec<Part>) {
        match self.units.pop_front() {
            Some(mut unit) => unit.finish(Some(end), false, parts),
            None if self.request_cut => parts.push(Part::Orphan),
            None => {}
        }
    }

    /// `ReadyForQuery`, which ends at `end` or, if that is not known, where the stream stands.
    pub(super) fn end(mut self, end: Option<u64>, parts: &mut Vec<Part>) {
        if self.answer_cut && self.units.len() > 1 && !self.failed {
            // Nobody saw where one answer ended and the next began.
            return self.desync(parts);
        }
        let unseen = self.units.is_empty() && self.request_cut && (self.answer_cut || self.failed);
        if self.unasked || unseen {
            parts.push(Part::Orphan);
        }
        let (cut, failed) = (self.answer_cut || self.unasked, self.failed);
        let mut first = true;
        for mut unit in std::mem::take(&mut self.units) {
            let reached = std::mem::take(&mut first);
            if self.unclear {
                parts.push(Part::Desync);
            } else if failed && !reached {
                unit.skip(end, parts);
            } else if self.may_be_a_call(&unit) && (unit.rows == 0 || !unit.bound) {
                // Nobody saw whether it was executed, or failed.
                parts.push(Part::Desync);
            } else if unit.pending > 0 && !failed && !cut && !self.simple && !self.request_cut {
                // The server said nothing of a message that it was sent: this is not as we think.
                parts.push(Part::Desync);
            } else {
                // Rows come of an execution.
                unit.executions = unit.executions.max(u32::from(self.may_be_a_call(&unit)));
                unit.finish(end, cut, parts);
            }
        }
    }

    /// Whether a statement that was not seen to be executed may make a call all the same.
    fn may_be_a_call(&self, unit: &Unit) -> bool {
        let unseen = unit.pending > 0 || self.request_cut;
        unit.executions == 0 && self.answer_cut && !self.failed && unseen
    }

    /// Gives up all calls that have not ended.
    pub(super) fn desync(&mut self, parts: &mut Vec<Part>) {
        parts.extend(self.units.drain(..).map(|_| Part::Desync));
    }
}

impl Unit {
    pub(super) fn new(prepared: Option<Prepared>, request: database::Request) -> Self {
        Self {
            prepared,
            request,
            executions: 0,
            bound: false,
            pending: 0,
            end: None,
            answering: false,
            answered: false,
            rows: 0,
            described: false,
            outcome: database::Response::default(),
        }
    }

    fn answer(&mut self, parts: &mut Vec<Part>) {
        if !std::mem::replace(&mut self.answered, true) {
            let response = Response::Database(Box::new(std::mem::take(&mut self.outcome)));
            parts.push(Part::Response { at: self.end.unwrap_or_default(), response });
        }
    }

    fn finish(&mut self, end: Option<u64>, cut: bool, parts: &mut Vec<Part>) {
        if self.executions == 0 && !self.answered && !self.outcome.failed {
            parts.push(Part::Withdrawn);
            return;
        }
        if cut {
            let database::Response { returned, affected, cut, .. } = &mut self.outcome;
            (*returned, *affected, *cut) = (None, None, true);
        }
        self.answer(parts);
        parts.push(Part::ResponseEnd { at: end, body: None });
    }

    /// A call before this one failed.
    fn skip(&mut self, end: Option<u64>, parts: &mut Vec<Part>) {
        if self.executions == 0 {
            parts.push(Part::Withdrawn);
            return;
        }
        self.outcome.skipped = true;
        self.answer(parts);
        parts.push(Part::ResponseEnd { at: end, body: None });
    }
}

fn add(sum: &mut Option<u64>, rows: u64) {
    *sum = Some(sum.unwrap_or_default().saturating_add(rows));
}
