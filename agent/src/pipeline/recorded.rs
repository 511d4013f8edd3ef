//! What a recording needs to know of a live pipeline, and what a pipeline needs to be told from a
//! recording, beside the events.

use std::sync::Arc;
use std::time::Duration;

use super::{Owners, Pipeline};
use crate::clock::Clock;
use crate::select::Selection;
use crate::source::{ConnectionId, End, Event, Opened, Time};
use crate::stats::Stats;
use crate::trace::Tracer;
use crate::workload::Resource;
use crate::workload::recorded::Recorded;

impl Pipeline {
    /// A pipeline for a recording that began with this clock offset (Unix time minus boot time, in
    /// nanoseconds). Given what a live pipeline was given, it makes the same spans.
    pub fn recorded(
        selection: Selection,
        tracer: Tracer,
        request_timeout: Option<Duration>,
        stats: Arc<Stats>,
        offset: i64,
    ) -> Self {
        let owners = Owners::Recorded(Recorded::new(Arc::clone(&stats)));
        Self::with(selection, tracer, request_timeout, stats, owners, Clock::fixed(offset))
    }

    /// Of a recording: from now on, this is the process `resource.pid`.
    pub fn learn(&mut self, resource: Arc<Resource>) {
        if let Owners::Recorded(recorded) = &mut self.calls.owners {
            recorded.learn(resource);
        }
    }

    /// Of a recording: from now on, Unix time is boot time and so many nanoseconds.
    pub fn anchor(&mut self, offset: i64) {
        self.calls.clock.anchor(offset);
    }

    /// Nothing more is known of any connection: calls under way are counted as lost.
    pub fn forget_connections(&mut self) {
        self.calls.threads.forget_work();
        let mut ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.on(Event::Ended { id, time: Time::default(), end: End::Unseen });
        }
    }

    /// Unix time minus boot time, in nanoseconds, as it is used now.
    pub fn offset(&self) -> i64 {
        self.calls.clock.offset()
    }

    /// From now on [`learnt`](Self::learnt) tells of processes. It has to be called after every
    /// event, or memory grows.
    pub fn watch_processes(&mut self) {
        if let Owners::Processes(workloads) = &mut self.calls.owners {
            workloads.watch();
        }
    }

    /// The processes that became known, or others, since the last time.
    pub fn learnt(&mut self) -> Vec<Arc<Resource>> {
        match &mut self.calls.owners {
            Owners::Processes(workloads) => workloads.learnt(),
            Owners::Recorded(_) | Owners::Addressed(_) => Vec::new(),
        }
    }

    /// All processes that are known, the one whose last call is longest ago first.
    pub fn processes(&self) -> Vec<Arc<Resource>> {
        match &self.calls.owners {
            Owners::Processes(workloads) => workloads.known(),
            Owners::Recorded(_) | Owners::Addressed(_) => Vec::new(),
        }
    }

    /// A connection that is followed.
    pub fn opened(&self, id: ConnectionId) -> Option<&Opened> {
        self.connections.get(&id).map(|connection| &connection.opened)
    }
}
