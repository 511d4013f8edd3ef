//! A recording that is read once, front to back, through a buffer that holds one record.

use std::io::{self, Read};

use super::bytes::Fields;
use super::{FRAME, HEADER, Item, MAGIC, MAX_NUMBER, MAX_RECORD, VERSION, checksum, decode};
use crate::source::capture::file::{Damage, Fault, OpenError};

/// Read at a time.
const BUFFER: usize = 256 * 1024;

/// True if a file that begins like this is a recording.
pub fn is_recording(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

/// A recording.
pub struct File<R> {
    reader: io::BufReader<R>,
    /// Offset of the record that is looked at.
    at: u64,
    /// Clock offset at the beginning.
    offset: i64,
    buffer: Vec<u8>,
}

/// What comes next in a recording.
#[derive(Debug)]
pub enum Next<'a> {
    /// A record.
    Item(Item<'a>),
    /// A record that this version does not understand.
    Unknown,
    /// Nothing: the file ends.
    Nothing,
}

impl<R: Read> File<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If the file cannot be read, or the header is not that of a recording of this version.
    pub fn open(reader: R) -> Result<Self, OpenError> {
        let mut reader = io::BufReader::with_capacity(BUFFER, reader);
        let mut header = Vec::new();
        reader.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        if !is_recording(&header) {
            return Err(OpenError::Unknown);
        }
        let damaged = || OpenError::Header("tracebee");
        let mut fields = Fields(&header[MAGIC.len()..]);
        let version = fields.u16().ok_or_else(damaged)?;
        if version != VERSION {
            return Err(OpenError::Version { found: version, known: VERSION });
        }
        let (_, offset, check) = (fields.u16(), fields.i64(), fields.u32());
        let (Some(offset), Some(check)) = (offset, check) else { return Err(damaged()) };
        if check != checksum(&header[..HEADER - 4]) || offset.unsigned_abs() > MAX_NUMBER {
            return Err(damaged());
        }
        Ok(Self { reader, at: HEADER as u64, offset, buffer: Vec::new() })
    }

    /// Unix time minus boot time when the recording began, in nanoseconds.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// The next record.
    ///
    /// # Errors
    /// If the file is damaged: everything before was read, and no more will be.
    pub fn record(&mut self) -> Result<Next<'_>, Damage> {
        let at = self.at;
        match self.read() {
            Ok(true) => Ok(decode(&self.buffer).map_or(Next::Unknown, Next::Item)),
            Ok(false) => Ok(Next::Nothing),
            Err(what) => Err(Damage { at, what }),
        }
    }

    /// Reads a record; false at the end of the file.
    fn read(&mut self) -> Result<bool, Fault> {
        self.fill(FRAME)?;
        if self.buffer.is_empty() {
            return Ok(false);
        }
        let mut frame = Fields(&self.buffer);
        let (Some(length), Some(check)) = (frame.u32(), frame.u32()) else {
            return Err(Fault::CutOff);
        };
        if length == 0 || length as usize > MAX_RECORD {
            return Err(Fault::Length(length));
        }
        self.fill(length as usize)?;
        if self.buffer.len() < length as usize {
            return Err(Fault::CutOff);
        }
        if checksum(&self.buffer) != check {
            return Err(Fault::Checksum);
        }
        self.at += FRAME as u64 + u64::from(length);
        Ok(true)
    }

    /// Reads `n` bytes, fewer at the end of the file; memory is taken only as they arrive.
    fn fill(&mut self, n: usize) -> io::Result<()> {
        self.buffer.clear();
        self.reader.by_ref().take(n as u64).read_to_end(&mut self.buffer)?;
        Ok(())
    }
}
