//! Captures with many conversations of which the truth is known, from a seed: keep-alive and
//! pipelining, ends of every kind, ports that are used again.

use std::ops::Range;

use super::files::Frame;
use super::message::{request, response};
use super::random::Random;
use super::talk::{Client, EPOCH, End, STEP, Server, Talk};
use super::wire::{ACK, PSH, Segment};

/// One call as a test knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Path of the request: `/t2/c5` is the sixth call of the third conversation.
    pub path: String,
    /// Status of the answer, if one came.
    pub status: Option<i64>,
    /// `error.type`.
    pub error: Option<String>,
    /// Size of the response's body.
    pub size: Option<i64>,
}

/// A call and where it lies in the streams of its conversation.
#[derive(Clone, Debug)]
pub struct Call {
    /// What a complete capture shows of it; without an answer and an end nothing is shown.
    pub seen: Option<Seen>,
    /// Which conversation.
    pub talk: usize,
    /// Stream positions of the request.
    pub request: Range<u64>,
    /// The same of the response, with the number of the FIN that ends it, if one does; none
    /// without a response.
    pub response: Option<Range<u64>>,
}

/// A conversation's packets, in order.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// What was said.
    pub talk: Talk,
    /// The client asks again before it was answered.
    pub pipelined: bool,
    /// It begins when the one before it is over, between the same ports.
    pub again: bool,
}

/// A capture and what is in it.
pub struct Generated {
    /// All conversations.
    pub conversations: Vec<Conversation>,
    /// All calls, in order within each conversation.
    pub calls: Vec<Call>,
}

/// What is done to the packets of a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mangle {
    /// Percentage of packets that come again later.
    pub repeated: usize,
    /// Percentage of segments that are followed by one that overlaps what was sent.
    pub overlapped: usize,
    /// How many places a packet may move; 0: none does.
    pub reordered: usize,
    /// Percentage of packets that are missing.
    pub dropped: usize,
    /// Percentage of conversations of which a run of packets is missing, in both directions, as
    /// when a capture falls behind; it may be the beginning.
    pub blind: usize,
    /// Percentage of packets before which seconds go by.
    pub paused: usize,
}

/// A packet of a capture.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Unix time in nanoseconds.
    pub time: u64,
    /// Which conversation it belongs to.
    pub talk: usize,
    /// What it carries.
    pub segment: Segment,
}

/// How a conversation ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Both ends say so.
    Closed,
    /// With a reset, everything answered.
    Reset,
    /// Not at all.
    Open,
    /// A last request is answered by a reset.
    ResetInstead,
    /// A last request is given up by the client.
    GivenUp,
    /// A last request is answered by an end.
    Hangup,
    /// A last request gets no answer, and no end.
    Silence,
}

/// Conversations, in segments of random sizes, undisturbed but for the overlaps.
pub fn generate(random: &mut Random, mangle: Mangle) -> Generated {
    let mut generated = Generated { conversations: Vec::new(), calls: Vec::new() };
    let mut port = 40_000;
    for n in 0..random.between(1, 4) {
        let again = n > 0 && random.chance(25);
        port += u16::from(!again);
        let mut initial = [random.number() as u32, random.number() as u32];
        if again {
            // A clock drives the first numbers between two ends (RFC 9293 3.4.1).
            initial = initial.map(|number| number % NEXT + NEXT);
            let before: &Talk = &generated.conversations[n - 1].talk;
            for (number, before) in initial.iter_mut().zip(before.initial) {
                *number = number.wrapping_add(before);
            }
        }
        let mut talk = Talk::between(&format!("10.0.0.9:{port}"), "10.0.0.1:80", initial);
        talk.time = EPOCH + random.below(50) as u64 * STEP / 3;
        let pipelined = random.chance(30);
        let mut speaker = Speaker { talk: talk.open(), n, pipelined, random, mangle };
        generated.calls.extend(speaker.converse());
        let talk = speaker.talk;
        generated.conversations.push(Conversation { talk, pipelined, again });
    }
    generated
}

/// A conversation that is being made.
struct Speaker<'a> {
    talk: Talk,
    n: usize,
    pipelined: bool,
    random: &'a mut Random,
    mangle: Mangle,
}

impl Speaker<'_> {
    /// Some calls on one connection, and its end.
    fn converse(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        let total = self.random.between(1, 8);
        let mut closed = false;
        while calls.len() < total && !closed {
            let most = if self.pipelined { total - calls.len() } else { 1 };
            let burst = self.random.between(1, most);
            let first = calls.len();
            let mut asked = Vec::new();
            for n in first..first + burst {
                let upload = if self.random.chance(30) { self.random.between(1, 5000) } else { 0 };
                let path = format!("/t{}/c{n}", self.n);
                let bytes = request(&path, upload, self.random);
                let start = self.talk.sent[0] + asked.len() as u64;
                let request = start..start + bytes.len() as u64;
                asked.extend(bytes);
                let seen = Seen { path, status: None, error: None, size: None };
                calls.push(Call { seen: Some(seen), talk: self.n, request, response: None });
            }
            self.say(Client, &asked);
            let mut answered = Vec::new();
            for (n, call) in calls.iter_mut().enumerate().skip(first) {
                let status = *self.random.pick(&[200, 201, 204, 301, 404, 500, 503]);
                let size = if status == 204 { 0 } else { self.random.between(0, 8000) };
                let (bytes, until_close) = response(status, size, n + 1 == total, self.random);
                closed |= until_close;
                let start = self.talk.sent[1] + answered.len() as u64;
                let end = start + bytes.len() as u64 + u64::from(until_close);
                call.response = Some(start..end);
                answered.extend(bytes);
                let seen = call.seen.as_mut().expect("set above");
                seen.status = Some(status.into());
                seen.error = (status >= 500).then(|| status.to_string());
                seen.size = Some(size as i64);
            }
            self.say(Server, &answered);
        }
        if closed {
            self.with(|talk| talk.fin(Server).fin(Client).ack(Server));
        } else {
            self.end(&mut calls);
        }
        calls
    }

    fn end(&mut self, calls: &mut Vec<Call>) {
        use Ending::{Closed, GivenUp, Hangup, Open, Reset, ResetInstead, Silence};
        const ALL: [Ending; 10] =
            [Closed, Closed, Closed, Closed, Reset, Open, ResetInstead, GivenUp, Hangup, Silence];
        let ending = *self.random.pick(&ALL);
        let error = match ending {
            Closed => return self.with(|talk| talk.ack(Client).close()),
            Reset => return self.with(|talk| talk.ack(Client).reset(Client)),
            Open => return self.with(|talk| talk.ack(Client)),
            ResetInstead => Some("connection_reset"),
            GivenUp => Some("client_closed"),
            Hangup => Some("closed"),
            Silence => None,
        };
        let path = format!("/t{}/c{}", self.n, calls.len());
        let bytes = request(&path, 0, self.random);
        let start = self.talk.sent[0];
        let seen =
            error.map(|error| Seen { path, status: None, error: Some(error.into()), size: None });
        let request = start..start + bytes.len() as u64;
        calls.push(Call { seen, talk: self.n, request, response: None });
        self.say(Client, &bytes);
        self.with(|talk| match ending {
            ResetInstead => talk.reset(Server),
            GivenUp => talk.fin(Client).fin(Server).ack(Client),
            Hangup => talk.fin(Server).fin(Client).ack(Server),
            _ => talk.ack(Server),
        });
    }

    /// Sends bytes in segments; the peer acknowledges now and then.
    fn say(&mut self, from: End, bytes: &[u8]) {
        let start = self.talk.sent[from as usize];
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = *self.random.pick(&[1, 10, 100, 1460, 20_000]);
            let (part, more) = rest.split_at(self.random.between(1, most.min(rest.len())));
            self.with(|talk| talk.say(from, part));
            rest = more;
            if self.random.chance(self.mangle.overlapped) {
                let so_far = bytes.len() - rest.len();
                let begin = self.random.below(so_far);
                let end = self.random.between(begin + 1, so_far);
                let position = start + begin as u64;
                let again = self.talk.at(from, position, PSH | ACK, &bytes[begin..end]);
                self.talk.push(again);
            }
            if self.random.chance(40) {
                self.with(|talk| talk.ack(from.other()));
            }
        }
    }

    fn with(&mut self, change: impl FnOnce(Talk) -> Talk) {
        let talk = std::mem::replace(&mut self.talk, Talk::new());
        self.talk = change(talk);
    }
}

impl Generated {
    /// What a complete capture shows, in the order of the paths.
    pub fn truth(&self) -> Vec<Seen> {
        let mut truth: Vec<Seen> = self.calls.iter().filter_map(|call| call.seen.clone()).collect();
        truth.sort();
        truth
    }

    /// How many calls are under way when nothing more is seen of their connection.
    pub fn unfinished(&self) -> u64 {
        self.calls.iter().filter(|call| call.seen.is_none()).count() as u64
    }

    /// The packets in the order of their times, after what `mangle` does to each conversation.
    pub fn packets(&self, random: &mut Random, mangle: Mangle) -> Vec<Packet> {
        let mut all: Vec<Packet> = Vec::new();
        let mut over = 0;
        for (talk, conversation) in self.conversations.iter().enumerate() {
            let packets = &conversation.talk.packets;
            let start = match conversation.again {
                true => over + *random.pick(&[STEP, PAUSE, 100 * PAUSE]),
                false => packets.first().map_or(EPOCH, |(time, _)| *time),
            };
            // Before its SYN nothing tells a connection from the one before it.
            let in_order = if conversation.again { HANDSHAKE } else { 0 };
            let packets = mangled(packets, start, in_order, random, mangle);
            over = packets.last().map_or(start, |(time, _)| *time);
            let packet = |(time, segment)| Packet { time, talk, segment };
            all.extend(packets.into_iter().map(packet));
        }
        all.sort_by_key(|packet| packet.time);
        all
    }
}

/// Packets as Ethernet frames.
pub fn frames(packets: &[Packet]) -> Vec<Frame> {
    packets.iter().map(|packet| Frame::new(packet.time, packet.segment.ethernet())).collect()
}

fn mangled(
    packets: &[(u64, Segment)],
    start: u64,
    in_order: usize,
    random: &mut Random,
    mangle: Mangle,
) -> Vec<(u64, Segment)> {
    let mut out: Vec<(usize, Segment)> = Vec::new();
    let count = packets.len();
    let blind = random.chance(mangle.blind).then(|| {
        let begin = if random.chance(30) { 0 } else { random.below(count) };
        begin..random.between(begin + 1, (begin + 1).max(count.min(begin + 40)))
    });
    for (n, (_, segment)) in packets.iter().enumerate() {
        let unseen = blind.as_ref().is_some_and(|blind| blind.contains(&n));
        if unseen || random.chance(mangle.dropped) {
            continue;
        }
        let moves = n >= in_order && mangle.reordered > 0;
        // Not everything is overtaken, or the end would come before anything else.
        let most = mangle.reordered.min(count / 2).max(1);
        let moved = n + if moves { random.below(most) } else { 0 };
        out.push((moved, segment.clone()));
        if random.chance(mangle.repeated) {
            out.push((random.between(moved, moved.max(count) + 10), segment.clone()));
        }
    }
    // Stable: what shares a place stays in order.
    out.sort_by_key(|(place, _)| *place);
    let mut time = start;
    out.into_iter()
        .map(|(_, segment)| {
            time += if random.chance(mangle.paused) { PAUSE } else { STEP };
            (time, segment)
        })
        .collect()
}

/// What the first number of a connection is ahead of that of one before, at least.
const NEXT: u32 = 1 << 28;
/// Packets of a handshake.
const HANDSHAKE: usize = 3;
/// Longer than anything is waited for.
const PAUSE: u64 = 3_000_000_000;
