//! What the bytes that a client sent are about.

use std::collections::VecDeque;

use crate::source::{Data, Work};

/// Sends of one connection that are remembered until a request is found in them: as many as a head
/// comes in.
const MAX_SENDS: usize = 64;

/// The sends of one connection, oldest first.
#[derive(Default)]
pub(super) struct About(VecDeque<Send>);

struct Send {
    position: u64,
    end: u64,
    work: Work,
}

impl About {
    /// Takes in a send.
    pub(super) fn sent(&mut self, data: &Data<'_>) {
        // One that was not certain may be told of again.
        while self.0.back().is_some_and(|last| last.position >= data.position) {
            self.0.pop_back();
        }
        let Some(work) = data.work else { return };
        if self.0.len() >= MAX_SENDS {
            self.0.pop_front();
        }
        let end = data.position.saturating_add(data.length);
        self.0.push_back(Send { position: data.position, end, work });
    }

    /// What the request that begins at `position` is about. What was sent before it is of no use any
    /// more.
    pub(super) fn of(&mut self, position: u64) -> Option<Work> {
        while self.0.front().is_some_and(|send| send.end <= position) {
            self.0.pop_front();
        }
        self.0.front().filter(|send| send.position <= position).map(|send| send.work)
    }
}
