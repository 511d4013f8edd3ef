//! What a `_bulk` request came to: its answer has an item for each operation, in their order.
//!
//! Requests are long and mostly not captured whole. Their answers are shorter, and those that are
//! compressed much shorter: where one was seen whole, it tells how many operations there were. What
//! they do it does not tell as it was asked (an `index` that must create is a `create`, an alias is
//! an index).

use std::io::Write as _;

use flate2::write::GzDecoder;
use url::form_urlencoded;

use super::{Content, path};
use crate::protocol::http1;

/// Most that a compressed answer may come to: some 20,000 operations. It bounds what a few bytes
/// may cost.
const MAX_DECODED: usize = 4 << 20;

/// What became of the operations of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// How many there were.
    pub operations: u64,
    /// How many of them failed.
    pub failed: u64,
}

/// Whether the answer to a request has all its items: `filter_path` may leave some out. What
/// excludes other members by their full names does not.
pub(super) fn are_told(target: &str) -> bool {
    let Some(query) = target.find('?') else { return true };
    form_urlencoded::parse(&target.as_bytes()[query + 1..])
        .filter(|(key, _)| key == "filter_path")
        .all(|(_, filter)| filter.split(',').all(excludes_another))
}

fn excludes_another(pattern: &str) -> bool {
    let first = pattern.strip_prefix('-').and_then(|pattern| pattern.split('.').next());
    first.is_some_and(|name| name != "items" && !name.contains('*'))
}

/// Whether a request asks for such an answer.
pub(super) fn are_asked_for(method: &str, target: &str) -> bool {
    let is_bulk = path(target).is_some_and(|path| path.ends_with("/_bulk"));
    is_bulk && matches!(method, "POST" | "PUT") && are_told(target)
}

/// Reads an answer as it goes by.
#[derive(Debug, Default)]
pub struct Reader(Body);

#[derive(Debug, Default)]
enum Body {
    #[default]
    Unknown,
    Plain(Scanner),
    Compressed(Box<GzDecoder<Scanner>>),
}

impl http1::Reader for Reader {
    fn read(&mut self, bytes: &[u8]) -> bool {
        if let (Body::Unknown, Some(first)) = (&self.0, bytes.first()) {
            self.0 = match first {
                // The first byte of gzip (RFC 1952 2.3.1), and no JSON.
                0x1f => Body::Compressed(Box::new(GzDecoder::new(Scanner::default()))),
                _ => Body::Plain(Scanner::default()),
            };
        }
        match &mut self.0 {
            Body::Unknown => true,
            Body::Plain(scanner) => scanner.read(bytes),
            Body::Compressed(decoder) => decoder.write_all(bytes).is_ok(),
        }
    }

    fn finish(self: Box<Self>, whole: bool) -> Option<http1::Content> {
        let scanner = match self.0 {
            Body::Plain(scanner) if whole => scanner,
            Body::Compressed(decoder) if whole => decoder.finish().ok()?,
            _ => return None,
        };
        scanner.finish().map(|items| http1::Content::Search(Content::Items(items)))
    }
}

/// Counts items, wherever the text is cut.
#[derive(Debug, Default)]
struct Scanner {
    /// Objects and arrays that are open.
    depth: u32,
    /// In a string; behind a backslash in it.
    string: bool,
    escaped: bool,
    /// The string under way or the last one, as far as it could be a name that matters.
    name: Name,
    /// The next value is the array of items.
    items_next: bool,
    stage: Stage,
    found: Items,
    decoded: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Before,
    /// In the outermost object, before its items.
    Outside,
    /// In the array of items.
    Items,
    /// In the outermost object, behind them.
    Behind,
    Over,
    /// This is no such answer.
    Failed,
}

/// Where names of the outermost object stand, and those of what became of an operation:
/// `{"items":[{"index":{"error":...}}]}`.
const MEMBER: u32 = 1;
const ITEM: u32 = 2;
const OUTCOME: u32 = 4;

impl Scanner {
    fn read(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while let [byte, behind @ ..] = rest {
            rest = match self.string {
                true => self.in_string(rest),
                false => {
                    self.outside_strings(*byte);
                    behind
                }
            };
            if self.stage == Stage::Failed {
                return false;
            }
        }
        true
    }

    /// What is left behind a part of a string.
    fn in_string<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if std::mem::take(&mut self.escaped) {
            // No name that matters has one.
            self.name = Name::OTHER;
            return &bytes[1..];
        }
        let end = memchr::memchr2(b'"', b'\\', bytes);
        self.name.add(&bytes[..end.unwrap_or(bytes.len())]);
        let Some(end) = end else { return &[] };
        self.escaped = bytes[end] == b'\\';
        self.string = self.escaped;
        &bytes[end + 1..]
    }

    fn outside_strings(&mut self, byte: u8) {
        if byte.is_ascii_whitespace() {
            return;
        }
        match (self.stage, byte) {
            (Stage::Before, b'{') => self.stage = Stage::Outside,
            (Stage::Before | Stage::Over, _) => self.stage = Stage::Failed,
            _ => {}
        }
        match byte {
            b'"' => (self.string, self.name) = (true, Name::default()),
            b':' => match (self.stage, self.depth) {
                (Stage::Outside, MEMBER) => self.items_next = self.name.is(b"items"),
                (Stage::Items, OUTCOME) if self.name.is(b"error") => self.found.failed += 1,
                _ => {}
            },
            b',' if self.depth == MEMBER => self.items_next = false,
            b'{' | b'[' => {
                match (self.stage, self.depth, byte) {
                    (Stage::Outside, MEMBER, b'[') if self.items_next => self.stage = Stage::Items,
                    (Stage::Items, ITEM, b'{') => self.found.operations += 1,
                    _ => {}
                }
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => {
                match (self.stage, self.depth) {
                    (Stage::Items, ITEM) => self.stage = Stage::Behind,
                    (Stage::Behind, MEMBER) => self.stage = Stage::Over,
                    (Stage::Outside, MEMBER) => self.stage = Stage::Failed,
                    _ => {}
                }
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn finish(self) -> Option<Items> {
        (self.stage == Stage::Over).then_some(self.found)
    }
}

impl std::io::Write for Scanner {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.decoded = self.decoded.saturating_add(bytes.len());
        match self.decoded <= MAX_DECODED && self.read(bytes) {
            true => Ok(bytes.len()),
            false => Err(std::io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The beginning of a string, with as many bytes as names that matter have.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Name {
    const LONGEST: usize = 5;
    const OTHER: Self = Self { bytes: [0; Self::LONGEST], length: usize::MAX };

    fn add(&mut self, more: &[u8]) {
        let room = self.bytes.get_mut(self.length..).and_then(|room| room.get_mut(..more.len()));
        match room {
            Some(room) => {
                room.copy_from_slice(more);
                self.length += more.len();
            }
            None => *self = Self::OTHER,
        }
    }

    fn is(&self, name: &[u8; Self::LONGEST]) -> bool {
        self.length == Self::LONGEST && self.bytes == *name
    }
}
