//! RESP2 and RESP3: where values end, without keeping them.
//!
//! Nesting has no limit and costs nothing: to skip a value it is enough to count how many are
//! left to come. Only aggregates of unknown length (RESP3 streamed ones, which no server sends
//! yet) need a stack, and that is bounded.

/// Longest header of an item that is awaited whole: a type, 20 digits, the line's end, and room
/// for what is longer than it needs to be.
const MAX_HEADER: usize = 64;

/// Longest bulk string believed, and most elements of one aggregate. Redis allows 512 MB by
/// default and 2^32 elements.
const MAX_LENGTH: u64 = u32::MAX as u64;

/// Most aggregates of unknown length in each other.
const MAX_STREAMS: usize = 32;

/// What could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<T> {
    /// It, and how many bytes it has; those of a payload may not be there yet.
    Is(T, u64),
    /// More bytes are needed.
    Need,
    /// It is none.
    Not,
}

/// One item: a value without its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// `+`: its text, as far as it is there.
    Simple(&'a [u8]),
    /// `-` or `!`: its text, as far as it is there.
    Error(&'a [u8]),
    /// `:`.
    Integer(i64),
    /// A number, a boolean or nothing.
    Scalar,
    /// A string of known length: its text, as far as it is there.
    Bulk(&'a [u8]),
    /// An aggregate of so many elements; a map has twice its pairs.
    Aggregate { kind: u8, elements: u64 },
    /// So many elements that say something about the value behind them.
    Attribute(u64),
    /// An aggregate whose end will be marked.
    Stream { kind: u8 },
    /// The mark.
    StreamEnd,
    /// A string that comes in chunks.
    Chunks,
    /// One of them; the last is empty.
    Chunk { last: bool },
    /// The front of a line that is longer than [`MAX_HEADER`]: the rest is to be skipped up to its
    /// end.
    LongLine { error: bool, text: &'a [u8] },
}

/// Reads the item that `bytes` begin with.
pub(super) fn item(bytes: &[u8]) -> Read<Item<'_>> {
    let Some((kind, rest)) = bytes.split_first() else { return Read::Need };
    if !b"+-:_#,($!=*~>%|;.".contains(kind) {
        return Read::Not;
    }
    let window = &rest[..rest.len().min(MAX_HEADER)];
    let Some(length) = memchr::memchr2(b'\r', b'\n', window) else {
        return match kind {
            b'+' | b'-' | b'(' | b',' if window.len() == MAX_HEADER => {
                let item = Item::LongLine { error: *kind == b'-', text: window };
                Read::Is(item, 1 + MAX_HEADER as u64)
            }
            b'+' | b'-' => Read::Need,
            _ if window.len() == MAX_HEADER || !window.iter().all(u8::is_ascii_graphic) => {
                Read::Not
            }
            _ => Read::Need,
        };
    };
    let line = &window[..length];
    if window[length] == b'\n' {
        // Every line ends in both, and neither is in one (servers see to that).
        return Read::Not;
    }
    match rest.get(length + 1) {
        Some(b'\n') => {}
        Some(_) => return Read::Not,
        None => return Read::Need,
    }
    let header = length as u64 + 3;
    let payload = &rest[length + 2..];
    let is = |item| Read::Is(item, header);
    let bulk = |length: u64| {
        let there = payload.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        (&payload[..there], header + length + 2)
    };
    match (kind, line) {
        (b'+', text) => is(Item::Simple(text)),
        (b'-', text) => is(Item::Error(text)),
        (b':', _) => integer(line).map_or(Read::Not, |number| is(Item::Integer(number))),
        (b'_', b"") | (b'#', b"t" | b"f") | (b'$' | b'*', b"-1") => is(Item::Scalar),
        (b'.', b"") => is(Item::StreamEnd),
        (b'$', b"?") => is(Item::Chunks),
        (b'*' | b'~' | b'%', b"?") => is(Item::Stream { kind: *kind }),
        (b',' | b'(', [b'+' | b'-' | b'0'..=b'9' | b'i' | b'n', ..]) => is(Item::Scalar),
        (b';', b"0") => is(Item::Chunk { last: true }),
        _ => {
            let Some(length) = length_of(line) else { return Read::Not };
            match kind {
                b'$' | b'=' => {
                    let (text, end) = bulk(length);
                    Read::Is(Item::Bulk(text), end)
                }
                b'!' => {
                    let (text, end) = bulk(length);
                    // Its first word is looked at.
                    if (text.len() as u64) < length.min(MAX_HEADER as u64) {
                        return Read::Need;
                    }
                    Read::Is(Item::Error(text), end)
                }
                b';' => Read::Is(Item::Chunk { last: false }, bulk(length).1),
                b'*' | b'~' | b'>' => is(Item::Aggregate { kind: *kind, elements: length }),
                b'%' => is(Item::Aggregate { kind: *kind, elements: 2 * length }),
                b'|' => is(Item::Attribute(2 * length)),
                _ => Read::Not,
            }
        }
    }
}

/// A length: digits and nothing else, not more than is believed.
pub(super) fn length_of(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = digits.iter().fold(0, |sum, digit| 10 * sum + u64::from(digit - b'0'));
    Some(length).filter(|length| *length <= MAX_LENGTH)
}

/// What is left of a line of which the front was read: how many bytes, if all of them are there.
pub(super) fn rest_of_line(bytes: &[u8]) -> Read<()> {
    let end = memchr::memchr2(b'\r', b'\n', bytes);
    match end.map(|end| (end, &bytes[end..])) {
        None | Some((_, [b'\r'])) => Read::Need,
        Some((end, [b'\r', b'\n', ..])) => Read::Is((), end as u64 + 2),
        Some(_) => Read::Not,
    }
}

fn integer(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// The rest of one value, as it goes by.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// The value itself has begun, not only attributes of it.
    begun: bool,
    /// Elements of the value that are still to come.
    outer: u64,
    /// Values of the element under way (or of attributes) that are still to come.
    inner: u64,
    /// `inner` outside of each aggregate of unknown length that is open.
    streams: Vec<u64>,
    chunks: bool,
}

/// What an item is in its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The value itself.
    Top,
    /// One of its elements.
    Element,
    /// Something further in, or an attribute.
    Within,
}

impl Value {
    /// True between two values.
    pub(super) fn is_at_start(&self) -> bool {
        *self == Self::default()
    }

    /// True if the value itself, not only an attribute of it, has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// True if the value itself, not only an attribute of it, is still to come.
    pub(super) fn is_before(&self) -> bool {
        !self.begun && self.inner == 0 && self.streams.is_empty() && !self.chunks
    }

    /// True if its last item was taken.
    pub(super) fn is_whole(&self) -> bool {
        let Self { begun, outer, inner, streams, chunks } = self;
        *begun && *outer == 0 && *inner == 0 && streams.is_empty() && !chunks
    }

    /// Takes the next item; where it is, or `None` if it cannot be there.
    pub(super) fn take(&mut self, item: Item<'_>) -> Option<Place> {
        match (self.chunks, item) {
            (true, Item::Chunk { last }) => {
                self.chunks = !last;
                return Some(Place::Within);
            }
            (true, _) | (false, Item::Chunk { .. }) => return None,
            (false, Item::StreamEnd) => {
                if self.inner > 0 {
                    return None;
                }
                self.inner = self.streams.pop()?;
                return Some(Place::Within);
            }
            // It belongs to the value behind it and is none of those that are counted.
            (false, Item::Attribute(elements)) => {
                self.inner = self.inner.saturating_add(elements);
                return Some(Place::Within);
            }
            (false, _) => {}
        }
        let place = if self.inner > 0 {
            self.inner -= 1;
            Place::Within
        } else if !self.streams.is_empty() {
            Place::Within
        } else if !self.begun {
            self.begun = true;
            Place::Top
        } else {
            self.outer = self.outer.checked_sub(1)?;
            Place::Element
        };
        match item {
            Item::Aggregate { elements, .. } if place == Place::Top => self.outer = elements,
            Item::Aggregate { elements, .. } => self.inner = self.inner.saturating_add(elements),
            Item::Stream { .. } => {
                if self.streams.len() >= MAX_STREAMS {
                    return None;
                }
                self.streams.push(std::mem::take(&mut self.inner));
            }
            Item::Chunks => self.chunks = true,
            _ => {}
        }
        Some(place)
    }
}
