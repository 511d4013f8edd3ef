//! A result of 100 MB is skipped by its lengths, not kept: what the process holds on its heap does
//! not grow by it, whether it is one value, many rows or what `COPY` puts out, and the call is told
//! with its rows.

use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;

use tracebee::limit::held::{Counted, held};
use tracebee::replay::Replay;
use tracebee::select::Selection;
use tracebee::stats::Stats;
use tracebee::trace::{Span, Tracer};
use tracebee::value::Value;
use tracebee_tests::capture::files::{Frame, pcap, record};
use tracebee_tests::capture::talk::{Client, End, Server, Talk};

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const RESULT: usize = 100_000_000;
/// What one packet brings.
const PACKET: usize = 50_000;
/// What may be held more than at the beginning, besides the packets themselves: buffers of the reader
/// that grow to the size of a packet, and the parser's, which is bounded by 64 KiB.
const GROWTH: u64 = 1 << 20;

/// A capture that is made while it is read.
struct Made<'a> {
    said: Box<dyn Iterator<Item = (End, Vec<u8>)> + 'a>,
    talk: Talk,
    file: Vec<u8>,
    read: usize,
    /// The most that was held so far.
    most: &'a Cell<u64>,
}

impl Read for Made<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.file.len() {
            self.most.set(self.most.get().max(held()));
            (self.read, self.talk.time) = (0, self.talk.time + 1000);
            self.file.clear();
            let Some((end, bytes)) = self.said.next() else { return Ok(0) };
            let talk = std::mem::take(&mut self.talk);
            self.talk = talk.say(end, bytes);
            for (time, segment) in self.talk.packets.drain(..) {
                record(&mut self.file, &Frame::new(time, segment.ethernet()));
            }
        }
        let length = (&self.file[self.read..]).read(into)?;
        self.read += length;
        Ok(length)
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [head(kind, body.len()), body.to_vec()].concat()
}

fn head(kind: u8, length: usize) -> Vec<u8> {
    [&[kind][..], &(length as u32 + 4).to_be_bytes()].concat()
}

fn login() -> Vec<(End, Vec<u8>)> {
    let body = b"\0\x03\0\0user\0me\0database\0shop\0\0";
    let first = [&(body.len() as u32 + 4).to_be_bytes(), &body[..]].concat();
    let welcome = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
    vec![(Client, first), (Server, welcome)]
}

/// Replays a query and an answer that is `first`, `repeated` until it is as long as it is to be, and
/// `last`: the spans, and by how much the heap grew.
fn replay(query: &str, first: &[u8], repeated: &[u8], last: &[u8]) -> (Vec<Span>, u64) {
    let most = Cell::new(0);
    let stats = Arc::new(Stats::default());
    let tracer = Tracer::default();
    let mut replay = Replay::new(Selection::default(), tracer, None, Arc::clone(&stats));
    let text = format!("{query}\0");
    let packets = RESULT / repeated.len();
    let said = login().into_iter().chain([(Client, message(b'Q', text.as_bytes()))]);
    let answer = (0..packets).map(|_| (Server, repeated.to_vec()));
    let said =
        said.chain([(Server, first.to_vec())]).chain(answer).chain([(Server, last.to_vec())]);
    let made = Made {
        said: Box::new(said),
        talk: Talk::new().open(),
        file: pcap(&[]),
        read: 0,
        most: &most,
    };
    let mut spans = Vec::new();
    let before = held();
    let read = replay.file("made", made, |pipeline| {
        spans.append(pipeline.spans());
        true
    });
    read.expect("a capture");
    spans.append(replay.finish().spans());
    (spans, most.get().saturating_sub(before))
}

/// All in one test: another thread's memory would count, too.
#[test]
fn memory_is_flat() {
    let described = message(b'T', b"\0\x01x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
    let done = |tag: &str| [message(b'C', tag.as_bytes()), message(b'Z', b"I")].concat();
    let value = [&b"\0\x01"[..], &(RESULT as u32).to_be_bytes()].concat();
    let begun = [&described[..], &head(b'D', value.len() + RESULT), &value].concat();
    let row = message(b'D', &[&b"\0\x01\0\0\x03\xdb"[..], &[b'x'; 987]].concat());
    assert_eq!((row.len(), PACKET % row.len()), (998, 100));
    let rows = row.repeat(50);
    let count = RESULT / rows.len() * 50;
    let line = message(b'd', &[b'x'; 995]);
    let lines = line.repeat(50);
    let copied = RESULT / lines.len() * 50;
    let copying = message(b'H', b"\0\0\x01\0\0");
    for (query, first, repeated, last, rows) in [
        (
            "SELECT repeat('x', 100000000)",
            &begun,
            &vec![b'x'; PACKET],
            done("SELECT 1\0"),
            [Some(1), None],
        ),
        (
            "SELECT * FROM long",
            &described,
            &rows,
            done(&format!("SELECT {count}\0")),
            [Some(count as i64), None],
        ),
        (
            "COPY long TO STDOUT",
            &copying,
            &lines,
            [message(b'c', b""), done(&format!("COPY {copied}\0"))].concat(),
            [None, Some(copied as i64)],
        ),
    ] {
        let (spans, growth) = replay(query, first, repeated, &last);
        let [span] = &spans[..] else { panic!("{query}: {spans:#?}") };
        let int = |key| match span.attribute(key) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        };
        let told = ["db.response.returned_rows", "tracebee.db.affected_rows"].map(int);
        assert_eq!((told, span.error), (rows, false), "{query}");
        assert!(span.attribute("tracebee.db.response_cut").is_none(), "{query}");
        println!("{query}: the heap grew by {growth} bytes");
        assert!(growth < GROWTH, "{query}: the heap grew by {growth} bytes");
    }
}
