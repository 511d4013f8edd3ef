//! Captures with many conversations of which the truth is known, from a seed.

use crate::files::Frame;
use crate::outcome::Seen;
use crate::random::Random;
use crate::talk::{Client, EPOCH, End, STEP, Server, Talk};
use crate::wire::{ACK, PSH, Segment};

/// A capture and what is in it.
pub(crate) struct Generated {
    /// One conversation's packets each, in order, with their times.
    pub(crate) talks: Vec<Vec<(u64, Segment)>>,
    /// The calls in the order of their paths.
    pub(crate) truth: Vec<Seen>,
}

/// What is done to the packets of a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mangle {
    /// Percentage of packets that come again later.
    pub(crate) repeated: usize,
    /// Percentage of segments that are followed by one that overlaps what was sent.
    pub(crate) overlapped: usize,
    /// How many places a packet may move; 0: none does.
    pub(crate) reordered: usize,
    /// Percentage of packets that are missing.
    pub(crate) dropped: usize,
    /// Percentage of packets before which seconds go by.
    pub(crate) paused: usize,
}

/// Conversations, in segments of random sizes, undisturbed but for the overlaps.
pub(crate) fn generate(random: &mut Random, mangle: Mangle) -> Generated {
    let mut truth = Vec::new();
    let mut talks = Vec::new();
    for n in 0..random.between(1, 4) {
        let client = format!("10.0.0.9:{}", 40_000 + n);
        let initial = [random.next() as u32, random.next() as u32];
        let mut talk = Talk::between(&client, "10.0.0.1:80", initial);
        talk.time = EPOCH + random.below(50) as u64 * STEP / 3;
        let talk = converse(talk, n, random, mangle, &mut truth);
        talks.push(talk.packets);
    }
    truth.sort();
    Generated { talks, truth }
}

/// One conversation of some calls on one connection.
fn converse(
    talk: Talk,
    n: usize,
    random: &mut Random,
    mangle: Mangle,
    truth: &mut Vec<Seen>,
) -> Talk {
    let mut talk = talk.open();
    let calls = random.between(1, 8);
    for call in 0..calls {
        let path = format!("/t{n}/c{call}");
        let status = *random.pick(&[200, 201, 204, 301, 404, 500, 503]);
        let upload = if random.chance(30) { random.between(1, 5000) } else { 0 };
        let size = if status == 204 { 0 } else { random.between(0, 8000) };
        let last = call + 1 == calls;
        talk = say(talk, Client, &request(&path, upload, random), random, mangle);
        let (response, until_close) = response(status, size, last, random);
        talk = say(talk, Server, &response, random, mangle);
        if until_close {
            talk = talk.fin(Server).fin(Client).ack(Server);
        } else if last {
            talk = talk.ack(Client).close();
        }
        truth.push(Seen {
            path,
            status: Some(status.into()),
            error: (status >= 500).then(|| status.to_string()),
            size: Some(size as i64),
        });
    }
    talk
}

pub(crate) fn request(path: &str, upload: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = match upload {
        0 => format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"),
        n => format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {n}\r\n\r\n"),
    }
    .into_bytes();
    bytes.extend(body(upload, random));
    bytes
}

/// A response by length, in chunks, or (the last) until the close.
pub(crate) fn response(
    status: u16,
    size: usize,
    last: bool,
    random: &mut Random,
) -> (Vec<u8>, bool) {
    let head = format!("HTTP/1.1 {status} X\r\n");
    let payload = body(size, random);
    if status == 204 {
        return (format!("{head}\r\n").into_bytes(), false);
    }
    if last && random.chance(25) {
        return ([format!("{head}\r\n").as_bytes(), &payload].concat(), true);
    }
    if random.chance(60) {
        let head = format!("{head}Content-Length: {size}\r\n\r\n");
        return ([head.as_bytes(), &payload].concat(), false);
    }
    let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let mut rest = payload.as_slice();
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(random.between(1, rest.len()));
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
        rest = more;
    }
    bytes.extend(b"0\r\n\r\n");
    (bytes, false)
}

/// Bytes that look like messages here and there.
fn body(size: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        const TEXTS: [&[u8]; 4] = [
            b"GET /wrong HTTP/1.1\r\nHost: wrong\r\n\r\n",
            b"HTTP/1.1 299 Wrong\r\nContent-Length: 3\r\n\r\nxyz",
            b"0\r\n\r\n",
            b"some bytes that mean nothing ",
        ];
        bytes.extend(*random.pick(&TEXTS));
    }
    bytes.truncate(size);
    bytes
}

/// Sends bytes in segments; the peer acknowledges now and then, and always the last.
fn say(mut talk: Talk, from: End, bytes: &[u8], random: &mut Random, mangle: Mangle) -> Talk {
    let start = talk.sent[from as usize];
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = *random.pick(&[1, 10, 100, 1460, 20_000]);
        let (part, more) = rest.split_at(random.between(1, most.min(rest.len())));
        talk = talk.say(from, part);
        rest = more;
        if random.chance(mangle.overlapped) {
            let so_far = bytes.len() - rest.len();
            let begin = random.below(so_far);
            let end = random.between(begin + 1, so_far);
            let again = talk.at(from, start + begin as u64, PSH | ACK, &bytes[begin..end]);
            talk.push(again);
        }
        if random.chance(40) {
            talk = talk.ack(from.other());
        }
    }
    talk
}

impl Generated {
    /// The packets in the order of their times, after what `mangle` does to each conversation.
    pub(crate) fn frames(&self, random: &mut Random, mangle: Mangle) -> Vec<Frame> {
        let mut all: Vec<(u64, Segment)> = Vec::new();
        for talk in &self.talks {
            all.extend(mangled(talk.clone(), random, mangle));
        }
        all.sort_by_key(|(time, _)| *time);
        all.into_iter().map(|(time, segment)| Frame::new(time, segment.ethernet())).collect()
    }
}

fn mangled(
    packets: Vec<(u64, Segment)>,
    random: &mut Random,
    mangle: Mangle,
) -> Vec<(u64, Segment)> {
    let mut out: Vec<(usize, Segment)> = Vec::new();
    let count = packets.len();
    for (n, (_, segment)) in packets.iter().enumerate() {
        if random.chance(mangle.dropped) {
            continue;
        }
        let moved = n + if mangle.reordered > 0 { random.below(mangle.reordered) } else { 0 };
        out.push((moved, segment.clone()));
        if random.chance(mangle.repeated) {
            out.push((random.between(moved, moved.max(count) + 10), segment.clone()));
        }
    }
    // Stable: what shares a place stays in order.
    out.sort_by_key(|(place, _)| *place);
    let mut time = packets.first().map_or(EPOCH, |(time, _)| *time);
    out.into_iter()
        .map(|(_, segment)| {
            time += if random.chance(mangle.paused) { PAUSE } else { STEP };
            (time, segment)
        })
        .collect()
}

/// Longer than anything is waited for.
const PAUSE: u64 = 3_000_000_000;
