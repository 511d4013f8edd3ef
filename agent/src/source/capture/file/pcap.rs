//! pcap files: one header, one link layer, packets with a time in micro- or nanoseconds
//! (draft-ietf-opsawg-pcap).

use std::io::Read;

use pcap_parser::pcap::{PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

use super::{Damage, Fault, MAX_PACKET, OpenError, Packet, Source, number};
use crate::source::Time;

const HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

/// The header of a file.
pub(super) struct Pcap {
    big_endian: bool,
    /// Nanoseconds in a unit of a packet's fraction of a second.
    unit: u64,
    link: u16,
}

impl Pcap {
    /// Reads the header, of which `block` holds the magic number.
    pub(super) fn open<R: Read>(
        source: &mut Source<R>,
        block: &mut Vec<u8>,
    ) -> Result<Self, OpenError> {
        source.read(block, HEADER - block.len())?;
        let header: PcapHeader = match parse_pcap_header(block) {
            // The "modified" format of one Linux distribution of 1999 has other packet headers.
            Ok((_, header)) if !header.is_modified_format() => header,
            Err(pcap_parser::nom::Err::Incomplete(_)) if is_pcap(block) => {
                return Err(OpenError::Header("pcap"));
            }
            _ => return Err(OpenError::Unknown),
        };
        if header.version_major != 2 {
            return Err(OpenError::Header("pcap"));
        }
        Ok(Self {
            big_endian: header.is_bigendian(),
            unit: if header.is_nanosecond_precision() { 1 } else { 1000 },
            // The upper half says how long the frame check sequences are.
            link: header.network.0 as u16,
        })
    }

    pub(super) fn packet<'a, R: Read>(
        &self,
        source: &mut Source<R>,
        block: &'a mut Vec<u8>,
    ) -> Result<Option<Packet<'a>>, Damage> {
        let at = source.at;
        let damage = |what| Damage { at, what };
        block.clear();
        match source.read(block, PACKET_HEADER).map_err(|error| damage(error.into()))? {
            PACKET_HEADER => {}
            0 => return Ok(None),
            _ => return Err(damage(Fault::CutOff)),
        }
        let length = number(block, 8, self.big_endian);
        if length as usize > MAX_PACKET {
            return Err(damage(Fault::Length(length)));
        }
        let got = source.read(block, length as usize).map_err(|error| damage(error.into()))?;
        let parse = if self.big_endian { parse_pcap_frame_be } else { parse_pcap_frame };
        let Ok((_, frame)) = parse(block) else {
            debug_assert!(got < length as usize);
            return Err(damage(Fault::CutOff));
        };
        let seconds = u64::from(frame.ts_sec) * 1_000_000_000;
        Ok(Some(Packet {
            time: Time(seconds + u64::from(frame.ts_usec) * self.unit),
            link: self.link,
            bytes: frame.data,
            length: frame.data.len().max(frame.origlen as usize),
        }))
    }
}

fn is_pcap(magic: &[u8]) -> bool {
    const MAGICS: [u32; 2] = [0xa1b2_c3d4, 0xa1b2_3c4d];
    magic.len() >= 4 && [false, true].into_iter().any(|big| MAGICS.contains(&number(magic, 0, big)))
}
