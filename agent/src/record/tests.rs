//! Limits: of the file, of a disk that is too slow, of one that is full.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::replay::Replay;
use crate::select::Selection;
use crate::source::recording::{File, Next};
use crate::source::{Data, Direction, Role, Thread};
use crate::trace::Tracer;

/// A file that takes nothing until it is told to.
struct Slow {
    go: Receiver<()>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Disconnected: from now on it is fast.
        let _ = self.go.recv();
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Bench {
    pipeline: Pipeline,
    recorder: Recorder,
    stats: Arc<Stats>,
}

fn pipeline() -> (Pipeline, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    let pipeline = Pipeline::new(Selection::default(), Tracer::default(), None, Arc::clone(&stats));
    (pipeline, stats)
}

fn bench(file: impl Write + Send + 'static, max: u64) -> Bench {
    let (mut pipeline, stats) = pipeline();
    let path = Path::new("test");
    let disk = Disk::start(file, path, Arc::clone(&stats)).expect("a thread");
    let recorder = Recorder::with(disk, path, max, &mut pipeline, Arc::clone(&stats));
    Bench { pipeline, recorder, stats }
}

impl Bench {
    fn on(&mut self, event: Event<'_>) {
        self.recorder.event(&mut self.pipeline, event);
    }

    fn open(&mut self, id: u64) {
        self.on(Event::Opened(Opened {
            id: ConnectionId(id),
            time: Time(1),
            local: SocketAddr::from(([127, 0, 0, 1], 80)).into(),
            remote: SocketAddr::from(([127, 0, 0, 1], 40_000)).into(),
            role: Some(Role::Server),
            midlife: false,
            pid: 0,
            netns: 1,
            pair: None,
            after: false,
        }));
    }

    /// A call, by the positions where its request and answer begin.
    fn call(&mut self, id: u64, number: u64) {
        let request = format!("GET /{number:08} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for (direction, text) in [(Direction::Received, &*request), (Direction::Sent, answer)] {
            self.on(Event::Data(Data {
                id: ConnectionId(id),
                time: Time(1000 + number),
                direction,
                position: number * text.len() as u64,
                length: text.len() as u64,
                bytes: text.as_bytes(),
                tail: b"",
                pending: false,
                rest: false,
                thread: Thread::default(),
                waited: 0,
                work: None,
                losses: 0,
            }));
        }
    }

    fn unrecorded(&self) -> u64 {
        self.stats.lost(Loss::Unrecorded)
    }

    fn stop(mut self) -> Arc<Stats> {
        self.pipeline.stop();
        self.recorder.stop(&mut self.pipeline);
        self.recorder.wait(Duration::from_secs(30));
        self.stats
    }
}

/// How many spans a recording gives, and how many events it says are missing.
fn replayed(bytes: &[u8]) -> (usize, u64) {
    let stats = Arc::new(Stats::default());
    let mut replay = Replay::new(Selection::default(), Tracer::default(), None, Arc::clone(&stats));
    let mut spans = 0;
    let read = replay.file("test", bytes, |pipeline| {
        spans += pipeline.spans().drain(..).count();
        true
    });
    read.expect("a header");
    (spans, stats.lost(Loss::Unrecorded))
}

/// The connections that are announced as older than what follows.
fn announced_midlife(bytes: &[u8]) -> Vec<u64> {
    let mut file = File::open(bytes).expect("a header");
    let mut ids = Vec::new();
    loop {
        match file.record().expect("it is whole") {
            Next::Item(Item::Event(Event::Opened(Opened { id, midlife: true, .. }))) => {
                ids.push(id.0);
            }
            Next::Item(_) => {}
            Next::Unknown | Next::Nothing => return ids,
        }
    }
}

fn slow() -> (Slow, Sender<()>, Arc<Mutex<Vec<u8>>>) {
    let (sender, go) = channel();
    let bytes = Arc::default();
    (Slow { go, bytes: Arc::clone(&bytes) }, sender, bytes)
}

fn taken(bytes: &Mutex<Vec<u8>>) -> Vec<u8> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[test]
fn the_limit_of_the_file_holds() {
    for max in [100_000, 100_001, 300_000] {
        let (file, go, bytes) = slow();
        drop(go);
        let mut bench = bench(file, max);
        bench.open(1);
        (0..2000).for_each(|n| bench.call(1, n));
        let spans = bench.pipeline.spans().len();
        assert_eq!(spans, 2000, "tracing goes on");
        let lost = bench.stop().lost(Loss::Unrecorded);
        let bytes = taken(&bytes);
        assert!(bytes.len() as u64 <= max && bytes.len() as u64 > max - 200, "{}", bytes.len());
        let (calls, _) = replayed(&bytes);
        assert_eq!(calls, (4000 - lost as usize) / 2);
        assert!(calls > 300);
    }
}

#[test]
fn a_slow_disk_loses_events_and_makes_no_wrong_spans() {
    let (file, go, bytes) = slow();
    let mut bench = bench(file, u64::MAX);
    bench.open(1);
    let mut calls = 0;
    while bench.unrecorded() == 0 {
        bench.call(1, calls);
        calls += 1;
    }
    assert_eq!(bench.recorder.state, State::Behind);
    bench.open(2);
    (0..1000).for_each(|n| bench.call(2, n));
    drop(go);
    while !bench.recorder.disk.has_caught_up() {
        std::thread::yield_now();
    }
    // Both go on: the second was never announced.
    (calls..calls + 10).for_each(|n| bench.call(1, n));
    (1000..1010).for_each(|n| bench.call(2, n));
    assert_eq!(bench.recorder.state, State::Writing);
    let made = bench.pipeline.spans().len();
    assert_eq!(made as u64, calls + 10 + 1010);
    let lost = bench.stop().lost(Loss::Unrecorded);
    assert_eq!(announced_midlife(&taken(&bytes)), [1, 2]);
    let (spans, told) = replayed(&taken(&bytes));
    assert_eq!(told, lost);
    // One opened event and two of each call that is missing, half of one at the edge perhaps.
    let missing = (made - spans) as u64;
    assert!(lost.abs_diff(2 * missing + 1) <= 2, "{lost} events, {missing} calls");
}

#[test]
fn a_recording_that_stops_behind_says_so() {
    let (file, go, bytes) = slow();
    let mut bench = bench(file, u64::MAX);
    bench.open(1);
    let mut calls = 0;
    while bench.unrecorded() == 0 {
        bench.call(1, calls);
        calls += 1;
    }
    bench.pipeline.stop();
    bench.recorder.stop(&mut bench.pipeline);
    drop(go);
    bench.recorder.wait(Duration::from_secs(30));
    let (spans, told) = replayed(&taken(&bytes));
    assert_eq!(told, bench.stats.lost(Loss::Unrecorded));
    assert!(spans > 0 && (spans as u64) < calls);
}

#[test]
fn a_full_disk_ends_the_recording_and_nothing_else() {
    let mut bench = bench(Full, u64::MAX);
    bench.open(1);
    let mut calls = 0;
    while bench.recorder.state != State::Closed {
        bench.call(1, calls);
        bench.recorder.tick(&mut bench.pipeline, Time(2000));
        calls += 1;
    }
    bench.call(1, calls);
    assert_eq!(bench.pipeline.spans().len() as u64, calls + 1);
    assert_eq!(bench.stop().lost(Loss::Unrecorded), 2 * (calls + 1) + 1);
}

#[test]
fn what_is_not_selected_is_not_written() {
    let (mut pipeline, stats) = pipeline();
    let ports = crate::select::PortArgs { exclude_port: vec![80], ..Default::default() };
    let select = crate::select::SelectArgs { ports, ..Default::default() };
    pipeline = {
        drop(pipeline);
        let selection = Selection::new(select, Vec::new());
        Pipeline::new(selection, Tracer::default(), None, Arc::clone(&stats))
    };
    let (file, go, bytes) = slow();
    drop(go);
    let path = Path::new("test");
    let disk = Disk::start(file, path, Arc::clone(&stats)).expect("a thread");
    let recorder = Recorder::with(disk, path, u64::MAX, &mut pipeline, Arc::clone(&stats));
    let mut bench = Bench { pipeline, recorder, stats };
    bench.open(1);
    bench.call(1, 0);
    bench.stop();
    let bytes = taken(&bytes);
    assert!(!String::from_utf8_lossy(&bytes).contains("GET"));
    assert_eq!(replayed(&bytes), (0, 0));
}
