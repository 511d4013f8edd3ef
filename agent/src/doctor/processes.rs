//! The processes with TCP sockets: what each is called, what it talks to, and what becomes of its
//! calls.

mod links;
mod runtime;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

pub(super) use self::links::Links;
use self::runtime::Runtime;
use crate::privilege::{Capability, Privileges};
use crate::select::Selection;
use crate::sockets::{self, Socket};
use crate::stats::Stats;
use crate::workload::Workloads;

/// Most open files of one process that are looked at: a second has to do for all.
const MAX_FILES: usize = 20_000;
/// Most processes that are shown.
const MAX_SHOWN: usize = 1000;
/// Most peers of one process that are told apart.
const MAX_PEERS: usize = 100;

/// What is known of the processes of this host.
#[derive(Debug, Default, Serialize)]
pub(super) struct Processes {
    /// Those with TCP sockets that are traced, by service and pid.
    pub(super) processes: Vec<Observed>,
    /// Processes that may have sockets, but may not be looked at.
    pub(super) hidden: usize,
    /// Processes with sockets that are not shown, there are too many.
    pub(super) more: usize,
}

/// A process with TCP sockets.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Observed {
    pub(super) pid: u32,
    /// `service.name` of its spans.
    pub(super) service: Arc<str>,
    pub(super) runtime: Runtime,
    /// Where it takes connections.
    pub(super) listens: Vec<SocketAddr>,
    /// Connections that it has taken.
    pub(super) accepted: usize,
    /// What it has connected to.
    pub(super) connects: Vec<Peer>,
    pub(super) links: Links,
}

/// The other end of connections that a process made.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// The service that listens there, if it is on this host.
    pub(super) service: Option<Arc<str>>,
    pub(super) connections: usize,
}

/// All process ids under `proc`.
pub(super) fn pids(proc: &Path) -> Vec<u32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// Looks at every process.
pub(super) fn find(selection: &Selection, privileges: Privileges) -> Processes {
    let proc = Path::new("/proc");
    let own = std::process::id();
    let mut found = Processes::default();
    let mut namespaces: FxHashMap<String, Namespace> = FxHashMap::default();
    let mut owners = Vec::new();
    for pid in pids(proc) {
        let Some(inodes) = open_sockets(proc, pid) else {
            // Threads of the kernel have no files to open, and no executable either.
            let hides =
                !privileges.has(Capability::SysPtrace) && !command_line(proc, pid).is_empty();
            found.hidden += usize::from(hides);
            continue;
        };
        if inodes.is_empty() || pid == own {
            continue;
        }
        let Ok(netns) = fs::read_link(proc.join(format!("{pid}/ns/net"))) else { continue };
        let netns = netns.to_string_lossy().into_owned();
        let namespace =
            namespaces.entry(netns.clone()).or_insert_with(|| Namespace::read(proc, pid));
        let sockets: Vec<Socket> =
            inodes.iter().filter_map(|inode| namespace.sockets.get(inode).copied()).collect();
        if !sockets.is_empty() {
            owners.push((pid, netns, sockets));
        }
    }
    let mut workloads = Workloads::new(Arc::new(Stats::default()));
    for (pid, netns, sockets) in &owners {
        if let Some(namespace) = namespaces.get_mut(netns) {
            let service = Arc::clone(&workloads.resource(*pid).service);
            let listens = sockets.iter().filter(|socket| socket.listens());
            namespace
                .services
                .extend(listens.map(|socket| (socket.local.port(), Arc::clone(&service))));
        }
    }
    for (pid, netns, mut sockets) in owners {
        let Some(namespace) = namespaces.get(&netns) else { continue };
        sockets.retain(|socket| {
            let none = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
            selection.wants_socket(pid, &socket.local.into(), &socket.remote.unwrap_or(none).into())
        });
        if sockets.is_empty() {
            continue;
        }
        if found.processes.len() == MAX_SHOWN {
            found.more += 1;
            continue;
        }
        let service = Arc::clone(&workloads.resource(pid).service);
        found.processes.push(observed(proc, pid, service, &sockets, namespace));
    }
    found.processes.sort_by(|a, b| a.service.cmp(&b.service).then(a.pid.cmp(&b.pid)));
    found
}

fn observed(
    proc: &Path,
    pid: u32,
    service: Arc<str>,
    sockets: &[Socket],
    namespace: &Namespace,
) -> Observed {
    let runtime = runtime::of(proc, pid);
    let mut process = Observed {
        pid,
        service,
        links: links::of(proc, pid, &runtime),
        runtime,
        listens: Vec::new(),
        accepted: 0,
        connects: Vec::new(),
    };
    for socket in sockets {
        match socket.remote {
            None => process.listens.push(socket.local),
            // As the agent does it for connections older than itself.
            Some(_) if namespace.ports.contains(&socket.local.port()) => process.accepted += 1,
            Some(address) => {
                let known = process.connects.iter_mut().find(|peer| peer.address == address);
                if let Some(peer) = known {
                    peer.connections += 1;
                } else if process.connects.len() < MAX_PEERS {
                    let service = namespace.service(address);
                    process.connects.push(Peer { address, service, connections: 1 });
                }
            }
        }
    }
    process.listens.sort_unstable();
    process.listens.dedup();
    process.connects.sort_unstable_by_key(|peer| peer.address);
    process
}

/// A network namespace.
#[derive(Default)]
struct Namespace {
    /// By inode.
    sockets: FxHashMap<u64, Socket>,
    /// What is listened on.
    ports: FxHashSet<u16>,
    /// Addresses that connections are accepted at.
    addresses: FxHashSet<IpAddr>,
    /// Who listens.
    services: FxHashMap<u16, Arc<str>>,
}

impl Namespace {
    /// The one that the process lives in.
    fn read(proc: &Path, pid: u32) -> Self {
        let mut namespace = Self::default();
        sockets::each(proc, pid, |socket| {
            if socket.listens() {
                namespace.ports.insert(socket.local.port());
            }
            namespace.addresses.insert(socket.local.ip());
            if socket.inode != 0 {
                namespace.sockets.insert(socket.inode, socket);
            }
        });
        namespace
    }

    /// Who listens at an address, if it is one of this namespace.
    fn service(&self, address: SocketAddr) -> Option<Arc<str>> {
        let ours = address.ip().is_loopback() || self.addresses.contains(&address.ip());
        if ours { self.services.get(&address.port()).cloned() } else { None }
    }
}

/// The inodes of its sockets; none if it may not be looked at, or is gone.
fn open_sockets(proc: &Path, pid: u32) -> Option<Vec<u64>> {
    let files = fs::read_dir(proc.join(format!("{pid}/fd"))).ok()?;
    let inode = |file: fs::DirEntry| {
        let target = fs::read_link(file.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    Some(files.flatten().take(MAX_FILES).filter_map(inode).collect())
}

fn command_line(proc: &Path, pid: u32) -> Vec<u8> {
    fs::read(proc.join(format!("{pid}/cmdline"))).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod test {
    use super::*;

    /// A process without sockets, for tests of what is made of it.
    pub(in crate::doctor) fn process(pid: u32, service: &str, runtime: &'static str) -> Observed {
        let runtime = Runtime { name: runtime, version: None, stripped: None, tls: None };
        Observed {
            pid,
            service: service.into(),
            links: links::of(Path::new("/proc"), pid, &runtime),
            runtime,
            listens: Vec::new(),
            accepted: 0,
            connects: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn this_process_with_both_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let _clients = [TcpStream::connect(address), TcpStream::connect(address)];
        let _accepted = [listener.accept(), listener.accept()];
        let pid = std::process::id();
        let proc = Path::new("/proc");
        let mut namespace = Namespace::read(proc, pid);
        namespace.services.insert(address.port(), "shop".into());
        let inodes = open_sockets(proc, pid).expect("our own files");
        let sockets: Vec<Socket> = inodes
            .iter()
            .filter_map(|inode| namespace.sockets.get(inode).copied())
            .filter(|socket| {
                socket.local.port() == address.port() || socket.remote == Some(address)
            })
            .collect();
        let process = observed(proc, pid, "test".into(), &sockets, &namespace);
        assert_eq!(process.listens, [address]);
        assert_eq!(process.accepted, 2);
        let peer = Peer { address, service: Some("shop".into()), connections: 2 };
        assert_eq!(process.connects, [peer]);
        assert_eq!(process.runtime.name, "native");
    }

    #[test]
    fn a_peer_elsewhere_is_not_ours() {
        let mut namespace = Namespace::default();
        namespace.services.insert(80, "shop".into());
        assert_eq!(namespace.service("127.0.0.1:80".parse().expect("ok")).as_deref(), Some("shop"));
        assert_eq!(namespace.service("10.0.0.9:80".parse().expect("ok")), None);
        assert_eq!(namespace.service("127.0.0.1:81".parse().expect("ok")), None);
    }

    #[test]
    fn nobody_has_no_files() {
        assert_eq!(open_sockets(Path::new("/proc"), u32::MAX), None);
        assert!(pids(Path::new("/proc")).contains(&std::process::id()));
    }
}
