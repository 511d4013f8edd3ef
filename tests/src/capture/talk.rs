//! A TCP conversation under construction, packet by packet.

use std::net::SocketAddr;

use super::files::Frame;
use super::wire::{ACK, FIN, PSH, RST, SYN, Segment};

/// One end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It connects.
    Client = 0,
    /// It is connected to.
    Server = 1,
}
pub use End::{Client, Server};

impl End {
    /// The peer.
    pub fn other(self) -> Self {
        match self {
            Client => Server,
            Server => Client,
        }
    }
}

/// When conversations begin: a Unix time in nanoseconds.
pub const EPOCH: u64 = 1_790_000_000_000_000_000;
/// Between two packets.
pub const STEP: u64 = 1_000_000;

/// A conversation and what was said so far.
#[derive(Clone, Debug)]
pub struct Talk {
    /// Addresses of the client and the server.
    pub ends: [SocketAddr; 2],
    /// Initial sequence numbers.
    pub initial: [u32; 2],
    /// Stream positions: bytes that each end has sent.
    pub sent: [u64; 2],
    /// When the next packet is captured.
    pub time: u64,
    /// Packets with their times.
    pub packets: Vec<(u64, Segment)>,
}

impl Default for Talk {
    /// Between any two ends.
    fn default() -> Self {
        Self::between("10.0.0.9:40000", "10.0.0.1:80", [1000, 5_000_000])
    }
}

impl Talk {
    /// Between any two ends.
    pub fn new() -> Self {
        Self::default()
    }

    /// Between two addresses, with initial sequence numbers.
    pub fn between(client: &str, server: &str, initial: [u32; 2]) -> Self {
        let address = |text: &str| text.parse().expect("an address");
        Self {
            ends: [address(client), address(server)],
            initial,
            sent: [0, 0],
            time: EPOCH,
            packets: Vec::new(),
        }
    }

    /// A segment at a position of `from`'s stream, which acknowledges all that was sent to it.
    pub fn at(&self, from: End, position: u64, flags: u8, bytes: &[u8]) -> Segment {
        let (own, peer) = (from as usize, from.other() as usize);
        let number = |end: usize, position: u64| {
            self.initial[end].wrapping_add(1).wrapping_add(position as u32)
        };
        Segment {
            from: self.ends[own],
            to: self.ends[peer],
            sequence: number(own, position),
            acknowledged: number(peer, self.sent[peer]),
            flags,
            bytes: bytes.to_vec(),
        }
    }

    /// Takes in a packet.
    pub fn push(&mut self, segment: Segment) {
        self.packets.push((self.time, segment));
        self.time += STEP;
    }

    /// The handshake.
    pub fn open(mut self) -> Self {
        let mut syn = self.at(Client, 0, SYN, b"");
        syn.sequence = self.initial[0];
        syn.acknowledged = 0;
        self.push(syn);
        let mut answer = self.at(Server, 0, SYN | ACK, b"");
        answer.sequence = self.initial[1];
        self.push(answer);
        self.ack(Client)
    }

    /// Bytes in one segment.
    pub fn say(mut self, from: End, bytes: impl AsRef<[u8]>) -> Self {
        let segment = self.at(from, self.sent[from as usize], PSH | ACK, bytes.as_ref());
        self.sent[from as usize] += bytes.as_ref().len() as u64;
        self.push(segment);
        self
    }

    /// Bytes that are sent, but not captured.
    pub fn unseen(mut self, from: End, bytes: impl AsRef<[u8]>) -> Self {
        self.sent[from as usize] += bytes.as_ref().len() as u64;
        self
    }

    /// A segment without payload.
    pub fn ack(mut self, from: End) -> Self {
        let segment = self.at(from, self.sent[from as usize], ACK, b"");
        self.push(segment);
        self
    }

    /// An end of one direction.
    pub fn fin(mut self, from: End) -> Self {
        let segment = self.at(from, self.sent[from as usize], FIN | ACK, b"");
        self.sent[from as usize] += 1;
        self.push(segment);
        self
    }

    /// An end of both.
    pub fn reset(mut self, from: End) -> Self {
        let segment = self.at(from, self.sent[from as usize], RST | ACK, b"");
        self.push(segment);
        self
    }

    /// Both ends say that they are done, the client first.
    pub fn close(self) -> Self {
        self.fin(Client).fin(Server).ack(Client)
    }

    /// A call with an answer of `status` and a body of `size` bytes.
    pub fn call(self, path: &str, status: u16, size: usize) -> Self {
        self.say(Client, get(path)).say(Server, answer(status, size))
    }

    /// Time goes by.
    pub fn wait(mut self, nanoseconds: u64) -> Self {
        self.time += nanoseconds;
        self
    }

    /// Ethernet frames of the packets.
    pub fn frames(&self) -> Vec<Frame> {
        self.packets.iter().map(|(time, s)| Frame::new(*time, s.ethernet())).collect()
    }
}

/// A request.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes()
}

/// A response.
pub fn answer(status: u16, size: usize) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n\r\n").into_bytes();
    bytes.resize(bytes.len() + size, b'x');
    bytes
}
