//! How a cycle ends: what is said of the calls that are still open.

use super::super::super::message::Tag;
use super::super::call::Call;
use super::Cycle;
use crate::protocol::Part;

impl Cycle {
    /// With the `ReadyForQuery` that ends at `end`, and all of the answer was seen. False if that
    /// is no answer to what was asked.
    pub(in super::super) fn end(mut self, end: u64, parts: &mut Vec<Part>) -> bool {
        if self.failed {
            self.end_failed(end, parts);
            return true;
        }
        self.end_answered(parts);
        let pending = |call: &Call| call.is_pending() && !call.is_simple();
        if self.preface > 0 || self.calls.len() > 1 || self.calls.iter().any(pending) {
            self.desync(parts);
            return false;
        }
        let mut last = self.calls.pop_front();
        if let Some(hole) = self.hole {
            if hole.executions > 0 && !hole.is_filled() {
                // Of which statement? At the least, one is not told.
                if hole.parsed || last.is_none() {
                    parts.push(Part::Orphan);
                }
                parts.extend(last.map(|_| Part::Desync));
                return true;
            }
            if let Some(call) = &mut last {
                call.add_executions(hole.executions, parts);
            }
        }
        if let Some(call) = last {
            call.finish(Some(end), parts);
        }
        true
    }

    /// The same after an error, which the first of the calls is told of, unless it was in what was
    /// not seen.
    fn end_failed(mut self, end: u64, parts: &mut Vec<Part>) {
        let unknown = match &self.hole {
            Some(hole) if hole.failed => {
                let another = hole.parsed && !self.calls.is_empty();
                self.desync(parts);
                parts.extend(another.then_some(Part::Orphan));
                return;
            }
            hole => hole.as_ref().is_some_and(|hole| !hole.is_filled()),
        };
        let last = self.calls.len().saturating_sub(1);
        for (n, call) in self.calls.into_iter().enumerate() {
            match n == last && unknown && call.executions == 0 && !call.is_answered() {
                // It may have been executed.
                true => parts.push(Part::Desync),
                false => call.skip(end, parts),
            }
        }
        // What else was asked was not seen, and not carried out.
        parts.extend(unknown.then_some(Part::Orphan));
    }

    /// The last bytes of its answer, before `end`, are its `ReadyForQuery`, after the
    /// `CommandComplete` that says `last` where that is known; others are missing.
    pub(in super::super) fn end_cut(
        mut self,
        end: u64,
        last: Option<Tag<'_>>,
        parts: &mut Vec<Part>,
    ) {
        let last = last.filter(|_| self.hole.is_none());
        if let Some(hole) = &self.hole {
            let (filled, more) = (hole.is_filled() && !hole.failed, hole.executions);
            match self.calls.back_mut() {
                Some(call) if filled => call.add_executions(more, parts),
                _ => return self.desync(parts),
            }
        }
        match self.calls.pop_front() {
            Some(call) if self.failed => {
                call.skip(end, parts);
                self.calls.drain(..).for_each(|call| call.skip(end, parts));
            }
            Some(call) if self.calls.is_empty() && call.executions > 0 && !self.full => {
                call.finish_cut(end, last, parts);
            }
            // Nobody saw where one answer ended and the next began, or whether it failed.
            Some(call) => {
                self.calls.push_front(call);
                self.desync(parts);
            }
            None => {}
        }
    }

    /// With a stream of both sides: the answer ends before it, at `end`.
    pub(in super::super) fn end_copying(mut self, end: u64, parts: &mut Vec<Part>) {
        if let Some(call) = self.calls.pop_front() {
            call.finish(Some(end), parts);
        }
        self.desync(parts);
    }

    /// Nothing of what was asked was seen.
    pub(in super::super) fn is_unseen(&self) -> bool {
        self.hole.is_some() && self.calls.is_empty()
    }

    /// Gives up all calls that have not ended; what was not seen is one.
    pub(in super::super) fn desync(&mut self, parts: &mut Vec<Part>) {
        if self.calls.is_empty() && self.hole.is_some() {
            parts.push(Part::Orphan);
        }
        parts.extend(self.calls.drain(..).map(|_| Part::Desync));
    }

    /// A failure that only the state of the transaction tells: it is that of the only call.
    pub(in super::super) fn fail_unseen(&mut self, parts: &mut Vec<Part>) {
        if let ([call], None, false) = (self.calls.make_contiguous(), &self.hole, self.failed) {
            call.fail(None, parts);
            self.failed = true;
        }
    }
}
