//! Messages of brokers among a connection's calls: who sent them, and who works on them.

use super::sink::CallsOf;
use crate::call::Call;
use crate::call::open::Begun;
use crate::link::threads::Asked;
use crate::link::{Link, MessageKey};
use crate::protocol::messaging::{self, Operation};
use crate::protocol::{Request, Response};
use crate::source::{Direction, Role, Thread};
use crate::trace::Identity;

impl CallsOf<'_> {
    /// A thread begins a call, or to send a message, which is not `answered`: whose that is, if nobody
    /// else's, by what the thread was brought.
    pub(super) fn for_message(&mut self, answered: bool, asked: Asked) -> Asked {
        let Self { calls, opened, .. } = self;
        let Some((doing, Direction::Sent)) = calls.doing else { return asked };
        let place = calls.consumers.asks(doing, opened.id, answered);
        match (asked, place) {
            (Asked::Unknown | Asked::Nobody, Some(place)) => Asked::For(place),
            _ => asked,
        }
    }

    /// A message was brought, or what is known of one that is sent was read: who is above it, and who
    /// works on it.
    pub(super) fn message(
        &mut self,
        begun: Begun,
        identity: &mut Identity,
        message: &messaging::Request,
    ) {
        let Self { calls, opened, .. } = self;
        let key = MessageKey::new(opened.pair, Role::Client, 0);
        let Begun { position, started, thread } = begun;
        if let Some(remote) = calls.tracer.propagators().of_message(message) {
            *identity = calls.below(remote);
        } else if let (Some(evidence), Some(key)) = (message.evidence, key) {
            if message.operation == Operation::Publish {
                let above = (&*identity).into();
                calls.queues.sent(key, evidence, started, above, !opened.after);
            } else if message.operation.brings()
                && let Some(above) = calls.queues.brought(key, evidence, started)
            {
                *identity = calls.under(above, Link::Queue, identity.span_id, None);
            }
        }
        match message {
            messaging::Request { operation: Operation::Consume, settles: true, .. } => {
                let place = (opened.id, position);
                calls.serving.brought(place, started, thread.pid, (&*identity).into());
                if let Some((doing, Direction::Received)) = calls.doing {
                    calls.consumers.brought(doing, place);
                }
            }
            messaging::Request { operation: Operation::Consume, .. } => {
                // When its process is done with it nobody will know.
                calls.serving.unseen(thread.pid);
                calls.consumers.brought_for_good(thread);
            }
            _ => {}
        }
    }

    /// A message that was brought is settled, or never will be.
    pub(super) fn message_is_over(&mut self, call: &Call) {
        let Request::Messaging(message) = &call.request else { return };
        if message.operation != Operation::Consume || !message.settles {
            return;
        }
        let Self { calls, opened, .. } = self;
        let response = call.response.as_ref().and_then(Response::as_messaging);
        let settled = response.is_some_and(|response| response.settled.is_some());
        let by = match calls.doing {
            Some((doing, Direction::Sent)) if settled => Some(doing),
            _ => None,
        };
        calls.consumers.settled((opened.id, call.position), by);
        calls.serving.answered(opened.id, call.position, call.ended);
        if !settled {
            calls.serving.unseen(call.thread.pid);
        }
    }

    /// Of a message nothing is told.
    pub(super) fn message_unseen(&mut self, request: &Request, thread: Thread) {
        if let Request::Messaging(message) = request {
            self.calls.queues.doubt();
            if message.operation == Operation::Consume {
                self.calls.serving.unseen(thread.pid);
                self.calls.consumers.brought_for_good(thread);
            }
        }
    }

    /// Something is lost that may have been a message.
    pub(super) fn message_lost(&mut self) {
        if let Some(key) = MessageKey::new(self.opened.pair, Role::Client, 0) {
            self.calls.queues.lost_on(key);
        }
    }
}
