//! From a packet to its TCP segment: link layer, VLAN tags, IP and TCP headers.
//!
//! Headers are parsed by etherparse, leniently: a packet that was captured in part (`tcpdump -s`)
//! still says how long it was.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpNumber, Ipv6ExtensionSlice, LaxIpSlice, LaxNetSlice, LaxSlicedPacket, TcpSlice,
    ether_type, ip_number,
};

use super::file::Packet;
use super::fragments::{Datagram, Fragment};

/// Link layers that are read (<https://www.tcpdump.org/linktypes.html>).
mod link {
    pub(super) const NULL: u16 = 0;
    pub(super) const ETHERNET: u16 = 1;
    pub(super) const LOOP: u16 = 108;
    pub(super) const LINUX_SLL: u16 = 113;
    pub(super) const IPV4: u16 = 228;
    pub(super) const IPV6: u16 = 229;
    pub(super) const LINUX_SLL2: u16 = 276;
    /// Raw IP: the registered number, and what the systems of the BSDs write.
    pub(super) const RAW: [u16; 3] = [101, 12, 14];
}

/// One TCP segment as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// Sequence number of the first byte, or of the SYN.
    pub(super) sequence: u32,
    /// The next byte that its sender expects, if it says.
    pub(super) acknowledged: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) reset: bool,
    /// Payload bytes on the wire.
    pub(super) length: u32,
    /// The first of them, as many as were captured.
    pub(super) bytes: &'a [u8],
}

/// What a packet is to us.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// A whole segment.
    Segment(Segment<'a>),
    /// A part of a datagram that may hold one.
    Fragment(Fragment<'a>),
    /// Something else than TCP.
    Other,
    /// It cannot be read: an unknown link layer, damaged or cut headers.
    Unreadable,
}

/// What matters of an IP packet.
struct Ip<'a> {
    from: IpAddr,
    to: IpAddr,
    protocol: IpNumber,
    payload: &'a [u8],
    /// Bytes of the payload that were on the wire but not captured.
    missing: usize,
    fragmented: bool,
}

/// Reads a packet.
pub(super) fn content<'a>(packet: &Packet<'a>) -> Content<'a> {
    let Some(Network { net, stopped }) = network(packet) else { return Content::Unreadable };
    let Some(ip) = ip(net.as_ref(), packet.length - packet.bytes.len()) else {
        return if stopped { Content::Unreadable } else { Content::Other };
    };
    let content = if ip.protocol != ip_number::TCP {
        // What stands before TCP may be cut, so that nobody knows.
        (!stopped || !is_extension(ip.protocol)).then_some(Content::Other)
    } else if ip.fragmented {
        fragment(net.as_ref(), &ip).map(Content::Fragment)
    } else {
        segment(ip.from, ip.to, ip.payload, ip.missing).map(Content::Segment)
    };
    content.unwrap_or(Content::Unreadable)
}

/// Reads the IP header of a packet of which `truncated` bytes were not captured.
fn ip<'a>(net: Option<&LaxNetSlice<'a>>, truncated: usize) -> Option<Ip<'a>> {
    let (from, to, payload, declared, extensions): (IpAddr, IpAddr, _, _, _) = match net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let declared = usize::from(header.total_len()).checked_sub(header.slice().len());
            let extensions = ip.extensions().auth.map_or(0, |auth| auth.slice().len());
            let (from, to) = (header.source_addr().into(), header.destination_addr().into());
            (from, to, ip.payload(), declared, extensions)
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            // 0: a jumbogram (RFC 2675), as is a segment that is yet to be cut by the card.
            let declared = Some(usize::from(header.payload_length())).filter(|length| *length > 0);
            let extensions = ip.extensions().slice().len();
            let (from, to) = (header.source_addr().into(), header.destination_addr().into());
            (from, to, ip.payload(), declared, extensions)
        }
        Some(LaxNetSlice::Arp(_)) | None => return None,
    };
    let captured = payload.payload.len() + extensions;
    Some(Ip {
        from,
        to,
        protocol: payload.ip_number,
        payload: payload.payload,
        missing: match declared {
            Some(declared) => declared.saturating_sub(captured),
            // Longer than the header can say.
            None => truncated,
        },
        fragmented: payload.fragmented,
    })
}

/// Reads the segment that is the payload of an IP packet, of which `missing` bytes at the end were
/// not captured.
pub(super) fn segment(
    from: IpAddr,
    to: IpAddr,
    payload: &[u8],
    missing: usize,
) -> Option<Segment<'_>> {
    let cut;
    let (tcp, header) = match TcpSlice::from_slice(payload) {
        Ok(tcp) => (tcp, usize::from(payload[12] >> 4) * 4),
        Err(_) => {
            // The options may be cut: all that matters lies before them.
            let header = usize::from(payload.get(12)? >> 4) * 4;
            if header < MIN_TCP || header > payload.len() + missing {
                return None;
            }
            let mut bytes: [u8; MIN_TCP] = payload.get(..MIN_TCP)?.try_into().ok()?;
            bytes[12] = (MIN_TCP as u8 / 4) << 4;
            cut = bytes;
            (TcpSlice::from_slice(&cut).ok()?, header)
        }
    };
    let bytes = payload.get(header..).unwrap_or_default();
    let length = (payload.len() + missing).saturating_sub(header);
    Some(Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        acknowledged: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        reset: tcp.rst(),
        // A segment is smaller than a window, which is smaller than 2^30 (RFC 7323 2.3).
        length: u32::try_from(length).ok().filter(|length| *length < 1 << 30)?,
        bytes,
    })
}

/// A TCP header without options.
const MIN_TCP: usize = 20;

/// Finds the IP packet.
fn network<'a>(packet: &Packet<'a>) -> Option<Network<'a>> {
    let bytes = packet.bytes;
    let by_type = |at: usize, header: usize| {
        let kind = EtherType(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let bytes = bytes.get(header..)?;
        Some(match kind {
            ether_type::IPV4 | ether_type::IPV6 => Network::of_ip(bytes),
            // Behind VLAN tags, or none of ours.
            _ => Network::of_any(LaxSlicedPacket::from_ether_type(kind, bytes)),
        })
    };
    match packet.link {
        link::ETHERNET => by_type(12, 14),
        link::LINUX_SLL => by_type(14, 16),
        link::LINUX_SLL2 => by_type(0, 20),
        // The address family, in numbers of the system and the byte order of the machine that
        // captured it; IP says itself which version it is.
        link::NULL | link::LOOP => Some(Network::of_ip(bytes.get(4..)?)),
        link::IPV4 | link::IPV6 => Some(Network::of_ip(bytes)),
        raw if link::RAW.contains(&raw) => Some(Network::of_ip(bytes)),
        _ => None,
    }
}

/// What a packet carries above its link layer.
struct Network<'a> {
    net: Option<LaxNetSlice<'a>>,
    /// It does not go on to where the next layer begins.
    stopped: bool,
}

impl<'a> Network<'a> {
    fn of_ip(bytes: &'a [u8]) -> Self {
        match LaxIpSlice::from_slice(bytes) {
            Ok((ip, stop)) => Self { net: Some(ip.into()), stopped: stop.is_some() },
            Err(_) => Self { net: None, stopped: true },
        }
    }

    fn of_any(sliced: LaxSlicedPacket<'a>) -> Self {
        Self { stopped: sliced.stop_err.is_some(), net: sliced.net }
    }
}

/// True for what stands before TCP in an IP packet.
fn is_extension(number: IpNumber) -> bool {
    use ip_number::{AUTH, IPV6_DEST_OPTIONS, IPV6_FRAG, IPV6_HOP_BY_HOP, IPV6_ROUTE};
    [AUTH, IPV6_DEST_OPTIONS, IPV6_FRAG, IPV6_HOP_BY_HOP, IPV6_ROUTE].contains(&number)
}

/// The part of a datagram that a packet is; none if it was not captured whole.
fn fragment<'a>(net: Option<&LaxNetSlice<'a>>, ip: &Ip<'a>) -> Option<Fragment<'a>> {
    if ip.missing > 0 {
        return None;
    }
    let (id, offset, more) = match net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            (u32::from(header.identification()), header.fragments_offset(), header.more_fragments())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header =
                ip.extensions().clone().into_iter().find_map(|extension| match extension {
                    Ipv6ExtensionSlice::Fragment(fragment) => Some(fragment),
                    _ => None,
                })?;
            (header.identification(), header.fragment_offset(), header.more_fragments())
        }
        _ => return None,
    };
    Some(Fragment {
        datagram: Datagram { from: ip.from, to: ip.to, id },
        offset,
        more,
        bytes: ip.payload,
    })
}
