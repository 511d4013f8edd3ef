//! Live, and replayed from what was recorded meanwhile: the same spans, the same losses.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use tracebee::pipeline::Pipeline;
use tracebee::record::Recorder;
use tracebee::replay::Replay;
use tracebee::select::{PortArgs, SelectArgs, Selection};
use tracebee::source::recording::{Ending, HEADER, Item, encode, header};
use tracebee::source::{ConnectionId, Data, Direction, Event, Opened, Role, Thread, Time};
use tracebee::stats::{Loss, Stats};
use tracebee::trace::{Span, Tracer};
use tracebee::value::Value;

use crate::live::{Told, generate};
use crate::outcome::Outcome;
use crate::seeds::seeds;
use tracebee_tests::capture::random::Random;

const TIMEOUT: Option<Duration> = Some(Duration::from_secs(5));
const NO_LIMIT: u64 = u64::MAX;

/// Runs a live pipeline over what a kernel might deliver, and records it.
fn live(told: &[Told], select: SelectArgs, path: &Path) -> Outcome {
    let stats = Arc::new(Stats::default());
    let selection = Selection::new(select, Vec::new());
    let mut pipeline = Pipeline::new(selection, Tracer::default(), TIMEOUT, Arc::clone(&stats));
    let mut recorder = Recorder::create(path, NO_LIMIT, &mut pipeline, Arc::clone(&stats))
        .expect("the file can be made");
    let mut spans = Vec::new();
    for (n, told) in told.iter().enumerate() {
        match told.event() {
            Ok(event) => recorder.event(&mut pipeline, event),
            Err(now) => {
                pipeline.tick(now);
                recorder.collect(|| stats.lose(Loss::RingFull, n as u64 % 2));
                recorder.tick(&mut pipeline, now);
            }
        }
        pipeline.wishes().for_each(drop);
        spans.append(pipeline.spans());
    }
    pipeline.stop();
    recorder.stop(&mut pipeline);
    spans.append(pipeline.spans());
    recorder.wait(Duration::from_secs(30));
    Outcome { spans, stats }
}

fn replay(bytes: &[u8]) -> Outcome {
    let stats = Arc::new(Stats::default());
    let mut replay =
        Replay::new(Selection::default(), Tracer::default(), TIMEOUT, Arc::clone(&stats));
    let mut spans = Vec::new();
    let read = replay.file("test", bytes, |pipeline| {
        spans.append(pipeline.spans());
        true
    });
    read.expect("the file has a header");
    spans.append(replay.finish().spans());
    Outcome { spans, stats }
}

/// Spans as text, their ids numbered in the order in which they appear.
fn comparable(spans: &[Span]) -> Vec<String> {
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut number = |id: String| {
        let next = ids.len();
        *ids.entry(id).or_insert(next)
    };
    spans
        .iter()
        .map(|span| {
            let Span { name, start, end, error, kind, depth, flags, trace_state, .. } = span;
            let ids = [number(span.trace_id.to_string()), number(span.span_id.to_string())];
            let parent = span
                .parent
                .as_ref()
                .map(|parent| (number(parent.span_id.to_string()), parent.remote, parent.link));
            let attributes = span.attributes.iter().map(|(key, value)| (*key, plain(value)));
            let attributes: Vec<_> = attributes.collect();
            let resource = span.resource.attributes.iter();
            let resource: Vec<_> = resource.map(|(key, value)| (key, plain(value))).collect();
            format!(
                "{ids:?} {parent:?} {kind:?} {name} {start}..{end} {error} {depth} {flags} \
                 {trace_state:?} {attributes:?} {} {} {resource:?}",
                span.resource.service, span.resource.pid
            )
        })
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Static(text) => (*text).to_owned(),
        Value::Text(text) => text.to_string(),
        Value::Shared(text) => text.to_string(),
        Value::Int(n) => format!("int {n}"),
        Value::Bool(truth) => format!("bool {truth}"),
    }
}

fn counted(outcome: &Outcome) -> (Vec<(&'static str, u64)>, u64, u64) {
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    (outcome.losses(), load(&outcome.stats.calls), load(&outcome.stats.unlinked))
}

#[test]
fn a_replay_is_what_live_was() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("run.rec");
    let (mut spans, mut linked, mut named) = (0, 0, 0);
    for seed in seeds() {
        let told = generate(&mut Random::new(seed));
        // What was selected then is not selected again.
        let excluded = if seed % 4 == 0 { vec![81] } else { Vec::new() };
        let ports = PortArgs { exclude_port: excluded, ..PortArgs::default() };
        let live = live(&told, SelectArgs { ports, ..SelectArgs::default() }, &path);
        let bytes = fs::read(&path).expect("it was written");
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "seed {seed}");
        let replayed = replay(&bytes);
        assert_eq!(comparable(&replayed.spans), comparable(&live.spans), "seed {seed}");
        assert_eq!(counted(&replayed), counted(&live), "seed {seed}");
        spans += live.spans.len();
        linked += live.spans.iter().filter(|span| span.parent.is_some()).count();
        named += live.spans.iter().filter(|span| &*span.resource.service == "till").count();
    }
    println!("{spans} spans, {linked} linked, {named} of one service");
    assert!(linked * 5 > spans && named * 20 > spans, "the generator makes too little of it");
}

#[test]
fn what_is_before_a_cut_is_the_same() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("run.rec");
    for seed in seeds().step_by(10) {
        let mut random = Random::new(seed);
        let live = live(&generate(&mut random), SelectArgs::default(), &path);
        let bytes = fs::read(&path).expect("it was written");
        let all = comparable(&live.spans);
        for _ in 0..5 {
            let cut = random.between(HEADER, bytes.len() - 1);
            let some = comparable(&replay(&bytes[..cut]).spans);
            assert_eq!(some, all[..some.len()], "seed {seed}, {cut} bytes");
        }
    }
}

#[test]
fn the_wall_clock_is_followed() {
    const SECOND: u64 = 1_000_000_000;
    const DAY: i64 = 86_400 * SECOND as i64;
    let mut bytes = header(1000 * DAY).to_vec();
    let mut put = |item: Item<'_>| encode(&item, &mut bytes);
    put(Item::Event(Event::Opened(Opened {
        id: ConnectionId(1),
        time: Time(SECOND),
        local: SocketAddr::from(([127, 0, 0, 1], 80)).into(),
        remote: SocketAddr::from(([127, 0, 0, 1], 40_000)).into(),
        role: Some(Role::Server),
        midlife: false,
        pid: 7,
        netns: 1,
        pair: None,
        after: false,
    })));
    for n in 0..3 {
        let texts = [
            (Direction::Received, "GET / HTTP/1.1\r\n\r\n"),
            (Direction::Sent, "HTTP/1.1 204 X\r\n\r\n"),
        ];
        for (direction, text) in texts {
            put(Item::Event(Event::Data(Data {
                id: ConnectionId(1),
                time: Time(5 * SECOND),
                direction,
                position: n * text.len() as u64,
                length: text.len() as u64,
                bytes: text.as_bytes(),
                tail: b"",
                pending: false,
                rest: false,
                thread: Thread { pid: 7, tid: 7 },
                waited: 0,
                work: None,
                losses: 0,
            })));
        }
        // Somebody sets the clock back, and then before the beginning of time.
        put(Item::Anchor(if n == 0 { 999 * DAY } else { -DAY }));
        put(Item::Tick(Time(6 * SECOND)));
    }
    put(Item::End(Ending::Stopped));
    let spans = replay(&bytes).spans;
    let starts: Vec<_> = spans.iter().map(|span| span.start).collect();
    let unix = |days: u64| days * DAY as u64 + 5 * SECOND;
    assert_eq!(starts, [unix(1000), unix(999), 0]);
    assert!(spans.iter().all(|span| &*span.resource.service == "unknown_service"));
}

/// The records of a recording: kind and content.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &bytes[HEADER..];
    let mut records = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (record, after) = more[4..].split_at(u32::from_le_bytes(*length) as usize);
        records.push(record.to_vec());
        rest = after;
    }
    records
}

/// A recording of such records, whatever they are.
fn sealed(header: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for record in records {
        let mut check = flate2::Crc::new();
        check.update(record);
        bytes.extend((record.len() as u32).to_le_bytes());
        bytes.extend(check.sum().to_le_bytes());
        bytes.extend(record);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Somebody may seal anything.
    #[test]
    fn mutated_recordings(
        seed in 0..20u64,
        mutations in proptest::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<[u8; 8]>(), 1..9usize),
            1..60,
        ),
        swaps in proptest::collection::vec(any::<[prop::sample::Index; 2]>(), 0..20),
    ) {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("run.rec");
        live(&generate(&mut Random::new(seed)), SelectArgs::default(), &path);
        let bytes = fs::read(&path).expect("it was written");
        let mut all = records(&bytes);
        let count = all.len();
        for (record, at, with, length) in mutations {
            let record = &mut all[record.index(count)];
            let at = at.index(record.len());
            let end = (at + length).min(record.len());
            record[at..end].copy_from_slice(&with[..end - at]);
        }
        for [one, other] in swaps {
            all.swap(one.index(count), other.index(count));
        }
        let outcome = replay(&sealed(&bytes[..HEADER], &all));
        prop_assert!(outcome.packets() <= count as u64);
        for span in &outcome.spans {
            prop_assert!(span.start <= span.end);
        }
    }
}
