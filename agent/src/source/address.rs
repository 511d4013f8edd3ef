//! Where the ends of a connection are, and what names it at both of them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// The address of one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Inet(SocketAddr),
    /// A UNIX socket: its path, or `@name` if it is abstract; none if it was never bound, as most
    /// clients and both ends of a `socketpair` (unix(7)).
    Unix(Option<Arc<str>>),
}

impl Address {
    /// The port, of an address that has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Inet(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// The same with an IPv4 address mapped into IPv6 as the IPv4 address that it is.
    pub fn canonical(&self) -> Self {
        match self {
            Self::Inet(a) => SocketAddr::new(a.ip().to_canonical(), a.port()).into(),
            other => other.clone(),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{path}"),
            Self::Unix(None) => f.write_str("unix:"),
        }
    }
}

/// What both ends of a connection know of it, each from its own side. With an offset it names a
/// message at both ends alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// TCP: the sequence numbers of the first byte sent and the first received (the initial ones
    /// + 1).
    Sequences {
        /// Of this socket.
        sent: u32,
        /// Of its peer.
        received: u32,
    },
    /// UNIX: the inode numbers of both sockets. The kernel gives them out one by one, and one that
    /// is used again after 2^32 others is long forgotten.
    Inodes {
        /// Of this socket.
        own: u32,
        /// Of its peer; none while that is not accepted, and once it is closed.
        peer: Option<u32>,
    },
}
