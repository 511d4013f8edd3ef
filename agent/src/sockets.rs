//! The kernel's own list of TCP sockets, one for each network namespace: `/proc/PID/net/tcp` and
//! `tcp6`. MPTCP sockets appear there as the TCP sockets that they were made with.

use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Most bytes of a table that are read: some 100,000 sockets.
const MAX_TABLE: u64 = 16 << 20;
/// `TCP_ESTABLISHED` as the tables have it (`include/net/tcp_states.h`).
const ESTABLISHED: &str = "01";
/// `TCP_LISTEN`.
const LISTEN: &str = "0A";

/// A TCP socket that listens or is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its own address. IPv4 in IPv6 appears as the IPv4 address that it is.
    pub local: SocketAddr,
    /// The peer's; none if it listens.
    pub remote: Option<SocketAddr>,
    /// What `/proc/PID/fd` calls it: `socket:[inode]`.
    pub inode: u64,
}

impl Socket {
    /// True if it takes connections.
    pub fn listens(&self) -> bool {
        self.remote.is_none()
    }
}

/// Gives every socket of the network namespace that the process lives in. Those of a process that
/// is gone are none. `proc` is `/proc` but in tests.
pub fn each(proc: &Path, pid: u32, mut on: impl FnMut(Socket)) {
    for table in ["tcp", "tcp6"] {
        let mut text = String::new();
        if let Ok(file) = File::open(proc.join(format!("{pid}/net/{table}")))
            && file.take(MAX_TABLE).read_to_string(&mut text).is_ok()
        {
            text.lines().filter_map(parse).for_each(&mut on);
        }
    }
}

/// A line: number, own address and port, peer's, state, queues, timer, retransmissions, user,
/// timeouts, inode; addresses and state in hexadecimal.
fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let remote = match fields.next()? {
        LISTEN => None,
        ESTABLISHED => Some(remote),
        _ => return None,
    };
    Some(Socket { local, remote, inode: fields.nth(5)?.parse().ok()? })
}

/// Words of the address in the host's byte order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| {
        let word = u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let rest = "00000000:00000000 00:00000000 00000000  1000        0 1105098 2 00000000fb8c";
        let line = |state: &str, local: &str, remote: &str| {
            parse(&format!("   0: {local} {remote} {state} {rest}"))
        };
        let socket = line("0A", "0100007F:1F90", "00000000:0000").expect("a listener");
        assert_eq!(socket.local, "127.0.0.1:8080".parse().expect("an address"));
        assert!(socket.listens() && socket.inode == 1_105_098);
        let v6 = "00000000000000000000000001000000:0050";
        let mapped = "0000000000000000FFFF00000100000A:C350";
        let socket = line("01", v6, mapped).expect("a connection");
        assert_eq!(socket.local, "[::1]:80".parse().expect("an address"));
        assert_eq!(socket.remote, "10.0.0.1:50000".parse().ok());
        assert_eq!(line("06", v6, mapped), None, "nobody has it any more");
        for bad in ["", "0:", "0: x", "  sl  local_address rem_address   st tx_queue", "0: :Z y 0A"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let client = TcpStream::connect(address).expect("a connection");
        let mut found = Vec::new();
        each(Path::new("/proc"), std::process::id(), |socket| found.push(socket));
        assert!(found.iter().any(|socket| socket.local == address && socket.listens()));
        let own = client.local_addr().expect("its address");
        assert!(found.iter().any(|s| s.local == own && s.remote == Some(address) && s.inode > 0));
    }

    proptest! {
        #[test]
        fn hostile_lines_are_harmless(text in "[0-9A-F: ]{0,120}|\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
