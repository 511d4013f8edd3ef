//! Capture files: pcap and pcapng become [`Packet`]s.
//!
//! A file is read front to back through one buffer that holds one packet. Nothing in it is
//! believed before it is there: a length allocates only as bytes arrive, and has a limit.

mod pcap;
mod pcapng;

use std::io::{self, BufRead, BufReader, Read};

use crate::source::Time;

/// Longest packet that is read, in bytes. libpcap's own limit is 256 KiB; segments that a network
/// card is yet to cut can be 512 KiB.
const MAX_PACKET: usize = 1 << 20;

/// The link layer of packets that cannot be read; nothing is registered under this number.
const UNKNOWN_LINK: u16 = u16::MAX;

/// Read at a time.
const BUFFER: usize = 256 * 1024;

/// One packet as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it was captured, in nanoseconds of Unix time. Files that do not say repeat the time
    /// before, at first 0.
    pub time: Time,
    /// What its first header is: a LINKTYPE of <https://www.tcpdump.org/linktypes.html>.
    pub link: u16,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// How long it was on the wire; not less than what was captured.
    pub length: usize,
}

/// Why a file is no capture.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// There is nothing in it.
    #[error("the file is empty; expected a recording, or a pcap or pcapng capture")]
    Empty,
    /// It begins like neither format.
    #[error("not a recording of tracebee, nor a pcap or pcapng capture")]
    Unknown,
    /// It begins like a compressed file.
    #[error("the file is compressed; decompress it first")]
    Compressed,
    /// Its header is cut off or makes no sense.
    #[error("the header of the {0} capture is damaged")]
    Header(&'static str),
    /// It is a recording in a format that was made by another version.
    #[error(
        "the recording has format {found}, this version reads {known}; use the tracebee that recorded it"
    )]
    Version {
        /// The format of the file.
        found: u16,
        /// The format that is read here.
        known: u16,
    },
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
#[error("damaged at byte {at}: {what}")]
pub struct Damage {
    /// Offset of the packet or block that cannot be read.
    pub at: u64,
    /// What is wrong there.
    pub what: Fault,
}

/// What is wrong with a packet or block.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file ends inside it.
    #[error("the file ends in the middle of a packet, block or record")]
    CutOff,
    /// Its length cannot be true.
    #[error("a length of {0} bytes makes no sense")]
    Length(u32),
    /// Its checksum is another than that of its bytes.
    #[error("its checksum is wrong")]
    Checksum,
    /// A section of a version or byte order that nobody defined.
    #[error("unknown byte order or version")]
    Section,
    /// Reading failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

enum Format {
    Pcap(pcap::Pcap),
    Pcapng(pcapng::Pcapng),
}

/// A capture file that is read once, front to back.
pub struct File<R> {
    source: Source<R>,
    format: Format,
    /// The packet or block that is looked at.
    block: Vec<u8>,
}

impl<R: Read> File<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If the file cannot be read or is no capture.
    pub fn open(reader: R) -> Result<Self, OpenError> {
        let mut source = Source { reader: BufReader::with_capacity(BUFFER, reader), at: 0 };
        let mut block = Vec::new();
        source.read(&mut block, 4)?;
        let format = match *block.as_slice() {
            [] => return Err(OpenError::Empty),
            [0x0a, 0x0d, 0x0d, 0x0a] => {
                Format::Pcapng(pcapng::Pcapng::open(&mut source, &mut block)?)
            }
            // gzip, zstd, xz, lz4
            [0x1f, 0x8b, ..]
            | [0x28, 0xb5, 0x2f, 0xfd]
            | [0xfd, b'7', b'z', b'X']
            | [0x04, 0x22, 0x4d, 0x18] => return Err(OpenError::Compressed),
            _ => Format::Pcap(pcap::Pcap::open(&mut source, &mut block)?),
        };
        Ok(Self { source, format, block })
    }

    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// If the file is damaged: everything before was read, and no more will be.
    pub fn packet(&mut self) -> Result<Option<Packet<'_>>, Damage> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.packet(&mut self.source, &mut self.block),
            Format::Pcapng(pcapng) => pcapng.packet(&mut self.source, &mut self.block),
        }
    }
}

/// The bytes of a file, and how many of them were read.
struct Source<R> {
    reader: BufReader<R>,
    at: u64,
}

impl<R: Read> Source<R> {
    /// Appends `n` bytes to `block`, fewer at the end of the file; says how many.
    fn read(&mut self, block: &mut Vec<u8>, n: usize) -> io::Result<usize> {
        let before = block.len();
        // The common case without the growth steps of `read_to_end`.
        let buffered = self.reader.buffer();
        if buffered.len() >= n {
            block.extend_from_slice(&buffered[..n]);
            self.reader.consume(n);
        } else {
            self.reader.by_ref().take(n as u64).read_to_end(block)?;
        }
        let got = block.len() - before;
        self.at += got as u64;
        Ok(got)
    }

    /// Passes over `n` bytes; false if the file ends before.
    fn skip(&mut self, n: u64) -> io::Result<bool> {
        let skipped = io::copy(&mut self.reader.by_ref().take(n), &mut io::sink())?;
        self.at += skipped;
        Ok(skipped == n)
    }
}

/// A 32-bit number at `at`, which is inside.
fn number(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let bytes = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}
