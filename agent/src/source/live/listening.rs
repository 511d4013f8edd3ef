//! Which end a connection is that is older than the agent: one whose own port is listened on was
//! accepted. Where nothing listens any more, the bytes tell.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::sockets;

/// Network namespaces that are remembered.
const MAX_NAMESPACES: usize = 1024;
/// Ports of one namespace that are remembered. A host with more listeners is a test of hosts.
const MAX_PORTS: usize = 4096;

/// The ports that are listened on, by network namespace. Each is looked at once: connections older
/// than the agent were accepted before that.
#[derive(Debug, Default)]
pub(super) struct Listening {
    ports: FxHashMap<u32, FxHashSet<u16>>,
}

impl Listening {
    /// True if something listens on `port` in the namespace `netns` of the process `pid`.
    pub(super) fn on(&mut self, netns: u32, pid: u32, port: u16) -> bool {
        if self.ports.len() >= MAX_NAMESPACES && !self.ports.contains_key(&netns) {
            return false;
        }
        self.ports.entry(netns).or_insert_with(|| read(pid)).contains(&port)
    }
}

/// The tables of a process that is gone are empty.
fn read(pid: u32) -> FxHashSet<u16> {
    let mut ports = FxHashSet::default();
    sockets::each(Path::new("/proc"), pid, |socket| {
        if socket.listens() && ports.len() < MAX_PORTS {
            ports.insert(socket.local.port());
        }
    });
    ports
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_process_listens() {
        let v4 = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = v4.local_addr().expect("its address").port();
        let mut listening = Listening::default();
        assert!(listening.on(1, std::process::id(), port));
        drop(v4);
        assert!(listening.on(1, std::process::id(), port), "looked at once");
        assert!(!listening.on(2, u32::MAX, port), "nobody");
    }
}
