//! Hostile files, from the first byte to the spans: what the fuzz targets run.

use std::collections::HashMap;
use std::sync::Arc;

use super::Replay;
use crate::pipeline::Pipeline;
use crate::select::Selection;
use crate::source::capture::Capture;
use crate::source::capture::file::Packet;
use crate::source::recording;
use crate::source::{ConnectionId, Data, Direction, End, Event, Time};
use crate::stats::Stats;
use crate::trace::Tracer;

/// Longest piece of a stream that one event may show, as in a record of the kernel.
const MAX_EVENT: usize = 32 * 1024;
/// The fixed part of a segment in [`segments`].
const STEP: usize = 7;
/// Raw IP (LINKTYPE_RAW).
const RAW: u16 = 101;

/// Replays a file of any format.
pub fn file(data: &[u8]) {
    let stats = Arc::new(Stats::default());
    let mut replay = Replay::new(Selection::default(), Tracer::default(), None, stats);
    let mut spans = 0;
    let read = replay.file("fuzz", data, |pipeline| {
        spans += pipeline.spans().drain(..).count();
        true
    });
    if read.is_ok() {
        spans += replay.finish().spans().len();
    }
    assert!(spans <= data.len(), "more calls than bytes");
}

/// Replays a recording of these records, each preceded by its length in two bytes. Their checksums
/// are right, so that more than the checksum is tested.
pub fn records(mut data: &[u8]) {
    let mut file = recording::header(0).to_vec();
    while let [low, high, rest @ ..] = data {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (record, rest) = rest.split_at(length);
        recording::frame(&mut file, record);
        data = rest;
    }
    self::file(&file);
}

/// Plays the segments that `data` describes to the source and the pipeline behind it, and panics if
/// the source breaks its contract. Each segment is a byte for its sender, ports and flags, one for
/// its length, two each for how far its numbers are from the expected ones, one for the time since
/// the one before, and its payload.
pub fn segments(mut data: &[u8]) {
    let stats = Arc::new(Stats::default());
    let mut capture = Capture::new(Arc::clone(&stats));
    let mut pipeline =
        Pipeline::replay(Selection::default(), Tracer::default(), None, Arc::clone(&stats));
    let mut contract = Contract::default();
    let mut sent = [[0u32; 2]; 2];
    let mut time = 1;
    while data.len() >= STEP {
        let (step, rest) = data.split_at(STEP);
        let (payload, rest) = rest.split_at(usize::from(step[1]).min(rest.len()));
        data = rest;
        let (from, ports) = (usize::from(step[0] & 1), usize::from(step[0] >> 6 & 1));
        let near = |number: u32, at: usize| {
            number.wrapping_add_signed(i16::from_le_bytes([step[at], step[at + 1]]).into())
        };
        let sequence = near(sent[ports][from], 2);
        let acknowledged = near(sent[ports][1 - from], 4);
        let end = sequence.wrapping_add(payload.len() as u32);
        sent[ports][from] = sent[ports][from].max(end);
        time += u64::from(step[6]) * 10_000_000;
        let bytes = packet(from, ports, step[0] >> 1 & 0x1f, sequence, acknowledged, payload);
        let packet = Packet { time: Time(time), link: RAW, length: bytes.len(), bytes: &bytes };
        let mut on = |event: Event<'_>| {
            contract.check(&event);
            pipeline.on(event);
        };
        capture.expire(packet.time, &mut on);
        capture.packet(&packet, &mut on);
        pipeline.tick(packet.time);
    }
    capture.finish(|event| {
        contract.check(&event);
        pipeline.on(event);
    });
}

/// An IPv4 packet with a TCP segment.
fn packet(
    from: usize,
    ports: usize,
    flags: u8,
    sequence: u32,
    acknowledged: u32,
    payload: &[u8],
) -> Vec<u8> {
    const HEADERS: usize = 20 + 20;
    let mut out = vec![0x45, 0];
    out.extend(((HEADERS + payload.len()) as u16).to_be_bytes());
    out.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    let addresses = [[10, 0, 0, 9], [10, 0, 0, 1]];
    let numbers = [40_000 + ports as u16, 80];
    out.extend(addresses[from]);
    out.extend(addresses[1 - from]);
    out.extend(numbers[from].to_be_bytes());
    out.extend(numbers[1 - from].to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out.extend(acknowledged.to_be_bytes());
    out.extend([5 << 4, flags, 4, 0, 0, 0, 0, 0]);
    out.extend(payload);
    out
}

/// What every source promises of a connection: it is announced once, its bytes come in order and
/// each once, holes included, and nothing comes after its end.
#[derive(Default)]
struct Contract {
    connections: HashMap<ConnectionId, Connection>,
}

#[derive(Default)]
struct Connection {
    /// Where each direction stands, once it has begun.
    reached: [Option<u64>; 2],
    ended: bool,
}

impl Contract {
    fn check(&mut self, event: &Event<'_>) {
        let live = matches!(event, Event::Program(_) | Event::Sent { .. } | Event::LeftOut { .. });
        assert!(!live, "not of a capture: {event:?}");
        match event {
            Event::Opened(opened) => {
                let before = self.connections.insert(opened.id, Connection::default());
                assert!(before.is_none(), "announced twice");
            }
            Event::Data(data) => self.data(data),
            Event::Ended { id, end, .. } => {
                let ended = matches!(end, End::Closed { .. } | End::Unseen);
                self.open(*id, |connection| connection.ended = ended);
            }
            Event::Lost(lost) => self.open(lost.id, |_| ()),
            Event::Program(_) | Event::Sent { .. } | Event::LeftOut { .. } => {}
        }
    }

    fn data(&mut self, data: &Data<'_>) {
        assert!(data.length > 0 && data.bytes.len() as u64 <= data.length);
        assert!(data.bytes.len() <= MAX_EVENT);
        self.open(data.id, |connection| {
            let reached = &mut connection.reached[match data.direction {
                Direction::Received => 0,
                Direction::Sent => 1,
            }];
            assert!(reached.is_none_or(|at| at == data.position), "{data:?} after {reached:?}");
            *reached = Some(data.position + data.length);
        });
    }

    /// Looks at a connection, which has to be open.
    fn open(&mut self, id: ConnectionId, look: impl FnOnce(&mut Connection)) {
        let connection = self.connections.get_mut(&id);
        let open = connection.as_ref().is_some_and(|connection| !connection.ended);
        assert!(open, "an event of a connection that was not announced, or has ended");
        if let Some(connection) = connection {
            look(connection);
        }
    }
}
