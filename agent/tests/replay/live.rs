//! What a kernel might deliver of both ends of conversations, from a seed: parts in any sizes,
//! heads only, sends that are not yet accepted, losses, ends of every kind.

use std::net::SocketAddr;

use tracebee::source::{
    Address, ConnectionId, Data, Direction, End, Event, Lost, Opened, Pair, Program, Role, Thread,
    Time,
};

use tracebee_common::record::TAIL;
use tracebee_tests::capture::message::{request, response};
use tracebee_tests::capture::random::Random;

/// When conversations begin, in boot time.
const BEGIN: u64 = 1_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;
/// The process of each end is one of these: nobody has such an id, but this process itself.
const GONE: u32 = u32::MAX - 100;

/// An event, or the time, with everything that it borrows.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Program { pid: u32, arguments: String, environment: String },
    Data { data: Data<'static>, bytes: Vec<u8>, tail: Vec<u8> },
    Other(Event<'static>),
    Tick(Time),
}

impl Told {
    pub(crate) fn event(&self) -> Result<Event<'_>, Time> {
        match self {
            Told::Program { pid, arguments, environment } => Ok(Event::Program(Program {
                pid: *pid,
                started: Time(SECOND),
                comm: "made-up".into(),
                arguments: arguments.as_bytes(),
                environment: environment.as_bytes(),
                contexts: false,
            })),
            Told::Data { data, bytes, tail } => Ok(Event::Data(Data { bytes, tail, ..*data })),
            Told::Other(event) => Ok(event.clone()),
            Told::Tick(now) => Err(*now),
        }
    }
}

/// One socket of a conversation.
struct Socket {
    id: ConnectionId,
    pid: u32,
    /// Bytes written and read.
    sent: u64,
    received: u64,
    /// False: the agent does not see this end.
    seen: bool,
}

/// A conversation under way.
struct Story<'a> {
    random: &'a mut Random,
    told: Vec<(u64, Told)>,
    time: u64,
}

/// What is delivered, in order.
pub(crate) fn generate(random: &mut Random) -> Vec<Told> {
    let mut told = Vec::new();
    for n in 0..random.between(1, 6) as u64 {
        let time = BEGIN + random.below(5000) as u64 * MILLISECOND;
        let mut story = Story { random, told: Vec::new(), time };
        story.converse(n);
        told.append(&mut story.told);
    }
    told.sort_by_key(|(time, _)| *time);
    let mut all = Vec::new();
    let mut next_tick = BEGIN;
    for (time, told) in told {
        if time >= next_tick {
            all.push(Told::Tick(Time(time)));
            next_tick = time + SECOND;
        }
        all.push(told);
    }
    all
}

impl Story<'_> {
    fn tell(&mut self, event: Event<'static>) {
        self.told.push((self.time, Told::Other(event)));
    }

    fn converse(&mut self, n: u64) {
        let [own, peer] = [self.random.number() as u32, self.random.number() as u32];
        let ([client, server], pairs) = if self.random.chance(30) {
            let accepted = self.random.chance(50).then_some(peer);
            (
                [Address::Unix(None), Address::Unix(Some("/run/shop.sock".into()))],
                [Pair::Inodes { own, peer: accepted }, Pair::Inodes { own: peer, peer: Some(own) }],
            )
        } else {
            let client = SocketAddr::from(([10, 0, 0, 9], 40_000 + n as u16));
            let server = SocketAddr::from(([10, 0, 0, 1], *self.random.pick(&[80, 81])));
            (
                [client.into(), server.into()],
                [
                    Pair::Sequences { sent: own, received: peer },
                    Pair::Sequences { sent: peer, received: own },
                ],
            )
        };
        let mut ends = [
            self.open(n, Role::Client, [&client, &server], pairs[0]),
            self.open(n, Role::Server, [&server, &client], pairs[1]),
        ];
        for call in 0..self.random.between(1, 6) {
            let upload = if self.random.chance(30) { self.random.between(1, 9000) } else { 0 };
            let asked = request(&format!("/t{n}/c{call}"), upload, self.random);
            let [client, server] = &mut ends;
            self.say(client, server, &asked);
            if self.random.chance(5) {
                self.time += 9 * SECOND;
            }
            if self.random.chance(5) {
                break;
            }
            let status = *self.random.pick(&[200, 201, 404, 500]);
            let size = self.random.between(0, 30_000);
            let last = self.random.chance(10);
            let (answer, until_close) = response(status, size, last, self.random);
            self.say(server, client, &answer);
            if until_close {
                break;
            }
        }
        if self.random.chance(80) {
            self.close(&ends);
        }
    }

    fn open(&mut self, n: u64, role: Role, [local, remote]: [&Address; 2], pair: Pair) -> Socket {
        let pid = match self.random.below(4) {
            0 => std::process::id(),
            k => GONE + k as u32,
        };
        if self.random.chance(60) {
            let name = ["shop", "till", "crm"][self.random.below(3)];
            let environment = format!("SECRET=hunter2\0OTEL_RESOURCE_ATTRIBUTES=team={name}\0");
            let arguments = format!("/usr/bin/{name}\0--password=hunter2\0");
            self.told.push((self.time, Told::Program { pid, arguments, environment }));
        }
        let socket = Socket {
            id: ConnectionId(2 * n + u64::from(role == Role::Client)),
            pid,
            sent: 0,
            received: 0,
            seen: self.random.chance(90),
        };
        let midlife = self.random.chance(15);
        if socket.seen {
            self.tell(Event::Opened(Opened {
                id: socket.id,
                time: Time(self.time),
                local: local.clone(),
                remote: remote.clone(),
                role: (!midlife).then_some(role),
                midlife,
                pid,
                netns: 1,
                after: matches!(pair, Pair::Inodes { .. }),
                pair: Some(pair),
            }));
        }
        self.time += MILLISECOND;
        socket
    }

    fn say(&mut self, from: &mut Socket, to: &mut Socket, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = *self.random.pick(&[100, 4000, 40_000]);
            let (part, more) = rest.split_at(self.random.between(1, most.min(rest.len())));
            rest = more;
            let pending = self.random.chance(10);
            self.data(from, Direction::Sent, part, pending);
            if pending {
                self.time += MILLISECOND;
                if from.seen {
                    let (id, time) = (from.id, Time(self.time));
                    self.tell(Event::Sent { id, time, position: from.sent });
                }
            }
            self.data(to, Direction::Received, part, false);
        }
    }

    fn data(&mut self, socket: &mut Socket, direction: Direction, bytes: &[u8], pending: bool) {
        self.time += self.random.between(1, 20) as u64 * MILLISECOND / 10;
        let reached = match direction {
            Direction::Sent => &mut socket.sent,
            Direction::Received => &mut socket.received,
        };
        let position = *reached;
        *reached += bytes.len() as u64;
        if !socket.seen {
            return;
        }
        if self.random.chance(1) {
            let records = self.random.between(1, 3) as u32;
            let [received, sent] = [0, 1].map(|_| self.random.below(3) as u32);
            let last = *self.random.pick(&[None, Some(direction), Some(direction.reverse())]);
            self.tell(Event::Lost(Lost { id: socket.id, records, received, sent, last }));
            return;
        }
        let mut data = Data {
            id: socket.id,
            time: Time(self.time),
            direction,
            position,
            length: 0,
            bytes: b"",
            tail: b"",
            pending,
            rest: false,
            thread: Thread { pid: socket.pid, tid: socket.pid },
            waited: self.random.below(1000) as u64 * 1000,
            work: None,
            losses: 0,
        };
        let mut bytes = bytes;
        if bytes.len() > 1 && self.random.chance(10) {
            // It comes in two records.
            let (front, rest) = bytes.split_at(self.random.between(1, bytes.len() - 1));
            data.length = front.len() as u64;
            let (front, tail) = (front.to_vec(), Vec::new());
            self.told.push((self.time, Told::Data { data, bytes: front, tail }));
            (data.position, data.rest, bytes) = (position + data.length, true, rest);
        }
        let captured = if self.random.chance(20) { bytes.len() / 2 } else { bytes.len() };
        let tail =
            if captured < bytes.len() { &bytes[bytes.len().saturating_sub(TAIL)..] } else { b"" };
        data.length = bytes.len() as u64;
        let (bytes, tail) = (bytes[..captured].to_vec(), tail.to_vec());
        self.told.push((self.time, Told::Data { data, bytes, tail }));
    }

    fn close(&mut self, ends: &[Socket; 2]) {
        let error = self.random.chance(10).then_some(104);
        for Socket { id, sent, received, seen, .. } in ends {
            self.time += MILLISECOND;
            if !seen {
                continue;
            }
            let (id, time) = (*id, Time(self.time));
            if error.is_none() {
                let [first, second] = [End::PeerFinished(*received), End::Finished(*sent)];
                self.tell(Event::Ended { id, time, end: first });
                self.tell(Event::Ended { id, time, end: second });
            }
            let end = End::Closed { error, received: *received, sent: *sent };
            self.tell(Event::Ended { id, time, end });
        }
    }
}
