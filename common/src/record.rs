//! Records of the ring, in host byte order. Each begins with a [`Header`]; its `kind` says which.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Numbers of the messages of a connection. All that one side says before the other speaks is one
/// message; in most protocols, a request or a response.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Messages {
    /// How many received ones have begun so far, wrapping.
    pub received: u32,
    /// How many sent ones.
    pub sent: u32,
}

/// `Header::kind`: a [`Conn`].
pub const CONN: u8 = 1;
/// `Header::kind`: a [`Data`], followed by the captured bytes.
pub const DATA: u8 = 2;
/// `Header::kind`: a [`Sent`].
pub const SENT: u8 = 3;
/// `Header::kind`: a [`State`].
pub const STATE: u8 = 4;
/// `Header::kind`: a [`Process`], followed by its command line and its environment. It belongs to
/// no connection: its cookie and number are 0.
pub const PROCESS: u8 = 5;
/// `Header::kind`: a [`Unix`].
pub const UNIX: u8 = 6;

/// What every record begins with.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// One of the constants of this module.
    pub kind: u8,
    /// Flags of the kind.
    pub flags: u8,
    /// How many records of any connection had found no room before this one was made, wrapping: two
    /// of a thread with the same number have none of its own between them that was lost.
    pub losses: u16,
    /// Number of this record on its connection, from 0: a jump is a loss of known size.
    pub number: u32,
    /// Socket cookie.
    pub cookie: u64,
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time: u64,
}

/// `Conn::role`: the kernel did not see the connection being made.
pub const ROLE_UNKNOWN: u8 = 0;
/// `Conn::role`: it connected.
pub const ROLE_CLIENT: u8 = 1;
/// `Conn::role`: it was accepted.
pub const ROLE_SERVER: u8 = 2;

/// First sight of a connection.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Conn {
    /// Common part.
    pub header: Header,
    /// When it was established; for a connection older than the agent, now.
    pub established: u64,
    /// Sequence number of its first sent byte; for a connection older than the agent from the
    /// kernel's own count of payload bytes (`snd_nxt - (bytes_sent - bytes_retrans)`).
    pub sent_base: u32,
    /// Sequence number of its first received byte.
    pub received_base: u32,
    /// Thread group that used it first.
    pub pid: u32,
    /// Inode of the network namespace.
    pub netns: u32,
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// Own port, host order.
    pub local_port: u16,
    /// Peer's port, host order.
    pub remote_port: u16,
    /// One of the `ROLE_` constants.
    pub role: u8,
    /// Explicit padding.
    pub reserved: u8,
    /// Own address; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// Peer's address.
    pub remote: [u8; 16],
}

/// `Header::flags` of [`Unix`]: bytes may have gone before the kernel programs were attached, so
/// positions are not those of the peer's.
pub const FLAG_OLDER: u8 = 1;

/// First sight of a UNIX stream socket that is connected.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Unix {
    /// Common part.
    pub header: Header,
    /// When it was first seen.
    pub established: u64,
    /// Its inode number, 0 if no process has it.
    pub inode: u32,
    /// Its peer's, 0 if that is not accepted yet or closed.
    pub peer_inode: u32,
    /// Thread group that used it first.
    pub pid: u32,
    /// Inode of the network namespace.
    pub netns: u32,
    /// One of the `ROLE_` constants.
    pub role: u8,
    /// Explicit padding.
    pub reserved: [u8; 7],
    /// Own address.
    pub local: Name,
    /// Peer's address.
    pub remote: Name,
}

/// The address of a UNIX socket (unix(7)).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Name {
    /// Bytes of `sun_path` that belong to it, 0 if the socket was never bound.
    pub length: u32,
    /// Explicit padding.
    pub reserved: u32,
    /// `sun_path`, which has 108 bytes, in a power of two for the verifier. An abstract name begins
    /// with a zero; others end before one.
    pub bytes: [u8; 128],
}

/// `Header::flags` of [`Data`]: sent, not received. Of [`State`]: the last message was.
pub const FLAG_SENT: u8 = 1;
/// `Header::flags` of [`Data`]: the end of a sent range may not have been accepted yet; a
/// [`Sent`] follows when the call returns.
pub const FLAG_PENDING: u8 = 2;
/// `Header::flags` of [`Data`]: a message begins here.
pub const FLAG_FIRST: u8 = 4;
/// `Header::flags` of received [`Data`] and of [`State`]: bytes were sent before this of which
/// nothing had been told yet; their record may come after it. `sent` says how far they go.
pub const FLAG_OVERTAKES: u8 = 8;
/// `Header::flags` of [`Data`]: the rest of the read or write that the record before is about, of which
/// not more fits into one.
pub const FLAG_REST: u8 = 32;
/// `Header::flags` of [`Conn`]: its sends are told of when they are over, when the peer may have
/// answered already.
pub const FLAG_AFTER: u8 = 16;

/// Received bytes that a unit of work is about: a part of the request that it serves.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Work {
    /// Cookie of the accepted socket; 0: none is known.
    pub cookie: u64,
    /// Stream position of the first of the bytes.
    pub position: u64,
    /// How many they were.
    pub length: u32,
    /// How the unit of work came to it: a note of the kernel programs' own.
    pub how: u32,
}

/// Bytes that went through a socket. The captured ones follow and, where these are not all, the last
/// of the range: a message of unknown length may end in them.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Data {
    /// Common part.
    pub header: Header,
    /// Stream position of the first byte.
    pub position: u64,
    /// Bytes received, or announced for sending.
    pub length: u32,
    /// Bytes of the front that follow this structure.
    pub captured: u32,
    /// Thread group.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// At a read, microseconds since the connection's last packet (`tcp_sock.tcp_mstamp`). At a
    /// send that is told of when it is over, microseconds since its first byte went.
    pub waited: u32,
    /// Bytes of the end that follow those: at most [`TAIL`], 0 if all were captured.
    pub tail: u32,
    /// The messages so far, this one included, but for those that were left out.
    pub messages: Messages,
    /// Calls of this connection that were left out so far ([`crate::Load`]), without records.
    pub left_out: u32,
    /// With [`FLAG_OVERTAKES`], the end of the sent stream: the low 32 bits of its position.
    pub sent: u32,
    /// At a read from an accepted connection, these bytes, if the unit of work that read them is
    /// known. At a send of a client, what the unit of work that sends them is about.
    pub work: Work,
}

/// Most bytes of the end of a range that was not captured whole. A power of two, for the verifier;
/// a long result of PostgreSQL ends in some 40 bytes that say how many rows it had.
pub const TAIL: usize = 64;

/// A send returned: everything before `position` was accepted. The header's time is that of the
/// last packet, if that was after the announcement: the return itself may come after the peer has
/// read all of it.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sent {
    /// Common part.
    pub header: Header,
    /// End of what was accepted.
    pub position: u64,
}

/// `State::new` values, from the kernel's `enum` in `include/net/tcp_states.h` (a stable ABI:
/// also `/proc/net/tcp`).
pub mod tcp {
    /// None of the kernel's: the agent stops, and this is how far the connection has come.
    pub const UNCHANGED: u8 = 0;
    /// Open.
    pub const ESTABLISHED: u8 = 1;
    /// Connecting.
    pub const SYN_SENT: u8 = 2;
    /// Being accepted.
    pub const SYN_RECV: u8 = 3;
    /// This side closed first.
    pub const FIN_WAIT1: u8 = 4;
    /// This side closed first and the peer knows.
    pub const FIN_WAIT2: u8 = 5;
    /// Gone.
    pub const CLOSE: u8 = 7;
    /// The peer closed first.
    pub const CLOSE_WAIT: u8 = 8;
    /// Both closed, the peer first.
    pub const LAST_ACK: u8 = 9;
    /// Listening.
    pub const LISTEN: u8 = 10;
    /// Both closed at once.
    pub const CLOSING: u8 = 11;
}

/// A change of the TCP state (`inet_sock_set_state`).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    /// Common part.
    pub header: Header,
    /// End of the sent stream.
    pub sent: u64,
    /// End of the received stream, bytes not yet read included, FIN excluded.
    pub received: u64,
    /// `sk_err`, 0 if none.
    pub error: i32,
    /// Old state.
    pub old: u8,
    /// New state.
    pub new: u8,
    /// Explicit padding.
    pub reserved: u16,
    /// The messages so far, but for those that were left out.
    pub messages: Messages,
    /// As in [`Data`].
    pub left_out: u32,
    /// Explicit padding.
    pub reserved2: u32,
}

/// Bytes of a command line that are told. A power of two, for the verifier.
pub const ARGUMENTS_MAX: usize = 4 * 1024;
/// Bytes of an environment that are told; together with the arguments a power of two.
pub const ENVIRONMENT_MAX: usize = 4 * 1024;

/// A process at its first connection with the program that it runs now.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Process {
    /// Common part.
    pub header: Header,
    /// `CLOCK_BOOTTIME` at its start (`task_struct.start_boottime` of the thread group's leader).
    pub started: u64,
    /// Thread group.
    pub pid: u32,
    /// Length of the command line, the words separated by zeros.
    pub arguments: u32,
    /// Length of the environment that follows it.
    pub environment: u32,
    /// Explicit padding.
    pub reserved: u32,
    /// Name of the thread (`task_struct.comm`).
    pub comm: [u8; 16],
}

const _: () = {
    assert!(size_of::<Header>() == 24);
    assert!(size_of::<Conn>() == 88);
    assert!(size_of::<Work>() == 24);
    assert!(size_of::<Data>() == 96);
    assert!(size_of::<Sent>() == 32);
    assert!(size_of::<State>() == 64);
    assert!(size_of::<Process>() == 64);
    assert!(size_of::<Name>() == 136);
    assert!(size_of::<Unix>() == 328);
    assert!((ARGUMENTS_MAX + ENVIRONMENT_MAX).is_power_of_two());
};
