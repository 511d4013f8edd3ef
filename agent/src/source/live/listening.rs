//! Which end a connection is that is older than the agent: one whose own port is listened on was
//! accepted. Where nothing listens any more, the bytes tell.

use std::fs::File;
use std::io::Read as _;

use rustc_hash::{FxHashMap, FxHashSet};

/// Network namespaces that are remembered.
const MAX_NAMESPACES: usize = 1024;
/// Most bytes of a table that are read: some 100,000 sockets.
const MAX_TABLE: u64 = 16 << 20;
/// Ports of one namespace that are remembered. A host with more listeners is a test of hosts.
const MAX_PORTS: usize = 4096;
/// `TCP_LISTEN` as the tables have it (`include/net/tcp_states.h`).
const LISTEN: &str = "0A";

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
    for table in ["tcp", "tcp6"] {
        let mut text = String::new();
        if let Ok(file) = File::open(format!("/proc/{pid}/net/{table}"))
            && file.take(MAX_TABLE).read_to_string(&mut text).is_ok()
        {
            ports.extend(text.lines().filter_map(listener).take(MAX_PORTS));
        }
    }
    ports
}

/// The port of a line of `/proc/net/tcp`, if it is a listener's: number, own address and port,
/// peer's, state, all hexadecimal.
fn listener(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, port) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn lines() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
        assert_eq!(listener(line), Some(8080));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        for bad in ["", "0:", "0: x", "  sl  local_address rem_address   st tx_queue", "0: :Z y 0A"]
        {
            assert_eq!(listener(bad), None, "{bad}");
        }
    }

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
