//! UNIX sockets: which are older than the agent, and which are gone. The kernel programs see
//! neither being made nor being closed.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::time::{ClockId, clock_gettime};
use tracebee_common::record;

use crate::source::{Address, ConnectionId, Data, Direction, End, Event, Opened, Pair, Role, Time};

/// How often the sockets that are followed are looked for, and how much longer than that takes it
/// has to be. A close that the peer reads is known at once; this is for the others: whoever waits
/// for events need not read to learn of it.
const SWEEP: Duration = Duration::from_secs(1);
const REST: u32 = 200;
/// Most bytes of a table that are read: some 200,000 sockets.
const MAX_TABLE: u64 = 16 << 20;

/// The sockets that the kernel has announced.
#[derive(Default)]
pub(super) struct Sockets {
    known: FxHashMap<u64, Known>,
    /// Cookies by inode number.
    inodes: FxHashMap<u32, u64>,
    /// When to look next.
    next: Option<Instant>,
    /// What was found to be gone, and when.
    missing: Option<(Time, Vec<u64>)>,
}

struct Known {
    inode: u32,
    /// The peer's, where it is known.
    peer: u32,
    netns: u32,
    pid: u32,
    midlife: bool,
    /// How far it has sent and received.
    sent: u64,
    received: u64,
}

impl Sockets {
    /// The event that announces a socket. What the kernel had to forget for lack of room comes with
    /// a new cookie: it goes on as one that is older than the agent, and the one that it was ends.
    pub(super) fn opened(&mut self, unix: &record::Unix, on: &mut impl FnMut(Event<'_>)) {
        let cookie = unix.header.cookie;
        let mut midlife = unix.header.flags & record::FLAG_OLDER != 0;
        if let Some(before) = self.inodes.insert(unix.inode, cookie).filter(|c| *c != cookie) {
            midlife = true;
            self.known.remove(&before);
            let (id, time) = (ConnectionId(before), Time(unix.header.time));
            on(Event::Ended { id, time, end: End::Unseen });
        }
        let (inode, peer, netns, pid) = (unix.inode, unix.peer_inode, unix.netns, unix.pid);
        let known = Known { inode, peer, netns, pid, midlife, sent: 0, received: 0 };
        self.known.insert(cookie, known);
        // A client is there before its server's end has a number.
        if let Some(other) = self.inodes.get(&peer).and_then(|cookie| self.known.get_mut(cookie)) {
            other.peer = inode;
        }
        on(Event::Opened(Opened {
            id: ConnectionId(cookie),
            time: Time(unix.established),
            local: address(&unix.local),
            remote: address(&unix.remote),
            role: match unix.role {
                record::ROLE_CLIENT => Some(Role::Client),
                record::ROLE_SERVER => Some(Role::Server),
                _ => None,
            },
            midlife,
            pid: unix.pid,
            netns: unix.netns,
            after: true,
            // Counted from wherever they were when the agent came, positions of its two ends mean
            // different bytes.
            pair: (!midlife).then(|| Pair::Inodes {
                own: unix.inode,
                peer: (unix.peer_inode != 0).then_some(unix.peer_inode),
            }),
        }));
    }

    /// Forgets a socket.
    pub(super) fn release(&mut self, cookie: u64) {
        if let Some(known) = self.known.remove(&cookie)
            && self.inodes.get(&known.inode) == Some(&cookie)
        {
            self.inodes.remove(&known.inode);
        }
    }

    /// Notes how far a socket has come.
    pub(super) fn moved(&mut self, data: &Data<'_>) {
        if let Some(known) = self.known.get_mut(&data.id.0) {
            let end = data.position + data.length;
            match data.direction {
                // What is not certain to go is told of again.
                Direction::Sent if data.pending => {}
                Direction::Sent => known.sent = end,
                Direction::Received => known.received = end,
            }
        }
    }

    /// The same of a send that was not certain.
    pub(super) fn sent(&mut self, id: ConnectionId, position: u64) {
        if let Some(known) = self.known.get_mut(&id.0) {
            known.sent = position;
        }
    }

    /// True if none is followed.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The ring was read to its end: tells of sockets that were gone before that, and looks from time to
    /// time which are. What they did last may have come into the ring while that was looked for.
    pub(super) fn sweep(&mut self, on: &mut impl FnMut(Event<'_>)) {
        if let Some((time, gone)) = self.missing.take() {
            self.end(time, gone, on);
        }
        if self.known.is_empty() || self.next.is_some_and(|next| next > Instant::now()) {
            return;
        }
        let begun = Instant::now();
        let gone = self.gone();
        if !gone.is_empty() {
            self.missing = Some((boot_time(), gone));
        }
        self.next = Some(begun + SWEEP.max(begun.elapsed() * REST));
    }

    /// Nothing more will come: tells of sockets that are gone.
    pub(super) fn sweep_now(&mut self, on: &mut impl FnMut(Event<'_>)) {
        let gone = self.gone();
        self.end(boot_time(), gone, on);
    }

    fn end(&mut self, time: Time, gone: Vec<u64>, on: &mut impl FnMut(Event<'_>)) {
        for cookie in gone {
            if !self.known.contains_key(&cookie) {
                continue;
            }
            for end in self.ends(cookie) {
                on(Event::Ended { id: ConnectionId(cookie), time, end });
            }
            self.release(cookie);
        }
    }

    /// How a socket ended that is gone: whether it had read everything that its peer sent, and then
    /// its own end.
    fn ends(&self, cookie: u64) -> impl Iterator<Item = End> + use<> {
        let known = self.known.get(&cookie);
        let sent = known.map_or(0, |known| known.sent);
        let received = known.map_or(0, |known| known.received);
        let peer = known
            .filter(|known| !known.midlife)
            .and_then(|known| self.known.get(self.inodes.get(&known.peer)?))
            .filter(|peer| !peer.midlife);
        let all_read = peer.is_none_or(|peer| peer.sent <= received);
        let peer_finished = all_read.then_some(End::PeerFinished(received));
        let closed = End::Closed { error: None, received, sent };
        peer_finished.into_iter().chain([End::Finished(sent), closed])
    }

    /// Cookies of sockets that are in no table, oldest first. The kernel gives a table out in pieces: a
    /// socket whose neighbour goes in between may be left out, so that is looked at twice.
    fn gone(&self) -> Vec<u64> {
        let mut gone = self.left_out();
        if !gone.is_empty() {
            let again = self.left_out();
            gone.retain(|cookie| again.binary_search(cookie).is_ok());
        }
        gone
    }

    fn left_out(&self) -> Vec<u64> {
        let mut pids: FxHashMap<u32, FxHashSet<u32>> = FxHashMap::default();
        for known in self.known.values() {
            pids.entry(known.netns).or_default().insert(known.pid);
        }
        // A namespace that nobody is left in has no table and, as good as always, no sockets.
        let own = fs::metadata("/proc/self/ns/net").map_or(0, |ns| ns.ino() as u32);
        let mut there = FxHashSet::default();
        for (netns, pids) in pids {
            let this = (netns == own).then_some("self".to_owned());
            let mut paths = this.into_iter().chain(pids.iter().map(u32::to_string));
            // A process may have left the namespace that its socket is of.
            paths.find(|pid| namespace(pid) == Some(netns) && read(pid, &mut there));
        }
        let mut gone: Vec<u64> = self
            .known
            .iter()
            .filter(|(_, known)| !there.contains(&known.inode))
            .map(|(cookie, _)| *cookie)
            .collect();
        gone.sort_unstable();
        gone
    }
}

fn boot_time() -> Time {
    let now = clock_gettime(ClockId::Boottime);
    Time(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
}

/// Inode numbers of all UNIX sockets of every network namespace that a process is in.
pub(super) fn all() -> FxHashSet<u32> {
    let mut inodes = FxHashSet::default();
    let mut seen = FxHashSet::default();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().into_string().ok()) {
        if pid.bytes().all(|b| b.is_ascii_digit())
            && let Some(netns) = namespace(&pid)
            && !seen.contains(&netns)
            && read(&pid, &mut inodes)
        {
            seen.insert(netns);
        }
    }
    inodes
}

/// Inode of the network namespace of a process.
fn namespace(pid: &str) -> Option<u32> {
    fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|ns| ns.ino() as u32)
}

/// Adds the inode numbers of the UNIX sockets of a process's network namespace; false if the
/// process is gone.
fn read(pid: &str, inodes: &mut FxHashSet<u32>) -> bool {
    let path = PathBuf::from(format!("/proc/{pid}/net/unix"));
    let Ok(file) = File::open(path) else { return false };
    let mut lines = BufReader::new(file.take(MAX_TABLE)).split(b'\n');
    // The path at the end of a line may hold anything, line breaks included: what follows one may
    // look like a line, and then names a socket too many.
    let mut any = false;
    while let Some(Ok(line)) = lines.next() {
        any = true;
        inodes.extend(inode(&line));
    }
    any
}

/// The inode number in a line of `/proc/net/unix`: address, references, protocol, flags, type,
/// state, inode, path.
fn inode(line: &[u8]) -> Option<u32> {
    let field = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).nth(6)?;
    str::from_utf8(field).ok()?.parse().ok().filter(|inode| *inode != 0)
}

/// The address as people write it (unix(7)): an abstract name begins with `@` where the kernel has
/// a zero, and so do the zeros within it look.
fn address(name: &record::Name) -> Address {
    let bytes = &name.bytes[..(name.length as usize).min(name.bytes.len())];
    let text = match bytes {
        [] => return Address::Unix(None),
        [0, rest @ ..] => {
            let end = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let name: Vec<u8> =
                rest[..end].iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect();
            format!("@{}", String::from_utf8_lossy(&name))
        }
        path => {
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(path).into_owned()
        }
    };
    Address::Unix(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn name(bytes: &[u8]) -> record::Name {
        let mut name = record::Name { length: bytes.len() as u32, reserved: 0, bytes: [7; 128] };
        name.bytes[..bytes.len()].copy_from_slice(bytes);
        name
    }

    #[test]
    fn addresses() {
        for (bytes, text) in [
            (&b""[..], None),
            (b"/run/a.sock\0", Some("/run/a.sock")),
            (b"/run/a.sock", Some("/run/a.sock")),
            (b"\0name", Some("@name")),
            (b"\0a\0b\0\0\0", Some("@a@b")),
            (b"\0", Some("@")),
            (b"/\xff", Some("/\u{fffd}")),
        ] {
            assert_eq!(address(&name(bytes)), Address::Unix(text.map(Into::into)), "{bytes:?}");
        }
        let mut wild = name(b"/a");
        wild.length = u32::MAX;
        assert!(matches!(address(&wild), Address::Unix(Some(_))));
    }

    #[test]
    fn lines() {
        let line = b"0000000000000000: 00000002 00000000 00010000 0001 01 38155 /run/a b";
        assert_eq!(inode(line), Some(38155));
        assert_eq!(inode(b"0000000000000000: 00000003 00000000 00000000 0001 02     0"), None);
        for bad in [&b""[..], b"Num RefCount Protocol Flags Type St Inode Path", b"1 2 3", b"\xff"]
        {
            assert_eq!(inode(bad), None, "{bad:?}");
        }
    }

    fn number(socket: &UnixStream) -> u32 {
        use std::os::fd::AsRawFd as _;
        let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
        fs::metadata(path).expect("a descriptor").ino() as u32
    }

    #[test]
    fn sockets_of_this_host_are_found_until_they_are_gone() {
        let (here, there) = UnixStream::pair().expect("two sockets");
        let found = all();
        assert!(found.contains(&number(&here)) && found.contains(&number(&there)));

        let mut sockets = Sockets::default();
        let mut events = Vec::new();
        for (cookie, socket) in [(1, &here), (2, &there)] {
            let unix = announced(cookie, number(socket));
            sockets.opened(&unix, &mut |event| events.push(format!("{event:?}")));
        }
        assert_eq!(events.len(), 2);
        assert!(sockets.gone().is_empty());
        drop(there);
        assert_eq!(sockets.gone(), [2]);
        sockets.release(1);
        sockets.release(2);
        assert!(sockets.known.is_empty() && sockets.inodes.is_empty());
        drop(here);
    }

    #[test]
    fn a_socket_with_another_cookie_is_not_linked() {
        let mut sockets = Sockets::default();
        let mut open = |cookie| {
            let (mut pairs, mut ended) = (Vec::new(), 0);
            sockets.opened(&announced(cookie, 77), &mut |event| match event {
                Event::Opened(opened) => pairs.push(opened.pair.is_some()),
                Event::Ended { .. } => ended += 1,
                _ => {}
            });
            (pairs, ended)
        };
        assert_eq!(open(1), (vec![true], 0));
        assert_eq!(open(1), (vec![true], 0), "twice at the same instant");
        assert_eq!(open(2), (vec![false], 1));
        assert_eq!(sockets.known.len(), 1);
    }

    fn announced(cookie: u64, inode: u32) -> record::Unix {
        let netns = namespace("self").expect("a namespace");
        record::Unix {
            header: record::Header { cookie, ..Default::default() },
            established: 1,
            inode,
            peer_inode: 0,
            pid: std::process::id(),
            netns,
            role: record::ROLE_CLIENT,
            reserved: [0; 7],
            local: name(b""),
            remote: name(b"/run/a.sock"),
        }
    }
}
