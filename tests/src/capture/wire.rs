//! Packets, byte by byte: written apart from the code that reads them.

use std::net::{IpAddr, SocketAddr};

/// The sender is done.
pub const FIN: u8 = 0x01;
/// The connection begins.
pub const SYN: u8 = 0x02;
/// The connection is gone.
pub const RST: u8 = 0x04;
/// The bytes are to be handed on.
pub const PSH: u8 = 0x08;
/// `acknowledged` means something.
pub const ACK: u8 = 0x10;

const TCP: u8 = 6;

/// A TCP segment between two addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// Number of the first byte.
    pub sequence: u32,
    /// Number of the byte that is expected.
    pub acknowledged: u32,
    /// [`SYN`] and others.
    pub flags: u8,
    /// Payload.
    pub bytes: Vec<u8>,
}

impl Segment {
    /// Header with two options (no operation, to the next word) and payload.
    pub fn tcp(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.from.port().to_be_bytes());
        out.extend(self.to.port().to_be_bytes());
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.acknowledged.to_be_bytes());
        out.extend([6 << 4, self.flags]);
        out.extend(1024u16.to_be_bytes());
        // Checksum (as wrong as in a capture of what a card would fill in) and urgent pointer.
        out.extend([0xde, 0xad, 0, 0]);
        out.extend([1, 1, 1, 1]);
        out.extend(&self.bytes);
        out
    }

    /// The IP packet.
    pub fn ip(&self) -> Vec<u8> {
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                ipv4(from.octets(), to.octets(), 0, 0x4000, TCP, &self.tcp())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                ipv6(from.octets(), to.octets(), TCP, &self.tcp())
            }
            _ => panic!("both ends have addresses of one family"),
        }
    }

    /// The Ethernet frame.
    pub fn ethernet(&self) -> Vec<u8> {
        ethernet(&[], &self.ip())
    }

    /// The frames of its IPv4 packet in fragments of at most `size` bytes (a multiple of 8).
    pub fn fragments_v4(&self, id: u16, size: usize) -> Vec<Vec<u8>> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (self.from.ip(), self.to.ip()) else {
            panic!("IPv4 only")
        };
        let tcp = self.tcp();
        let last = (tcp.len() - 1) / size;
        tcp.chunks(size)
            .enumerate()
            .map(|(n, part)| {
                let more = if n < last { 0x2000 } else { 0 };
                let offset = (n * size / 8) as u16;
                ethernet(&[], &ipv4(from.octets(), to.octets(), id, more | offset, TCP, part))
            })
            .collect()
    }

    /// The same for IPv6, with a fragment header.
    pub fn fragments_v6(&self, id: u32, size: usize) -> Vec<Vec<u8>> {
        let (IpAddr::V6(from), IpAddr::V6(to)) = (self.from.ip(), self.to.ip()) else {
            panic!("IPv6 only")
        };
        let tcp = self.tcp();
        let last = (tcp.len() - 1) / size;
        tcp.chunks(size)
            .enumerate()
            .map(|(n, part)| {
                let mut payload = vec![TCP, 0];
                let offset = (n * size) as u16 | u16::from(n < last);
                payload.extend(offset.to_be_bytes());
                payload.extend(id.to_be_bytes());
                payload.extend(part);
                ethernet(&[], &ipv6(from.octets(), to.octets(), 44, &payload))
            })
            .collect()
    }
}

/// An IPv4 packet; `fragment` holds the flags, too.
pub fn ipv4(
    from: [u8; 4],
    to: [u8; 4],
    id: u16,
    fragment: u16,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut out = vec![0x45, 0];
    out.extend((20 + payload.len() as u16).to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend(fragment.to_be_bytes());
    out.extend([64, protocol, 0, 0]);
    out.extend(from);
    out.extend(to);
    out.extend(payload);
    out
}

/// An IPv6 packet without extension headers.
pub fn ipv6(from: [u8; 16], to: [u8; 16], next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend([next, 64]);
    out.extend(from);
    out.extend(to);
    out.extend(payload);
    out
}

/// A frame with VLAN tags (their types, outermost first), padded as short frames are.
pub fn ethernet(tags: &[u16], ip: &[u8]) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (n, tag) in tags.iter().enumerate() {
        out.extend(tag.to_be_bytes());
        out.extend((100 + n as u16).to_be_bytes());
    }
    out.extend(ether_type(ip).to_be_bytes());
    out.extend(ip);
    out.resize(out.len().max(60), 0);
    out
}

/// Linux cooked capture, version 1.
pub fn cooked(ip: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    out.extend(ether_type(ip).to_be_bytes());
    out.extend(ip);
    out
}

/// Linux cooked capture, version 2.
pub fn cooked2(ip: &[u8]) -> Vec<u8> {
    let mut out = ether_type(ip).to_be_bytes().to_vec();
    out.extend([0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    out.extend(ip);
    out
}

/// BSD loopback: the address family in the capturing machine's byte order.
pub fn null(ip: &[u8], big_endian: bool) -> Vec<u8> {
    let family: u32 = if ip[0] >> 4 == 4 { 2 } else { 30 };
    let mut out = if big_endian { family.to_be_bytes() } else { family.to_le_bytes() }.to_vec();
    out.extend(ip);
    out
}

fn ether_type(ip: &[u8]) -> u16 {
    if ip[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}
