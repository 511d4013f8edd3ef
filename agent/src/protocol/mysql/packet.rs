//! The framing of packets: three bytes of length, one of number. Little-endian throughout.

/// Length of length and number.
pub(super) const HEADER: usize = 4;

/// A payload of this length goes on in the next packet.
pub(super) const LONGEST: usize = 0xff_ffff;

/// The first of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the payload.
    pub(super) length: usize,
    /// Its number since the command began, which is number 0.
    pub(super) number: u8,
}

impl Header {
    /// None: more bytes are needed.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, number, ..] = bytes else { return None };
        Some(Self { length: u32::from_le_bytes([a, b, c, 0]) as usize, number })
    }

    /// Length of the packet.
    pub(super) fn total(self) -> u64 {
        (HEADER + self.length) as u64
    }
}

/// A number of variable length, and what follows it.
pub(super) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let length = match first {
        0..=0xfa => return Some((u64::from(*first), rest)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xfb | 0xff => return None,
    };
    let (digits, rest) = rest.split_at_checked(length)?;
    let number = digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit));
    Some((number, rest))
}

/// A string after its length, and what follows it.
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// The bytes before the next zero, and what follows it.
pub(super) fn until_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// What the server says of itself at the end of a result (`SERVER_STATUS_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) u16);

impl Status {
    /// Another result follows.
    pub(super) fn more(self) -> bool {
        self.0 & 0x0008 != 0
    }

    /// The rows are fetched later.
    pub(super) fn cursor(self) -> bool {
        self.0 & 0x0040 != 0
    }

    /// A backslash in a string means itself.
    pub(super) fn literal_backslash(self) -> bool {
        self.0 & 0x0200 != 0
    }

    /// What changed in the session follows.
    pub(super) fn changed(self) -> bool {
        self.0 & 0x4000 != 0
    }
}

/// A packet that says that all is well: `OK`, by whatever first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done<'a> {
    /// Rows that were written.
    pub(super) affected: u64,
    pub(super) status: Status,
    /// What the session's database is now, if it changed. Only where the ends agreed to tell.
    pub(super) schema: Option<&'a [u8]>,
}

/// Reads the body of an `OK`; `whole` if that is all of it, `tracked` if changes of the session
/// are told.
pub(super) fn done(body: &[u8], tracked: bool) -> Option<Done<'_>> {
    let (affected, rest) = number(body.get(1..)?)?;
    let (_, rest) = number(rest)?;
    let (status, rest) = rest.split_first_chunk::<2>()?;
    let rest = rest.get(2..)?;
    let status = Status(u16::from_le_bytes(*status));
    let schema = if tracked && status.changed() { schema(rest) } else { None };
    Some(Done { affected, status, schema })
}

/// The database among the changes of a session, which follow a message.
fn schema(rest: &[u8]) -> Option<&[u8]> {
    let (_, rest) = string(rest)?;
    let (mut changes, _) = string(rest)?;
    let mut schema = None;
    while let [kind, rest @ ..] = changes {
        let (change, rest) = string(rest)?;
        if *kind == 1 {
            schema = string(change).map(|(name, _)| name);
        }
        changes = rest;
    }
    schema
}

/// What a packet after rows, or in place of them, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// `EOF`, from those who did not agree to do without.
    Eof(Status),
    /// The `OK` in its place.
    Ok(Status),
}

/// Whether a packet of so many bytes that begins like this ends a result. Rows never do: a value
/// whose length needs eight bytes makes a longest packet.
pub(super) fn end(length: usize, body: &[u8]) -> Option<End> {
    match (length, body) {
        (5, &[0xfe, _, _, a, b, ..]) => Some(End::Eof(Status(u16::from_le_bytes([a, b])))),
        (7..LONGEST, [0xfe, ..]) => done(body, false).map(|done| End::Ok(done.status)),
        _ => None,
    }
}

/// The number of an `ERR`; the text, which may hold values, is not read.
pub(super) fn error(body: &[u8]) -> Option<u16> {
    match body {
        &[0xff, a, b, ..] => Some(u16::from_le_bytes([a, b])),
        _ => None,
    }
}

/// How far a long operation came, by MariaDB: an `ERR` of this number, which is none.
pub(super) const PROGRESS: u16 = 0xffff;

/// Bits of [`Status`] that nobody sets.
const UNUSED: u16 = 0x0004;

/// Whether these, the last bytes of a turn, end the last result of an answer.
pub(super) fn ends_with_result(tail: &[u8]) -> Option<Status> {
    let status = match *tail.last_chunk::<8>()? {
        // Packet of 5: `EOF`.
        [0, 0, _, 0xfe, _, _, a, b] => u16::from_le_bytes([a, b]),
        // Packet of 7: `OK` that says nothing of rows.
        [_, 0xfe, 0, 0, a, b, _, _] => u16::from_le_bytes([a, b]),
        _ => return None,
    };
    (status & UNUSED == 0).then_some(Status(status)).filter(|status| !status.more())
}
