//! One connection: its streams, its open calls, and how it ends.

use std::sync::Arc;

use super::about::About;
use super::calls::Calls;
use super::hands::Hands;
use super::owners::Owners;
use super::tally::Tally;
use crate::call::pairing::Pairing;
use crate::call::{Endpoint, NoAnswer};
use crate::link::MessageKey;
use crate::link::serving::Serving;
use crate::protocol::{Ends, Request, Side};
use crate::source::{End, Opened, Role, Thread, Time};
use crate::stats::Loss;
use crate::stream::{Streams, Timed};
use crate::trace::Identity;
use crate::trace::context::SAMPLED;

/// A connection that is followed.
pub(super) struct Connection {
    pub(super) opened: Opened,
    pub(super) endpoint: Option<Arc<Endpoint>>,
    /// Which end the streams are of, as far as the endpoint tells.
    pub(super) role: Option<Role>,
    pub(super) streams: Streams,
    pub(super) pairing: Pairing<Identity>,
    /// The last who read or wrote, and when that was.
    pub(super) thread: Thread,
    pub(super) last: Time,
    /// Bytes that are accounted for in those of all connections.
    pub(super) held: usize,
    /// Who said first that nothing more comes, and when.
    finished: Option<(Finisher, Time)>,
    pub(super) ignored: bool,
    /// The streams are those of one end, but calls are told as the other's.
    pub(super) turned: bool,
    /// More than one call is open at once: where one answer ends and the next begins must be seen.
    pub(super) pipelined: bool,
    /// It is one of [`Pipeline::untold`](super::Pipeline).
    pub(super) untold: bool,
    pub(super) about: About,
    pub(super) hands: Hands,
    pub(super) tally: Tally,
}

/// An end of a connection, seen from the one that is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finisher {
    Peer,
    Own,
}

impl Connection {
    /// One of which nothing was seen yet.
    pub(super) fn new(opened: Opened) -> Self {
        Self {
            endpoint: None,
            role: None,
            streams: Streams::new(opened.role, opened.midlife),
            pairing: Pairing::default(),
            thread: Thread::default(),
            last: opened.time,
            held: 0,
            finished: None,
            ignored: false,
            turned: false,
            pipelined: false,
            untold: false,
            about: About::default(),
            hands: Hands::default(),
            tally: Tally::default(),
            opened,
        }
    }

    /// Takes in what its streams found; `thread` made the system call that carried it.
    pub(super) fn take(
        &mut self,
        parts: &mut Vec<Timed>,
        thread: Thread,
        waited: u64,
        calls: &mut Calls,
    ) {
        if self.streams.spoken()
            && let Some(role) = self.streams.role()
            && self.role.replace(role) != Some(role)
        {
            let ends = self.streams.protocol().map_or(Ends::Both, |protocol| protocol.ends);
            let told = match (&calls.owners, ends) {
                (Owners::Addressed(_), Ends::Both) => Role::Server,
                (Owners::Addressed(_), Ends::Client) => Role::Client,
                _ => role,
            };
            if self.turned != (told != role) {
                self.turn();
            }
            self.opened.role = Some(told);
            if self.streams.protocol().is_some_and(|protocol| protocol.passes_on) {
                let key = MessageKey::new(self.opened.pair, role, 0);
                match (role, key) {
                    (Role::Server, key) => calls.queues.broker(key, thread.pid),
                    (Role::Client, Some(key)) => calls.queues.client(key),
                    (Role::Client, None) => {}
                }
            }
            if ends == Ends::Client && told == Role::Server {
                // The client's end tells of the calls, on this host or another.
                self.streams.leave();
            }
            self.endpoint = Some(Arc::new(Endpoint {
                id: self.opened.id,
                role: self.opened.role.unwrap_or(role),
                local: self.opened.local.clone(),
                remote: self.opened.remote.clone(),
            }));
        }
        if self.endpoint.is_none() || self.is_others() {
            parts.clear();
            return;
        }
        let sink = &mut calls.of(&self.opened, &mut self.about, &mut self.hands, &mut self.tally);
        self.pairing.missed(self.streams.take_missed().unwrap_or(0), sink);
        self.pairing.take(parts, &self.streams, self.endpoint.as_ref(), thread, waited, sink);
        if self.streams.left() {
            self.pairing.lose(sink);
        }
    }

    /// Ends the calls that got not one byte of an answer within `timeout` nanoseconds.
    pub(super) fn expire(&mut self, timeout: u64, now: Time, calls: &mut Calls) {
        let sink = &mut calls.of(&self.opened, &mut self.about, &mut self.hands, &mut self.tally);
        self.pairing.expire(self.endpoint.as_ref(), timeout, now, sink);
    }

    /// Who said first that nothing more comes is known from here on.
    pub(super) fn finish(&mut self, end: End, time: Time) {
        let finisher = match (end, self.turned) {
            (End::PeerFinished(_), false) | (End::Finished(_), true) => Finisher::Peer,
            (End::PeerFinished(_), true) | (End::Finished(_), false) => Finisher::Own,
            (End::Closed { .. } | End::Unseen, _) => return,
        };
        self.finished.get_or_insert((finisher, time));
    }

    /// Which end this is and where the request under way ended, if nobody will be told of the call,
    /// whatever its answer is. Where an answer ends that was not captured whole shows later, which
    /// matters to none but a server's process without contexts.
    pub(super) fn untold(&self, serving: &Serving) -> Option<(Role, u64)> {
        // What is told of after its answer may turn out to be part of another trace, or to be more.
        if self.opened.after || self.pipelined || self.ignored {
            return None;
        }
        let (identity, request, asked) = self.pairing.only()?;
        let role = self.role?;
        let sampled = identity.flags & SAMPLED != 0 || !matches!(request, Request::Http(_));
        let matters = role == Role::Server && serving.asks_threads(self.thread.pid);
        (!sampled && !matters).then_some((role, asked))
    }

    /// What is missing may have been a request.
    pub(super) fn serves_unseen(&self, calls: &mut Calls) {
        if self.opened.role != Some(Role::Client) {
            calls.serving.unseen(self.opened.pid);
            if self.thread.pid != self.opened.pid && self.thread != Thread::default() {
                calls.serving.unseen(self.thread.pid);
            }
        }
    }

    /// Whoever waits for an answer on it is given none that is seen.
    pub(super) fn waits_no_more(&mut self, calls: &mut Calls) {
        if let Some(asker) = self.hands.asker.take() {
            calls.threads.gives_up(asker, self.opened.id);
            calls.consumers.gives_up(asker, self.opened.id);
        }
    }

    /// The other end tells of the calls.
    fn is_others(&self) -> bool {
        self.opened.role == Some(Role::Server)
            && self.streams.protocol().is_some_and(|protocol| protocol.ends == Ends::Client)
    }

    /// It was closed: what is open gets no answer any more.
    pub(super) fn close(&mut self, error: Option<i32>, time: Time, calls: &mut Calls) {
        let (reason, when) = self.why_unanswered(error, time);
        let sink = &mut calls.of(&self.opened, &mut self.about, &mut self.hands, &mut self.tally);
        if self.streams.blind(Side::Response) {
            // Whether there was one nobody knows.
            self.pairing.lose(sink);
        }
        self.pairing.close(self.endpoint.as_ref(), reason, when, sink);
        self.conclude(calls);
    }

    /// Nothing more will be known of it.
    pub(super) fn stop(&mut self, calls: &mut Calls) {
        let untold = self.pairing.untold();
        self.tally.lost += untold;
        calls.stats.lose(Loss::Stopped, untold);
        self.conclude(calls);
    }

    /// Says what was lost on it.
    pub(super) fn conclude(&mut self, calls: &Calls) {
        let unrecognised = self.streams.unrecognised();
        calls.stats.lose(Loss::Unrecognised, unrecognised);
        self.tally.lost += unrecognised;
        self.tally.tell(&self.opened);
    }

    /// What was taken for the server is the client, or the reverse: calls are told as the other
    /// end's.
    fn turn(&mut self) {
        self.turned = !self.turned;
        let Opened { local, remote, .. } = &mut self.opened;
        std::mem::swap(local, remote);
        if let Some((finisher, _)) = &mut self.finished {
            *finisher = match finisher {
                Finisher::Peer => Finisher::Own,
                Finisher::Own => Finisher::Peer,
            };
        }
    }

    /// Why what is still open gets no answer, and since when that is certain.
    fn why_unanswered(&self, error: Option<i32>, closed: Time) -> (NoAnswer, Time) {
        if error.is_some() {
            return (NoAnswer::ConnectionReset, closed);
        }
        match (self.finished, self.opened.role) {
            (Some((Finisher::Peer, at)), Some(Role::Server)) => (NoAnswer::ClientClosed, at),
            (Some((Finisher::Peer, at)), _) => (NoAnswer::PeerClosed, at),
            (Some((Finisher::Own, at)), _) => (NoAnswer::Closed, at),
            (None, _) => (NoAnswer::Closed, closed),
        }
    }
}
