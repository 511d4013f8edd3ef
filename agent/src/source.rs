//! Where socket events come from.
//!
//! The live kernel and a capture file yield the same [`Event`]s; nothing after this module knows
//! which of the two it was.

mod address;
pub mod capture;
pub mod live;
pub mod recording;

use std::borrow::Cow;

pub use address::{Address, Pair};

/// Identity of one socket for as long as the host is up: the socket cookie when live
/// (`bpf_get_socket_cookie`), a number of its own in a replay. The two ends of a connection on
/// one host are two sockets with two ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Nanoseconds of the one clock of all events: `CLOCK_BOOTTIME` when live, Unix time in a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

/// Which way bytes went, seen from the socket's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The process read them.
    Received,
    /// The process wrote them.
    Sent,
}

impl Direction {
    /// The other way.
    pub fn reverse(self) -> Self {
        match self {
            Direction::Received => Direction::Sent,
            Direction::Sent => Direction::Received,
        }
    }
}

/// Which end of the connection the socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It connected.
    Client,
    /// It was accepted.
    Server,
}

/// The thread that made a system call, in the ids of the initial pid namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Thread {
    /// Thread group id: what people call the process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
}

/// A connection as it is first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The socket.
    pub id: ConnectionId,
    /// When it was established, or first seen if that was before the agent started.
    pub time: Time,
    /// Its own address.
    pub local: Address,
    /// The peer's address as the socket knows it.
    pub remote: Address,
    /// Which end it is, if the kernel saw it being made or a listening socket tells.
    pub role: Option<Role>,
    /// True if the connection is older than the agent.
    pub midlife: bool,
    /// The process that used it first.
    pub pid: u32,
    /// Inode of the network namespace (`ns.inum`).
    pub netns: u32,
    /// What names it at both ends; none if that is not known for certain.
    pub pair: Option<Pair>,
    /// True if its sends may be told of after the peer answered to them.
    pub after: bool,
}

/// What a process runs, as it was at its first connection. The texts are the process's own and may
/// hold secrets: only names are taken from them.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// Thread group id.
    pub pid: u32,
    /// When it was started.
    pub started: Time,
    /// Name of the thread, at most 15 bytes.
    pub comm: Cow<'a, str>,
    /// Its command line, the words separated by zeros; perhaps cut.
    pub arguments: &'a [u8],
    /// Its environment, the variables separated by zeros; perhaps cut.
    pub environment: &'a [u8],
    /// Its runtime will say what each of its units of work is about, from now on.
    pub contexts: bool,
}

/// Bytes that went through a socket.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The socket.
    pub id: ConnectionId,
    /// When the hook ran.
    pub time: Time,
    /// Which way.
    pub direction: Direction,
    /// Offset of the first byte in its direction's stream; the stream starts at 0.
    pub position: u64,
    /// How many bytes were received, or announced for sending.
    pub length: u64,
    /// The first of these bytes, as many as were captured (`bytes.len() <= length`).
    pub bytes: &'a [u8],
    /// The last of these bytes, a few, where not all were captured and it is known.
    pub tail: &'a [u8],
    /// True if the last of `length` bytes may not have been accepted yet: an [`Event::Sent`]
    /// follows that says how far it came.
    pub pending: bool,
    /// The bytes before these went in the same read or write: if that is pending, nothing was accepted
    /// in between.
    pub rest: bool,
    /// Who read or wrote.
    pub thread: Thread,
    /// At a read, nanoseconds between the connection's last packet and this: how long received
    /// bytes waited in the socket, at least; 0 if unknown. At a send that is told of when it is
    /// over, nanoseconds between its first byte and `time`.
    pub waited: u64,
    /// At a read from an accepted connection, these bytes, if the unit of work that read them is
    /// known. At a send of a client, what the unit of work that sent them is about, if that is.
    pub work: Option<Work>,
    /// How many records of any connection were lost in the kernel before this one was made, wrapping:
    /// between two of a thread with the same number none of its own is missing.
    pub losses: u16,
}

/// Received bytes that a unit of work of a process is about: a part of the request that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The accepted socket.
    pub id: ConnectionId,
    /// Offset of the first of the bytes in the received stream.
    pub position: u64,
    /// How many they were.
    pub length: u64,
}

/// How a direction or a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer will send nothing after this position of the received stream.
    PeerFinished(u64),
    /// The process will send nothing after this position of the sent stream.
    Finished(u64),
    /// The socket is gone; the positions are the last of what was received (read or not) and sent.
    Closed {
        /// It ended by a reset, a timeout of the transport or another socket error (errno).
        error: Option<i32>,
        /// End of the received stream, unread bytes included.
        received: u64,
        /// End of the sent stream.
        sent: u64,
    },
    /// Nobody knows: the capture ended, or has nothing more of the connection.
    Unseen,
}

impl Data<'_> {
    /// When the first of these bytes went through.
    pub fn began(&self) -> Time {
        match self.direction {
            Direction::Sent => Time(self.time.0.saturating_sub(self.waited)),
            Direction::Received => self.time,
        }
    }
}

/// What happened on a socket. Events of one socket come in the order in which the kernel saw them.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A process has its first connection, or another program than at its last one.
    Program(Program<'a>),
    /// A connection is seen for the first time; comes before its other events.
    Opened(Opened),
    /// Bytes went through.
    Data(Data<'a>),
    /// Everything before `position` of the sent stream was accepted by the kernel.
    Sent {
        /// The socket.
        id: ConnectionId,
        /// When the send returned.
        time: Time,
        /// End of what was accepted.
        position: u64,
    },
    /// A direction or the connection ended.
    Ended {
        /// The socket.
        id: ConnectionId,
        /// When.
        time: Time,
        /// How.
        end: End,
    },
    /// So many calls of this socket were left out by the kernel under load, before its next event.
    LeftOut {
        /// The socket.
        id: ConnectionId,
        /// How many.
        calls: u32,
    },
    /// Events of this socket were lost before this point.
    Lost(Lost),
}

/// Events of a socket that are missing (a full ring). Positions in the streams are still right:
/// the next ones tell how many bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The socket.
    pub id: ConnectionId,
    /// How many kernel records. None if nothing was lost, but messages went by that the source was
    /// asked not to tell of.
    pub records: u32,
    /// How many received messages began meanwhile. All that one side says before the other
    /// speaks is one message.
    pub received: u32,
    /// How many sent messages began meanwhile.
    pub sent: u32,
    /// Whose message the last of them is, if that is known: what comes next in this direction goes
    /// on with it.
    pub last: Option<Direction>,
}
