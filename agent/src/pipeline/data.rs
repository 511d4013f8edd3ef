//! Bytes of a connection, and calls that the kernel left out.

use super::owners::Owners;
use super::tally::Tally;
use super::{Pipeline, Wish};
use crate::limit::shed::Step;
use crate::link::threads::Doing;
use crate::protocol::Side;
use crate::source::{ConnectionId, Data, Direction, Role, Thread};
use crate::stats::Loss;

impl Pipeline {
    /// Bytes went through a connection.
    pub(super) fn data(&mut self, data: &Data<'_>) {
        let Some(connection) = self.connections.get_mut(&data.id) else { return };
        connection.thread = data.thread;
        connection.last = data.time;
        let since = data.losses.wrapping_sub(self.losses as u16) as i16;
        let losses = self.losses.saturating_add_signed(since.into());
        self.losses = self.losses.max(losses);
        let doing = Doing { thread: data.thread, time: data.time, losses };
        self.calls.doing = Some((doing, data.direction));
        self.calls.consumers.does(doing, data.id, data.direction == Direction::Received);
        match data.direction {
            Direction::Sent => {
                connection.about.sent(data);
                connection.hands.sent(data.thread);
                if let Some(reader) = connection.hands.reader {
                    self.calls.threads.answers(doing, reader, data.id);
                }
            }
            Direction::Received => {
                if data.work.is_some() {
                    self.calls.serving.has_contexts(data.thread.pid, data.time);
                }
                connection.hands.received();
                if let Some(asker) = connection.hands.asker.take() {
                    self.calls.threads.hears(doing, asker, data.id);
                }
            }
        }
        connection.streams.data(data, &mut self.parts);
        let waited = if data.direction == Direction::Received { data.waited } else { 0 };
        connection.take(&mut self.parts, data.thread, waited, &mut self.calls);
        self.calls.doing = None;
        if let Some(reader) = connection.hands.reader
            && connection.streams.endless(Side::Response)
        {
            self.calls.threads.is_endless(reader, data.id);
        }
        self.held = self.held - connection.held + connection.streams.held();
        connection.held = connection.streams.held();
        let none_kept = self.calls.step == Step::ALL;
        if connection.held > 0 && (none_kept || self.held > self.limits.unparsed) {
            self.calls.stats.lose(Loss::MemoryLimit, 1);
            connection.pairing.doubt();
            connection.streams.give_up(&mut self.parts);
            connection.take(&mut self.parts, data.thread, 0, &mut self.calls);
            self.held = self.held - connection.held + connection.streams.held();
            connection.held = connection.streams.held();
        }
        if connection.streams.left() && connection.pairing.is_empty() && !connection.ignored {
            connection.ignored = true;
            connection.waits_no_more(&mut self.calls);
            if connection.opened.role == Some(Role::Server) {
                self.calls.serving.unreadable(data.thread.pid);
            }
            // The kernel counts messages that nobody wants to see; a capture does not.
            let counted_here = matches!(self.calls.owners, Owners::Addressed(_));
            if !(connection.streams.given_up() && counted_here) {
                self.wishes.push(Wish::Ignore(data.id));
            }
        } else if !connection.pipelined
            && connection.streams.need_everything(connection.pairing.len())
        {
            connection.pipelined = true;
            if self.calls.step >= Step::BODIES {
                self.calls.stats.lose(Loss::Bodies, 1);
            }
            self.wishes.push(Wish::Everything(data.id));
        }
        let asks = matches!(
            (connection.role, data.direction),
            (Some(Role::Client), Direction::Sent) | (Some(Role::Server), Direction::Received)
        );
        if asks && !connection.untold && connection.untold(&self.calls.serving).is_some() {
            connection.untold = true;
            self.untold.push(data.id);
        }
    }

    /// Whole calls were left out by the kernel.
    pub(super) fn left_out(&mut self, id: ConnectionId, calls: u32) {
        let connection = self.connections.get_mut(&id);
        // Before its first record it waited for room, if there was ever none.
        let waited = connection.as_ref().is_none_or(|c| c.thread == Thread::default());
        let reason = if waited && self.was_full { Loss::ConnectionLimit } else { Loss::Shed };
        // Of others, where there was always room, nobody wants to know.
        if connection.is_some() || self.was_full {
            self.calls.stats.lose(reason, calls.into());
        }
        let Some(connection) = connection else {
            if let Some(opened) = self.refused.remove(&id) {
                Tally { lost: calls.into(), ..Tally::default() }.tell(&opened);
            }
            return;
        };
        connection.tally.lost += u64::from(calls);
        connection.serves_unseen(&mut self.calls);
        connection.waits_no_more(&mut self.calls);
        connection.pairing.doubt();
        connection.streams.left_out(&mut self.parts);
        let thread = connection.thread;
        connection.take(&mut self.parts, thread, 0, &mut self.calls);
    }
}
