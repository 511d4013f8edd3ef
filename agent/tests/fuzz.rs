//! The fuzz targets without a fuzzer: their seeds, cut at every length and changed a few thousand
//! times, the same way in each run.
//!
//! `TRACEBEE_FUZZ` says how many changed inputs each target gets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tracebee::protocol::http1;
use tracebee::replay::fuzz::{file, records, segments};
use tracebee::source::recording::{Item, encode};
use tracebee::source::{
    ConnectionId, Data, Direction, End, Event, Lost, Opened, Pair, Role, Thread, Time,
};
use tracebee_tests::capture::files::{Frame, Order, Pcapng, pcap};
use tracebee_tests::capture::random::Random;
use tracebee_tests::capture::talk::{Client, Talk, answer, get};

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

fn run(target: &str, play: fn(&[u8])) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(seeds(target))
        .expect("the seeds are in the repository")
        .map(|entry| entry.expect("a directory that can be read").path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> =
        files.iter().map(|file| std::fs::read(file).expect("a file that can be read")).collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for seed in &seeds {
        let step = (seed.len() / 200).max(1);
        (0..=seed.len()).step_by(step).for_each(|length| play(&seed[..length]));
    }
    let mut random = Random::new(793);
    for n in 0..inputs() {
        let mut data = seeds[n % seeds.len()].clone();
        for _ in 0..random.between(1, 8) {
            change(&mut data, &seeds, &mut random);
        }
        play(&data);
    }
}

fn inputs() -> usize {
    match std::env::var("TRACEBEE_FUZZ") {
        Ok(count) => count.parse().expect("TRACEBEE_FUZZ is a number"),
        Err(_) => 1500,
    }
}

fn change(data: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    if data.is_empty() {
        return data.push(random.number() as u8);
    }
    let at = random.below(data.len());
    let end = random.between(at, data.len().min(at + 64));
    match random.below(6) {
        0 => data[at] = random.number() as u8,
        1 => data[at] ^= 1 << random.below(8),
        2 => drop(data.drain(at..end)),
        3 => {
            let again = data[at..end].to_vec();
            let to = random.between(0, data.len());
            data.splice(to..to, again);
        }
        4 => {
            let word = *random.pick(&[[0; 4], [0xff; 4], [0, 0, 0, 0x80], [0xff, 0x7f, 0, 0]]);
            data.splice(at..at, word);
        }
        _ => {
            let other = random.pick(seeds);
            data.truncate(at);
            data.extend(&other[random.between(0, other.len())..]);
        }
    }
}

#[test]
fn files() {
    run("file", file);
}

#[test]
fn recordings() {
    run("records", records);
}

#[test]
fn tcp() {
    run("segments", segments);
}

#[test]
fn conversations() {
    run("http1", http1::fuzz);
}

/// Writes the seeds anew: small files that show each format and each kind of packet.
#[test]
#[ignore = "writes fuzz/seeds"]
fn make_seeds() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(seeds(target)).expect("a directory that can be made");
        std::fs::write(seeds(target).join(name), bytes).expect("a file that can be written");
    };
    let talk = Talk::new().open().call("/a", 200, 10).call("/b", 404, 0).ack(Client).close();
    let frames = talk.frames();
    write("file", "calls.pcap", &pcap(&frames));
    let mut ng = Pcapng::new(Order::Big);
    ng.interface(1, Some(9), Some(5));
    frames.iter().for_each(|frame| ng.packet(0, frame.time, frame));
    ng.simple(&frames[0]);
    write("file", "calls.pcapng", &ng.out);
    let request = &talk.packets[3];
    let fragments = request.1.fragments_v4(7, 24);
    let fragments: Vec<_> =
        fragments.into_iter().map(|bytes| Frame::new(request.0, bytes)).collect();
    write("file", "fragments.pcap", &pcap(&fragments));
    write("records", "call", &recorded());
    write("segments", "calls", &described(&talk));
    let mut http = vec![0];
    for (side, bytes) in [(0, get("/a")), (1, answer(200, 5)), (0, get("/b")), (1, answer(404, 0))]
    {
        http.extend([4 + side, bytes.len() as u8]);
        http.extend(bytes);
    }
    write("http1", "calls", &http);
}

/// A call as the records of the target, without their frames.
fn recorded() -> Vec<u8> {
    /// Length and checksum.
    const FRAME: usize = 8;
    let (id, thread) = (ConnectionId(1), Thread { pid: 7, tid: 8 });
    let opened = Opened {
        id,
        time: Time(1000),
        local: SocketAddr::from(([10, 0, 0, 1], 80)).into(),
        remote: SocketAddr::from(([10, 0, 0, 9], 40_000)).into(),
        role: Some(Role::Server),
        midlife: false,
        pid: 7,
        netns: 1,
        pair: Some(Pair::Sequences { sent: 1, received: 2 }),
    };
    let (request, response) = (get("/a"), answer(200, 5));
    let data = |direction, bytes| Data {
        id,
        time: Time(2000),
        direction,
        position: 0,
        length: 70,
        bytes,
        tail: &[],
        pending: false,
        thread,
        waited: 5,
    };
    let closed = End::Closed { error: None, received: 70, sent: 70 };
    let items = [
        Item::Event(Event::Opened(opened)),
        Item::Event(Event::Data(data(Direction::Received, &request))),
        Item::Event(Event::Data(data(Direction::Sent, &response))),
        Item::Event(Event::Sent { id, time: Time(2500), position: 70 }),
        Item::Event(Event::Lost(Lost { id, records: 3, received: 2, sent: 1, last: None })),
        Item::Tick(Time(3000)),
        Item::Anchor(17),
        Item::Unrecorded(4),
        Item::Event(Event::Ended { id, time: Time(4000), end: closed }),
    ];
    let mut out = Vec::new();
    for item in &items {
        let mut record = Vec::new();
        encode(item, &mut record);
        out.extend(((record.len() - FRAME) as u16).to_le_bytes());
        out.extend(&record[FRAME..]);
    }
    out
}

/// A conversation as the segments of the target.
fn described(talk: &Talk) -> Vec<u8> {
    let mut sent = [0u32; 2];
    let mut out = Vec::new();
    for (_, segment) in &talk.packets {
        let from = usize::from(segment.from != talk.ends[0]);
        let relative = |number: u32, end: usize| number.wrapping_sub(talk.initial[end]);
        let sequence = relative(segment.sequence, from);
        let acknowledged = relative(segment.acknowledged, 1 - from);
        out.push(from as u8 | segment.flags << 1);
        out.push(segment.bytes.len() as u8);
        out.extend((sequence.wrapping_sub(sent[from]) as i16).to_le_bytes());
        out.extend((acknowledged.wrapping_sub(sent[1 - from]) as i16).to_le_bytes());
        out.push(1);
        out.extend(&segment.bytes);
        sent[from] = sent[from].max(sequence.wrapping_add(segment.bytes.len() as u32));
    }
    out
}
