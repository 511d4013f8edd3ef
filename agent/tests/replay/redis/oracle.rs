//! The same captures by a decoder that others wrote (crate `redis-protocol`): when which commands were
//! sent, when the last reply to them came, and which error was among these.

use std::collections::{BTreeMap, VecDeque};

use redis_protocol::{resp2, resp3};

use super::{Capture, RUNS, size, text};

/// The packet's link and network layer, in bytes: Ethernet and IPv4 without options.
const NETWORK: usize = 14 + 20;

/// As much of a value as is compared.
#[derive(Debug)]
enum Said {
    Array(Vec<Said>),
    Text(String),
    Error(String),
    Push,
    Other,
}

/// The value that `bytes` begin with, and its length; both protocols have a decoder of their own.
fn decode(bytes: &[u8], resp3: bool) -> Option<(Said, usize)> {
    if resp3 {
        let (frame, length) = resp3::decode::complete::decode(bytes).expect("what Redis says")?;
        return Some((of_resp3(frame), length));
    }
    let (frame, length) = resp2::decode::decode(bytes).expect("what Redis says")?;
    Some((of_resp2(frame), length))
}

fn of_resp2(frame: resp2::types::OwnedFrame) -> Said {
    use resp2::types::OwnedFrame::{Array, BulkString, Error};
    match frame {
        Array(values) => Said::Array(values.into_iter().map(of_resp2).collect()),
        BulkString(text) => Said::Text(String::from_utf8_lossy(&text).into_owned()),
        Error(text) => Said::Error(text),
        _ => Said::Other,
    }
}

fn of_resp3(frame: resp3::types::OwnedFrame) -> Said {
    use resp3::types::OwnedFrame::{Array, BlobError, BlobString, Push, SimpleError};
    let text = |text: Vec<u8>| String::from_utf8_lossy(&text).into_owned();
    match frame {
        Array { data, .. } => Said::Array(data.into_iter().map(of_resp3).collect()),
        BlobString { data, .. } => Said::Text(text(data)),
        SimpleError { data, .. } => Said::Error(data),
        BlobError { data, .. } => Said::Error(text(data)),
        Push { .. } => Said::Push,
        _ => Said::Other,
    }
}

/// What one side has sent and nobody has decoded.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    /// Where the bytes of each packet begin in `bytes`, and when it was captured.
    packets: VecDeque<(usize, u64)>,
    next: Option<u32>,
}

impl Stream {
    /// Takes in a packet: its number in the stream, and what it holds.
    fn take(&mut self, sequence: u32, payload: &[u8], time: u64) {
        let next = self.next.unwrap_or(sequence);
        assert_eq!(sequence, next, "loopback keeps the order and loses nothing");
        self.next = Some(sequence.wrapping_add(payload.len() as u32));
        self.packets.push_back((self.bytes.len(), time));
        self.bytes.extend(payload);
    }

    /// The next value, and when its first byte and its last were captured.
    fn value(&mut self, resp3: bool) -> Option<(Said, u64, u64)> {
        let (said, length) = decode(&self.bytes, resp3)?;
        let at = |position: usize| {
            let packet = self.packets.iter().rev().find(|(start, _)| *start <= position);
            packet.expect("a packet").1
        };
        let (first, last) = (at(0), at(length - 1));
        self.bytes.drain(..length);
        for packet in &mut self.packets {
            packet.0 = packet.0.saturating_sub(length);
        }
        // Of those that begin at 0 now the last one does.
        while self.packets.get(1).is_some_and(|(start, _)| *start == 0) {
            self.packets.pop_front();
        }
        Some((said, first, last))
    }
}

/// A call: when it began and ended, its commands, its first error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    start: u64,
    end: u64,
    commands: Vec<String>,
    error: Option<String>,
}

#[derive(Default)]
struct Connection {
    client: Stream,
    server: Stream,
    /// Calls with replies that they wait for.
    open: VecDeque<(Told, usize)>,
    /// The server has spoken since the client did.
    server_spoke: bool,
    /// What it is told without having asked for it cannot be told from replies here.
    subscribed: bool,
    done: Vec<Told>,
}

impl Connection {
    fn commands(&mut self) {
        while let Some((said, start, _)) = self.client.value(false) {
            let Said::Array(words) = &said else { panic!("not a command: {said:?}") };
            let Some(Said::Text(name)) = words.first() else { panic!("not a command: {said:?}") };
            let name = name.to_ascii_uppercase();
            self.subscribed |= name.contains("SUBSCRIBE");
            if std::mem::take(&mut self.server_spoke) || self.open.is_empty() {
                self.open.push_back((Told { start, ..Told::default() }, 0));
            }
            let (call, left) = self.open.back_mut().expect("just made");
            call.commands.push(name);
            *left += 1;
        }
    }

    fn replies(&mut self, resp3: bool) {
        while let Some((said, _, end)) = self.server.value(resp3) {
            self.server_spoke = true;
            if matches!(said, Said::Push) || self.subscribed {
                continue;
            }
            let (call, left) = self.open.front_mut().expect("a reply to something");
            let of_transaction = call.commands.iter().any(|name| name == "EXEC");
            let error = match &said {
                Said::Array(values) if of_transaction => values.iter().find_map(error),
                said => error(said),
            };
            if call.error.is_none() {
                call.error = error;
            }
            call.end = end;
            *left -= 1;
            if *left == 0 {
                self.done.extend(self.open.pop_front().map(|(call, _)| call));
            }
        }
    }
}

/// The code of an error.
fn error(said: &Said) -> Option<String> {
    let Said::Error(text) = said else { return None };
    text.split(' ').next().map(str::to_owned)
}

/// All calls of a capture, and how many connections it has that subscribed.
fn told(capture: &Capture<'_>, port: u16, resp3: bool) -> (Vec<Told>, usize) {
    let mut connections: BTreeMap<u16, Connection> = BTreeMap::new();
    for (number, packet) in capture.packets.iter().enumerate() {
        let network = &packet[16..];
        let length = usize::from(u16::from_be_bytes([network[16], network[17]])) - 20;
        let segment = &network[NETWORK..NETWORK + length];
        let number_at = |at| u16::from_be_bytes([segment[at], segment[at + 1]]);
        let sequence = u32::from(number_at(4)) << 16 | u32::from(number_at(6));
        let payload = &segment[usize::from(segment[12] >> 4) * 4..];
        let from_client = number_at(2) == port;
        let client = if from_client { number_at(0) } else { number_at(2) };
        let connection = connections.entry(client).or_default();
        if payload.is_empty() {
            continue;
        }
        let time = capture.time(number);
        if from_client {
            connection.client.take(sequence, payload, time);
            connection.commands();
        } else {
            connection.server.take(sequence, payload, time);
            connection.replies(resp3);
        }
    }
    let subscribed = connections.values().filter(|connection| connection.subscribed).count();
    let done = connections.into_values().filter(|connection| !connection.subscribed);
    (done.flat_map(|connection| connection.done).collect(), subscribed)
}

/// The port that most packets have.
fn server(capture: &Capture<'_>) -> u16 {
    let mut ports: BTreeMap<u16, usize> = BTreeMap::new();
    for packet in &capture.packets {
        for at in [16 + NETWORK, 16 + NETWORK + 2] {
            *ports.entry(u16::from_be_bytes([packet[at], packet[at + 1]])).or_default() += 1;
        }
    }
    ports.into_iter().max_by_key(|(_, packets)| *packets).expect("packets").0
}

#[test]
fn the_same_calls() {
    for run in RUNS {
        let (name, capture) = (run.name, run.capture());
        let (told, subscribed) = told(&capture, server(&capture), name == "RESP3");
        assert!(told.len() > 60 && subscribed <= 2, "{name}: {} calls, {subscribed}", told.len());
        let mut spans = run.whole();
        spans.sort_by_key(|span| span.start);
        let mut missing = Vec::new();
        for call in &told {
            let found =
                spans.iter().position(|span| span.start == call.start && span.end == call.end);
            let Some(found) = found else {
                missing.push(call);
                continue;
            };
            let span = spans.remove(found);
            let shown = text(&span, "db.query.text").expect("a text");
            let words: Vec<&str> =
                shown.split("; ").map(|one| one.split(' ').next().unwrap_or_default()).collect();
            let names: Vec<&str> = call.commands.iter().map(String::as_str).collect();
            let same = |(word, name): (&&str, &&str)| word.eq_ignore_ascii_case(name);
            let all = match words[..] {
                [word] => names.iter().all(|name| same((&word, name))),
                _ => {
                    let cut = shown.contains("...");
                    (cut || words.len() == names.len()) && words.iter().zip(&names).all(same)
                }
            };
            assert!(all, "{name}: {shown}, not {names:?}");
            let counted = names.iter().filter(|name| !["MULTI", "EXEC"].contains(name)).count();
            let counts = if counted > 1 { Some(counted as i64) } else { None };
            assert_eq!(size(&span), counts, "{name}: {shown}");
            let code = text(&span, "db.response.status_code");
            assert_eq!(code, call.error.as_deref(), "{name}: {shown}");
        }
        assert!(missing.is_empty(), "{name}: no span of {missing:#?}");
        // What is left is of connections that subscribed.
        assert!(spans.len() < 20, "{name}: only ours: {spans:#?}");
    }
}
