//! pcapng files: sections of blocks, each section with interfaces of its own
//! (draft-ietf-opsawg-pcapng).
//!
//! Blocks say how long they are, so one that does not parse costs that block alone.

use std::io::Read;

use pcap_parser::pcapng::{
    EPB_MAGIC, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, SPB_MAGIC,
    parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_simplepacketblock_be, parse_simplepacketblock_le,
};
use pcap_parser::traits::PcapNGPacketBlock as _;

use super::{Damage, Fault, MAX_PACKET, OpenError, Packet, Source, UNKNOWN_LINK, number};
use crate::source::Time;

/// Type of a section header block, the same in either byte order.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The header of a block: its type and length.
const BLOCK_HEADER: usize = 8;
/// What comes before the bytes of a packet in its block.
const ENHANCED_HEADER: usize = 28;
const SIMPLE_HEADER: usize = 12;
/// The shortest block: header, and the length once more.
const MIN_BLOCK: u32 = 12;
/// The shortest section header: byte order, version and length of the section.
const MIN_SECTION: u32 = 28;
/// Longest block that is looked at; others that are longer are passed over.
const MAX_BLOCK: usize = MAX_PACKET + 64 * 1024;
/// Most interfaces of one section: one for each container of a large host. Packets of further
/// ones are not read.
const MAX_INTERFACES: usize = 4096;

/// The section that is being read.
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Time of the last packet that had one.
    time: Time,
}

/// What is needed of an interface description.
struct Interface {
    link: u16,
    /// Longest part of a packet that was captured; 0: no limit.
    snaplen: u32,
    /// `if_tsresol`: negative power of 10, or of 2 if the highest bit is set.
    resolution: u8,
    /// `if_tsoffset`: seconds to be added to all times.
    offset: i64,
}

impl Pcapng {
    /// Reads the first section's header, of which `block` holds the type.
    pub(super) fn open<R: Read>(
        source: &mut Source<R>,
        block: &mut Vec<u8>,
    ) -> Result<Self, OpenError> {
        let mut pcapng = Self { big_endian: false, interfaces: Vec::new(), time: Time::default() };
        source.read(block, BLOCK_HEADER - block.len())?;
        match pcapng.section(source, block) {
            Ok(()) => Ok(pcapng),
            Err(Fault::Io(error)) => Err(OpenError::Io(error)),
            Err(_) => Err(OpenError::Header("pcapng")),
        }
    }

    pub(super) fn packet<'a, R: Read>(
        &mut self,
        source: &mut Source<R>,
        block: &'a mut Vec<u8>,
    ) -> Result<Option<Packet<'a>>, Damage> {
        loop {
            let at = source.at;
            match self.block(source, block) {
                Ok(Found::End) => return Ok(None),
                Ok(Found::Other) => {}
                Ok(Found::Packet(packet)) => {
                    // Made of `block` here, because a borrow that is returned from inside a loop
                    // would last for all of it.
                    let Place { time, link, start, end, length } = packet;
                    return Ok(Some(Packet { time, link, bytes: &block[start..end], length }));
                }
                Err(what) => return Err(Damage { at, what }),
            }
        }
    }

    /// Reads one block.
    fn block<R: Read>(
        &mut self,
        source: &mut Source<R>,
        block: &mut Vec<u8>,
    ) -> Result<Found, Fault> {
        block.clear();
        match source.read(block, BLOCK_HEADER)? {
            BLOCK_HEADER => {}
            0 => return Ok(Found::End),
            _ => return Err(Fault::CutOff),
        }
        if block[..4] == MAGIC {
            self.section(source, block)?;
            return Ok(Found::Other);
        }
        let kind = number(block, 0, self.big_endian);
        let length = number(block, 4, self.big_endian);
        if length < MIN_BLOCK || !length.is_multiple_of(4) {
            return Err(Fault::Length(length));
        }
        let rest = length as usize - BLOCK_HEADER;
        if !matches!(kind, IDB_MAGIC | EPB_MAGIC | SPB_MAGIC) || rest > MAX_BLOCK {
            return if source.skip(rest as u64)? { Ok(Found::Other) } else { Err(Fault::CutOff) };
        }
        if source.read(block, rest)? < rest {
            return Err(Fault::CutOff);
        }
        Ok(match kind {
            IDB_MAGIC => {
                self.interface(block);
                Found::Other
            }
            EPB_MAGIC => Found::Packet(self.enhanced(block).unwrap_or(self.unreadable())),
            _ => Found::Packet(self.simple(block).unwrap_or(self.unreadable())),
        })
    }

    /// Reads a section header, of which `block` holds type and length.
    fn section<R: Read>(
        &mut self,
        source: &mut Source<R>,
        block: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        // Byte order and version.
        if source.read(block, 8)? < 8 {
            return Err(Fault::CutOff);
        }
        self.big_endian = match block[8..12] {
            [0x1a, 0x2b, 0x3c, 0x4d] => true,
            [0x4d, 0x3c, 0x2b, 0x1a] => false,
            _ => return Err(Fault::Section),
        };
        let major = if self.big_endian { [0, 1] } else { [1, 0] };
        if block[12..14] != major {
            return Err(Fault::Section);
        }
        let length = number(block, 4, self.big_endian);
        if length < MIN_SECTION || !length.is_multiple_of(4) {
            return Err(Fault::Length(length));
        }
        self.interfaces.clear();
        if !source.skip(u64::from(length) - block.len() as u64)? {
            return Err(Fault::CutOff);
        }
        Ok(())
    }

    /// Takes in an interface. One that does not parse keeps its number: its packets are not read.
    fn interface(&mut self, block: &[u8]) {
        if self.interfaces.len() >= MAX_INTERFACES {
            return;
        }
        let parse = if self.big_endian {
            parse_interfacedescriptionblock_be
        } else {
            parse_interfacedescriptionblock_le
        };
        self.interfaces.push(match parse(block) {
            Ok((
                _,
                InterfaceDescriptionBlock { linktype, snaplen, if_tsresol, if_tsoffset, .. },
            )) => {
                Interface {
                    link: linktype.0 as u16,
                    snaplen,
                    resolution: if_tsresol,
                    // The parser reads this option as little-endian in any section.
                    offset: if self.big_endian { if_tsoffset.swap_bytes() } else { if_tsoffset },
                }
            }
            Err(_) => Interface { link: UNKNOWN_LINK, snaplen: 0, resolution: 6, offset: 0 },
        });
    }

    fn enhanced(&mut self, block: &[u8]) -> Option<Place> {
        let parse = if self.big_endian {
            parse_enhancedpacketblock_be
        } else {
            parse_enhancedpacketblock_le
        };
        let (_, packet): (_, EnhancedPacketBlock<'_>) = parse(block).ok()?;
        let interface = self.interfaces.get(packet.if_id as usize)?;
        let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
        self.time = interface.time(units);
        let (captured, on_wire) = (packet.packet_data().len(), packet.origlen);
        Some(Place::of(ENHANCED_HEADER, captured, on_wire, self.time, interface.link))
    }

    /// A packet of the first interface, without a time.
    fn simple(&mut self, block: &[u8]) -> Option<Place> {
        let parse =
            if self.big_endian { parse_simplepacketblock_be } else { parse_simplepacketblock_le };
        let (_, packet) = parse(block).ok()?;
        let interface = self.interfaces.first()?;
        let mut captured = packet.packet_data().len();
        if interface.snaplen > 0 {
            captured = captured.min(interface.snaplen as usize);
        }
        Some(Place::of(SIMPLE_HEADER, captured, packet.origlen, self.time, interface.link))
    }

    /// A packet of which nothing is known: of an interface that is not, or in a damaged block.
    fn unreadable(&self) -> Place {
        Place::of(0, 0, 0, self.time, UNKNOWN_LINK)
    }
}

impl Interface {
    /// Nanoseconds of Unix time; what does not fit is the first or the last that does.
    fn time(&self, units: u64) -> Time {
        let power = u32::from(self.resolution & 0x7f);
        let nanoseconds = match (self.resolution >= 0x80, power) {
            // At most 2^64 * 10^9 < 2^94, shifted by at most 127.
            (true, power) => (u128::from(units) * 1_000_000_000) >> power,
            (false, power @ 0..=9) => u128::from(units) * 10u128.pow(9 - power),
            (false, power) => u128::from(units) / 10u128.saturating_pow(power - 9),
        };
        let offset = i128::from(self.offset) * 1_000_000_000;
        let time = i128::try_from(nanoseconds).unwrap_or(i128::MAX).saturating_add(offset);
        Time(time.clamp(0, i128::from(u64::MAX)) as u64)
    }
}

/// What a block was.
enum Found {
    Packet(Place),
    Other,
    End,
}

/// Where a packet lies in its block.
struct Place {
    time: Time,
    link: u16,
    start: usize,
    end: usize,
    length: usize,
}

impl Place {
    fn of(start: usize, captured: usize, on_wire: u32, time: Time, link: u16) -> Self {
        let (end, length) = (start + captured, captured.max(on_wire as usize));
        Self { time, link, start, end, length }
    }
}
