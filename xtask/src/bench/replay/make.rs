//! Captures of any size, written as they are made.

use std::io::Write;

use anyhow::Result;
use tracebee_tests::capture::files::{Frame, pcap, record};
use tracebee_tests::capture::talk::{Client, End, Server, Talk};

use super::protocol::Protocol;

/// Many small calls, one after the other on each of some connections.
pub(super) struct Calls {
    pub(super) protocol: Protocol,
    pub(super) calls: u64,
    pub(super) connections: u64,
}

impl Calls {
    /// Writes the capture: two packets a call, as between ends that answer at once.
    pub(super) fn write(&self, out: &mut impl Write) -> Result<()> {
        out.write_all(&pcap(&[]))?;
        let protocol = self.protocol;
        let mut talks: Vec<Talk> =
            (0..self.connections).map(|n| connection(self.protocol, n)).collect();
        let mut packets = Packets { out, time: talks[0].time, buffer: Vec::new() };
        for talk in &mut talks {
            packets.pass(talk, |talk| protocol.open(talk))?;
        }
        for n in 0..self.calls {
            let talk = &mut talks[(n % self.connections) as usize];
            let (request, response) = (protocol.request(n), protocol.response(n));
            packets.pass(talk, |talk| talk.say(Client, request).say(Server, response))?;
        }
        for talk in &mut talks {
            packets.pass(talk, |talk| talk.ack(Client).close())?;
        }
        Ok(())
    }
}

fn connection(protocol: Protocol, n: u64) -> Talk {
    let client = format!("10.{}.{}.9:{}", n / 250, n % 250, 40_000 + n % 20_000);
    Talk::between(&client, &format!("10.0.0.1:{}", protocol.port()), [n as u32, !n as u32])
}

/// One connection with answers of a megabyte each, in one part and in many by turns.
pub(super) struct Stream<W: Write> {
    packets: Packets<W>,
    protocol: Protocol,
    talk: Talk,
    calls: u64,
    responses: [Vec<u8>; 2],
}

/// Payload of a packet: what a card that cuts segments itself is given.
const SEGMENT: usize = 60_000;

impl<W: Write> Stream<W> {
    pub(super) fn new(protocol: Protocol, mut out: W) -> Result<Self> {
        out.write_all(&pcap(&[]))?;
        let mut talk = connection(protocol, 0);
        let mut packets = Packets { out, time: talk.time, buffer: Vec::new() };
        packets.pass(&mut talk, |talk| protocol.open(talk))?;
        let responses = protocol.long_responses();
        Ok(Self { packets, protocol, talk, calls: 0, responses })
    }

    /// Writes calls until the server has sent `until` bytes.
    pub(super) fn write(&mut self, until: u64) -> Result<()> {
        let Self { packets, protocol, talk, calls, responses } = self;
        while talk.sent[End::Server as usize] < until {
            packets.pass(talk, |talk| talk.say(Client, protocol.long_request(*calls)))?;
            for part in responses[(*calls % 2) as usize].chunks(SEGMENT) {
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
