//! Where a message ends: body framing (RFC 9112 6) and the chunked coding (RFC 9112 7.1).

/// The longest chunk-size or trailer line accepted. Extensions are rare and short; hyper and
/// nginx refuse more than that, too.
const MAX_LINE: usize = 8 * 1024;

/// The longest body or chunk believed: positions must not overflow. Eight exabytes.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// How the end of a message is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes after the head.
    Length(u64),
    /// Chunked coding.
    Chunked,
    /// When the sender closes.
    UntilClose,
    /// No more messages follow: the connection becomes a tunnel or another protocol.
    Tunnel,
    /// The head contradicts itself, and recipients differ in what they make of it.
    Unknown,
}

/// What the answer's framing depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Its answer has no body.
    Head,
    /// Its answer may make a tunnel of the connection.
    Connect,
    /// Any other.
    Other,
}

/// The header fields that decide on framing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    length: Length,
    coding: Coding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Is(u64),
    /// Not a number, or two different ones.
    Faulty,
}

/// The outermost transfer coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    Absent,
    Chunked,
    Other,
}

impl Fields {
    /// Takes a `Content-Length`. Equal ones, repeated or in a list, count as one (RFC 9110 8.6).
    pub(super) fn content_length(&mut self, value: &[u8]) {
        for number in value.split(|byte| *byte == b',') {
            self.length = match (self.length, decimal(number.trim_ascii())) {
                (Length::Absent, Some(length)) => Length::Is(length),
                (Length::Is(known), Some(length)) if known == length => Length::Is(known),
                _ => Length::Faulty,
            };
        }
    }

    /// Takes a `Transfer-Encoding`; of all of them the last coding counts.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) {
        for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.coding = Coding::Chunked;
            } else if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
                self.coding = Coding::Other;
            }
        }
    }

    /// The framing of a request (RFC 9112 6.3).
    pub(super) fn of_request(self, minor: u8) -> Framing {
        match (self.coding, self.length) {
            // In a 1.0 message some recipients honour the coding and some do not (6.1).
            (Coding::Chunked, _) if minor > 0 => Framing::Chunked,
            (Coding::Chunked | Coding::Other, _) | (_, Length::Faulty) => Framing::Unknown,
            (Coding::Absent, Length::Is(length)) => Framing::Length(length),
            (Coding::Absent, Length::Absent) => Framing::Length(0),
        }
    }

    /// The framing of a final response to a request of `method` (RFC 9112 6.3).
    pub(super) fn of_response(self, minor: u8, status: u16, method: Method) -> Framing {
        match (method, status) {
            (_, 101) | (Method::Connect, 200..=299) => return Framing::Tunnel,
            (Method::Head, _) | (_, 204 | 304) => return Framing::Length(0),
            _ => {}
        }
        match (self.coding, self.length) {
            (Coding::Chunked, _) if minor > 0 => Framing::Chunked,
            (Coding::Other, _) if minor > 0 => Framing::UntilClose,
            (Coding::Chunked | Coding::Other, _) | (_, Length::Faulty) => Framing::Unknown,
            (Coding::Absent, Length::Is(length)) => Framing::Length(length),
            (Coding::Absent, Length::Absent) => Framing::UntilClose,
        }
    }
}

/// True if a chunked body may end with these bytes: the last chunk, without trailers, at the start
/// of a line or of a write of its own.
pub(super) fn ends_chunked(tail: &[u8]) -> bool {
    tail == b"0\r\n\r\n" || tail.ends_with(b"\r\n0\r\n\r\n")
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let mut number = None;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number = Some(number.unwrap_or(0u64).checked_mul(10)?.checked_add(digit)?);
    }
    number.filter(|length| *length <= MAX_LENGTH)
}

/// Shows a chunk's data to who reads it, and says whether he wants more.
pub(super) type Show<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// A chunked body under way.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    expected: Expected,
    payload: u64,
}

#[derive(Clone, Copy, Debug, Default)]
enum Expected {
    /// The line with the size of a chunk.
    #[default]
    Size,
    /// So many bytes of a chunk's data, where somebody reads them.
    Data(u64),
    /// The line end after a chunk's data.
    DataEnd,
    /// A trailer line, or the empty line that ends the body.
    Trailer,
}

/// What a chunked body made of the bytes that it was shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It took so many, and goes on.
    Took(usize),
    /// So many, not all of them here yet, are data.
    Skip(u64),
    /// A line is incomplete.
    Need,
    /// It ended after so many bytes.
    End {
        /// Bytes taken.
        taken: usize,
        /// Size of the whole body without its framing.
        payload: u64,
    },
    /// This is not chunked coding.
    Broken,
}

impl Chunked {
    /// How many bytes of a chunk's data are to come that somebody was going to read; nobody is any
    /// more.
    pub(super) fn stop_reading(&mut self) -> Option<u64> {
        let Expected::Data(left) = self.expected else { return None };
        self.expected = Expected::DataEnd;
        Some(left)
    }

    /// Takes as much as possible of `bytes`. Who `show`s the data is shown it, until he says that he
    /// wants no more; else it is skipped.
    pub(super) fn advance(&mut self, bytes: &[u8], mut show: Option<Show<'_>>) -> Progress {
        let mut taken = 0;
        // Each round takes at least one byte or returns.
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            if let Expected::Data(left) = self.expected {
                let here = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let Some(reads) = &mut show else {
                    self.expected = Expected::DataEnd;
                    if here as u64 == left {
                        taken += here;
                        continue;
                    }
                    return Progress::Skip(left.saturating_add(taken as u64));
                };
                if !reads(&rest[..here]) {
                    show = None;
                }
                taken += here;
                self.expected = match left - here as u64 {
                    0 => Expected::DataEnd,
                    left => Expected::Data(left),
                };
                continue;
            }
            if let Expected::DataEnd = self.expected {
                taken += match rest {
                    [b'\n', ..] => 1,
                    [b'\r', b'\n', ..] => 2,
                    [b'\r'] => return progress(taken),
                    _ => return Progress::Broken,
                };
                self.expected = Expected::Size;
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', &rest[..rest.len().min(MAX_LINE)]) else {
                return if rest.len() < MAX_LINE { progress(taken) } else { Progress::Broken };
            };
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            taken += end + 1;
            match self.expected {
                Expected::Trailer if line.is_empty() => {
                    return Progress::End { taken, payload: self.payload };
                }
                Expected::Trailer => {}
                Expected::Size | Expected::Data(_) | Expected::DataEnd => {
                    let Some(size) = chunk_size(line) else { return Progress::Broken };
                    let Some(payload) = self.payload.checked_add(size) else {
                        return Progress::Broken;
                    };
                    self.payload = payload;
                    if size == 0 {
                        self.expected = Expected::Trailer;
                        continue;
                    }
                    if show.is_some() {
                        self.expected = Expected::Data(size);
                        continue;
                    }
                    self.expected = Expected::DataEnd;
                    match usize::try_from(size) {
                        Ok(size) if size <= bytes.len() - taken => taken += size,
                        _ => return Progress::Skip(size.saturating_add(taken as u64)),
                    }
                }
            }
        }
        Progress::Took(taken)
    }
}

fn progress(taken: usize) -> Progress {
    if taken == 0 { Progress::Need } else { Progress::Took(taken) }
}

/// `chunk-size [chunk-ext]` (RFC 9112 7.1). Some servers pad the size with spaces.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let mut size = None;
    for byte in digits {
        let digit = u64::from((*byte as char).to_digit(16)?);
        size = Some(size.unwrap_or(0u64).checked_mul(16)?.checked_add(digit)?);
    }
    size.filter(|size| *size <= MAX_LENGTH)
}
