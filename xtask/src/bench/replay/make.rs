//! Captures of any size, written as they are made.

use std::io::Write;

use anyhow::Result;
use tracebee_tests::capture::files::{Frame, pcap, record};
use tracebee_tests::capture::talk::{Client, End, Server, Talk};

use super::Protocol;

/// Many small calls, one after the other on each of some connections.
pub(super) struct Calls {
    pub(super) calls: u64,
    pub(super) connections: u64,
    pub(super) protocol: Protocol,
}

impl Calls {
    /// Writes the capture: two packets a call, as between ends that answer at once.
    pub(super) fn write(&self, out: &mut impl Write) -> Result<()> {
        out.write_all(&pcap(&[]))?;
        let mut talks: Vec<Talk> = (0..self.connections).map(connection).collect();
        let mut packets = Packets { out, time: talks[0].time, buffer: Vec::new() };
        for talk in &mut talks {
            packets.pass(talk, Talk::open)?;
        }
        for n in 0..self.calls {
            let talk = &mut talks[(n % self.connections) as usize];
            let (asks, says) = match self.protocol {
                Protocol::Http => (request(n), response()),
                Protocol::Redis => command(n),
            };
            packets.pass(talk, |talk| talk.say(Client, asks).say(Server, says))?;
        }
        for talk in &mut talks {
            packets.pass(talk, |talk| talk.ack(Client).close())?;
        }
        Ok(())
    }
}

fn connection(n: u64) -> Talk {
    let client = format!("10.{}.{}.9:{}", n / 250, n % 250, 40_000 + n % 20_000);
    Talk::between(&client, "10.0.0.1:8080", [n as u32, !n as u32])
}

/// As a client in a service mesh might ask.
fn request(n: u64) -> Vec<u8> {
    format!(
        "GET /api/v1/users/{}/orders?page={} HTTP/1.1\r\nHost: orders.example:8080\r\n\
         User-Agent: bench/1.0 (replay)\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n\
         traceparent: 00-{:032x}-{:016x}-01\r\nConnection: keep-alive\r\n\r\n",
        n % 1000,
        n % 7,
        n + 1,
        n + 1
    )
    .into_bytes()
}

fn response() -> Vec<u8> {
    const BODY: &str = r#"{"id":42,"items":[{"sku":"a-1","count":2},{"sku":"b-7","count":1}]}"#;
    format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sat, 21 Nov 2026 19:00:00 GMT\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\r\n{BODY}",
        BODY.len()
    )
    .into_bytes()
}

/// A session that is kept and looked up again, and what is answered.
fn command(n: u64) -> (Vec<u8>, Vec<u8>) {
    const VALUE: &str = "0123456789abcdef0123456789abcdef";
    let key = format!("session:{n:016x}");
    if (n / 2).is_multiple_of(2) {
        let set = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$32\r\n{VALUE}\r\n", key.len());
        (set.into_bytes(), b"+OK\r\n".to_vec())
    } else {
        let get = format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len());
        (get.into_bytes(), format!("$32\r\n{VALUE}\r\n").into_bytes())
    }
}

/// One connection with answers of a megabyte each, by length and in chunks by turns.
pub(super) struct Stream<W: Write> {
    packets: Packets<W>,
    talk: Talk,
    calls: u64,
    by_length: Vec<u8>,
    chunked: Vec<u8>,
}

/// Payload of an answer.
const BODY: usize = 1 << 20;
/// Payload of a chunk.
const CHUNK: usize = 8 << 10;
/// Payload of a packet: what a card that cuts segments itself is given.
const SEGMENT: usize = 60_000;

impl<W: Write> Stream<W> {
    pub(super) fn new(mut out: W) -> Result<Self> {
        out.write_all(&pcap(&[]))?;
        let mut talk = connection(0);
        let mut packets = Packets { out, time: talk.time, buffer: Vec::new() };
        packets.pass(&mut talk, Talk::open)?;
        let mut by_length =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").into_bytes();
        by_length.resize(by_length.len() + BODY, b'x');
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..BODY / CHUNK {
            chunked.extend(format!("{CHUNK:x}\r\n").bytes());
            chunked.resize(chunked.len() + CHUNK, b'x');
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\n\r\n");
        Ok(Self { packets, talk, calls: 0, by_length, chunked })
    }

    /// Writes calls until the server has sent `until` bytes.
    pub(super) fn write(&mut self, until: u64) -> Result<()> {
        let Self { packets, talk, calls, by_length, chunked } = self;
        while talk.sent[End::Server as usize] < until {
            packets.pass(talk, |talk| talk.say(Client, request(*calls)))?;
            let response = if *calls % 2 == 0 { &*by_length } else { &*chunked };
            for part in response.chunks(SEGMENT) {
                packets.pass(talk, |talk| talk.say(Server, part))?;
            }
            *calls += 1;
        }
        packets.out.flush()?;
        Ok(())
    }

    /// Ends the connection; says how many calls there were.
    pub(super) fn close(mut self) -> Result<u64> {
        self.packets.pass(&mut self.talk, |talk| talk.ack(Client).close())?;
        self.packets.out.flush()?;
        Ok(self.calls)
    }
}

/// What is said goes to the file at once.
struct Packets<W> {
    out: W,
    time: u64,
    buffer: Vec<u8>,
}

/// Between two packets, in nanoseconds.
const STEP: u64 = 5_000;

impl<W: Write> Packets<W> {
    fn pass(&mut self, talk: &mut Talk, say: impl FnOnce(Talk) -> Talk) -> Result<()> {
        let so_far = std::mem::replace(talk, Talk::new());
        *talk = say(so_far);
        for (_, segment) in talk.packets.drain(..) {
            self.buffer.clear();
            record(&mut self.buffer, &Frame::new(self.time, segment.ethernet()));
            self.out.write_all(&self.buffer)?;
            self.time += STEP;
        }
        Ok(())
    }
}
