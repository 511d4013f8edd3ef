//! The fuzz targets without a fuzzer: their seeds, cut at every length and changed a few thousand
//! times, the same way in each run.
//!
//! `TRACEBEE_FUZZ` says how many changed inputs each target gets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tracebee::protocol::{amqp, http1, mysql, postgres, redis, search};
use tracebee::replay::fuzz::{file, records, segments};
use tracebee::source::recording::{Item, encode};
use tracebee::source::{
    ConnectionId, Data, Direction, End, Event, Lost, Opened, Pair, Role, Thread, Time, Work,
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
    run("amqp", amqp::fuzz);
    run("http1", http1::fuzz);
    run("mysql", mysql::fuzz);
    run("postgres", postgres::fuzz);
    run("redis", redis::fuzz);
    run("search", search::fuzz);
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
    let http = [(0, get("/a")), (1, answer(200, 5)), (0, get("/b")), (1, answer(404, 0))];
    write("http1", "calls", &conversation(0, &http));
    make_search_seeds(&write);
    for (name, turns) in databases() {
        write("postgres", name, &conversation(0, &turns));
    }
    make_redis_seeds(&write);
}

/// What both sides say, as the targets of protocols read it.
fn conversation(joined: u8, turns: &[Turn]) -> Vec<u8> {
    let mut out = vec![joined];
    for (side, bytes) in turns {
        for piece in bytes.chunks(255) {
            out.extend([6 + side, piece.len() as u8]);
            out.extend(piece);
        }
    }
    out
}

/// A side and what it says.
type Turn = (u8, Vec<u8>);

/// Conversations of PostgreSQL.
fn databases() -> [(&'static str, Vec<Turn>); 3] {
    let message = |kind: u8, body: &[u8]| {
        [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    };
    let ready = || message(b'Z', b"I");
    let login = [
        (0, vec![0, 0, 0, 8, 4, 210, 22, 47]),
        (1, b"N".to_vec()),
        (0, b"\0\0\0\x16\0\x03\0\0user\0me\0db\0a\0\0".to_vec()),
        (1, [message(b'R', &[0; 4]), message(b'K', &[7; 8]), ready()].concat()),
    ];
    let row = || message(b'D', b"\0\x01\0\0\0\x01x");
    let bound = [
        message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x01x\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ];
    let simple = [
        (0, message(b'Q', b"SELECT a FROM b\0")),
        (1, [message(b'T', &[0, 0]), row(), message(b'C', b"SELECT 1\0"), ready()].concat()),
        (0, message(b'Q', b"SELECT 1/0\0")),
        (1, [message(b'E', b"SERROR\0VERROR\0C22012\0\0"), ready()].concat()),
    ];
    let extended = [
        (0, [message(b'P', b"s\0SELECT $1\0\0\0"), message(b'D', b"Ss\0")].concat()),
        (0, message(b'H', b"")),
        (1, [message(b'1', b""), message(b't', &[0, 0]), message(b'n', b"")].concat()),
        (0, bound.concat()),
        (1, [message(b'2', b""), row(), message(b'C', b"SELECT 1\0"), ready()].concat()),
        (0, [message(b'C', b"Ss\0"), message(b'S', b"")].concat()),
        (1, [message(b'3', b""), ready()].concat()),
    ];
    let copy = [
        (0, message(b'Q', b"COPY a FROM STDIN\0")),
        (1, message(b'G', &[0, 0, 0])),
        (0, [message(b'd', b"1\n"), message(b'c', b"")].concat()),
        (1, [message(b'C', b"COPY 1\0"), ready()].concat()),
        (0, message(b'X', b"")),
    ];
    let after = |turns: &[Turn]| [&login[..], turns].concat();
    [("simple", after(&simple)), ("extended", after(&extended)), ("copy", after(&copy))]
}

/// Bodies of search servers, and a conversation with one.
fn make_search_seeds(write: &impl Fn(&str, &str, &[u8])) {
    let query = r#"{"query":{"bool":{"filter":[{"terms":{"user.id":["a",17,null]}}]}},"size":1.5}"#;
    let bulk = "{\"index\":{\"_index\":\"p\",\"_id\":\"1\"}}\n{\"a\":1}\n{\"delete\":{\"_index\":\"p\"}}\n";
    let root = r#"{"cluster_name":"c","version":{"distribution":"opensearch","lucene_version":"9"},"tagline":"t"}"#;
    let body = |kind: u8, text: &str| [&[kind, 7][..], text.as_bytes()].concat();
    write("search", "query", &body(0, query));
    write("search", "queries", &body(0, &format!("{{}}\n{query}\n")));
    write("search", "bulk", &body(1, bulk));
    write("search", "root", &body(2, root));
    write("search", "path", &body(3, "/products/_doc/7"));
    let posted = |path: &str, fields: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\n{fields}\r\n\r\n{body}").into_bytes()
    };
    let chunks =
        format!("5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", &bulk[..5], bulk.len() - 5, &bulk[5..]);
    let length =
        |body: &str| format!("User-Agent: opensearch-py/3\r\nContent-Length: {}", body.len());
    let answer_root = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{root}",
        root.len()
    );
    let turns = [
        (0, posted("/p/_search", &length(query), query)),
        (1, answer(200, 5)),
        (0, posted("/_bulk", "Transfer-Encoding: chunked", &chunks)),
        (1, answer(200, 0)),
        (0, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        (1, answer_root.into_bytes()),
    ];
    write("http1", "search", &conversation(0, &turns));
}

/// Conversations of Redis.
fn make_redis_seeds(write: &impl Fn(&str, &str, &[u8])) {
    let text = |side, text: &str| (side, text.replace('/', "\r\n").into_bytes());
    let resp2 = [
        text(0, "*2/$6/SELECT/$1/3/*3/$3/SET/$6/user:1/$2/ab/"),
        text(1, "+OK/+OK/"),
        text(0, "*1/$5/MULTI/*2/$4/INCR/$1/n/*1/$4/EXEC/"),
        text(1, "+OK/+QUEUED/*1/-ERR value is not an integer/"),
        text(0, "*3/$5/BLPOP/$1/q/$1/0/"),
        text(1, "*2/$1/q/$3/job/"),
        text(0, "*2/$9/SUBSCRIBE/$1/a/"),
        text(1, "*3/$9/subscribe/$1/a/:1/*3/$7/message/$1/a/$2/hi/"),
        text(0, "PING/"),
        text(1, "*2/$4/pong/$0//"),
    ];
    write("redis", "resp2", &conversation(0, &resp2));
    let resp3 = [
        text(0, "*5/$5/HELLO/$1/3/$4/AUTH/$2/me/$6/secret/"),
        text(1, "%2/$6/server/$5/redis/$5/proto/:3/"),
        text(0, "*3/$7/EVALSHA/$2/ab/$1/0/"),
        text(1, "|1/+ttl/:3/~3/:1/,1.5/(12345678901234567890/>2/$10/invalidate/*1/$1/k/"),
        text(0, "*2/$3/GET/$1/k/"),
        text(1, "$?/;4/abcd/;0/"),
    ];
    write("redis", "resp3", &conversation(0, &resp3));
    // Joined midway, with a gap on each side.
    let mut gaps = conversation(200, &resp2[..4]);
    for side in [0, 1] {
        gaps.extend([side, 9]);
        gaps.extend(&conversation(0, &resp2[2..6])[1..]);
    }
    write("redis", "gaps", &gaps);
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
        after: false,
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
        rest: false,
        thread,
        waited: 5,
        work: Some(Work { id, position: 0, length: 70 }),
        losses: 7,
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
