//! Whose calls they are, by the source that they come from.

use std::sync::Arc;

use crate::call::Call;
use crate::workload::recorded::Recorded;
use crate::workload::wire::Addressed;
use crate::workload::{Resource, Workloads};

/// Whose calls they are.
pub(super) enum Owners {
    /// Live: of the process that made the system call.
    Processes(Workloads),
    /// In a recording: of the process that made it then.
    Recorded(Recorded),
    /// In a capture, which knows no processes: of an address.
    Addressed(Addressed),
}

impl Owners {
    /// A process has a connection.
    pub(super) fn connects(&mut self, pid: u32) {
        match self {
            Owners::Processes(workloads) => {
                // Now, because a short-lived process is gone when its call ends.
                workloads.resource(pid);
            }
            Owners::Recorded(recorded) => {
                // So that both forget the same processes.
                recorded.resource(pid);
            }
            Owners::Addressed(_) => {}
        }
    }

    /// Whose call it is.
    pub(super) fn of(&mut self, call: &Call) -> Arc<Resource> {
        match self {
            Owners::Processes(workloads) => workloads.resource(call.thread.pid),
            Owners::Recorded(recorded) => recorded.resource(call.thread.pid),
            Owners::Addressed(servers) => servers.resource(&call.endpoint),
        }
    }
}
