//! What became of one connection's calls.

use crate::source::{Opened, Role};

/// What became of one connection's calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Calls with a span.
    pub(super) calls: u64,
    /// Calls without, or what may have been some.
    pub(super) lost: u64,
    /// Kernel records that are missing.
    pub(super) records: u64,
}

impl Tally {
    /// Says what was lost on the connection, if anything was.
    pub(super) fn tell(self, opened: &Opened) {
        let Tally { calls, lost, records } = self;
        if lost + records == 0 {
            return;
        }
        let Opened { local, remote, pid, role, .. } = opened;
        let end = match role {
            Some(Role::Client) => "client",
            Some(Role::Server) => "server",
            None => "unknown end",
        };
        tracing::info!(
            "connection {local} to {remote}, {end}, pid {pid}: {calls} calls told, {lost} \
             lost; {records} kernel records missing"
        );
    }
}
