//! A body that somebody reads while it goes by.
//!
//! Where it ends is said as of any other: the stream's state is that behind the body already.

use super::super::Reader;
use super::super::body::{Chunked, Progress};
use super::{Conversation, Requests, Responses};
use crate::protocol::{Part, Side, Step};

/// A body under way.
pub(super) struct Reading {
    /// Where its message begins.
    message: u64,
    /// Who reads it; nobody once that is of no more use.
    reader: Option<Box<dyn Reader>>,
    /// The next byte of it.
    at: u64,
    /// Where it ends; not known of a chunked one, or before it begins.
    end: Option<u64>,
}

impl Reading {
    pub(super) fn new(message: u64, reader: Box<dyn Reader>) -> Self {
        Self { message, reader: Some(reader), at: message, end: None }
    }

    /// It begins at `at`, and has so many bytes if that is known.
    pub(super) fn begin(&mut self, at: u64, length: Option<u64>) {
        self.at = at;
        self.end = length.map(|length| at.saturating_add(length));
    }

    /// Shows a part of the payload.
    pub(super) fn show(&mut self, side: Side, payload: &[u8], parts: &mut Vec<Part>) {
        if let Some(reader) = &mut self.reader
            && !reader.read(payload)
        {
            self.finish(side, false, parts);
        }
    }

    /// True if more of it is wanted.
    pub(super) fn wants_more(&self) -> bool {
        self.reader.is_some()
    }

    /// It is over, or no more of it is seen.
    pub(super) fn finish(&mut self, side: Side, whole: bool, parts: &mut Vec<Part>) {
        let content = self.reader.take().and_then(|reader| reader.finish(whole));
        parts.extend(content.map(|content| Part::Content {
            side,
            at: self.message,
            content: Box::new(content),
        }));
    }
}

/// Takes as much as possible of a chunked body, whose next bytes are at `at`, and shows it to who
/// reads it.
pub(super) fn advance(
    chunked: &mut Chunked,
    side: Side,
    at: u64,
    bytes: &[u8],
    reading: Option<&mut Reading>,
    parts: &mut Vec<Part>,
) -> Progress {
    let Some(reading) = reading.filter(|reading| reading.wants_more()) else {
        return chunked.advance(bytes, None);
    };
    let mut show = |payload: &[u8]| {
        reading.show(side, payload, parts);
        reading.wants_more()
    };
    let progress = chunked.advance(bytes, Some(&mut show));
    if let Progress::Took(taken) = progress {
        reading.at = at.saturating_add(taken as u64);
    }
    progress
}

impl Conversation {
    /// Bytes of a body of known length, if it is in one that somebody reads.
    pub(super) fn read_on(
        &mut self,
        side: Side,
        at: u64,
        bytes: &[u8],
        parts: &mut Vec<Part>,
    ) -> Option<Step> {
        let slot = &mut self.reading[side as usize];
        let reading = slot.as_mut()?;
        let left = reading.end?.saturating_sub(at);
        let here = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        reading.show(side, &bytes[..here], parts);
        reading.at = at.saturating_add(here as u64);
        if here as u64 == left {
            reading.finish(side, true, parts);
            *slot = None;
            // Nothing to take of an empty body.
            return (here > 0).then_some(Step::Took(here));
        }
        if reading.wants_more() {
            return Some(Step::Took(here));
        }
        *slot = None;
        Some(Step::Skip(left))
    }

    /// Bytes of `side` up to `to` are missing. Those of a body are not missed: the rest of it is
    /// skipped. The step to answer with if that is all; else the gap is one at the end of the body.
    pub(super) fn gap_in_body(
        &mut self,
        side: Side,
        to: u64,
        parts: &mut Vec<Part>,
    ) -> Option<BodyGap> {
        let mut reading = self.reading[side as usize].take()?;
        reading.finish(side, false, parts);
        let chunked = match (side, &mut self.requests, &mut self.responses) {
            (Side::Request, Requests::Chunked(chunked), _) => Some(chunked),
            (Side::Response, _, Responses::Chunked(chunked)) => Some(chunked),
            _ => None,
        };
        let end = match (reading.end, chunked) {
            (Some(end), _) => end,
            // A chunk's data, of which the rest is skipped as ever.
            (None, Some(chunked)) => reading.at.saturating_add(chunked.stop_reading()?),
            (None, None) => return None,
        };
        let left = end.saturating_sub(to);
        // A gap of no bytes: what follows may be anything, as behind a body that is skipped.
        let forgotten = to <= reading.at;
        match (forgotten, left) {
            (true, _) => Some(BodyGap::Forgotten { end, left }),
            (false, 0) if to > end => None,
            (false, 0) => Some(BodyGap::Inside(Step::Need)),
            (false, left) => Some(BodyGap::Inside(Step::Skip(left))),
        }
    }

    /// The body that somebody reads is over, or not seen any further.
    pub(super) fn finish_reading(&mut self, side: Side, whole: bool, parts: &mut Vec<Part>) {
        if let Some(mut reading) = self.reading[side as usize].take() {
            reading.finish(side, whole, parts);
        }
    }

    /// Nobody reads any further; where bodies end is still known.
    pub(super) fn stop_reading(&mut self) {
        for reading in self.reading.iter_mut().flatten() {
            reading.reader = None;
        }
    }
}

/// What a gap in a body is.
pub(super) enum BodyGap {
    /// Nothing but a part of the body.
    Inside(Step),
    /// All that is known of the stream behind the body, which ends at `end`, `left` bytes on.
    Forgotten { end: u64, left: u64 },
}
