//! What is asked up to one `ReadyForQuery`, and the calls that it consists of.

mod ending;

use std::collections::VecDeque;

use super::super::statements::Prepared;
use super::call::{Asked, Call};
use super::hole::Hole;
use crate::protocol::Part;

/// Calls of one cycle that are told apart. Drivers send batches of some hundreds; what comes
/// beyond is counted as lost.
const MAX_CALLS: usize = 512;

/// What a message of the server is to a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It answers what was seen to be asked.
    Expected,
    /// It answers what was not seen.
    Unseen,
    /// It answers nothing that can have been asked: this is not what we take it for.
    Strange,
}

/// Everything between two `Sync`, or a `Query`.
#[derive(Default)]
pub(super) struct Cycle {
    /// Its number on the connection.
    pub(super) number: u64,
    /// Calls that have not ended, oldest first. All but the last end with their own last answer,
    /// the last with `ReadyForQuery`.
    calls: VecDeque<Call>,
    /// Answers to `Close` that come before those of the first call.
    preface: u32,
    /// All of it was sent: a `ReadyForQuery` will end it.
    pub(super) synced: bool,
    /// What the client sends meanwhile is data: COPY, or a password.
    pub(super) data: bool,
    /// Statements that were prepared: asked and answered.
    pub(super) parses: u32,
    pub(super) parsed: u32,
    /// An error was reported: nothing more of it is answered.
    pub(super) failed: bool,
    /// Not all of its messages were seen.
    pub(super) hole: Option<Hole>,
    /// Not all of its answer was seen.
    pub(super) answer_cut: bool,
    /// There were more calls than are told apart.
    pub(super) full: bool,
}

/// What is asked.
impl Cycle {
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// What was asked was not seen.
    pub(super) fn unseen(number: u64) -> Self {
        Self { hole: Some(Hole::unknown()), ..Self::new(number) }
    }

    /// A session begins: until the server is ready, the client answers questions.
    pub(super) fn login(number: u64) -> Self {
        Self { synced: true, data: true, ..Self::new(number) }
    }

    /// True if there is room for another call.
    pub(super) fn has_room(&mut self) -> bool {
        self.full |= self.calls.len() >= MAX_CALLS;
        !self.full
    }

    /// A call begins.
    pub(super) fn begin(&mut self, call: Call) {
        self.calls.push_back(call);
    }

    /// True if messages for `prepared` belong to the call under way.
    pub(super) fn goes_on(&self, prepared: &Prepared) -> bool {
        self.calls.back().is_some_and(|call| call.is_of(prepared))
    }

    /// The call under way has one more message; false if it is not told apart.
    pub(super) fn ask(&mut self, asked: Asked) -> bool {
        match self.calls.back_mut() {
            _ if self.full => return false,
            Some(call) => call.ask(asked),
            None => self.preface += 1,
        }
        true
    }

    /// The call under way, which is asked for so often as is known now.
    pub(super) fn last(&mut self) -> Option<&mut Call> {
        self.calls.back_mut()
    }

    /// It is a `COPY` by itself, or a login: what the client sends before the answer is data.
    pub(super) fn takes_data(&self) -> bool {
        self.data || self.calls.back().is_some_and(|call| call.is_simple() && call.copies())
    }
}

/// What is answered.
impl Cycle {
    /// A message that ends at `end`, of no other kind than those that answer.
    pub(super) fn hear(&mut self, kind: u8, end: u64, body: &[u8], parts: &mut Vec<Part>) -> Heard {
        self.parsed += u32::from(kind == b'1');
        if self.failed {
            return Heard::Strange;
        }
        if self.preface > 0 {
            self.preface -= 1;
            return if kind == b'3' { Heard::Expected } else { Heard::Strange };
        }
        self.end_answered(parts);
        let alone = self.calls.len() == 1;
        let heard = match (self.calls.front_mut(), &mut self.hole) {
            (Some(call), _) if call.is_pending() => {
                if !call.hear(kind, end, body, parts) {
                    return Heard::Strange;
                }
                // A `Sync` that came before is not obeyed, nor anything else.
                if kind == b'G' && !call.is_simple() {
                    self.synced = false;
                    if !alone {
                        return Heard::Strange;
                    }
                }
                Heard::Expected
            }
            (call, Some(hole)) => {
                hole.answered(kind);
                // It is the call's if that can be proven in the end.
                if let Some(call) = call {
                    call.result(kind, body);
                }
                Heard::Unseen
            }
            (_, None) if self.full => Heard::Unseen,
            (_, None) => Heard::Strange,
        };
        match kind {
            b'G' => self.data = true,
            b'C' => self.data = false,
            _ => {}
        }
        self.end_answered(parts);
        heard
    }

    /// The server reports a warning.
    pub(super) fn warn(&mut self, code: &[u8]) {
        if let Some(call) = self.calls.front_mut() {
            call.warn(code);
        }
    }

    /// The server reports an error.
    pub(super) fn fail(&mut self, code: &[u8], parts: &mut Vec<Part>) -> Heard {
        self.end_answered(parts);
        (self.failed, self.data) = (true, false);
        let mixed = self.calls.len() > 1 && self.calls.back().is_some_and(Call::is_simple);
        let known = self.hole.is_none() && !self.full;
        // With the `Sync` the transaction ends, which may fail.
        let ends = known && self.synced;
        match (self.calls.front_mut(), &mut self.hole) {
            // A `Query` that follows is not carried out, nor answered.
            (Some(_), _) if mixed => Heard::Strange,
            (Some(call), _) if call.is_pending() || ends => {
                call.fail(Some(code), parts);
                Heard::Expected
            }
            (_, Some(hole)) => {
                hole.failed = true;
                Heard::Unseen
            }
            (Some(_), None) if known => Heard::Strange,
            (_, None) => Heard::Expected,
        }
    }

    /// The session ended with an error: the answer ends at `end`, without a `ReadyForQuery`.
    pub(super) fn abort(&mut self, end: u64, parts: &mut Vec<Part>) {
        match self.calls.pop_front() {
            Some(_) if self.hole.as_ref().is_some_and(|hole| hole.failed) => {
                parts.push(Part::Desync);
            }
            Some(call) => call.finish(Some(end), parts),
            None if self.hole.is_some() => parts.push(Part::Orphan),
            None => {}
        }
    }

    /// Ends the calls that have all their answers, but for the last one.
    pub(super) fn end_answered(&mut self, parts: &mut Vec<Part>) {
        while let Some(call) = self.calls.front()
            && !call.is_pending()
            && (self.calls.len() > 1 || self.full)
            && !self.answer_cut
            && !self.failed
            && let Some(call) = self.calls.pop_front()
        {
            call.finish(None, parts);
        }
    }
}
